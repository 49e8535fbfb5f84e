//! `pleach db stats` and `pleach db verify`: what is in a database, and whether it is whole.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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

fn verify(args: &LookArgs) -> Result<String, DatabaseError> {
    let store = Database::open_existing(&args.datadir)?;
    let bar = progress_bar();
    let verified = store.verify(&mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.table.name());
    });
    bar.finish_and_clear();
    let (verified, head) = (verified?, store.head()?);
    Ok(match args.json {
        true => json!({ "verified": {
            "blocks": verified.blocks,
            "accounts": verified.accounts,
            "slots": verified.slots,
            "codes": verified.codes,
            "nodes": verified.nodes,
            "diffs": verified.diffs,
            "head": head.as_ref().map(head_json),
        }})
        .to_string(),
        false => format!(
            "all in order: {} blocks, {} accounts, {} slots, {} trie nodes{}",
            verified.blocks,
            verified.accounts,
            verified.slots,
            verified.nodes,
            head.map_or_else(String::new, |head| format!("; state root {}", head.state_root)),
        ),
    })
}

/// A bar on standard error, if that is a terminal.
fn progress_bar() -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
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
