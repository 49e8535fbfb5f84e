//! References brought up to date, from the deepest nodes to the roots.
//!
//! Nodes of one depth do not refer to each other, so they are encoded and hashed together, across
//! all tries that are at hand. A branch behind a path takes two steps: first its own hash, then
//! that of the extension which its parent sees.

use super::{
    encode::{encode_branch, encode_extension, encode_leaf},
    keccak::{BATCH, Batch},
    node::{Kind, NodeId, Reference},
    part::Part,
    value::Value,
    workers::Hashing,
};

/// How many bytes a node's RLP has at least to be referred to by its hash.
pub(super) const HASHED_FROM: usize = 32;

/// A node whose reference is out of date.
#[derive(Debug, Clone, Copy)]
struct Stale {
    /// The part it lies in, by its place among those that are hashed together.
    part: usize,
    /// The branch that refers to it; [`NodeId::EMPTY`] for a part's root.
    parent: NodeId,
    nibble: u8,
    node: NodeId,
}

/// Brings the references of all parts' roots, and of all nodes below, up to date.
pub(super) fn hash_parts<V: Value>(parts: &mut [&mut Part<V>], hashing: Hashing<'_>) {
    let mut levels = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if part.dirty && part.root != NodeId::EMPTY {
            let root = Stale { part: index, parent: NodeId::EMPTY, nibble: 0, node: part.root };
            collect(part, root, part.offset, &mut levels);
        }
    }
    let mut levels_hashed =
        Levels { batch: Batch::new(hashing.keccak), hashing, waiting: Vec::new() };
    for (depth, level) in levels.iter().enumerate().rev() {
        for stale in level.chunks(BATCH) {
            levels_hashed.settle(parts, depth, stale);
        }
    }
    parts.iter_mut().for_each(|part| part.dirty = false);
}

/// Lists a node and all below it that are out of date, by their depths.
fn collect<V: Value>(part: &Part<V>, stale: Stale, mut depth: usize, levels: &mut Vec<Vec<Stale>>) {
    if levels.len() <= depth {
        levels.resize(depth + 1, Vec::new());
    }
    levels[depth].push(stale);
    if !matches!(stale.node.kind(), Kind::Branch(_)) {
        return;
    }
    let branch = part.arena.branch(stale.node);
    depth += 1;
    if branch.head.prefix != 0 {
        depth += part.arena.path(stale.node).len();
    }
    let mut dirty = branch.head.dirty;
    while dirty != 0 {
        let nibble = dirty.trailing_zeros() as u8;
        dirty &= dirty - 1;
        let node = branch.children[branch.head.rank(nibble)];
        let child = Stale { parent: stale.node, nibble, node, ..stale };
        collect(part, child, depth, levels);
    }
}

struct Levels<'a> {
    batch: Batch,
    hashing: Hashing<'a>,
    /// Whose hash each message of the batch is.
    waiting: Vec<Stale>,
}

impl Levels<'_> {
    /// Brings the references of nodes of one depth up to date.
    fn settle<V: Value>(&mut self, parts: &mut [&mut Part<V>], depth: usize, stale: &[Stale]) {
        let mut behind_paths = Vec::new();
        let settled = self.references(stale, |stale, out| {
            let arena = &parts[stale.part].arena;
            match stale.node.kind() {
                Kind::Leaf => {
                    let leaf = arena.leaf(stale.node);
                    encode_leaf(&leaf.key, depth, &leaf.value, out);
                }
                Kind::Extension => {
                    let extension = arena.extension(stale.node);
                    encode_extension(&extension.path, &Reference::hash(extension.child), out);
                }
                Kind::Branch(_) => encode_branch(arena.branch(stale.node), out),
                Kind::Empty | Kind::Hidden => unreachable!("only known nodes change"),
            }
        });
        for (stale, reference) in settled {
            let part = &mut *parts[stale.part];
            match stale.node.kind() {
                Kind::Branch(_) if part.arena.has_path(stale.node) => {
                    behind_paths.push((stale, part.arena.path(stale.node), reference));
                }
                _ => refer(part, stale, reference),
            }
        }
        if behind_paths.is_empty() {
            return;
        }
        let nodes: Vec<_> = behind_paths.iter().map(|(stale, ..)| *stale).collect();
        let mut extensions = behind_paths.iter();
        let settled = self.references(&nodes, |_, out| {
            if let Some((_, path, reference)) = extensions.next() {
                encode_extension(path, reference, out);
            }
        });
        for (stale, reference) in settled {
            refer(&mut *parts[stale.part], stale, reference);
        }
    }

    /// What nodes are referred to by, given how each is encoded, in any order.
    fn references(
        &mut self,
        nodes: &[Stale],
        mut encode: impl FnMut(&Stale, &mut Vec<u8>),
    ) -> Vec<(Stale, Reference)> {
        self.batch.clear();
        self.waiting.clear();
        let mut settled = Vec::with_capacity(nodes.len());
        for node in nodes {
            let rlp = self.batch.push(|out| encode(node, out));
            if rlp.len() < HASHED_FROM {
                settled.push((*node, Reference::inline(rlp)));
                self.batch.pop();
            } else {
                self.waiting.push(*node);
            }
        }
        let hashes = self.batch.hash(self.hashing.count);
        let hashed = self.waiting.iter().zip(hashes);
        settled.extend(hashed.map(|(node, hash)| (*node, Reference::hash(*hash))));
        settled
    }
}

fn refer<V: Value>(part: &mut Part<V>, stale: Stale, reference: Reference) {
    if stale.parent == NodeId::EMPTY {
        part.reference = reference;
    } else {
        part.arena.set_reference(stale.parent, stale.nibble, reference);
    }
}

/// What a single node is referred to by.
pub(super) fn reference_of(hashing: Hashing<'_>, encode: impl FnOnce(&mut Vec<u8>)) -> Reference {
    let mut rlp = Vec::new();
    encode(&mut rlp);
    match rlp.len() < HASHED_FROM {
        true => Reference::inline(&rlp),
        false => Reference::hash(hashing.hash_one(&rlp)),
    }
}
