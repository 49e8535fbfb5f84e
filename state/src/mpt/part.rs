//! A trie, or all of a trie below one nibble, in an arena of its own.

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::{
    arena::Arena,
    error::TrieError,
    key::{KEY_NIBBLES, nibble, shared_with_path},
    node::{Kind, NodeId, Reference},
    reveal::Reading,
    value::Value,
};

/// A trie, or what lies below one child of its root: keys share the first `offset` nibbles.
#[derive(Debug, Clone)]
pub(super) struct Part<V> {
    pub(super) arena: Arena<V>,
    pub(super) root: NodeId,
    /// What refers to the root; out of date while `dirty`, of no meaning while there is no root.
    pub(super) reference: Reference,
    pub(super) dirty: bool,
    pub(super) offset: usize,
    /// Whether the root differs from what was last taken to be stored.
    pub(super) unsaved: bool,
    /// Where nodes were and may be no more; none if nobody stores nodes.
    pub(super) vacated: Option<Vec<Nibbles>>,
}

impl<V: Value> Part<V> {
    pub(super) fn empty(offset: usize) -> Self {
        Self {
            arena: Arena::default(),
            root: NodeId::EMPTY,
            reference: Reference::hash(B256::ZERO),
            dirty: false,
            offset,
            unsaved: false,
            vacated: None,
        }
    }

    pub(super) fn hidden(offset: usize, hash: B256) -> Self {
        Self { root: NodeId::HIDDEN, reference: Reference::hash(hash), ..Self::empty(offset) }
    }

    /// The value under a key. Hidden nodes on the way are revealed.
    pub(super) fn get(&mut self, key: &B256, cx: Reading<'_>) -> Result<Option<&V>, TrieError> {
        self.reveal_root(key, cx)?;
        let mut above = None;
        let mut node = self.root;
        let mut depth = self.offset;
        loop {
            let path = self.arena.path(node);
            if shared_with_path(&path, key, depth) < path.len() {
                return Ok(None);
            }
            match node.kind() {
                Kind::Empty | Kind::Hidden => return Ok(None),
                Kind::Leaf => {
                    let leaf = self.arena.leaf(node);
                    return Ok((leaf.key == *key).then_some(&leaf.value));
                }
                Kind::Extension => {
                    node = self.reveal_extension(node, key, depth, cx)?;
                    match above {
                        None => self.root = node,
                        Some((branch, nibble)) => {
                            self.arena.put(branch, nibble, node, false);
                        }
                    }
                }
                Kind::Branch(_) => {
                    depth += path.len();
                    let nibble = nibble(key, depth);
                    above = Some((node, nibble));
                    node = self.reveal_child(node, nibble, key, depth, cx)?;
                    depth += 1;
                }
            }
        }
    }

    /// Walks the known part of the way to each key, in step, and reads what lies there.
    ///
    /// A walk alone waits for memory at each node, for the next one's place is in the last. Many in
    /// step wait together, and what changes the nodes afterwards finds them near.
    pub(super) fn warm<'k>(&self, keys: impl Iterator<Item = &'k B256>) {
        let mut walks: Vec<_> = keys.map(|key| (self.root, key)).collect();
        let mut depth = self.offset;
        let mut seen = 0_u8;
        while !walks.is_empty() && depth < KEY_NIBBLES {
            walks.retain_mut(|(node, key)| match node.kind() {
                Kind::Empty | Kind::Hidden | Kind::Extension => false,
                Kind::Leaf => {
                    seen ^= self.arena.leaf(*node).key[0];
                    false
                }
                // Paths are rare, and short ways are enough.
                Kind::Branch(_) if self.arena.has_path(*node) => false,
                Kind::Branch(_) => {
                    *node = self.arena.child(*node, nibble(key, depth));
                    true
                }
            });
            depth += 1;
        }
        std::hint::black_box(seen);
    }

    /// Reveals the root if it is hidden.
    pub(super) fn reveal_root(&mut self, key: &B256, cx: Reading<'_>) -> Result<(), TrieError> {
        if self.root == NodeId::HIDDEN {
            let hash = *self.reference.bytes();
            self.root = self.reveal(&hash, key, self.offset, cx)?;
        }
        Ok(())
    }

    /// A branch's child, revealed if it was hidden. The branch's children are at `depth`, where the
    /// key has the nibble.
    pub(super) fn reveal_child(
        &mut self,
        branch: NodeId,
        nibble: u8,
        key: &B256,
        depth: usize,
        cx: Reading<'_>,
    ) -> Result<NodeId, TrieError> {
        let child = self.arena.child(branch, nibble);
        if child != NodeId::HIDDEN {
            return Ok(child);
        }
        let hash = *self.arena.reference(branch, nibble).bytes();
        let child = self.reveal(&hash, key, depth + 1, cx)?;
        self.arena.put(branch, nibble, child, false);
        Ok(child)
    }
}
