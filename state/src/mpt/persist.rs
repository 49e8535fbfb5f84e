//! The nodes that changed, for whoever stores them by their places.

use std::{collections::BTreeSet, mem};

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;

use super::{
    arena::{Arena, BranchRef},
    encode::{encode_branch, encode_extension, encode_leaf},
    hash::HASHED_FROM,
    key::path_between,
    node::{Kind, NodeId, Reference},
    part::Part,
    trie::{Trie, top_branch},
    value::Value,
};

/// What has to be done to stored nodes so that they are those of the tries' present roots.
///
/// First all nodes of the wiped tries are taken out, then the changes are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeChanges {
    /// Hashed addresses whose storage tries, as they are stored, are gone; sorted.
    pub wiped: Vec<B256>,
    /// Nodes that are new or other than before, or are no more. Where a place is listed twice, the
    /// last counts.
    pub nodes: Vec<NodeChange>,
}

/// A place in a trie, and what is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChange {
    /// Whose storage trie it is, as the Keccak-256 of the address; none for the account trie.
    pub owner: Option<B256>,
    /// The nibbles that lead to it from the root of its trie.
    pub path: Nibbles,
    /// The RLP of the node there; none if there is none, or one that lies in its parent because its
    /// RLP is shorter than a hash.
    pub rlp: Option<Bytes>,
}

/// The tries that have nodes to store.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    /// Hashed addresses of storage tries that were written.
    pub(super) owners: BTreeSet<B256>,
    /// Hashed addresses of storage tries that were given up.
    pub(super) wiped: BTreeSet<B256>,
}

impl<V: Value> Part<V> {
    /// Notes that a node on the way to a key may be no more.
    pub(super) fn vacate(&mut self, key: &B256, depth: usize) {
        if let Some(vacated) = &mut self.vacated {
            vacated.push(path_between(key, 0, depth));
        }
    }

    /// Notes what a branch leaves behind that is replaced by its only child: its own place and,
    /// unless the child stays a branch there, that child's.
    pub(super) fn vacate_merged(&mut self, child: NodeId, nibble: u8, key: &B256, depth: usize) {
        self.vacate(key, depth);
        let moves = child.kind() == Kind::Leaf || !self.arena.path(child).is_empty();
        if let Some(vacated) = self.vacated.as_mut().filter(|_| moves) {
            let mut path = path_between(key, 0, depth);
            path.push(nibble);
            vacated.push(path);
        }
    }
}

impl<V: Value> Trie<V> {
    /// Begins to note what has to be stored.
    pub(super) fn record(&mut self) {
        self.parts.iter_mut().for_each(|part| {
            part.vacated.get_or_insert_default();
        });
    }

    /// Lists what has to be stored since the last call.
    pub(super) fn take_changes(&mut self, owner: Option<&B256>, out: &mut Vec<NodeChange>) {
        let vacated = self.parts.iter_mut().filter_map(|part| part.vacated.as_mut());
        let vacated: Vec<_> = vacated.flat_map(mem::take).collect();
        let unsaved = self.parts.iter().any(|part| part.unsaved);
        if vacated.is_empty() && !unsaved {
            return;
        }
        let mut changes = Changes { owner: owner.copied(), out };
        // Before all others: where a node is still, or again, it is listed behind.
        vacated.into_iter().for_each(|path| changes.none(path));
        match self.is_forked() {
            true => changes.forked(&mut self.parts),
            false => changes.whole(&mut self.parts[0]),
        }
        self.parts.iter_mut().for_each(|part| part.unsaved = false);
    }
}

/// The changes of one trie.
struct Changes<'a> {
    owner: Option<B256>,
    out: &'a mut Vec<NodeChange>,
}

