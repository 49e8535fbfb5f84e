//! Why a trie could not be read or changed.

use std::fmt;

use alloy_primitives::{B256, Bytes};

use super::source::SourceError;

/// A trie could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrieError {
    /// The way to a key leads to a node that is not there.
    #[error("missing trie {0}: the witness or database is incomplete")]
    MissingNode(Box<NamedNode>),
    /// A branch keeps one child only, with which it must be merged, and that child is not there.
    #[error(
        "missing trie {0}: its last sibling is taken out, and the branch above cannot be merged \
         with a node that is not in the witness or database"
    )]
    MissingSibling(Box<NamedNode>),
    /// A node does not decode, or cannot stand where it stands.
    #[error("corrupt trie {node} ({reason}), raw bytes {raw}")]
    CorruptNode {
        /// The node, or the one that holds it if it has no hash of its own.
        node: Box<NamedNode>,
        /// What is wrong.
        reason: String,
        /// The node's leading bytes, 64 at most.
        raw: Bytes,
    },
    /// The source of nodes failed.
    #[error("trie {node} could not be read: {source}")]
    Source {
        /// The node that was asked for.
        node: Box<NamedNode>,
        /// What the source said.
        source: SourceError,
    },
    /// An update failed before, and left this trie between two states.
    #[error("an earlier update of this trie failed: make it anew from its root")]
    Unusable,
}

/// A node by its hash and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNode {
    /// Keccak-256 of the address whose storage trie it lies in; none for the account trie.
    pub owner: Option<B256>,
    /// The nibbles that lead to it from the root of its trie, as hex digits.
    pub path: String,
    /// Keccak-256 of its RLP.
    pub hash: B256,
    /// The hashed address or slot whose way leads through it, where it was needed for one.
    pub towards: Option<B256>,
}

impl fmt::Display for NamedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} at path \"{}\" of ", self.hash, self.path)?;
        let (trie, key) = match self.owner {
            None => ("the account trie", "account"),
            Some(_) => ("the storage trie of the account with hashed key ", "slot"),
        };
        f.write_str(trie)?;
        self.owner.map_or(Ok(()), |owner| write!(f, "{owner}"))?;
        match self.towards {
            None => Ok(()),
            Some(towards) => write!(f, ", on the way to the {key} with hashed key {towards}"),
        }
    }
}
