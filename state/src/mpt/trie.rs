//! A whole trie: in one arena while it is small, in sixteen once much changes in it at a time.
//!
//! A forked trie has no root node. Each of its sixteen parts is a trie of its own, of the keys that
//! begin with one nibble, and the root is computed from the parts' references. So threads can
//! change the parts without sharing anything, and no branch is merged across their border.

use alloy_primitives::B256;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use super::{
    arena::{Arena, BranchRef},
    encode::{encode_branch, encode_extension, encode_leaf},
    error::TrieError,
    hash::{hash_parts, reference_of},
    key::nibble,
    node::{Head, Kind, NodeId, Reference},
    part::Part,
    reveal::{Place, Reading, Siblings},
    update::Change,
    value::Value,
    workers::Hashing,
};

/// From this many changes at a time on, a trie is forked.
const FORK_FROM: usize = 256;
/// The same where threads share the changes and not much is known that would be copied.
const FORK_HIDDEN_FROM: usize = 32;
/// As long as there are no more known nodes for each change, copying them is worth while.
const NODES_PER_CHANGE: usize = 8;

/// A Merkle Patricia trie over keys of 32 bytes, known in part.
#[derive(Debug, Clone)]
pub(super) struct Trie<V> {
    /// One, or sixteen.
    pub(super) parts: Vec<Part<V>>,
    /// The root hash; out of date while a part has changed.
    root: B256,
}

/// One part, and the changes that belong in it.
pub(super) struct PartChanges<'a, V: Value> {
    pub(super) part: &'a mut Part<V>,
    pub(super) changes: &'a [Change<V>],
    /// Whose storage trie it is, if it is one.
    pub(super) owner: Option<&'a B256>,
}

impl<V: Value> Trie<V> {
    /// A trie of which only the root hash is known.
    pub(super) fn hidden(root: B256) -> Self {
        let part = match root == EMPTY_ROOT_HASH {
            true => Part::empty(0),
            false => Part::hidden(0, root),
        };
        Self { parts: vec![part], root }
    }

    /// The root hash, as it was when it was last computed.
    pub(super) const fn root(&self) -> B256 {
        self.root
    }

    /// One part, or sixteen.
    pub(super) fn parts(&self) -> &[Part<V>] {
        &self.parts
    }

    /// Appends the root of a trie in parts, two of which at least hold keys.
    pub(super) fn encode_top(&self, out: &mut Vec<u8>) {
        let (head, references) = top_branch(&self.parts);
        encode_branch(BranchRef { head: &head, children: &[], references: &references }, out);
    }

