//! Reading one value out of a Merkle Patricia trie whose nodes are known by their hashes.

use std::collections::HashMap;

use alloy_primitives::{B256, Bytes};
use alloy_rlp::decode_exact;
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles,
    nodes::{BranchNode, RlpNode, TrieNode},
};
use foldhash::fast::RandomState;

use crate::StateError;

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
) -> Result<Option<Vec<u8>>, StateError> {
    if root == EMPTY_ROOT_HASH {
        return Ok(None);
    }
    let mut walk = Walk::start(nodes, root, Nibbles::unpack(key), what)?;
    loop {
        let next = match walk.decode()? {
            TrieNode::EmptyRoot => return Err(walk.corrupt("an empty node inside a trie")),
            TrieNode::Leaf(leaf) if leaf.key.len() != walk.rest().len() => {
                return Err(walk.corrupt("the leaf's path does not end where keys end"));
            }
            TrieNode::Leaf(leaf) => {
                return Ok((leaf.key == walk.rest()).then_some(leaf.value));
            }
            TrieNode::Extension(extension) => {
                if !walk.rest().starts_with(&extension.key) {
                    return Ok(None);
                }
                walk.depth += extension.key.len();
                extension.child
            }
            TrieNode::Branch(branch) => {
                let Some(nibble) = walk.rest().first() else {
                    return Err(walk.corrupt("a branch below the end of all keys"));
                };
                walk.depth += 1;
                match child(&branch, nibble) {
                    Some(child) => child,
                    None => return Ok(None),
                }
            }
        };
        walk.enter(next)?;
    }
}

/// A branch's child under a nibble. The stack holds the present children only, in order.
fn child(branch: &BranchNode, nibble: u8) -> Option<RlpNode> {
    if !branch.state_mask.is_bit_set(nibble) {
        return None;
    }
    let before = branch.state_mask.get() & ((1_u16 << nibble) - 1);
    branch.stack.get(before.count_ones() as usize).cloned()
}

/// Where a look-up stands.
struct Walk<'a> {
    nodes: &'a NodeMap,
    key: Nibbles,
    what: &'a dyn Fn() -> String,
    /// Nibbles of the key that lie above the current node.
    depth: usize,
    /// The hash of the nearest node that has one: the current node, or the one it is inlined in.
    hash: B256,
    /// The current node's RLP.
    raw: Bytes,
}

impl<'a> Walk<'a> {
    fn start(
        nodes: &'a NodeMap,
        root: B256,
        key: Nibbles,
        what: &'a dyn Fn() -> String,
    ) -> Result<Self, StateError> {
        let mut walk = Self { nodes, key, what, depth: 0, hash: root, raw: Bytes::new() };
        walk.raw = walk.fetch(root)?;
        Ok(walk)
    }

    /// Goes on to a child: by its hash, or, below 32 bytes, to the child itself.
    fn enter(&mut self, child: RlpNode) -> Result<(), StateError> {
        match child.as_hash() {
            Some(hash) => {
                self.raw = self.fetch(hash)?;
                self.hash = hash;
            }
            None => self.raw = Bytes::copy_from_slice(&child),
        }
        Ok(())
    }

    fn fetch(&self, hash: B256) -> Result<Bytes, StateError> {
        self.nodes.get(&hash).cloned().ok_or_else(|| StateError::MissingNode {
            hash,
            depth: self.depth,
            what: (self.what)(),
        })
    }

    fn decode(&self) -> Result<TrieNode, StateError> {
        decode_exact(&self.raw).map_err(|error| self.corrupt(&error.to_string()))
    }

    fn rest(&self) -> Nibbles {
        self.key.slice(self.depth..)
    }

    fn corrupt(&self, reason: &str) -> StateError {
        let reason = format!("{reason}; met while reading {}", (self.what)());
        StateError::corrupt_node(self.hash, reason, &self.raw)
    }
}
