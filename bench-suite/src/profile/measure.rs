//! The runs that a profile is made from.

use std::{io, sync::Arc, time::Instant};

use alloy_consensus::Transaction;
use alloy_primitives::Bytes;
use pleach_engine::{
    BlockOutput, ChainSpec, Decision, Engine, EngineConfig, ExecuteError, ExecuteOptions,
    RecoveredBlock, execute_serial,
    trace::{Dependencies, Location, Outcome, Trace, Traced},
};
use pleach_state::FlatState;

use super::{
    chain::Graph,
    heat::Heat,
    model::{
        BlockProfile, Commit, Conflict, CriticalPath, GasPath, Incarnation, Limit, PathLocation,
        PathStep, Schedule, Stale, TransactionFacts, Wasted,
    },
    selectors, words,
};

/// Fewer runs than this may all have been disturbed.
const MIN_RUNS: usize = 5;

/// Profiles blocks, one after another.
#[derive(Debug)]
pub struct Profiler {
    /// One thread, for rehearsals and for each transaction's own time.
    alone: Engine,
    runs: usize,
}

/// A block as the runs take it: senders known, prestate flat in memory.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The rules.
    pub chain: &'a Arc<ChainSpec>,
    /// The block.
    pub block: &'a Arc<RecoveredBlock>,
    /// The state before it.
    pub prestate: &'a Arc<FlatState>,
    /// What executing it gives.
    pub expected: &'a BlockOutput,
}

/// A block's profile, and whether the runs that it took gave what they should.
#[derive(Debug)]
pub struct Profiled {
    /// The profile.
    pub profile: BlockProfile,
    /// How the output of one of the runs differed, if one did.
    pub difference: Option<String>,
}

/// What the runs gave.
struct Runs {
    dependencies: Dependencies,
    serial_ms: Vec<f64>,
    alone: Vec<Trace>,
    parallel: Vec<Parallel>,
    difference: Option<String>,
}

/// A run on the engine that is profiled.
struct Parallel {
    /// What the engine chose.
    decision: Decision,
    /// Whether that was not to run ahead, so that the run had to be insisted on.
    forced: bool,
    trace: Trace,
}

impl Profiler {
    /// A profiler that makes `repeat` runs of each kind, five at least.
    ///
    /// # Errors
    /// What the operating system says if it refuses to start a thread.
    pub fn new(repeat: usize) -> io::Result<Self> {
        let alone = Engine::new(EngineConfig { threads: 1 })?;
        Ok(Self { alone, runs: repeat.max(MIN_RUNS) })
    }

    /// Profiles a block on an engine.
    ///
    /// # Errors
    /// [`ExecuteError`] if the block cannot be executed.
    pub fn profile(
        &self,
        engine: &Engine,
        options: ExecuteOptions,
        subject: Subject<'_>,
    ) -> Result<Profiled, ExecuteError> {
        let runs = self.run(engine, options, subject)?;
        let transactions = transactions(subject, &runs.alone);
        let graph = Graph::new(&runs.dependencies, transactions.len());
        let Parallel { decision, forced, trace } = fastest(&runs.parallel);
        let times: Vec<_> = transactions.iter().map(|tx| tx.ms).collect();
        let path = graph.heaviest(&times, |_| false);
        let locations = &runs.dependencies.locations;
        let heat = Heat::new(&graph, locations, trace, &transactions, &path);
        let serial_ms = least(&runs.serial_ms);
        let work_ms = serial_ms.min(times.iter().sum::<f64>() + around_transactions(&runs.alone));
        let (measured, threads) = ((serial_ms, ms(trace.end_ns)), engine.threads());
        let limit = limit(measured, work_ms, path.weight, threads);
        let mut profile = BlockProfile {
            threads,
            decision: decision.name(),
            forced: *forced,
            runs: self.runs,
            gas: transactions.iter().map(|tx| tx.gas).sum(),
            limit,
            critical_path: critical_path(&graph, locations, &path.indices, &transactions),
            critical_path_by_gas: gas_path(&graph, &transactions),
            wasted: wasted(trace),
            contracts: heat.contracts(),
            locations: heat.locations(subject.block),
            summary: Vec::new(),
            schedule: schedule(trace),
            transactions,
        };
        profile.summary = words::summary(&profile);
        Ok(Profiled { profile, difference: runs.difference })
    }

