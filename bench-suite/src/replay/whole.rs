//! Whole blocks: from signed transactions to the state root, with the witness in memory.
//!
//! The one way recovers senders, executes and computes the root one after another on one thread.
//! The other uses all threads for each, and a [`RootTask`] follows execution: threads that have
//! nothing to execute reveal the ways to what has been written so far. With an access list, the one
//! way is the same, and in the other one thread computes the root from the list meanwhile.

use std::{io, sync::Arc, time::Instant};

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::B256;
use pleach_crew::Crew;
use pleach_engine::{
    AccessList, BlockOutput, ChainSpec, Engine, ExecuteOptions, RecoveredBlock, execute_serial,
};
use pleach_gpu_accel::Accelerator;
use pleach_state::{
    FlatState, WitnessState,
    mpt::{RootTask, Siblings, StateChanges, StateTrie, TrieWorkers},
};
use serde::Serialize;

use super::{
    runner::Stop,
    stats::{median, milliseconds},
};
use crate::trie_workers::trie_workers;

/// What whole runs take of a block.
pub(super) struct WholeBlock<'a> {
    pub(super) chain: &'a Arc<ChainSpec>,
    /// Without senders.
    pub(super) block: &'a Block<TxEnvelope>,
    /// Whether EIP-2 holds.
    pub(super) homestead: bool,
    pub(super) prestate: &'a Arc<FlatState>,
    pub(super) witness: &'a Arc<WitnessState>,
    /// Its access list, if it is to be executed with one.
    pub(super) list: Option<&'a Arc<AccessList>>,
}

/// The threads of whole runs.
pub(super) struct Means<'a> {
    pub(super) engine: &'a Engine,
    /// Who helps the accelerator and the tries.
    pub(super) crew: &'a Arc<Crew>,
    pub(super) accelerator: &'a Accelerator,
    pub(super) workers: &'a TrieWorkers,
    pub(super) options: ExecuteOptions,
}

/// Medians, and the roots that were computed.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) serial: Stages,
    pub(super) parallel: Stages,
    pub(super) roots: Vec<(&'static str, B256)>,
}

/// Milliseconds of a whole run and of its stages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stages {
    /// From signed transactions to the senders.
    pub recover_ms: f64,
    /// From the senders to the block's output.
    pub execute_ms: f64,
    /// From the end of execution to the state root.
    pub root_ms: f64,
    /// All of them.
    pub whole_ms: f64,
}

/// A finished run. What it made is freed when nobody looks at the clock any more.
struct Ran {
    root: B256,
    stages: Stages,
    _made: (StateTrie, BlockOutput, Arc<RecoveredBlock>),
}

/// Notes when stages end.
struct Clock(Instant);

impl Clock {
    /// Milliseconds since the last call.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        milliseconds(now.duration_since(std::mem::replace(&mut self.0, now)))
    }
}

