//! Reading one value out of a Merkle Patricia trie whose nodes are known by their hashes.

use std::collections::HashMap;

use alloy_primitives::{B256, Bytes};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use foldhash::fast::RandomState;

use crate::{
    StateError,
    mpt::{RawChild, RawNode},
};

/// Trie nodes by the Keccak-256 of their RLP.
pub(crate) type NodeMap = HashMap<B256, Bytes, RandomState>;

/// Walks the trie under `root` towards `key` and returns the value there, which is RLP itself.
///
/// `None` means that the trie proves the key's absence: a branch has no child for it, or a leaf or
/// extension on its path leads elsewhere. `what` says in an error what was being read.
///
/// # Errors
/// [`StateError::MissingNode`] and [`StateError::CorruptNode`].
pub(crate) fn lookup(
    nodes: &NodeMap,
    root: B256,
    key: B256,
    what: &dyn Fn() -> String,
) -> Result<Option<Bytes>, StateError> {
    if root == EMPTY_ROOT_HASH {
        return Ok(None);
    }
    let key = Nibbles::unpack(key);
    let mut walk = Walk { nodes, what, key: &key, depth: 0, hash: root, raw: Bytes::new() };
    walk.enter(root)?;
    loop {
        let raw = walk.raw.clone();
        let rest = key.slice(walk.depth..);
        let node = RawNode::decode(&raw).map_err(|error| walk.corrupt(&error.to_string()))?;
        let next = match (node, rest.first()) {
            (RawNode::Leaf(path, _), _) if path.len() != rest.len() => {
                return Err(walk.corrupt("the leaf's path does not end where keys end"));
            }
            (RawNode::Leaf(path, value), _) => {
                return Ok((path == rest).then(|| raw.slice_ref(value)));
            }
            (RawNode::Extension(path, _), _) if !rest.starts_with(&path) => return Ok(None),
            (RawNode::Extension(path, child), _) => {
                walk.depth += path.len();
                child
            }
            (RawNode::Branch(_), None) => {
                return Err(walk.corrupt("a branch below the end of all keys"));
            }
            (RawNode::Branch(children), Some(nibble)) => {
                walk.depth += 1;
                children[usize::from(nibble)]
            }
        };
        match next {
            RawChild::Empty => return Ok(None),
            RawChild::Hash(hash) => walk.enter(hash)?,
            RawChild::Inline(rlp) => walk.raw = raw.slice_ref(rlp),
        }
    }
}

/// Where a look-up stands.
struct Walk<'a> {
    nodes: &'a NodeMap,
    what: &'a dyn Fn() -> String,
    key: &'a Nibbles,
    /// Nibbles of the key that lie above the current node.
    depth: usize,
    /// The hash of the nearest node that has one: the current node, or the one it is inlined in.
    hash: B256,
    /// The current node's RLP.
    raw: Bytes,
}

impl Walk<'_> {
    fn enter(&mut self, hash: B256) -> Result<(), StateError> {
        let node = self.nodes.get(&hash).cloned();
        self.raw = node.ok_or_else(|| StateError::MissingNode {
            hash,
            path: self.path(),
            what: (self.what)(),
        })?;
        self.hash = hash;
        Ok(())
    }

    /// The nibbles above the current node.
    fn path(&self) -> String {
        let nibbles = (0..self.depth).filter_map(|at| self.key.get(at));
        nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
    }

    fn corrupt(&self, reason: &str) -> StateError {
        let reason = format!("{reason}; met while reading {}", (self.what)());
        StateError::corrupt_node(self.hash, reason, &self.raw)
    }
}
