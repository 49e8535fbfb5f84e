//! `pleach bench WHAT`: parts of the engine against other implementations, in the same run.

mod root;

use std::process::ExitCode;

use clap::{Args, Subcommand};

pub use root::RootArgs;

/// Time parts of Pleach next to other implementations of the same.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to time.
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// State roots after changes of large states, against ethrex-trie.
    Root(RootArgs),
}

/// Runs a benchmark. Success only if everything that was compared is equal.
pub fn run(args: &BenchArgs) -> ExitCode {
    match &args.benchmark {
        Benchmark::Root(args) => root::run(args),
    }
}
