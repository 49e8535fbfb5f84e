//! `pleach bench execute`: made-up blocks of one kind each, executed by a bare loop over alloy-evm's
//! own executor, by Pleach's serial path, and in parallel.
//!
//! The three take turns, so that what the machine does meanwhile hits all alike. Outputs are
//! compared before anything is timed. A block with a transaction that may not be in it is executed
//! up to there: both paths must refuse it with the same error.

mod bare;
mod cpu;
mod report;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
};

use clap::{Args, builder::RangedU64ValueParser};
use pleach_engine::{
    BlockOutput, ChainSpec, Engine, EngineConfig, ExecuteError, ExecuteOptions, Metrics,
    RecoveredBlock, crypto, execute_serial,
};
use pleach_state::FlatState;

use crate::{
    cli::EXIT_NOT_OK,
    replay::{
        scaling,
        stats::{median, median_count, milliseconds, timed},
    },
    workload::{Kind, generate},
};
use report::KindReport;

const MAX_THREADS: u64 = 1024;

/// Execution of made-up blocks of one kind each: alloy-evm's executor, serial, parallel.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecuteArgs {
    /// The kinds of blocks, by name; all of them if none is given.
    #[arg(value_name = "KIND", value_parser = Kind::ALL.map(Kind::name))]
    kinds: Vec<String>,
    /// Gas that a block uses, in millions.
    #[arg(
        long, value_name = "MGAS", default_value_t = 100,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=10_000)
    )]
    mgas: u64,
    /// Threads that execute; by default as many as the machine runs at once.
    #[arg(
        long, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_THREADS)
    )]
    threads: Option<usize>,
    /// Timed rounds per block; the figures reported are their medians.
    #[arg(
        long, value_name = "R", default_value_t = 5,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    rounds: usize,
    /// The seed of the blocks.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Run ahead whatever the controller says.
    #[arg(long)]
    force_parallel: bool,
    /// Print one JSON object per block instead of a table.
    #[arg(long)]
    json: bool,
}

/// One block, ready to be executed.
struct Subject {
    kind: Kind,
    chain: Arc<ChainSpec>,
    block: Arc<RecoveredBlock>,
    prestate: Arc<FlatState>,
}

/// What one way of execution took, round by round.
#[derive(Debug, Default)]
struct Times {
    wall_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
}

type Outcome = Result<BlockOutput, ExecuteError>;

/// Runs the benchmark. Success only if all outputs are equal.
pub(super) fn run(args: &ExecuteArgs) -> ExitCode {
    match try_run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NOT_OK),
        Err(error) => {
            // If standard error is gone as well, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}

fn try_run(args: &ExecuteArgs) -> io::Result<bool> {
    crypto::install();
    let threads = match args.threads {
        Some(threads) => threads,
        None => available_parallelism()?.get(),
    };
    let engine = Engine::new(EngineConfig { threads })?;
    let kinds: Vec<Kind> = match args.kinds.is_empty() {
        true => Kind::ALL.to_vec(),
        false => args.kinds.iter().filter_map(|name| Kind::by_name(name)).collect(),
    };
    let mut all_equal = true;
    if !args.json {
        report::print_head(threads)?;
    }
    for kind in kinds {
        let subject = Subject::make(kind, args);
        let report = measure(&subject, &engine, args);
        all_equal &= report.equal;
        report.print(args.json)?;
    }
    Ok(all_equal)
}

impl Subject {
    fn make(kind: Kind, args: &ExecuteArgs) -> Self {
        let made = generate(kind, args.mgas * 1_000_000, args.seed);
        let block = RecoveredBlock::with_senders(made.block, made.senders)
            .expect("a made-up block has a sender for each transaction");
        Self { kind, chain: made.chain, block: Arc::new(block), prestate: Arc::new(made.prestate) }
    }

    fn serial(&self) -> Outcome {
        execute_serial(&self.chain, &self.block, &self.prestate, false)
    }

    fn parallel(&self, engine: &Engine, options: ExecuteOptions) -> (Outcome, Metrics) {
        match engine.execute(&self.chain, &self.block, &self.prestate, options) {
            Ok((output, metrics)) => (Ok(output), metrics),
            Err(error) => (Err(error), Metrics::default()),
        }
    }
}

fn measure(subject: &Subject, engine: &Engine, args: &ExecuteArgs) -> KindReport {
    let options = ExecuteOptions { force_parallel: args.force_parallel, ..<_>::default() };
    let expected = subject.serial();
    let same = |outcome: &Outcome| same(&expected, outcome);
    let mut equal = same(&subject.parallel(engine, options).0);
    equal &= same(&bare::execute(&subject.chain, &subject.block, &subject.prestate));
    let [mut bare, mut serial, mut parallel] = <[Times; 3]>::default();
    let mut metrics = Vec::new();
    for _ in 0..args.rounds {
        drop(bare.add(|| bare::execute(&subject.chain, &subject.block, &subject.prestate)));
        drop(serial.add(|| subject.serial()));
        let (outcome, cost) = parallel.add(|| subject.parallel(engine, options));
        equal &= same(&outcome);
        metrics.push(cost);
    }
    let [bare_ms, serial_ms, parallel_ms] =
        [&bare, &serial, &parallel].map(|times| median(times.wall_ms.clone()).unwrap_or_default());
    let [serial_cpu, parallel_cpu] = [serial, parallel].map(|times| median(times.cpu_ms));
    let Subject { kind, chain, block, prestate } = subject;
    KindReport {
        kind: kind.name(),
        seed: args.seed,
        transactions: block.transactions().len(),
        gas_used: block.header().gas_used,
        threads: engine.threads(),
        equal,
        bare_ms,
        serial_ms,
        parallel_ms,
        serial_over_bare: bare_ms / serial_ms,
        speedup: serial_ms / parallel_ms,
        cpu_ratio: serial_cpu.zip(parallel_cpu).map(|(serial, parallel)| parallel / serial),
        executions: median_count(metrics.iter().map(|cost| cost.executions).collect()),
        aborts: median_count(metrics.iter().map(|cost| cost.aborts).collect()),
        decision: metrics.last().map(|cost| cost.decision.name()).unwrap_or_default(),
        machine_scaling: match expected {
            Ok(_) => scaling::measure(chain, block, prestate, engine.threads(), serial_ms).ok(),
            Err(_) => None,
        },
    }
}

fn same(expected: &Outcome, outcome: &Outcome) -> bool {
    match (expected, outcome) {
        (Ok(expected), Ok(output)) => expected == output,
        (Err(expected), Err(error)) => expected.to_string() == error.to_string(),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

impl Times {
    /// Runs once more. What is returned is dropped by the caller, off the clock.
    fn add<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let before = cpu::process_ms();
        let (result, time) = timed(run);
        self.wall_ms.push(milliseconds(time));
        self.cpu_ms.extend(cpu::process_ms().zip(before).map(|(after, before)| after - before));
        result
    }
}
