//! The command line: one subcommand, one module with a `run`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    bench::{self, BenchArgs},
    conformance::{
        blocktest::{self, BlocktestArgs},
        statetest::{self, StatetestArgs},
    },
    gpu::{self, GpuArgs},
    import::{self, DbArgs, ImportArgs, UnwindArgs},
    replay::{self, ReplayArgs},
};

/// The exit status when something that was checked does not hold, or could not be checked.
///
/// Success is 0, and clap exits with 2 when the command line itself is wrong.
pub const EXIT_NOT_OK: u8 = 1;

/// The exit status when the command line contradicts itself; clap's own for one that is wrong.
pub const EXIT_USAGE: u8 = 2;

/// Parallel execution of EVM blocks, compared with serial execution in every bit.
#[derive(Debug, Parser)]
#[command(name = "pleach", version, about, max_term_width = 100)]
struct Cli {
    /// What to do; `replay` of the built-in blocks if nothing is given.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Execute blocks serially and in parallel, check both against the headers, and time them.
    Replay(ReplayArgs),
    /// Run Ethereum state tests, each case serially and through the parallel path.
    Statetest(StatetestArgs),
    /// Run Ethereum blockchain tests, each block serially and through the parallel path.
    Blocktest(BlocktestArgs),
    /// Import files of blocks, each validated in every respect, into a database.
    Import(ImportArgs),
    /// Take blocks of a database back.
    Unwind(UnwindArgs),
    /// Look into a database.
    Db(DbArgs),
    /// Time parts of Pleach next to other implementations of the same.
    Bench(BenchArgs),
    /// List, test and measure the devices that recover senders and hash.
    Gpu(GpuArgs),
}

/// Parses the process's arguments and does what they ask for.
pub fn run() -> ExitCode {
    let command = Cli::parse().command;
    match command.unwrap_or_else(|| Command::Replay(ReplayArgs::default())) {
        Command::Replay(args) => replay::run(&args),
        Command::Statetest(args) => statetest::run(&args),
        Command::Blocktest(args) => blocktest::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Unwind(args) => import::run_unwind(&args),
        Command::Db(args) => import::run_db(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Gpu(args) => gpu::run(&args),
    }
}