/// Times both ways, in turns.
pub(super) fn measure(
    block: &WholeBlock<'_>,
    means: &Means<'_>,
    repeat: usize,
) -> Result<Whole, Stop> {
    let alone = Accelerator::cpu(1).map_err(io::Error::other)?;
    let worker = trie_workers(1).map_err(io::Error::other)?;
    let (mut serial, mut parallel, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    // The first run of each kind is not timed.
    for repetition in 0..=repeat {
        for in_parallel in [repetition % 2 == 1, repetition % 2 == 0] {
            // Who runs a block has it for itself; copying it is no part of the work.
            let own = block.block.clone();
            let (name, ran, times) = if in_parallel {
                ("whole parallel", run_parallel(block, own, means)?, &mut parallel)
            } else {
                ("whole serial", run_serial(block, own, &alone, &worker)?, &mut serial)
            };
            roots.push((name, ran.root));
            if repetition > 0 {
                times.push(ran.stages);
            }
        }
    }
    Ok(Whole { serial: Stages::median(&serial), parallel: Stages::median(&parallel), roots })
}

impl Stages {
    /// The median of each stage, and that of the whole, which need not be their sum.
    fn median(runs: &[Self]) -> Self {
        let of = |stage: fn(&Self) -> f64| median(runs.iter().map(stage).collect());
        let of = |stage| of(stage).unwrap_or_default();
        Self {
            recover_ms: of(|run| run.recover_ms),
            execute_ms: of(|run| run.execute_ms),
            root_ms: of(|run| run.root_ms),
            whole_ms: of(|run| run.whole_ms),
        }
    }
}

/// The stages one after another.
fn run_serial(
    whole: &WholeBlock<'_>,
    block: Block<TxEnvelope>,
    accelerator: &Accelerator,
    worker: &TrieWorkers,
) -> Result<Ran, Stop> {
    let start = Instant::now();
    let mut clock = Clock(start);
    let block = RecoveredBlock::recover(block, whole.homestead, accelerator)?;
    let recover_ms = clock.lap();
    let output = execute_serial(whole.chain, &block, whole.prestate, false)?;
    let execute_ms = clock.lap();
    let changes = StateChanges::from_bundle(&output.bundle, worker);
    let mut state = state(whole, worker);
    let root = state.update(&changes, &**whole.witness)?;
    let root_ms = clock.lap();
    let stages =
        Stages { recover_ms, execute_ms, root_ms, whole_ms: milliseconds(start.elapsed()) };
    Ok(Ran { root, stages, _made: (state, output, Arc::new(block)) })
}

/// The stages on all threads, the root's nodes revealed by those that have nothing to execute.
fn run_parallel(
    whole: &WholeBlock<'_>,
    block: Block<TxEnvelope>,
    means: &Means<'_>,
) -> Result<Ran, Stop> {
    let start = Instant::now();
    let mut clock = Clock(start);
    let _lent = means.engine.lend_threads(means.crew);
    let block = RecoveredBlock::recover(block, whole.homestead, means.accelerator)?;
    let block = Arc::new(block);
    let recover_ms = clock.lap();
    let (output, tries) = match whole.list {
        Some(list) => execute_listed(whole, &block, list, means)?,
        None => execute_followed(whole, &block, means)?,
    };
    let execute_ms = clock.lap();
    let (root, state) = match tries {
        Tries::After(root, state) => (root, state),
        Tries::Before(mut state) => {
            let changes = StateChanges::from_bundle(&output.bundle, means.workers);
            (state.update(&changes, &**whole.witness)?, state)
        }
    };
    let root_ms = clock.lap();
    let stages =
        Stages { recover_ms, execute_ms, root_ms, whole_ms: milliseconds(start.elapsed()) };
    Ok(Ran { root, stages, _made: (state, output, block) })
}

/// The tries, as far as they are when a block has been executed.
enum Tries {
    Before(StateTrie),
    After(B256, StateTrie),
}

fn execute_followed(
    whole: &WholeBlock<'_>,
    block: &Arc<RecoveredBlock>,
    means: &Means<'_>,
) -> Result<(BlockOutput, Tries), Stop> {
    let Means { engine, workers, options, .. } = means;
    let task = RootTask::new(state(whole, workers), Arc::clone(whole.witness) as _);
    let follower = Arc::new(task.clone());
    let executed = engine.execute_followed(whole.chain, block, whole.prestate, *options, follower);
    let state = task.finish();
    let (output, _) = executed?;
    Ok((output, Tries::Before(state)))
}

fn execute_listed(
    whole: &WholeBlock<'_>,
    block: &Arc<RecoveredBlock>,
    list: &Arc<AccessList>,
    means: &Means<'_>,
) -> Result<(BlockOutput, Tries), Stop> {
    let Means { engine, workers, options, .. } = means;
    let WholeBlock { chain, prestate, witness, .. } = whole;
    let tries = (state(whole, workers), Arc::clone(witness) as _);
    let (listed, after) =
        engine.execute_listed_rooted(chain, block, prestate, list, *options, tries)?;
    let tries = match after {
        Some((root, state)) => Tries::After(root, state),
        None => Tries::Before(state(whole, workers)),
    };
    Ok((listed.output, tries))
}

/// The tries before the block. Roots are compared with the header's, so that siblings may be
/// assumed.
fn state(whole: &WholeBlock<'_>, workers: &TrieWorkers) -> StateTrie {
    let state = StateTrie::new(whole.witness.root()).with_workers(workers.clone());
    state.with_siblings(Siblings::AssumeBranches)
}
