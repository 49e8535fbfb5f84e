//! Nodes handed out: tries in memory serve as a source of nodes, as a witness or a database does.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;

use super::{
    encode::{encode_branch, encode_extension, encode_leaf},
    node::{Kind, NodeId, Reference},
    part::Part,
    source::{NodePlace, NodeSource, SourceError},
    state_trie::StateTrie,
    trie::Trie,
    value::Value,
};

impl NodeSource for StateTrie {
    /// A node that is known, with the hash that is asked for.
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        let rlp = match place.owner {
            None => self.accounts().rlp_at(place.path),
            Some(owner) => self.storage(owner).and_then(|storage| storage.rlp_at(place.path)),
        };
        Ok(rlp.filter(|rlp| keccak256(rlp) == *place.hash).map(Bytes::from))
    }
}

/// Where a walk stands.
#[derive(Clone, Copy)]
struct Step<'a, V> {
    part: &'a Part<V>,
    node: NodeId,
    /// Nibbles above the node.
    depth: usize,
    /// Nibbles between its parent's child and the node itself, which are an extension's.
    path: Nibbles,
}

impl<V: Value> Trie<V> {
    /// The RLP of the node at a path, if it is known.
    fn rlp_at(&self, target: &Nibbles) -> Option<Vec<u8>> {
        let mut rlp = Vec::new();
        let Some(mut step) = self.first_step(target, &mut rlp) else {
            return (!rlp.is_empty()).then_some(rlp);
        };
        loop {
            let below = target.slice(step.depth.min(target.len())..);
            if below.is_empty() {
                return step.encode(&mut rlp).then_some(rlp);
            }
            if step.node == NodeId::EMPTY || !below.starts_with(&step.path) {
                return None;
            }
            let Kind::Branch(_) = step.node.kind() else { return None };
            let below = below.slice(step.path.len()..);
            let Some(nibble) = below.first() else {
                encode_branch(step.part.arena.branch(step.node), &mut rlp);
                return Some(rlp);
            };
            step = step.down(nibble);
        }
    }

    /// Where the walk begins. A trie in parts has no root node: where it has several children the
    /// root is put together here, and where it has one, that is what lies behind a longer path.
    fn first_step(&self, target: &Nibbles, rlp: &mut Vec<u8>) -> Option<Step<'_, V>> {
        if !self.is_forked() {
            let part = &self.parts()[0];
            let path = part.arena.path(part.root);
            return Some(Step { part, node: part.root, depth: 0, path });
        }
        let present = self.parts().iter().zip(0_u8..).filter(|(p, _)| p.root != NodeId::EMPTY);
        let present: Vec<_> = present.collect();
        if let [(part, nibble)] = present.as_slice() {
            let mut path = Nibbles::from_nibbles([*nibble]);
            path.extend(&part.arena.path(part.root));
            return Some(Step { part, node: part.root, depth: 0, path });
        }
        let Some(nibble) = target.first() else {
            self.encode_top(rlp);
            return None;
        };
        let part = &self.parts()[usize::from(nibble)];
        let path = part.arena.path(part.root);
        Some(Step { part, node: part.root, depth: 1, path })
    }
}

impl<V: Value> Step<'_, V> {
    /// The child at a nibble, which comes after the path.
    fn down(self, nibble: u8) -> Self {
        let node = self.part.arena.child(self.node, nibble);
        let path = self.part.arena.path(node);
        Self { node, depth: self.depth + self.path.len() + 1, path, ..self }
    }

    /// Encodes the node that the parent refers to. False if that is not known.
    fn encode(&self, rlp: &mut Vec<u8>) -> bool {
        let arena = &self.part.arena;
        match self.node.kind() {
            Kind::Empty | Kind::Hidden => return false,
            Kind::Leaf => {
                let leaf = arena.leaf(self.node);
                encode_leaf(&leaf.key, self.depth, &leaf.value, rlp);
            }
            Kind::Extension => {
                let child = Reference::hash(arena.extension(self.node).child);
                encode_extension(&self.path, &child, rlp);
            }
            Kind::Branch(_) => {
                encode_branch(arena.branch(self.node), rlp);
                if !self.path.is_empty() {
                    let branch = std::mem::take(rlp);
                    let reference = match branch.len() < B256::len_bytes() {
                        true => Reference::inline(&branch),
                        false => Reference::hash(keccak256(&branch)),
                    };
                    encode_extension(&self.path, &reference, rlp);
                }
            }
        }
        true
    }
}
