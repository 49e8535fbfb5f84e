//! Trie nodes as RLP, read without copying.

use alloy_primitives::B256;
use alloy_rlp::{Error, Header};
use alloy_trie::Nibbles;

use super::key::KEY_NIBBLES;

/// A node as its RLP shows it. Yellow paper, appendix D.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for the length of one match")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawNode<'a> {
    /// The rest of a key and the value there.
    Leaf(Nibbles, &'a [u8]),
    /// A path that all keys below share.
    Extension(Nibbles, RawChild<'a>),
    /// A child for each nibble.
    Branch([RawChild<'a>; 16]),
}

/// What a node's RLP holds of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawChild<'a> {
    /// There is none.
    Empty,
    /// The Keccak-256 hash of the child's RLP.
    Hash(B256),
    /// The child's RLP, which is shorter than a hash.
    Inline(&'a [u8]),
}

impl<'a> RawNode<'a> {
    /// Decodes a node from all of the bytes.
    ///
    /// # Errors
    /// What is not as the yellow paper says. A branch with a value is refused too: keys of the
    /// state's tries have one length, so that none ends in a branch.
    pub(crate) fn decode(rlp: &'a [u8]) -> Result<Self, Error> {
        let mut rest = rlp;
        let mut items = Header::decode_bytes(&mut rest, true)?;
        if !rest.is_empty() {
            return Err(Error::Custom("bytes behind the node"));
        }
        let first = item(&mut items)?;
        let second = item(&mut items)?;
        if items.is_empty() {
            return Self::short(first, second);
        }
        let mut children = [RawChild::Empty; 16];
        children[0] = first.child()?;
        children[1] = second.child()?;
        for child in &mut children[2..] {
            *child = item(&mut items)?.child()?;
        }
        match (item(&mut items)?, items.is_empty()) {
            (Item::String(&[]), true) => Ok(Self::Branch(children)),
            (_, true) => Err(Error::Custom("a branch with a value")),
            (_, false) => Err(Error::Custom("a node of more than 17 items")),
        }
    }

    fn short(path: Item<'a>, value: Item<'a>) -> Result<Self, Error> {
        let Item::String(path) = path else {
            return Err(Error::Custom("a path that is a list"));
        };
        let (nibbles, is_leaf) = unpack_path(path)?;
        if is_leaf {
            let Item::String(value) = value else {
                return Err(Error::Custom("a leaf's value that is a list"));
            };
            return Ok(Self::Leaf(nibbles, value));
        }
        match value.child()? {
            RawChild::Empty => Err(Error::Custom("an extension to nothing")),
            _ if nibbles.is_empty() => Err(Error::Custom("an extension without a path")),
            child => Ok(Self::Extension(nibbles, child)),
        }
    }
}

/// The children of a branch, if all have hashes, as nearly all branches' do.
#[derive(Debug)]
pub(super) struct HashedBranch {
    /// A bit for each child that there is.
    pub(super) mask: u16,
    /// Their hashes, in the order of their nibbles.
    pub(super) hashes: [B256; 16],
}

impl HashedBranch {
    /// Reads a branch of at least two children, all of them hashes. None if the bytes are anything
    /// else, right or wrong, which is for [`RawNode::decode`] to tell.
    pub(super) fn decode(rlp: &[u8]) -> Option<Self> {
        let mut rest = match rlp {
            [0xf8, length, items @ ..] if *length > 55 && usize::from(*length) == items.len() => {
                items
            }
            [0xf9, high, low, items @ ..]
                if *high > 0 && usize::from(u16::from_be_bytes([*high, *low])) == items.len() =>
            {
                items
            }
            _ => return None,
        };
        let mut branch = Self { mask: 0, hashes: [B256::ZERO; 16] };
        let mut count = 0;
        for nibble in 0..16 {
            match rest {
                [0x80, others @ ..] => rest = others,
                [0xa0, others @ ..] => {
                    let (hash, others) = others.split_first_chunk::<32>()?;
                    branch.hashes[count] = B256::new(*hash);
                    branch.mask |= 1 << nibble;
                    count += 1;
                    rest = others;
                }
                _ => return None,
            }
        }
        (count >= 2 && rest == [0x80]).then_some(branch)
    }
}

/// One item of a node: a string's payload, or a list with its header.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    String(&'a [u8]),
    List(&'a [u8]),
}

impl<'a> Item<'a> {
    fn child(self) -> Result<RawChild<'a>, Error> {
        match self {
            Item::String(&[]) => Ok(RawChild::Empty),
            Item::String(hash) if hash.len() == 32 => Ok(RawChild::Hash(B256::from_slice(hash))),
            Item::String(_) => Err(Error::Custom("a child that is neither a hash nor a node")),
            Item::List(rlp) if rlp.len() < 32 => Ok(RawChild::Inline(rlp)),
            Item::List(_) => Err(Error::Custom("a child of 32 bytes or more that is not hashed")),
        }
    }
}

fn item<'a>(items: &mut &'a [u8]) -> Result<Item<'a>, Error> {
    let whole = *items;
    let header = Header::decode(items)?;
    let Some((payload, rest)) = items.split_at_checked(header.payload_length) else {
        return Err(Error::InputTooShort);
    };
    let length = whole.len() - rest.len();
    *items = rest;
    Ok(if header.list { Item::List(&whole[..length]) } else { Item::String(payload) })
}

/// A path and whether it ends in a leaf. Yellow paper, appendix C.
fn unpack_path(packed: &[u8]) -> Result<(Nibbles, bool), Error> {
    let Some((&first, rest)) = packed.split_first() else {
        return Err(Error::Custom("a path without its flag"));
    };
    if first >= 0x40 || (first & 0x10 == 0 && first & 0x0f != 0) {
        return Err(Error::Custom("a path's flag that does not exist"));
    }
    if rest.len() > KEY_NIBBLES / 2 {
        return Err(Error::Custom("a path longer than a key"));
    }
    let mut path = Nibbles::new();
    if first & 0x10 != 0 {
        if rest.len() == KEY_NIBBLES / 2 {
            return Err(Error::Custom("a path longer than a key"));
        }
        path.push(first & 0x0f);
    }
    path.extend(&Nibbles::unpack(rest));
    Ok((path, first & 0x20 != 0))
}
