//! What can be wrong with a prestate.

use alloy_primitives::{Address, B256, Bytes};
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
        "missing trie node {hash}, needed for {what} (path of {depth} nibbles): the witness is \
         incomplete"
    )]
    MissingNode {
        /// Keccak-256 of the missing node's RLP.
        hash: B256,
        /// Nibbles walked before the node was needed.
        depth: usize,
        /// What was being read.
        what: String,
    },
    /// A trie node or an account in it does not decode.
    #[error("corrupt trie node {hash} ({reason}), raw bytes {raw}")]
    CorruptNode {
        /// Keccak-256 of the node's RLP.
        hash: B256,
        /// What the decoder said.
        reason: String,
        /// The node's leading bytes, 64 at most.
        raw: Bytes,
    },
    /// Storage was read of an account for which the prestate holds none although it should.
    #[error("missing storage trie of account {address}: the witness is incomplete")]
    MissingStorage {
        /// The account.
        address: Address,
    },
    /// The state behind a wrapping prestate failed; the text is its own.
    #[error("the underlying state failed: {0}")]
    Underlying(String),
}

impl DBErrorMarker for StateError {}