    fn run(
        &self,
        engine: &Engine,
        options: ExecuteOptions,
        subject: Subject<'_>,
    ) -> Result<Runs, ExecuteError> {
        let rehearse = ExecuteOptions { rehearse: true, ..ExecuteOptions::default() };
        let rehearsal = traced(&self.alone, rehearse, subject)?;
        let difference = subject.expected.difference(&rehearsal.output);
        let dependencies = rehearsal.trace.and_then(|trace| trace.dependencies);
        let mut runs = Runs {
            dependencies: dependencies.unwrap_or_default(),
            serial_ms: Vec::new(),
            alone: Vec::new(),
            parallel: Vec::new(),
            difference,
        };
        let insist = ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() };
        for _ in 0..self.runs {
            runs.serial_ms.push(time_serial(subject)?);
            let alone = traced(&self.alone, insist, subject)?;
            let chosen = traced(engine, options, subject)?;
            // An engine that has learnt from the runs before may choose otherwise in the next.
            let forced = chosen.trace.is_none();
            let decision = chosen.metrics.decision;
            let parallel = if forced { traced(engine, insist, subject)? } else { chosen };
            for output in [&alone.output, &parallel.output] {
                let difference = subject.expected.difference(output);
                runs.difference = runs.difference.or(difference);
            }
            runs.alone.extend(alone.trace);
            let trace = parallel.trace.unwrap_or_default();
            runs.parallel.push(Parallel { decision, forced, trace });
        }
        Ok(runs)
    }
}

fn traced(
    engine: &Engine,
    options: ExecuteOptions,
    subject: Subject<'_>,
) -> Result<Traced, ExecuteError> {
    engine.execute_traced(subject.chain, subject.block, subject.prestate, options)
}

fn time_serial(subject: Subject<'_>) -> Result<f64, ExecuteError> {
    let start = Instant::now();
    let output = execute_serial(subject.chain, subject.block, subject.prestate, false);
    let time = start.elapsed().as_secs_f64() * 1e3;
    output.map(|_| time)
}

/// The run that was disturbed least.
fn fastest(runs: &[Parallel]) -> &Parallel {
    let fastest = runs.iter().min_by_key(|run| run.trace.end_ns);
    fastest.expect("at least one run of each kind is made")
}

/// The least time: what it takes if nothing interferes. Medians would not do, as a path's sum of
/// them may exceed the median of the whole.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().min_by(f64::total_cmp).unwrap_or_default()
}

fn transactions(subject: Subject<'_>, alone: &[Trace]) -> Vec<TransactionFacts> {
    let mut times = vec![Vec::with_capacity(alone.len()); subject.block.transactions().len()];
    for commit in alone.iter().flat_map(|trace| &trace.commits) {
        times[commit.index].push(ms(commit.until_ns - commit.asked_ns));
    }
    let mut gas_before = 0;
    let receipts = subject.expected.receipts.iter();
    let rows = subject.block.transactions().iter().zip(subject.block.senders()).zip(receipts);
    rows.zip(times)
        .map(|(((tx, from), receipt), times)| {
            let gas = receipt.cumulative_gas_used();
            let selector = tx.to().and_then(|_| tx.input().get(..4));
            let array = selector.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            TransactionFacts {
                hash: *tx.tx_hash(),
                from: *from,
                to: tx.to(),
                selector: selector.map(Bytes::copy_from_slice),
                signature: array.and_then(selectors::signature),
                gas: gas - std::mem::replace(&mut gas_before, gas),
                ms: least(&times),
            }
        })
        .collect()
}

/// The time before the first transaction and after the last.
fn around_transactions(alone: &[Trace]) -> f64 {
    let around = alone.iter().map(|trace| {
        let first = trace.commits.first().map_or(trace.end_ns, |commit| commit.asked_ns);
        let last = trace.commits.last().map_or(trace.end_ns, |commit| commit.until_ns);
        ms(first + (trace.end_ns - last))
    });
    least(&around.collect::<Vec<_>>())
}

