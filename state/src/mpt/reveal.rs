//! Hidden nodes are fetched, decoded and put into an arena.

use alloy_primitives::{B256, Bytes};
use alloy_trie::Nibbles;

use super::{
    decode::{HashedBranch, RawChild, RawNode},
    error::{NamedNode, TrieError},
    key::{KEY_NIBBLES, joined, path_between},
    node::{Kind, NodeId, Reference},
    part::Part,
    source::{NodePlace, NodeSource},
    value::Value,
};

/// What to do when a branch keeps one child only and that child is in no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Siblings {
    /// It is an error that names the child: what it is decides what the branch becomes.
    #[default]
    MustBeKnown,
    /// The child is taken for a branch. If it is something else the root comes out wrong, so this
    /// is for roots that are compared with a known one.
    AssumeBranches,
}

/// From where, and for which trie, hidden nodes are fetched.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) source: &'a dyn NodeSource,
    pub(super) owner: Option<&'a B256>,
    pub(super) siblings: Siblings,
}

impl Reading<'_> {
    /// The RLP of a node; none if the source does not have it.
    pub(super) fn fetch(&self, place: Place<'_>) -> Result<Option<Bytes>, TrieError> {
        let path = place.path();
        let asked = NodePlace { owner: self.owner, path: &path, hash: place.hash };
        let node = self.source.node(asked);
        node.map_err(|source| TrieError::Source { node: self.name(place), source })
    }

    pub(super) fn missing(&self, place: Place<'_>) -> TrieError {
        let mut node = self.name(place);
        node.towards = Some(*place.key);
        TrieError::MissingNode(node)
    }

    pub(super) fn missing_sibling(&self, place: Place<'_>) -> TrieError {
        TrieError::MissingSibling(self.name(place))
    }

    fn corrupt(&self, place: Place<'_>, reason: impl ToString, raw: &[u8]) -> TrieError {
        let raw = Bytes::copy_from_slice(&raw[..raw.len().min(64)]);
        TrieError::CorruptNode { node: self.name(place), reason: reason.to_string(), raw }
    }

    fn name(&self, place: Place<'_>) -> Box<NamedNode> {
        let digits = place.path().iter().filter_map(|n| char::from_digit(n.into(), 16)).collect();
        Box::new(NamedNode {
            owner: self.owner.copied(),
            path: digits,
            hash: *place.hash,
            towards: None,
        })
    }
}

/// Where a node lies.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Any key below the node.
    pub(super) key: &'a B256,
    /// Nibbles of the key above the node.
    pub(super) depth: usize,
    /// The node's hash, or that of the node which it is inlined in.
    pub(super) hash: &'a B256,
}

impl Place<'_> {
    fn path(&self) -> Nibbles {
        path_between(self.key, 0, self.depth)
    }
}

impl<V: Value> Part<V> {
    /// Reveals the node with a hash, which lies at a depth of the path to a key.
    pub(super) fn reveal(
        &mut self,
        hash: &B256,
        key: &B256,
        depth: usize,
        cx: Reading<'_>,
    ) -> Result<NodeId, TrieError> {
        let place = Place { key, depth, hash };
        let rlp = cx.fetch(place)?.ok_or_else(|| cx.missing(place))?;
        self.decode(&rlp, place, cx)
    }

    /// Reveals the branch behind an extension, and merges the two.
    pub(super) fn reveal_extension(
        &mut self,
        extension: NodeId,
        key: &B256,
        depth: usize,
        cx: Reading<'_>,
    ) -> Result<NodeId, TrieError> {
        let (path, hash) = {
            let extension = self.arena.extension(extension);
            (extension.path, extension.child)
        };
        let branch = self.reveal(&hash, key, depth + path.len(), cx)?;
        if !matches!(branch.kind(), Kind::Branch(_)) || !self.arena.path(branch).is_empty() {
            let place = Place { key, depth: depth + path.len(), hash: &hash };
            return Err(cx.corrupt(place, "not a branch, although it follows an extension", &[]));
        }
        self.arena.remove(extension);
        self.arena.set_path(branch, path);
        Ok(branch)
    }