impl Changes<'_> {
    fn none(&mut self, path: Nibbles) {
        self.out.push(NodeChange { owner: self.owner, path, rlp: None });
    }

    /// A node's RLP, if it is not in its parent.
    fn node(&mut self, path: Nibbles, rlp: &[u8]) {
        let stored = rlp.len() >= HASHED_FROM || path.is_empty();
        let rlp = stored.then(|| Bytes::copy_from_slice(rlp));
        self.out.push(NodeChange { owner: self.owner, path, rlp });
    }

    fn whole<V: Value>(&mut self, part: &mut Part<V>) {
        match part.root {
            NodeId::EMPTY => self.none(Nibbles::new()),
            root => self.below(&mut part.arena, root, Nibbles::new()),
        }
    }

    /// A trie without a root node of its own. Whether a part's root is a node by itself depends on
    /// the other parts, so all of them are listed, changed or not.
    fn forked<V: Value>(&mut self, parts: &mut [Part<V>]) {
        let mut present = (0_u8..).zip(parts.iter()).filter(|(_, p)| p.root != NodeId::EMPTY);
        match (present.next().map(|(nibble, _)| nibble), present.next()) {
            (None, _) => self.none(Nibbles::new()),
            (Some(nibble), None) => self.lone(&mut parts[usize::from(nibble)], nibble),
            (Some(_), Some(_)) => {
                let (head, references) = top_branch(parts);
                let branch = BranchRef { head: &head, children: &[], references: &references };
                let mut rlp = Vec::new();
                encode_branch(branch, &mut rlp);
                self.node(Nibbles::new(), &rlp);
                for (nibble, part) in (0_u8..).zip(parts) {
                    let path = Nibbles::from_nibbles([nibble]);
                    self.below(&mut part.arena, part.root, path);
                }
            }
        }
    }

    /// The only part that is left, whose root is the trie's, with a path that begins with the
    /// part's nibble.
    fn lone<V: Value>(&mut self, part: &mut Part<V>, nibble: u8) {
        let arena = &mut part.arena;
        let at = Nibbles::from_nibbles([nibble]);
        let mut path = at;
        path.extend(&arena.path(part.root));
        let mut rlp = Vec::new();
        match part.root.kind() {
            Kind::Leaf => {
                let leaf = arena.leaf(part.root);
                encode_leaf(&leaf.key, 0, &leaf.value, &mut rlp);
                self.none(at);
            }
            Kind::Extension => {
                let child = Reference::hash(arena.extension(part.root).child);
                encode_extension(&path, &child, &mut rlp);
                self.none_unless_branch(at, path);
            }
            Kind::Branch(_) => {
                self.none_unless_branch(at, path);
                let reference = self.branch(arena, part.root, path);
                encode_extension(&path, &reference, &mut rlp);
            }
            // A root that was only assumed to be a branch.
            Kind::Hidden | Kind::Empty => encode_extension(&path, &part.reference, &mut rlp),
        }
        self.node(Nibbles::new(), &rlp);
    }

    fn none_unless_branch(&mut self, at: Nibbles, branch: Nibbles) {
        if at != branch {
            self.none(at);
        }
    }

    /// A node that changed, and what changed below it.
    fn below<V: Value>(&mut self, arena: &mut Arena<V>, node: NodeId, path: Nibbles) {
        let mut rlp = Vec::new();
        match node.kind() {
            Kind::Empty | Kind::Hidden => return,
            Kind::Leaf => {
                let leaf = arena.leaf(node);
                encode_leaf(&leaf.key, path.len(), &leaf.value, &mut rlp);
            }
            Kind::Extension => {
                let extension = arena.extension(node);
                let child = Reference::hash(extension.child);
                encode_extension(&extension.path, &child, &mut rlp);
            }
            Kind::Branch(_) if !arena.has_path(node) => {
                self.branch(arena, node, path);
                return;
            }
            Kind::Branch(_) => {
                let prefix = arena.path(node);
                let mut place = path;
                place.extend(&prefix);
                let reference = self.branch(arena, node, place);
                encode_extension(&prefix, &reference, &mut rlp);
            }
        }
        self.node(path, &rlp);
    }

    /// A branch without the path that leads to it, and what changed below it.
    fn branch<V: Value>(
        &mut self,
        arena: &mut Arena<V>,
        branch: NodeId,
        path: Nibbles,
    ) -> Reference {
        let mut rlp = Vec::new();
        encode_branch(arena.branch(branch), &mut rlp);
        self.node(path, &rlp);
        let mut unsaved = arena.take_unsaved(branch);
        while unsaved != 0 {
            let nibble = unsaved.trailing_zeros() as u8;
            unsaved &= unsaved - 1;
            let mut below = path;
            below.push(nibble);
            self.below(arena, arena.child(branch, nibble), below);
        }
        match rlp.len() < HASHED_FROM {
            true => Reference::inline(&rlp),
            false => Reference::hash(keccak256(&rlp)),
        }
    }
}
