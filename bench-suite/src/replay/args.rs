//! What `pleach replay` is asked to do.

use std::{path::PathBuf, thread::available_parallelism};

use clap::{Args, ValueEnum, builder::RangedU64ValueParser};

use crate::gpu::DeviceArgs;

/// More threads than this are taken for a slip of the finger.
const MAX_THREADS: u64 = 1024;
const DEFAULT_REPEAT: usize = 3;
const DEFAULT_SEED: u64 = 1;

/// Execute blocks serially and in parallel, check both against the headers, and time them.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReplayArgs {
    /// Blocks as JSON, gzipped or not, or folders of them; without any, the built-in blocks.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Threads that execute in parallel; by default as many as the machine runs at once.
    #[arg(
        long, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS)
    )]
    pub threads: Option<usize>,
    /// Which executions to run and time.
    #[arg(long, value_enum, default_value_t = Mode::Both)]
    pub mode: Mode,
    /// Timed runs of each kind per block; the times reported are their medians.
    #[arg(
        long, value_name = "R", default_value_t = DEFAULT_REPEAT,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub repeat: usize,
    /// Speculate even where the engine would choose serial execution.
    #[arg(long)]
    pub force_parallel: bool,
    /// Execute with the blocks' access lists (EIP-7928): each made beforehand by one serial run, or
    /// the one in FILE, as RLP, hex or JSON.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub bal: Option<Option<PathBuf>>,
    /// Time blocks with a witness also as a whole: from signed transactions to the state root.
    #[arg(long)]
    pub whole: bool,
    /// At last time all blocks as one stream: senders of the next ones are recovered while a block
    /// executes.
    #[arg(long)]
    pub stream: bool,
    /// Recover senders on devices as well; without this and --software, on the CPU alone.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The seed of the built-in blocks.
    #[arg(long, value_name = "S", default_value_t = DEFAULT_SEED)]
    pub seed: u64,
    /// Write a page that shows where each block's time went and what held it up.
    #[arg(long, value_name = "FILE.html")]
    pub profile: Option<PathBuf>,
    /// Write each block with its witness, as `debug_executionWitness` gives it, into this folder.
    #[arg(long, value_name = "DIR")]
    pub witness_out: Option<PathBuf>,
    /// Print one JSON object per block and one for the summary, instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Which executions are run and timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Serial and parallel, in turns, and their outputs compared.
    Both,
    /// Parallel alone.
    Parallel,
    /// Serial alone.
    Serial,
}

impl Mode {
    pub(super) const fn serial(self) -> bool {
        matches!(self, Self::Both | Self::Serial)
    }

    pub(super) const fn parallel(self) -> bool {
        matches!(self, Self::Both | Self::Parallel)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Parallel => "parallel",
            Self::Serial => "serial",
        }
    }
}

impl Default for ReplayArgs {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            threads: None,
            mode: Mode::Both,
            repeat: DEFAULT_REPEAT,
            force_parallel: false,
            bal: None,
            whole: false,
            stream: false,
            device: DeviceArgs::default(),
            seed: DEFAULT_SEED,
            profile: None,
            witness_out: None,
            json: false,
        }
    }
}

impl ReplayArgs {
    /// The threads to use: those asked for, or as many as the machine runs at once.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from))
    }

    /// What is wrong with options that are each right alone, if anything is.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        if self.profile.is_some() && self.bal.is_some() {
            return Some("--profile shows execution without a list: drop it or --bal");
        }
        if self.mode.parallel() {
            return None;
        }
        if self.profile.is_some() {
            return Some(
                "--profile shows parallel execution, which --mode serial leaves out: drop one of \
                 them",
            );
        }
        if self.stream {
            return Some(
                "--stream times parallel execution, which --mode serial leaves out: drop one of \
                 them",
            );
        }
        self.bal
            .is_some()
            .then_some("lists are for parallel execution, which --mode serial leaves out")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ReplayArgs,
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(Line::parse_from(["replay"]).args, ReplayArgs::default());
    }

    #[test]
    fn counts_of_zero_are_refused() {
        for flag in ["--threads", "--repeat"] {
            assert!(Line::try_parse_from(["replay", flag, "0"]).is_err());
            assert!(Line::try_parse_from(["replay", flag, "2"]).is_ok());
        }
    }
}
