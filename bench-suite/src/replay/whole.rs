//! Whole blocks: from signed transactions to the state root, with the witness in memory.
//!
//! The one way recovers senders, executes and computes the root one after another on one thread.
//! The other uses all threads for each, and reveals the tries' nodes while the block still
//! executes: the prestate tells a [`RootTask`] what is read, and nothing is written that was not
//! read before.

use std::{io, sync::Arc, time::Instant};

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::{Address, B256, U256};
use pleach_engine::{ChainSpec, Engine, ExecuteOptions, RecoveredBlock, execute_serial};
use pleach_gpu_accel::Accelerator;
use pleach_state::{
    FlatState, StateError, WitnessState,
    mpt::{RootHints, RootTask, Siblings, StateChanges, StateTrie, TouchedKey, TrieWorkers},
};
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

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
}

/// The threads of whole runs.
pub(super) struct Crew<'a> {
    pub(super) engine: &'a Engine,
    pub(super) accelerator: &'a Accelerator,
    pub(super) workers: &'a TrieWorkers,
    pub(super) options: ExecuteOptions,
}

/// Medians in milliseconds, and the roots that were computed.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) serial_ms: Option<f64>,
    pub(super) parallel_ms: Option<f64>,
    /// From the end of execution to the root, of the runs on all threads.
    pub(super) root_ms: Option<f64>,
    pub(super) roots: Vec<(&'static str, B256)>,
}

/// Times both ways, in turns.
pub(super) fn measure(
    block: &WholeBlock<'_>,
    crew: &Crew<'_>,
    repeat: usize,
) -> Result<Whole, Stop> {
    let alone = Accelerator::cpu(1).map_err(io::Error::other)?;
    let worker = trie_workers(1).map_err(io::Error::other)?;
    let (mut serial_ms, mut parallel_ms, mut root_ms) = (Vec::new(), Vec::new(), Vec::new());
    let mut roots = Vec::new();
    // The first run of each kind is not timed.
    for repetition in 0..=repeat {
        for parallel in [repetition % 2 == 1, repetition % 2 == 0] {
            // Who runs a block has it for itself; copying it is no part of the work.
            let own = block.block.clone();
            let start = Instant::now();
            let (root, executed) = if parallel {
                run_parallel(block, own, crew)?
            } else {
                run_serial(block, own, &alone, &worker)?
            };
            let (end, after) = (start.elapsed(), executed.elapsed());
            roots.push((if parallel { "whole parallel" } else { "whole serial" }, root));
            if repetition > 0 && parallel {
                parallel_ms.push(milliseconds(end));
                root_ms.push(milliseconds(after));
            } else if repetition > 0 {
                serial_ms.push(milliseconds(end));
            }
        }
    }
    let (serial_ms, parallel_ms) = (median(serial_ms), median(parallel_ms));
    Ok(Whole { serial_ms, parallel_ms, root_ms: median(root_ms), roots })
}

/// The stages one after another. Returns the root, and when execution was done.
fn run_serial(
    whole: &WholeBlock<'_>,
    block: Block<TxEnvelope>,
    accelerator: &Accelerator,
    worker: &TrieWorkers,
) -> Result<(B256, Instant), Stop> {
    let block = RecoveredBlock::recover(block, whole.homestead, accelerator)?;
    let output = execute_serial(whole.chain, &block, whole.prestate, false)?;
    let executed = Instant::now();
    let changes = StateChanges::from_bundle(&output.bundle, worker);
    let root = state(whole, worker).update(&changes, &**whole.witness)?;
    Ok((root, executed))
}

/// The stages on all threads, the root's nodes revealed beside execution.
fn run_parallel(
    whole: &WholeBlock<'_>,
    block: Block<TxEnvelope>,
    crew: &Crew<'_>,
) -> Result<(B256, Instant), Stop> {
    let state = state(whole, crew.workers);
    let task = RootTask::start(state, Arc::clone(whole.witness) as _)?;
    let block = RecoveredBlock::recover(block, whole.homestead, crew.accelerator)?;
    let prestate = Telling { prestate: Arc::clone(whole.prestate), hints: task.hints() };
    let executed =
        crew.engine.execute(whole.chain, &Arc::new(block), &Arc::new(prestate), crew.options);
    let mut state = task.finish();
    let (output, _) = executed?;
    let executed = Instant::now();
    let changes = StateChanges::from_bundle(&output.bundle, crew.workers);
    let root = state.update(&changes, &**whole.witness)?;
    Ok((root, executed))
}

/// The tries before the block. Roots are compared with the header's, so that siblings may be
/// assumed.
fn state(whole: &WholeBlock<'_>, workers: &TrieWorkers) -> StateTrie {
    let state = StateTrie::new(whole.witness.root()).with_workers(workers.clone());
    state.with_siblings(Siblings::AssumeBranches)
}

/// A prestate that tells what is read.
#[derive(Debug)]
struct Telling {
    prestate: Arc<FlatState>,
    hints: RootHints,
}

impl DatabaseRef for Telling {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.hints.touch(TouchedKey::Account(address));
        self.prestate.basic_ref(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        self.prestate.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.hints.touch(TouchedKey::Slot(address, slot));
        self.prestate.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.prestate.block_hash_ref(number)
    }
}
