//! The `pleach` command.

use clap::{Parser, Subcommand};
use pleach_bench_suite::conformance::{blocktest, statetest};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Statetest(statetest::StatetestArgs),
    Blocktest(blocktest::BlocktestArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Statetest(args) => statetest::run(&args),
        Command::Blocktest(args) => blocktest::run(&args),
    }
}