    pub(super) fn decode(
        &mut self,
        rlp: &[u8],
        place: Place<'_>,
        cx: Reading<'_>,
    ) -> Result<NodeId, TrieError> {
        if let (true, Some(branch)) = (place.depth < KEY_NIBBLES, HashedBranch::decode(rlp)) {
            return Ok(self.arena.add_hidden_children(&branch));
        }
        let corrupt = |reason: &str| cx.corrupt(place, reason, rlp);
        match RawNode::decode(rlp).map_err(|error| cx.corrupt(place, error, rlp))? {
            RawNode::Leaf(path, value) => {
                if place.depth + path.len() != KEY_NIBBLES {
                    return Err(corrupt("the leaf's path does not end where keys end"));
                }
                let value = V::decode(value).map_err(|error| {
                    cx.corrupt(place, format!("no valid {}: {error}", V::KIND), rlp)
                })?;
                Ok(self.arena.add_leaf(joined(place.key, place.depth, &path), value))
            }
            RawNode::Extension(path, _) if place.depth + path.len() >= KEY_NIBBLES => {
                Err(corrupt("an extension to the end of keys"))
            }
            RawNode::Extension(path, RawChild::Hash(hash)) => {
                Ok(self.arena.add_extension(path, hash))
            }
            RawNode::Extension(path, child) => self.decode_prefixed(path, child, place, cx),
            RawNode::Branch(_) if place.depth >= KEY_NIBBLES => {
                Err(corrupt("a branch below the end of all keys"))
            }
            RawNode::Branch(children) => self.decode_branch(rlp, &children, place, cx),
        }
    }

    /// An extension that holds its branch.
    fn decode_prefixed(
        &mut self,
        path: Nibbles,
        child: RawChild<'_>,
        place: Place<'_>,
        cx: Reading<'_>,
    ) -> Result<NodeId, TrieError> {
        let RawChild::Inline(rlp) = child else {
            return Err(cx.corrupt(place, "an extension to nothing", &[]));
        };
        let key = joined(place.key, place.depth, &path);
        let below = Place { key: &key, depth: place.depth + path.len(), hash: place.hash };
        let branch = self.decode(rlp, below, cx)?;
        if !matches!(branch.kind(), Kind::Branch(_)) || !self.arena.path(branch).is_empty() {
            return Err(cx.corrupt(below, "not a branch, although it follows an extension", rlp));
        }
        self.arena.set_path(branch, path);
        Ok(branch)
    }

    fn decode_branch(
        &mut self,
        rlp: &[u8],
        children: &[RawChild<'_>; 16],
        place: Place<'_>,
        cx: Reading<'_>,
    ) -> Result<NodeId, TrieError> {
        let count = children.iter().filter(|child| **child != RawChild::Empty).count();
        if count < 2 {
            return Err(cx.corrupt(place, "a branch of fewer than two children", rlp));
        }
        let mut branch = self.arena.add_branch(Nibbles::new(), count);
        for (nibble, child) in (0..16_u8).zip(children) {
            let (node, reference) = match child {
                RawChild::Empty => continue,
                RawChild::Hash(hash) => (NodeId::HIDDEN, Reference::hash(*hash)),
                RawChild::Inline(rlp) => {
                    let path = Nibbles::from_nibbles([nibble]);
                    let key = joined(place.key, place.depth, &path);
                    let below = Place { key: &key, depth: place.depth + 1, ..place };
                    (self.decode(rlp, below, cx)?, Reference::inline(rlp))
                }
            };
            branch = self.arena.put(branch, nibble, node, false);
            self.arena.set_reference(branch, nibble, reference);
        }
        Ok(branch)
    }
}