    /// Nodes that are known.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.arena.len()).sum()
    }

    /// The parts, each with those of some sorted items whose keys belong in it.
    pub(super) fn divide<'a, 'i, T>(
        &'a mut self,
        mut items: &'i [T],
        key: impl Fn(&T) -> &B256,
    ) -> impl Iterator<Item = (&'a mut Part<V>, &'i [T])> {
        let forked = self.is_forked();
        self.parts.iter_mut().zip(0_u8..).map(move |(part, index)| {
            let belongs = |item: &&T| !forked || nibble(key(item), 0) == index;
            let own = items.iter().take_while(belongs).count();
            let (own, rest) = items.split_at(own);
            items = rest;
            (part, own)
        })
    }

    /// The value under a key.
    pub(super) fn get(&mut self, key: &B256, cx: Reading<'_>) -> Result<Option<&V>, TrieError> {
        let part = if self.is_forked() { usize::from(nibble(key, 0)) } else { 0 };
        self.parts[part].get(key, cx)
    }

    pub(super) const fn is_forked(&self) -> bool {
        self.parts.len() > 1
    }

    /// Whether so many changes are enough to fork the trie before them.
    pub(super) fn is_worth_forking(&self, changes: usize, threads: usize) -> bool {
        let hidden = threads > 1 && self.len() <= NODES_PER_CHANGE * changes;
        !self.is_forked() && changes >= if hidden { FORK_HIDDEN_FROM } else { FORK_FROM }
    }

    /// Gives each child of the root an arena of its own. Reveals the root.
    ///
    /// Costs as much as copying all nodes that are known, once in the trie's life.
    pub(super) fn fork(&mut self, hashing: Hashing<'_>, cx: Reading<'_>) -> Result<(), TrieError> {
        if !self.is_forked() {
            self.parts[0].reveal_root(&B256::ZERO, cx)?;
            let (unsaved, vacated) = (self.parts[0].unsaved, self.parts[0].vacated.take());
            self.parts = fork(&self.parts[0]);
            // A lone part was part of the root node: nothing refers to it yet.
            let mut parts: Vec<_> = self.parts.iter_mut().collect();
            hash_parts(&mut parts, hashing);
            self.parts[0].unsaved = unsaved;
            if let Some(vacated) = vacated {
                self.record();
                self.parts[0].vacated = Some(vacated);
            }
        }
        Ok(())
    }

    /// The parts in which something changes, each with its changes, which are sorted by key.
    pub(super) fn part_changes<'a>(
        &'a mut self,
        changes: &'a [Change<V>],
        owner: Option<&'a B256>,
    ) -> impl Iterator<Item = PartChanges<'a, V>> {
        let parts = self.divide(changes, |change| &change.key);
        let with_changes = parts.map(move |(part, changes)| PartChanges { part, changes, owner });
        with_changes.filter(|part| !part.changes.is_empty())
    }

    /// Computes the root from the parts, whose references are up to date.
    ///
    /// # Errors
    /// If one part alone is left, what it consists of must be known, as for any branch that is
    /// merged with its only child.
    pub(super) fn settle_root(
        &mut self,
        hashing: Hashing<'_>,
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let mut present = self.parts.iter().zip(0_u8..).filter(|(p, _)| p.root != NodeId::EMPTY);
        let first = present.next().map(|(_, index)| index);
        let reference = match (first, present.next()) {
            (None, _) => {
                self.root = EMPTY_ROOT_HASH;
                return Ok(());
            }
            (Some(_), None) if !self.is_forked() => self.parts[0].reference,
            (Some(index), None) => self.lone_reference(index, hashing, cx)?,
            (Some(_), Some(_)) => reference_of(hashing, |out| self.encode_top(out)),
        };
        self.root = match reference.is_inline() {
            true => hashing.hash_one(Reference::inline_rlp(reference.bytes())),
            false => *reference.bytes(),
        };
        Ok(())
    }

    /// The reference of a root all of whose keys lie in one part.
    fn lone_reference(
        &mut self,
        index: u8,
        hashing: Hashing<'_>,
        cx: Reading<'_>,
    ) -> Result<Reference, TrieError> {
        let part = &mut self.parts[usize::from(index)];
        let key = B256::with_last_byte(index << 4);
        part.reveal_lone_root(&B256::right_padding_from(&key[31..]), cx)?;
        let mut path = Nibbles::from_nibbles([index]);
        path.extend(&part.arena.path(part.root));
        let reference = match part.root.kind() {
            Kind::Leaf => {
                let leaf = part.arena.leaf(part.root);
                return Ok(reference_of(hashing, |out| {
                    encode_leaf(&leaf.key, 0, &leaf.value, out);
                }));
            }
            Kind::Extension => Reference::hash(part.arena.extension(part.root).child),
            Kind::Branch(_) => {
                reference_of(hashing, |out| encode_branch(part.arena.branch(part.root), out))
            }
            // Assumed to be a branch.
            Kind::Hidden | Kind::Empty => part.reference,
        };
        Ok(reference_of(hashing, |out| encode_extension(&path, &reference, out)))
    }
}

