//! The state root after a block, from its witness.

use std::sync::Arc;

use alloy_primitives::B256;
use pleach_engine::{
    BlockOutput, ChainSpec, IntermediateRootError, RecoveredBlock, intermediate_roots,
};
use pleach_state::{
    FlatState, WitnessState,
    mpt::{Siblings, StateChanges, StateTrie, TrieError, TrieWorkers},
};

/// Computes state roots after a block on the state before it.
#[derive(Debug)]
pub(super) struct RootCheck {
    witness: Arc<WitnessState>,
    workers: TrieWorkers,
}

impl RootCheck {
    pub(super) fn new(witness: Arc<WitnessState>, workers: TrieWorkers) -> Self {
        Self { witness, workers }
    }

    /// The state before the block.
    pub(super) const fn witness(&self) -> &Arc<WitnessState> {
        &self.witness
    }

    /// The tries before the block, of which nothing is known.
    pub(super) fn before(&self, siblings: Siblings) -> StateTrie {
        let state = StateTrie::new(self.witness.root()).with_workers(self.workers.clone());
        state.with_siblings(siblings)
    }

    /// The state root after each transaction, for receipts before Byzantium. A sibling that the
    /// witness lacks is taken for a branch: the receipts root tells whether it was one.
    ///
    /// # Errors
    /// If the witness lacks a node that a root needs, or the block does not execute.
    pub(super) fn between(
        &self,
        chain: &Arc<ChainSpec>,
        block: &RecoveredBlock,
        prestate: &Arc<FlatState>,
    ) -> Result<Vec<B256>, IntermediateRootError> {
        let before = self.before(Siblings::AssumeBranches);
        intermediate_roots(chain, block, prestate, before, &*self.witness)
    }

    /// The root after a block that gave an output, where the header names one.
    ///
    /// Some witnesses lack the sibling of a node that the block takes out, because who made them
    /// knew it to be a branch. It is taken for one then, and since that is right exactly if the
    /// root is the header's, a root that is not is reported as the missing node.
    ///
    /// # Errors
    /// If the witness lacks a node that the root needs, or holds one that cannot be.
    pub(super) fn after(&self, output: &BlockOutput, expected: B256) -> Result<B256, TrieError> {
        let changes = StateChanges::from_bundle(&output.bundle, &self.workers);
        let root = |siblings| self.before(siblings).update(&changes, &*self.witness);
        match root(Siblings::MustBeKnown) {
            Err(TrieError::MissingSibling(node)) => match root(Siblings::AssumeBranches) {
                Ok(root) if root == expected => Ok(root),
                _ => Err(TrieError::MissingSibling(node)),
            },
            outcome => outcome,
        }
    }
}
