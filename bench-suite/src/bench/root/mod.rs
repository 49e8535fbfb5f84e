//! `pleach bench root`: the state root after changes, ours on one thread and on several, and
//! ethrex-trie's.
//!
//! All three hold the same state in memory, whole and hashed, and get the same changes, round after
//! round, in turns; ethrex-trie does so in a process of its own, and times itself. An untimed round
//! goes first. The roots of every round are compared: a benchmark of different results is none.

mod report;
mod rival;
mod world;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread::available_parallelism,
    time::Instant,
};

use alloy_primitives::{B256, keccak256};
use clap::{Args, builder::RangedU64ValueParser};
use pleach_state::mpt::{KeccakStats, NoNodes, StateChanges, StateTrie, TrieError};

use crate::{
    cli::EXIT_NOT_OK,
    replay::stats::{median, median_count, milliseconds},
    trie_workers::trie_workers,
};
use report::{CaseReport, Output};
use rival::Rival;
use world::{CASES, Case, World};

const MAX_THREADS: u64 = 1024;

/// State roots after changes of large states, against ethrex-trie.
#[derive(Debug, Clone, Args)]
pub(super) struct RootArgs {
    /// The cases to run, by name; all of them if none is given.
    #[arg(value_name = "CASE", value_parser = CASES.map(|case| case.name))]
    cases: Vec<String>,
    /// Threads of the run on several; by default as many as the machine runs at once.
    #[arg(
        long, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS)
    )]
    threads: Option<usize>,
    /// Timed rounds per case; the times reported are their medians.
    #[arg(
        long, value_name = "R", default_value_t = 9,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    rounds: usize,
    /// The seed of states and changes.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The program that holds ethrex-trie; by default `ethrex-root` beside this one.
    #[arg(long, value_name = "FILE")]
    rival: Option<PathBuf>,
    /// Print one JSON object per case and one for the summary, instead of a table.
    #[arg(long)]
    json: bool,
}

/// Why a benchmark was given up.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("threads could not be started: {0}")]
    Threads(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("our trie failed: {0}")]
    Ours(#[from] TrieError),
    #[error("the program with ethrex-trie failed ({0}): build it anew, or see what it printed")]
    Rival(#[source] io::Error),
    #[error("case {case}, round {round}: the roots differ: {roots:?}")]
    Roots { case: &'static str, round: usize, roots: Vec<B256> },
    #[error("the report could not be written: {0}")]
    Write(#[from] io::Error),
}

/// Runs the cases. Success only if all roots agree.
pub(super) fn run(args: &RootArgs) -> ExitCode {
    match run_cases(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is gone as well, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}

fn run_cases(args: &RootArgs) -> Result<(), BenchError> {
    let threads = args.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let keccak_ns = short_hash_ns();
    let rival = rival::find(args.rival.as_deref());
    let mut output = Output::start(args.json)?;
    let chosen =
        |case: &&Case| args.cases.is_empty() || args.cases.iter().any(|name| name == case.name);
    for case in CASES.iter().filter(chosen) {
        let runs = time(case, threads, args, rival.as_deref())?;
        output.case(CaseReport::new(case, threads, args.rounds, keccak_ns, &runs))?;
    }
    Ok(output.summary(threads, args.seed, rival.is_some())?)
}

/// The times, in milliseconds, and the hashes of each round.
#[derive(Debug, Default)]
struct Runs {
    one_thread: Vec<f64>,
    several: Vec<f64>,
    rival: Vec<f64>,
    keccak: Vec<KeccakStats>,
}

/// The three that take turns.
struct Contestants {
    one_thread: StateTrie,
    several: StateTrie,
    rival: Option<Rival>,
}

fn time(
    case: &'static Case,
    threads: usize,
    args: &RootArgs,
    rival: Option<&Path>,
) -> Result<Runs, BenchError> {
    let on_threads = |threads| match trie_workers(threads) {
        Ok(workers) => Ok(StateTrie::empty().with_workers(workers)),
        Err(error) => Err(BenchError::Threads(error.into())),
    };
    let mut contestants = Contestants {
        one_thread: on_threads(1)?,
        several: on_threads(threads)?,
        rival: rival.map(Rival::start).transpose().map_err(BenchError::Rival)?,
    };
    let mut world = World::new(case, args.seed);
    let mut first = Runs::default();
    contestants.round(case, 0, &world.all(), &mut first)?;
    contestants.round(case, 1, &world.change(), &mut first)?;
    let mut runs = Runs::default();
    for round in 2..args.rounds + 2 {
        contestants.round(case, round, &world.change(), &mut runs)?;
    }
    Ok(runs)
}

impl Contestants {
    /// Gives all three the same changes. Who begins changes from round to round, so that what the
    /// machine does meanwhile hits all alike.
    fn round(
        &mut self,
        case: &'static Case,
        round: usize,
        changes: &StateChanges,
        runs: &mut Runs,
    ) -> Result<(), BenchError> {
        let mut roots = Vec::new();
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => roots.push(self.one_thread(changes, runs)?),
                1 => {
                    let start = Instant::now();
                    roots.push(self.several.update(changes, &NoNodes)?);
                    runs.several.push(milliseconds(start.elapsed()));
                }
                _ => {
                    if let Some(rival) = &mut self.rival {
                        let (root, time) = rival.update(changes).map_err(BenchError::Rival)?;
                        roots.push(root);
                        runs.rival.push(time);
                    }
                }
            }
        }
        match roots.iter().all(|root| *root == roots[0]) {
            true => Ok(()),
            false => Err(BenchError::Roots { case: case.name, round, roots }),
        }
    }

    fn one_thread(&mut self, changes: &StateChanges, runs: &mut Runs) -> Result<B256, TrieError> {
        let before = self.one_thread.workers().keccak_stats();
        let start = Instant::now();
        let root = self.one_thread.update(changes, &NoNodes)?;
        runs.one_thread.push(milliseconds(start.elapsed()));
        let after = self.one_thread.workers().keccak_stats();
        runs.keccak.push(KeccakStats {
            calls: after.calls - before.calls,
            permutations: after.permutations - before.permutations,
        });
        Ok(root)
    }
}

/// Nanoseconds that Keccak-256 of a message of one permutation takes, one after another: the median
/// of a few goes.
fn short_hash_ns() -> f64 {
    const MESSAGES: usize = 20_000;
    let goes = (0..9).map(|go: u8| {
        let mut message = [go; 104];
        let start = Instant::now();
        for _ in 0..MESSAGES {
            // Each message holds the last one's hash, so none can be left out.
            let hash = keccak256(message);
            message[..32].copy_from_slice(hash.as_slice());
        }
        start.elapsed().as_secs_f64() * 1e9 / MESSAGES as f64
    });
    median(goes.collect()).unwrap_or_default()
}