impl<V: Value> Part<V> {
    /// Reveals a root that has become the only child of the branch above it.
    fn reveal_lone_root(&mut self, key: &B256, cx: Reading<'_>) -> Result<(), TrieError> {
        if self.root != NodeId::HIDDEN {
            return Ok(());
        }
        let hash = *self.reference.bytes();
        let place = Place { key, depth: self.offset, hash: &hash };
        self.root = match (cx.fetch(place)?, cx.siblings) {
            (Some(rlp), _) => self.decode(&rlp, place, cx)?,
            (None, Siblings::AssumeBranches) => return Ok(()),
            (None, Siblings::MustBeKnown) => return Err(cx.missing_sibling(place)),
        };
        Ok(())
    }
}

/// The root of a forked trie as a branch.
pub(super) fn top_branch<V>(parts: &[Part<V>]) -> (Head, Vec<B256>) {
    let mut head = Head::default();
    let mut references = Vec::with_capacity(parts.len());
    for (part, nibble) in parts.iter().zip(0_u8..) {
        if part.root == NodeId::EMPTY {
            continue;
        }
        head.mask |= 1 << nibble;
        head.inline |= u16::from(part.reference.is_inline()) << nibble;
        references.push(*part.reference.bytes());
    }
    (head, references)
}

/// The sixteen parts of a trie whose root is known. References that nobody has computed are marked.
fn fork<V: Value>(whole: &Part<V>) -> Vec<Part<V>> {
    let mut parts: Vec<_> = (0..16).map(|_| Part::empty(1)).collect();
    let path = whole.arena.path(whole.root);
    match whole.root.kind() {
        Kind::Empty | Kind::Hidden => {}
        Kind::Leaf => {
            let leaf = whole.arena.leaf(whole.root);
            let part = &mut parts[usize::from(nibble(&leaf.key, 0))];
            part.root = part.arena.add_leaf(leaf.key, leaf.value.clone());
            part.dirty = true;
        }
        Kind::Extension | Kind::Branch(_) if !path.is_empty() => {
            let part = &mut parts[usize::from(path.get_unchecked(0))];
            let rest = path.slice(1..);
            if whole.root.kind() == Kind::Extension && rest.is_empty() {
                *part = Part::hidden(1, whole.arena.extension(whole.root).child);
            } else {
                part.root = copy(&whole.arena, whole.root, &mut part.arena);
                part.arena.set_path(part.root, rest);
                part.dirty = true;
            }
        }
        Kind::Extension | Kind::Branch(_) => {
            let branch = whole.arena.branch(whole.root);
            for (part, nibble) in parts.iter_mut().zip(0..16) {
                if branch.head.has(nibble) {
                    let child = branch.children[branch.head.rank(nibble)];
                    part.root = copy(&whole.arena, child, &mut part.arena);
                    part.reference = whole.arena.reference(whole.root, nibble);
                    part.dirty = branch.head.dirty & (1 << nibble) != 0;
                }
            }
        }
    }
    parts
}

/// Copies a node and all below it into another arena.
fn copy<V: Value>(from: &Arena<V>, node: NodeId, to: &mut Arena<V>) -> NodeId {
    match node.kind() {
        Kind::Empty | Kind::Hidden => node,
        Kind::Leaf => {
            let leaf = from.leaf(node);
            to.add_leaf(leaf.key, leaf.value.clone())
        }
        Kind::Extension => {
            let extension = from.extension(node);
            to.add_extension(extension.path, extension.child)
        }
        Kind::Branch(_) => {
            let branch = from.branch(node);
            let copied = to.add_branch(from.path(node), branch.head.count());
            for nibble in (0..16).filter(|&nibble| branch.head.has(nibble)) {
                let child = copy(from, branch.children[branch.head.rank(nibble)], to);
                to.put(copied, nibble, child, false);
                to.set_reference(copied, nibble, from.reference(node, nibble));
                to.put(copied, nibble, child, branch.head.dirty & (1 << nibble) != 0);
            }
            to.set_unsaved(copied, branch.head.unsaved);
            copied
        }
    }
}