fn limit(
    (serial_ms, parallel_ms): (f64, f64),
    work_ms: f64,
    critical_path_ms: f64,
    threads: usize,
) -> Limit {
    let shared_work_ms = work_ms / threads as f64;
    let by_path = critical_path_ms > shared_work_ms;
    let limit_ms = shared_work_ms.max(critical_path_ms);
    Limit {
        serial_ms,
        parallel_ms,
        work_ms,
        shared_work_ms,
        critical_path_ms,
        limit_ms,
        bound_by: if by_path { "critical_path" } else { "shared_work" },
        reached: limit_ms / parallel_ms,
        best_speedup: work_ms / limit_ms,
        speedup: serial_ms / parallel_ms,
    }
}

fn critical_path(
    graph: &Graph<'_>,
    locations: &[Location],
    indices: &[usize],
    transactions: &[TransactionFacts],
) -> CriticalPath {
    let befores = std::iter::once(None).chain(indices.iter().copied().map(Some));
    let step = |(index, before): (&usize, Option<usize>)| {
        let edges = graph.of(*index).iter().filter(|edge| Some(edge.writer as usize) == before);
        let through = edges.map(|edge| path_location(&locations[edge.location as usize]));
        let TransactionFacts { ms, gas, .. } = transactions[*index];
        PathStep { index: *index, ms, gas, through: through.collect() }
    };
    let steps: Vec<_> = indices.iter().zip(befores).map(step).collect();
    CriticalPath {
        ms: steps.iter().fold(0.0, |sum, step| sum + step.ms),
        gas: steps.iter().map(|step| step.gas).sum(),
        steps,
    }
}

fn gas_path(graph: &Graph<'_>, transactions: &[TransactionFacts]) -> GasPath {
    let gas: Vec<_> = transactions.iter().map(|tx| tx.gas as f64).collect();
    let indices = graph.heaviest(&gas, |_| false).indices;
    GasPath {
        gas: indices.iter().map(|index| transactions[*index].gas).sum(),
        ms: indices.iter().fold(0.0, |sum, index| sum + transactions[*index].ms),
        indices,
    }
}

pub(super) fn path_location(location: &Location) -> PathLocation {
    PathLocation {
        kind: location.kind(),
        address: location.address(),
        slot: location.slot().map(Into::into),
    }
}

fn wasted(trace: &Trace) -> Wasted {
    let waited = |outcome| matches!(outcome, Outcome::Waited(_));
    Wasted {
        aborts: trace.conflicts.len() as u64,
        reexecuted_gas: trace.conflicts.iter().map(|conflict| conflict.gas).sum(),
        ms: ms(trace.conflicts.iter().map(|conflict| conflict.wasted_ns).sum()),
        waits: trace.incarnations.iter().filter(|run| waited(run.outcome)).count() as u64,
    }
}

fn schedule(trace: &Trace) -> Schedule {
    Schedule {
        workers: trace.workers,
        stopped_us: us(trace.stopped_ns),
        end_us: us(trace.end_ns),
        incarnations: trace.incarnations.iter().map(incarnation).collect(),
        commits: trace.commits.iter().map(commit).collect(),
        conflicts: trace.conflicts.iter().map(conflict).collect(),
    }
}

fn incarnation(run: &pleach_engine::trace::IncarnationTrace) -> Incarnation {
    Incarnation {
        worker: run.worker,
        index: run.index,
        incarnation: run.incarnation,
        start_us: us(run.start_ns),
        end_us: us(run.end_ns),
        outcome: match run.outcome {
            Outcome::Stood => "stood",
            Outcome::DidNotStand => "did_not_stand",
            Outcome::Overtaken => "overtaken",
            Outcome::Waited(_) => "waited",
            Outcome::Void => "void",
            Outcome::InTurn => "in_turn",
            _ => "unfinished",
        },
    }
}

fn commit(commit: &pleach_engine::trace::CommitTrace) -> Commit {
    Commit {
        index: commit.index,
        at_us: us(commit.at_ns),
        until_us: us(commit.until_ns),
        ran_ahead: commit.ran_ahead,
    }
}

fn conflict(conflict: &pleach_engine::trace::ConflictTrace) -> Conflict {
    let stale = conflict.stale.iter();
    let stale =
        stale.map(|read| Stale { location: path_location(&read.location), writer: read.writer });
    Conflict {
        index: conflict.index,
        at_us: us(conflict.at_ns),
        gas: conflict.gas,
        stale: stale.collect(),
    }
}

pub(super) fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}
