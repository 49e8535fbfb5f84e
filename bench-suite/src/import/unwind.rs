//! `pleach unwind`: blocks taken back.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;

use super::{Database, DatabaseError, UnwindArgs};
use crate::cli::EXIT_NOT_OK;

/// Takes blocks back; success if the database then ends with the block asked for.
pub fn run(args: &UnwindArgs) -> ExitCode {
    match unwind(args) {
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

fn unwind(args: &UnwindArgs) -> Result<String, DatabaseError> {
    let store = Database::open_existing(&args.datadir)?;
    let before = store.head()?.map(|head| head.number);
    let head = store.unwind(args.to)?;
    let taken_back = before.map_or(0, |before| before - head.number);
    Ok(match args.json {
        true => json!({ "unwind": {
            "blocks": taken_back, "number": head.number, "hash": head.hash,
            "state_root": head.state_root,
        }})
        .to_string(),
        false => format!(
            "{taken_back} blocks taken back; the last one is now {} ({})",
            head.number, head.hash
        ),
    })
}
