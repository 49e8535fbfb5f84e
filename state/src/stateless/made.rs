//! From what a block read and changed to its witness.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, keccak256};
use parking_lot::Mutex;

use super::read_log::Reads;
use crate::mpt::{NodePlace, NodeSource, SourceError, StateChanges, StateTrie, TrieError};

/// What a block needs of the state before it, as `debug_executionWitness` hands it out.
///
/// The lists are in an order that depends on nothing but their content, so that a block has one
/// witness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionWitness {
    /// Nodes of the account trie and of storage tries as RLP, sorted by their hashes.
    pub state: Vec<Bytes>,
    /// Bytecodes, sorted by their hashes.
    pub codes: Vec<Bytes>,
    /// What hashed keys are hashes of: addresses of 20 bytes, each followed by those of its slots
    /// that were read, of 32 bytes.
    pub keys: Vec<Bytes>,
    /// Headers of ancestors as RLP without a gap, oldest first; the last one is the parent's.
    pub headers: Vec<Bytes>,
}

/// A witness, and what it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeWitness {
    /// The witness.
    pub witness: ExecutionWitness,
    /// The state root after the block, computed from nothing but the witness.
    pub state_root: B256,
}

/// Hands out the RLP of an ancestor's header by its number; none if it is not at hand.
pub type AncestorSource<'a> = &'a dyn Fn(u64) -> Option<Bytes>;

/// A witness could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// A node that the block needs is not in the source, or is none.
    #[error("the witness lacks a part of the state: {0}")]
    Trie(#[from] TrieError),
    /// A header that the block needs is not at hand.
    #[error(
        "the header of block {number}, which the witness of block {block} must hold, is not at \
         hand: give all from there to the parent"
    )]
    MissingAncestor {
        /// The block whose witness is made.
        block: u64,
        /// The number of the missing ancestor.
        number: u64,
    },
}

impl ExecutionWitness {
    /// The witness of block `number`, which read and changed this on the state that `before` is
    /// the tries of. They should know nothing but their root: what they know already will be
    /// missing. Without a source of ancestors there are no headers in the witness.
    ///
    /// The witness is enough for the root after the block. Roots between transactions, which
    /// receipts held before Byzantium, can take siblings that it does not: where a transaction
    /// takes out what a later one puts back.
    ///
    /// # Errors
    /// [`WitnessError`] says what is not at hand.
    pub fn of_block(
        number: u64,
        reads: &Reads,
        changes: &StateChanges,
        mut before: StateTrie,
        nodes: &dyn NodeSource,
        ancestors: Option<AncestorSource<'_>>,
    ) -> Result<MadeWitness, WitnessError> {
        let noting = Noting { nodes, noted: Mutex::default() };
        for (address, slots) in &reads.accounts {
            let account = keccak256(address);
            before.reveal(&account, None, &noting)?;
            for slot in slots {
                before.reveal(&account, Some(&keccak256(B256::from(*slot))), &noting)?;
            }
        }
        let state_root = before.update(changes, &noting)?;
        let witness = Self {
            state: noting.noted.into_inner().into_values().collect(),
            codes: reads.codes.values().cloned().collect(),
            keys: keys(reads),
            headers: ancestors.map_or(Ok(Vec::new()), |from| headers(number, reads, from))?,
        };
        Ok(MadeWitness { witness, state_root })
    }
}

fn keys(reads: &Reads) -> Vec<Bytes> {
    let accounts = reads.accounts.iter().flat_map(|(address, slots)| {
        let slots = slots.iter().map(|slot| Bytes::copy_from_slice(&slot.to_be_bytes::<32>()));
        std::iter::once(Bytes::copy_from_slice(address.as_slice())).chain(slots)
    });
    accounts.collect()
}

/// Headers from the oldest ancestor whose hash is needed to the parent, whose state root is.
/// Whoever checks a witness computes the hashes. The first block has no ancestors.
fn headers(
    number: u64,
    reads: &Reads,
    ancestors: AncestorSource<'_>,
) -> Result<Vec<Bytes>, WitnessError> {
    let Some(parent) = number.checked_sub(1) else { return Ok(Vec::new()) };
    let oldest = reads.block_hashes.keys().next().map_or(parent, |lowest| parent.min(*lowest));
    let header = |ancestor| {
        let missing = WitnessError::MissingAncestor { block: number, number: ancestor };
        ancestors(ancestor).ok_or(missing)
    };
    (oldest..=parent).map(header).collect()
}

/// Passes nodes on and notes them by their hashes.
struct Noting<'a> {
    nodes: &'a dyn NodeSource,
    noted: Mutex<BTreeMap<B256, Bytes>>,
}

impl NodeSource for Noting<'_> {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        let node = self.nodes.node(place)?;
        if let Some(node) = &node {
            self.noted.lock().insert(*place.hash, node.clone());
        }
        Ok(node)
    }
}
