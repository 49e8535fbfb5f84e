//! Changes of a trie's leaves, many in one descent.
//!
//! All changes below a node are applied before the node asks how many children it has left. So a
//! branch that loses one child and gains another is never merged in between, and no sibling is
//! needed that the final trie does not need.

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::{
    error::TrieError,
    key::{KEY_NIBBLES, nibble, path_between, shared, shared_with_path},
    node::{Kind, NodeId, Reference},
    part::Part,
    reveal::{Place, Reading, Siblings},
    value::Value,
};

/// What becomes of a key.
#[derive(Debug, Clone)]
pub(super) struct Change<V: Value> {
    pub(super) key: B256,
    /// What the key holds from now on; none takes it out.
    pub(super) edit: Option<V::Edit>,
}

/// A node after changes below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Changed {
    node: NodeId,
    /// Whether its reference is out of date.
    dirty: bool,
}

impl Changed {
    const fn not(node: NodeId) -> Self {
        Self { node, dirty: false }
    }

    const fn to(node: NodeId) -> Self {
        Self { node, dirty: true }
    }
}

impl<V: Value> Part<V> {
    /// Applies changes, which are sorted by key, one per key, and all belong in this part.
    ///
    /// # Errors
    /// After an error some changes are applied and some are not.
    pub(super) fn apply(
        &mut self,
        changes: &[Change<V>],
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let Some(first) = changes.first() else { return Ok(()) };
        self.reveal_root(&first.key, cx)?;
        let changed = self.apply_at(self.root, self.offset, changes, cx)?;
        self.root = changed.node;
        self.dirty |= changed.dirty;
        self.unsaved |= changed.dirty;
        Ok(())
    }

    fn apply_at(
        &mut self,
        node: NodeId,
        depth: usize,
        changes: &[Change<V>],
        cx: Reading<'_>,
    ) -> Result<Changed, TrieError> {
        match node.kind() {
            Kind::Empty => self.build(depth, changes, cx),
            Kind::Leaf => self.apply_to_leaf(node, depth, changes, cx),
            Kind::Branch(_) if !self.arena.has_path(node) => {
                self.apply_to_children(node, depth, changes, cx)
            }
            Kind::Branch(_) | Kind::Extension => self.apply_behind(node, depth, changes, cx),
            Kind::Hidden => unreachable!("whoever descends to a node reveals it"),
        }
    }

    /// Fills an empty place.
    fn build(
        &mut self,
        depth: usize,
        changes: &[Change<V>],
        cx: Reading<'_>,
    ) -> Result<Changed, TrieError> {
        let mut insertions = insertions(changes);
        let Some((first, edit)) = insertions.next() else {
            return Ok(Changed::not(NodeId::EMPTY));
        };
        let Some((last, _)) = insertions.next_back() else {
            let value = V::edited(edit, None);
            return Ok(Changed::to(self.arena.add_leaf(*first, value)));
        };
        let fork = shared(first, last);
        let room = changes.len().min(2);
        let branch = self.arena.add_branch(path_between(first, depth, fork), room);
        let changes = sharing(changes, |key| shared(key, first) >= fork);
        let changed = self.apply_to_children(branch, fork, changes, cx)?;
        Ok(Changed::to(changed.node))
    }

    fn apply_to_leaf(
        &mut self,
        leaf: NodeId,
        depth: usize,
        changes: &[Change<V>],
        cx: Reading<'_>,
    ) -> Result<Changed, TrieError> {
        let key = self.arena.leaf(leaf).key;
        let others = insertions(changes).filter(|(other, _)| **other != key);
        let Some(fork) = others.map(|(other, _)| shared(other, &key)).min() else {
            let own = changes.binary_search_by(|change| change.key.cmp(&key));
            return Ok(match own {
                Ok(own) => self.change_leaf(leaf, depth, changes[own].edit.as_ref()),
                Err(_) => Changed::not(leaf),
            });
        };
        let branch = self.arena.add_branch(path_between(&key, depth, fork), 2);
        let branch = self.arena.put(branch, nibble(&key, fork), leaf, true);
        let changes = sharing(changes, |other| shared(other, &key) >= fork);
        let changed = self.apply_to_children(branch, fork, changes, cx)?;
        Ok(Changed::to(changed.node))
    }

    fn change_leaf(&mut self, leaf: NodeId, depth: usize, edit: Option<&V::Edit>) -> Changed {
        let Some(edit) = edit else {
            let key = self.arena.leaf(leaf).key;
            self.vacate(&key, depth);
            self.arena.remove(leaf);
            return Changed::to(NodeId::EMPTY);
        };
        let held = &mut self.arena.leaf_mut(leaf).value;
        let value = V::edited(edit, Some(held));
        if *held == value {
            return Changed::not(leaf);
        }
        *held = value;
        Changed::to(leaf)
    }

