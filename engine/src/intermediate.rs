//! State roots between transactions, which receipts held before Byzantium (EIP-658).

use std::sync::Arc;

use alloy_consensus::{Eip658Value, ReceiptEnvelope, proofs::calculate_receipt_root};
use alloy_primitives::B256;
use pleach_state::mpt::{NodeSource, StateChanges, StateTrie, TrieError};
use revm::{
    Database,
    database::{State, states::bundle_state::BundleRetention},
};

use crate::{
    ChainSpec, ExecuteError, Prestate, RecoveredBlock,
    serial::{commit_state, run_serially},
};

/// The state roots between transactions could not be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntermediateRootError {
    /// The block is not valid, or the prestate failed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A node that the root after a transaction needs is missing or corrupt.
    #[error("the state root after transaction {index} could not be computed: {source}")]
    Trie {
        /// The transaction's place in the block, from 0.
        index: usize,
        /// Why.
        source: TrieError,
    },
}

/// Executes a block serially and computes the state root after each transaction.
///
/// `before` is the tries of the state before the block, of which nothing has to be known, and
/// `nodes` where the rest of them is. Takes as many trie updates as there are transactions.
///
/// # Errors
/// [`IntermediateRootError`].
pub fn intermediate_roots<P: Prestate>(
    chain: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    prestate: &Arc<P>,
    mut before: StateTrie,
    nodes: &dyn NodeSource,
) -> Result<Vec<B256>, IntermediateRootError> {
    let mut roots = Vec::with_capacity(block.transactions().len());
    let mut failed = None;
    let db = commit_state(prestate.clone(), false);
    run_serially(chain, block, db, |db| {
        let (index, changes) = (roots.len(), changes_since(db, &before));
        match before.update(&changes, nodes) {
            _ if failed.is_some() => {}
            Ok(root) => roots.push(root),
            Err(source) => failed = Some(IntermediateRootError::Trie { index, source }),
        }
    })?;
    failed.map_or(Ok(roots), Err)
}

/// What was committed since the last call.
fn changes_since<DB: Database>(state: &mut State<DB>, tries: &StateTrie) -> StateChanges {
    state.merge_transitions(BundleRetention::PlainState);
    StateChanges::from_bundle(&state.take_bundle(), tries.workers())
}

/// The receipts root of a block before Byzantium, given the state root after each transaction.
pub fn receipts_root_with(receipts: &[ReceiptEnvelope], roots: &[B256]) -> B256 {
    let receipts = receipts.iter().zip(roots).map(|(receipt, root)| {
        let mut receipt = receipt.clone();
        if let Some(inner) = receipt.as_receipt_with_bloom_mut() {
            inner.receipt.status = Eip658Value::PostState(*root);
        }
        receipt
    });
    calculate_receipt_root(&receipts.collect::<Vec<_>>())
}
