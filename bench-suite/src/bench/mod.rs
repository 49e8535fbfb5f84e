//! `pleach bench WHAT`: parts of the engine by themselves, beside other implementations of the same
//! in the same run.

mod curve;
mod devices;
mod execute;
mod keccak;
mod picture;
mod recover;
mod root;
mod store;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use crate::cli::EXIT_NOT_OK;

/// Time parts of Pleach next to other implementations of the same.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to time.
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Execution of made-up blocks of one kind each: alloy-evm's executor, serial, parallel.
    Execute(execute::ExecuteArgs),
    /// State roots after changes of large states, against ethrex-trie.
    Root(root::RootArgs),
    /// Sender recovery: signatures a second over the batch size, on the CPU and each device.
    Recover(recover::RecoverArgs),
    /// A block's commit to a large store on disk, and random reads of it.
    Store(store::StoreArgs),
    /// Keccak-256: messages a second over the batch size, on the CPU and each device.
    Keccak(keccak::KeccakArgs),
    /// Everything about devices and the CPU beside them, in one command, with the record of it.
    Devices(devices::DevicesArgs),
}

/// Runs a benchmark. Success only if everything that was compared is equal.
pub fn run(args: &BenchArgs) -> ExitCode {
    let done = match &args.benchmark {
        Benchmark::Execute(args) => return execute::run(args),
        Benchmark::Root(args) => return root::run(args),
        Benchmark::Recover(args) => recover::run(args),
        Benchmark::Store(args) => store::run(args),
        Benchmark::Keccak(args) => keccak::run(args),
        Benchmark::Devices(args) => devices::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is gone as well, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}