    /// Applies changes to a branch behind a path, or to an extension, whose branch is hidden.
    fn apply_behind(
        &mut self,
        node: NodeId,
        depth: usize,
        changes: &[Change<V>],
        cx: Reading<'_>,
    ) -> Result<Changed, TrieError> {
        let path = self.arena.path(node);
        let on_path = |key: &B256| shared_with_path(&path, key, depth);
        let kept = insertions(changes).map(|(key, _)| on_path(key)).min().unwrap_or(path.len());
        let changes = sharing(changes, |key| on_path(key) >= kept);
        let Some(first) = changes.first() else { return Ok(Changed::not(node)) };
        if kept < path.len() {
            let branch = self.split(node, &path, kept);
            let changed = self.apply_to_children(branch, depth + kept, changes, cx)?;
            return Ok(Changed::to(changed.node));
        }
        let branch = match node.kind() {
            Kind::Extension => self.reveal_extension(node, &first.key, depth, cx)?,
            _ => node,
        };
        self.apply_to_children(branch, depth + kept, changes, cx)
    }

    /// Puts a branch into a node's path, `at` nibbles from its beginning.
    fn split(&mut self, node: NodeId, path: &Nibbles, at: usize) -> NodeId {
        let branch = self.arena.add_branch(path.slice(..at), 2);
        let (nibble, rest) = (path.get_unchecked(at), path.slice(at + 1..));
        if node.kind() == Kind::Extension && rest.is_empty() {
            let hash = self.arena.extension(node).child;
            self.arena.remove(node);
            let branch = self.arena.put(branch, nibble, NodeId::HIDDEN, false);
            self.arena.set_reference(branch, nibble, Reference::hash(hash));
            return branch;
        }
        self.arena.set_path(node, rest);
        self.arena.put(branch, nibble, node, true)
    }

    /// Applies changes to a branch whose children's nibbles are at `depth`.
    fn apply_to_children(
        &mut self,
        branch: NodeId,
        depth: usize,
        changes: &[Change<V>],
        cx: Reading<'_>,
    ) -> Result<Changed, TrieError> {
        let mut after = Changed::not(branch);
        for group in changes.chunk_by(|a, b| nibble(&a.key, depth) == nibble(&b.key, depth)) {
            let key = &group[0].key;
            let nibble = nibble(key, depth);
            let child = self.reveal_child(after.node, nibble, key, depth, cx)?;
            let changed = self.apply_at(child, depth + 1, group, cx)?;
            if changed != Changed::not(child) {
                after.node = self.arena.put(after.node, nibble, changed.node, changed.dirty);
                after.dirty |= changed.dirty;
            }
        }
        match (self.arena.branch(after.node).head.count(), changes.first()) {
            (0, change) => {
                if let Some(change) = change {
                    self.vacate(&change.key, depth);
                    self.vacate(&change.key, depth - self.arena.path(after.node).len());
                }
                self.arena.remove(after.node);
                Ok(Changed::to(NodeId::EMPTY))
            }
            (1, Some(change)) => self.merge(after.node, &change.key, depth, cx),
            _ => Ok(after),
        }
    }

    /// Replaces a branch of one child by that child, with a longer path.
    fn merge(
        &mut self,
        branch: NodeId,
        key: &B256,
        depth: usize,
        cx: Reading<'_>,
    ) -> Result<Changed, TrieError> {
        let nibble = self.arena.branch(branch).head.mask.trailing_zeros() as u8;
        let child = self.merged_child(branch, nibble, key, depth, cx)?;
        self.vacate_merged(child, nibble, key, depth);
        let mut path = self.arena.path(branch);
        path.push(nibble);
        path.extend(&self.arena.path(child));
        self.arena.remove(branch);
        if child.kind() != Kind::Leaf {
            self.arena.set_path(child, path);
        }
        Ok(Changed::to(child))
    }

    /// The child that a branch is merged with: revealed, or, where siblings are assumed to be
    /// branches, an extension of no length to it.
    fn merged_child(
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
        let key = super::key::joined(key, depth, &Nibbles::from_nibbles([nibble]));
        let place = Place { key: &key, depth: depth + 1, hash: &hash };
        match (cx.fetch(place)?, cx.siblings) {
            (Some(rlp), _) => self.decode(&rlp, place, cx),
            (None, Siblings::AssumeBranches) if depth + 1 < KEY_NIBBLES => {
                Ok(self.arena.add_extension(Nibbles::new(), hash))
            }
            (None, _) => Err(cx.missing_sibling(place)),
        }
    }
}

/// The changes that put a value under a key.
fn insertions<V: Value>(
    changes: &[Change<V>],
) -> impl DoubleEndedIterator<Item = (&B256, &V::Edit)> {
    changes.iter().filter_map(|change| Some((&change.key, change.edit.as_ref()?)))
}

/// The changes of keys that begin alike, which lie together because changes are sorted. The others
/// take keys out that are not there.
fn sharing<V: Value>(changes: &[Change<V>], alike: impl Fn(&B256) -> bool) -> &[Change<V>] {
    let start = changes.iter().take_while(|change| !alike(&change.key)).count();
    let length = changes[start..].iter().take_while(|change| alike(&change.key)).count();
    &changes[start..start + length]
}
