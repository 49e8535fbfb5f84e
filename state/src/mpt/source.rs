//! Where a trie's hidden nodes come from.

use std::error::Error;

use alloy_primitives::{B256, Bytes};
use alloy_trie::Nibbles;

/// Where a node lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePlace<'a> {
    /// Whose storage trie it is, as the Keccak-256 of the address; none for the account trie.
    pub owner: Option<&'a B256>,
    /// The nibbles that lead to it from the root of its trie.
    pub path: &'a Nibbles,
    /// The Keccak-256 of its RLP, which its parent names.
    pub hash: &'a B256,
}

/// Hands out nodes as RLP.
pub trait NodeSource: Sync {
    /// The node at a place; none if the source does not have it.
    ///
    /// The Keccak-256 of what is handed out must be the place's hash. A source that files nodes by
    /// their hash guarantees that; one that files them by their path should know that what it
    /// holds belongs to the state in question, and otherwise compare.
    ///
    /// # Errors
    /// Whatever keeps the source from answering.
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError>;
}

/// What keeps a [`NodeSource`] from answering.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// The source of a trie that begins empty, and hides nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNodes;

impl NodeSource for NoNodes {
    fn node(&self, _: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        Ok(None)
    }
}
