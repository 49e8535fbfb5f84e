//! `pleach bench`: how fast the parts are, each by itself.

mod curve;
mod keccak;
mod picture;
mod recover;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use crate::cli::EXIT_NOT_OK;

/// Arguments of `pleach bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Sender recovery: signatures a second over the batch size, on the CPU and each device.
    Recover(recover::RecoverArgs),
    /// Keccak-256: messages a second over the batch size, on the CPU and each device.
    Keccak(keccak::KeccakArgs),
}

/// Runs the benchmark that the arguments name.
pub fn run(args: &BenchArgs) -> ExitCode {
    let done = match &args.command {
        BenchCommand::Recover(args) => recover::run(args),
        BenchCommand::Keccak(args) => keccak::run(args),
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
