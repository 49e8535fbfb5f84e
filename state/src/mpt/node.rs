//! What an arena holds: leaves, branches of four sizes, extensions, and ids for them.
//!
//! A branch keeps the references (hash, or RLP below 32 bytes) of its children beside their ids, so
//! that encoding it touches no child, and its own reference lies in its parent.

use alloy_primitives::B256;
use alloy_trie::Nibbles;

/// Bits of a [`NodeId`] that are the place in a slab.
const INDEX_BITS: u32 = 29;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

/// A node within its arena: three bits of kind and a place among the nodes of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// The kinds of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No node: the place is empty.
    Empty,
    /// A node of which only the hash is known.
    Hidden,
    /// The end of a key.
    Leaf,
    /// A path to a branch that is hidden. Once the branch is revealed the path becomes its prefix.
    Extension,
    /// A branch with room for so many children.
    Branch(Class),
}

/// How many children a branch has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Two.
    Two,
    /// Four.
    Four,
    /// Eight.
    Eight,
    /// All sixteen.
    Sixteen,
}

impl Class {
    /// The smallest class with room for so many children.
    pub(super) const fn holding(children: usize) -> Self {
        match children {
            0..=2 => Self::Two,
            3..=4 => Self::Four,
            5..=8 => Self::Eight,
            _ => Self::Sixteen,
        }
    }
}

impl NodeId {
    /// No node.
    pub(super) const EMPTY: Self = Self(0);
    /// A node of which only the hash is known.
    pub(super) const HIDDEN: Self = Self(1 << INDEX_BITS);

    pub(super) fn leaf(index: usize) -> Self {
        Self::new(2, index)
    }

    pub(super) fn extension(index: usize) -> Self {
        Self::new(3, index)
    }

    pub(super) fn branch(class: Class, index: usize) -> Self {
        Self::new(4 + class as u32, index)
    }

    fn new(kind: u32, index: usize) -> Self {
        assert!(index <= INDEX_MASK as usize, "an arena holds at most 2^29 nodes of a kind");
        Self((kind << INDEX_BITS) | index as u32)
    }

    /// The node's place in the slab of its kind.
    #[inline]
    pub(super) const fn index(self) -> usize {
        (self.0 & INDEX_MASK) as usize
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        match self.0 >> INDEX_BITS {
            0 => Kind::Empty,
            1 => Kind::Hidden,
            2 => Kind::Leaf,
            3 => Kind::Extension,
            4 => Kind::Branch(Class::Two),
            5 => Kind::Branch(Class::Four),
            6 => Kind::Branch(Class::Eight),
            _ => Kind::Branch(Class::Sixteen),
        }
    }
}

/// The end of a key, with the whole key: its path within the node follows from the depth.
#[derive(Debug, Clone)]
pub(super) struct Leaf<V> {
    pub(super) key: B256,
    pub(super) value: V,
}

/// A path to a hidden branch.
#[derive(Debug, Clone)]
pub(super) struct Extension {
    pub(super) path: Nibbles,
    pub(super) child: B256,
}

/// A branch without its children. Bits stand for nibbles.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head {
    /// Children that there are.
    pub(super) mask: u16,
    /// Children whose reference is out of date.
    pub(super) dirty: u16,
    /// Children whose reference is their RLP, which is shorter than a hash.
    pub(super) inline: u16,
    /// Children that differ from what was last taken to be stored.
    pub(super) unsaved: u16,
    /// One more than the place of the path that leads to this branch; 0 if it is empty.
    pub(super) prefix: u32,
}

impl Head {
    /// Where a child lies among those that there are, whether or not it is one of them.
    #[inline]
    pub(super) const fn rank(&self, nibble: u8) -> usize {
        (self.mask & ((1 << nibble) - 1)).count_ones() as usize
    }

    #[inline]
    pub(super) const fn has(&self, nibble: u8) -> bool {
        self.mask & (1 << nibble) != 0
    }

    pub(super) const fn count(&self) -> usize {
        self.mask.count_ones() as usize
    }
}

/// A branch with room for `N` children, which lie in the order of their nibbles.
#[derive(Debug, Clone)]
pub(super) struct Branch<const N: usize> {
    pub(super) head: Head,
    pub(super) children: [NodeId; N],
    pub(super) references: [B256; N],
}

impl<const N: usize> Branch<N> {
    pub(super) const fn new(head: Head) -> Self {
        Self { head, children: [NodeId::EMPTY; N], references: [B256::ZERO; N] }
    }
}

/// What a parent's RLP holds of a node: its hash, or its RLP if that is below 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    bytes: B256,
    inline: bool,
}

impl Reference {
    pub(super) const fn hash(hash: B256) -> Self {
        Self { bytes: hash, inline: false }
    }

    /// The RLP of a node that is shorter than a hash.
    pub(super) fn inline(rlp: &[u8]) -> Self {
        Self { bytes: B256::right_padding_from(rlp), inline: true }
    }

    pub(super) const fn from_parts(bytes: B256, inline: bool) -> Self {
        Self { bytes, inline }
    }

    pub(super) const fn bytes(&self) -> &B256 {
        &self.bytes
    }

    pub(super) const fn is_inline(&self) -> bool {
        self.inline
    }

    /// The RLP of an inline node, whose first byte tells its length as that of any short list.
    pub(super) fn inline_rlp(bytes: &B256) -> &[u8] {
        let length = usize::from(bytes[0].saturating_sub(0xc0)) + 1;
        &bytes[..length.min(bytes.len())]
    }
}
