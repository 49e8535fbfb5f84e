//! `pleach db stats` and `pleach db verify`: what is in a database, and whether it is whole.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use pleach_state::store::{Head, StoreStats};
use serde_json::{Value, json};

use super::{Database, DatabaseError, DbArgs, DbCommand, args::LookArgs};
use crate::cli::EXIT_NOT_OK;

/// Looks into a database; success if it could be read and, for `verify`, is whole.
pub fn run(args: &DbArgs) -> ExitCode {
    let told = match &args.command {
        DbCommand::Stats(args) => stats(args),
        DbCommand::Verify(args) => verify(args),
    };
    match told {
        Ok(text) => {
            let _ = writeln!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}

fn stats(args: &LookArgs) -> Result<String, DatabaseError> {
    let stats = Database::open_existing(&args.datadir)?.stats()?;
    Ok(match args.json {
        true => json!({ "stats": stats_json(&stats) }).to_string(),
        false => stats_text(&stats),
    })
}

fn stats_json(stats: &StoreStats) -> Value {
    let tables = stats.backend.tables.iter().map(|stats| {
        json!({ "table": stats.table.name(), "entries": stats.entries, "bytes": stats.bytes })
    });
    json!({
        "schema": stats.schema,
        "genesis": stats.genesis,
        "head": stats.head.as_ref().map(head_json),
        "oldest_unwind": stats.oldest_unwind,
        "bytes": stats.backend.bytes,
        "free_bytes": stats.backend.free_bytes,
        "tables": tables.collect::<Vec<_>>(),
    })
}

fn head_json(head: &Head) -> Value {
    json!({
        "number": head.number,
        "hash": head.hash,
        "state_root": head.state_root,
        "total_difficulty": head.total_difficulty,
    })
}

fn stats_text(stats: &StoreStats) -> String {
    let mut text = match (&stats.head, stats.oldest_unwind) {
        (Some(head), Some(oldest)) => {
            format!("block {} ({}), can be unwound to block {oldest}\n", head.number, head.hash)
        }
        _ => "no chain yet\n".to_owned(),
    };
    text += &format!("{:<10} {:>12} {:>14}\n", "table", "entries", "bytes");
    for table in &stats.backend.tables {
        text += &format!("{:<10} {:>12} {:>14}\n", table.table.name(), table.entries, table.bytes);
    }
    text + &format!(
        "{} bytes in all, {} of them free",
        stats.backend.bytes, stats.backend.free_bytes
    )
}
