//! `pleach import`, `unwind` and `db`: chains of blocks in a database.
//!
//! The work is done by [`pleach_engine::import`] and [`pleach_state::store`]; here are the files
//! that blocks come from, the chain's set-up, and what is told about it.

mod args;
mod database;
mod db;
mod network;
mod output;
pub mod source;
mod unwind;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
};

use pleach_engine::{
    Engine, EngineConfig, crypto,
    import::{ImportConfig, ImportError, Importer, Origin, SourcedBlock},
};
use pleach_gpu_accel::Accelerator;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

pub use args::{ChainArgs, DbArgs, DbCommand, ImportArgs, UnwindArgs};
pub use database::{Database, DatabaseError};
pub use db::run as run_db;
pub use network::{Network, NetworkError};
pub use unwind::run as run_unwind;

use crate::{cli::EXIT_NOT_OK, trie_workers::trie_workers};
use output::Output;
use source::{BlockFile, ListFile, SourceError};

/// The exit status of a process that a signal ends, less the signal's number.
const EXIT_BY_SIGNAL: i32 = 128;

/// An import that could not begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{}: no file of access lists can be made: {error}", path.display())]
    ListsOut { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("threads cannot be started: {0}")]
    Threads(#[source] io::Error),
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
}

/// Imports what the arguments name. Success only if every block of every file is in the database.
pub fn run(args: &ImportArgs) -> ExitCode {
    let imported = begin(args).and_then(|(importer, stop)| {
        let read_bytes = Arc::<AtomicU64>::default();
        let lists = args.lists.as_deref().map(ListFile::open).transpose()?;
        let output = Output::start(args, read_bytes.clone())?;
        Ok(import(args, (&importer, lists), &stop, read_bytes, output))
    });
    match imported {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NOT_OK),
        Err(error) => {
            // If standard error is gone as well, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}

/// Everything that an import needs, and the flag that ends it.
fn begin(args: &ImportArgs) -> Result<(Importer, Arc<AtomicBool>), BeginError> {
    crypto::install();
    // What is no file of blocks is told before anything is done.
    for path in &args.files {
        BlockFile::open(path, Arc::default())?;
    }
    let threads = args.threads();
    let accelerator = Accelerator::cpu(threads).map_err(io::Error::other);
    let accelerator = Arc::new(accelerator.map_err(BeginError::Threads)?);
    let database = thread::scope(|scope| {
        // Its tables are made while the database is opened.
        scope.spawn(|| accelerator.prepare());
        Database::open(&args.chain)
    })?;
    let engine = Engine::new(EngineConfig { threads }).map_err(BeginError::Threads)?;
    let workers = trie_workers(threads).map_err(io::Error::other);
    let importer = Importer {
        chain: database.chain,
        store: database.store,
        engine: Arc::new(engine),
        accelerator,
        workers: workers.map_err(BeginError::Threads)?,
        config: ImportConfig {
            commit_blocks: args.commit_blocks,
            access_lists: args.lists_out.is_some(),
            ..ImportConfig::default()
        },
    };
    Ok((importer, stop_flag().map_err(BeginError::Signals)?))
}

/// A flag that the first signal sets. The second ends the process at once.
fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::<AtomicBool>::default();
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, EXIT_BY_SIGNAL + signal, stop.clone())?;
        flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

/// Imports all files, and says what came of it. Returns whether everything is in the database.
fn import(
    args: &ImportArgs,
    (importer, mut lists): (&Importer, Option<ListFile>),
    stop: &AtomicBool,
    read_bytes: Arc<AtomicU64>,
    mut output: Output,
) -> bool {
    let files = args.files.clone().into_iter();
    let blocks = files.flat_map(move |path| {
        let file = BlockFile::open(&path, read_bytes.clone());
        let (file, error) = match file {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(Err(error))),
        };
        let name: Arc<str> = path.display().to_string().into();
        let blocks = file.into_iter().flatten().chain(error);
        blocks.map(move |block| {
            block.map(|read| {
                let origin = Origin { name: name.clone(), offset: Some(read.offset) };
                SourcedBlock { block: read.block, origin, access_list: None }
            })
        })
    });
    let blocks = blocks.map(move |block| {
        let with_list = block.and_then(|mut sourced| {
            if let Some(lists) = &mut lists {
                let block = &sourced.block;
                let transactions = block.body.transactions.len();
                sourced.access_list = lists.list_of(block.header.number, transactions)?;
            }
            Ok(sourced)
        });
        with_list.map_err(|error| ImportError::Source(Box::new(error)))
    });
    let last = args.to;
    let blocks = blocks.take_while(move |block| match (block, last) {
        (Ok(sourced), Some(last)) => sourced.block.header.number <= last,
        _ => true,
    });
    let imported = importer.import(blocks, stop, &mut |event| output.event(event));
    output.finish(imported)
}
