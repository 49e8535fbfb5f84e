//! What `pleach import`, `unwind` and `db` are asked to do.

use std::{path::PathBuf, thread::available_parallelism};

use clap::{Args, Subcommand, builder::RangedU64ValueParser};

/// More threads than this are taken for a slip of the finger.
const MAX_THREADS: u64 = 1024;
/// More blocks than this in a commit bring nothing but waiting.
const MAX_COMMIT_BLOCKS: u64 = 16_384;

/// Which chain, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ChainArgs {
    /// mainnet, sepolia, holesky, hoodi, or a genesis file in geth's format, gzipped or not.
    #[arg(long, value_name = "NAME|FILE", default_value = "mainnet")]
    pub chain: String,
    /// The genesis file to begin with, in place of the chain's own.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// The folder of the database; it is made if there is none.
    #[arg(long, value_name = "DIR")]
    pub datadir: PathBuf,
}

/// Import files of blocks, each validated in every respect, into a database.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ImportArgs {
    /// Files of blocks in order: RLP one after another or era1, gzipped or not.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Which chain, and where it lies.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// The last block to import.
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Threads that execute, and as many that recover senders and hash; by default as many as
    /// the machine runs at once.
    #[arg(
        long, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS)
    )]
    pub threads: Option<usize>,
    /// The most blocks that are committed together.
    #[arg(
        long, value_name = "N", default_value = "1024",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_COMMIT_BLOCKS)
    )]
    pub commit_blocks: usize,
    /// A file of the blocks' access lists (EIP-7928), as `--lists-out` writes it: blocks are read
    /// ahead, executed and their roots computed with them. A wrong one is named and costs time.
    #[arg(long, value_name = "FILE")]
    pub lists: Option<PathBuf>,
    /// Write the access lists of the blocks that are imported to a new file, gzipped if its name
    /// ends with .gz.
    #[arg(long, value_name = "FILE")]
    pub lists_out: Option<PathBuf>,
    /// Print JSON: an object per commit, per access list that is of no use, and for the summary.
    #[arg(long)]
    pub json: bool,
}

impl ImportArgs {
    /// The threads to use: those asked for, or as many as the machine runs at once.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from))
    }
}

/// Take blocks back, down to one that stays.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct UnwindArgs {
    /// The folder of the database.
    #[arg(long, value_name = "DIR")]
    pub datadir: PathBuf,
    /// The number of the block that is the last one afterwards.
    #[arg(long, value_name = "N")]
    pub to: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Look into a database.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DbArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DbCommand,
}

/// What to do with a database.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DbCommand {
    /// Say what is in it, and how much room that takes.
    Stats(LookArgs),
    /// Check all that is in it: each block, each account and slot, and the state root of them all.
    Verify(LookArgs),
}

/// Which database to look into.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LookArgs {
    /// The folder of the database.
    #[arg(long, value_name = "DIR")]
    pub datadir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
