//! What can be wrong with a prestate.

use alloy_primitives::{B256, Bytes};
use revm::database_interface::DBErrorMarker;

/// A prestate could not answer a read.
///
/// An account or slot that a *flat* prestate does not list does not exist, which is an answer; what
/// is an error is data that must exist because something else refers to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// An account names a code that the prestate does not hold.
    #[error("missing code: no bytecode with hash {code_hash} in the prestate; add it to its codes")]
    MissingCode {
        /// Keccak-256 of the missing bytecode.
        code_hash: B256,
    },
    /// `BLOCKHASH` asked for an ancestor that the prestate does not hold.
    #[error(
        "missing block hash: block {number} is not among the ancestors given with the prestate; \
         add its header or hash"
    )]
    MissingBlockHash {
        /// The ancestor's number.
        number: u64,
    },
    /// A trie path leads to a node that the witness does not hold.
    #[error(
        "missing trie node {hash} at path \"{path}\", needed for {what}: the witness is incomplete"
    )]
    MissingNode {
        /// Keccak-256 of the missing node's RLP.
        hash: B256,
        /// The nibbles that lead to it from the root of its trie, as hex digits.
        path: String,
        /// What was being read.
        what: String,
    },
    /// A trie node does not decode, or cannot stand where it stands.
    #[error("corrupt trie node {hash} ({reason}), raw bytes {raw}")]
    CorruptNode {
        /// Keccak-256 of the node's RLP.
        hash: B256,
        /// What the decoder said.
        reason: String,
        /// The node's leading bytes, 64 at most.
        raw: Bytes,
    },
    /// A leaf of the trie does not hold what its place says.
    #[error("corrupt {kind} under hashed key {key} ({reason}), raw bytes {raw}")]
    CorruptLeaf {
        /// `account` or `slot`.
        kind: &'static str,
        /// Keccak-256 of the address or slot.
        key: B256,
        /// What the decoder said.
        reason: String,
        /// The leaf's leading bytes, 64 at most.
        raw: Bytes,
    },
}

impl DBErrorMarker for StateError {}

impl StateError {
    pub(crate) fn corrupt_node(hash: B256, reason: String, rlp: &[u8]) -> Self {
        Self::CorruptNode { hash, reason, raw: leading_bytes(rlp) }
    }

    pub(crate) fn corrupt_leaf(
        kind: &'static str,
        key: B256,
        reason: alloy_rlp::Error,
        value: &[u8],
    ) -> Self {
        Self::CorruptLeaf { kind, key, reason: reason.to_string(), raw: leading_bytes(value) }
    }
}

/// Enough of some bytes to recognise them, so that no error grows with its input.
fn leading_bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&bytes[..bytes.len().min(64)])
}
