//! Trie nodes to RLP.

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::{
    arena::BranchRef,
    key::{KEY_NIBBLES, nibble},
    node::Reference,
    value::Value,
};

/// Appends a leaf whose path begins at a depth of its key.
pub(super) fn encode_leaf<V: Value>(key: &B256, depth: usize, value: &V, out: &mut Vec<u8>) {
    let mut buffer = [0; 128];
    let value = value.encode(&mut buffer);
    let path_bytes = (KEY_NIBBLES - depth) / 2 + 1;
    let path_length = path_bytes + usize::from(path_bytes > 1);
    list_header(path_length + string_length(value), out);
    if path_bytes > 1 {
        out.push(0x80 + path_bytes as u8);
    }
    if depth.is_multiple_of(2) {
        out.push(0x20);
    } else {
        out.push(0x30 | nibble(key, depth));
    }
    out.extend_from_slice(&key[depth.div_ceil(2)..]);
    string(value, out);
}

/// The longest RLP of a branch: a header of three bytes, sixteen hashes and an empty value.
const MAX_BRANCH: usize = 3 + 16 * 33 + 1;

/// Appends a branch, without the path that leads to it.
pub(super) fn encode_branch(branch: BranchRef<'_>, out: &mut Vec<u8>) {
    if branch.head.inline != 0 {
        return encode_mixed_branch(branch, out);
    }
    let count = branch.head.count();
    list_header(17 - count + 33 * count, out);
    // Empty places are there already; hashes are put between them.
    let mut items = [0x80; MAX_BRANCH];
    let mut end = 0;
    let (mut mask, mut next) = (branch.head.mask, 0);
    for hash in &branch.references[..count] {
        let nibble = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        end += nibble - next;
        next = nibble + 1;
        items[end] = 0xa0;
        items[end + 1..end + 33].copy_from_slice(hash.as_slice());
        end += 33;
    }
    out.extend_from_slice(&items[..end + 17 - next]);
}

/// A branch some of whose children are inlined, which is rare.
fn encode_mixed_branch(branch: BranchRef<'_>, out: &mut Vec<u8>) {
    let mut items = Vec::with_capacity(17 * 33);
    for nibble in 0..16 {
        if !branch.head.has(nibble) {
            items.push(0x80);
            continue;
        }
        let bytes = branch.references[branch.head.rank(nibble)];
        let inline = branch.head.inline & (1 << nibble) != 0;
        reference(&Reference::from_parts(bytes, inline), &mut items);
    }
    items.push(0x80);
    list_header(items.len(), out);
    out.extend_from_slice(&items);
}

/// Appends an extension.
pub(super) fn encode_extension(path: &Nibbles, child: &Reference, out: &mut Vec<u8>) {
    let odd = path.len() % 2;
    let mut packed = [0; 1 + KEY_NIBBLES / 2];
    let length = path.len() / 2 + 1;
    if odd == 1 {
        packed[0] = 0x10 | path.first().unwrap_or(0);
    }
    path.slice(odd..).pack_to(&mut packed[1..length]);
    let packed = &packed[..length];
    let child_length =
        if child.is_inline() { Reference::inline_rlp(child.bytes()).len() } else { 33 };
    list_header(string_length(packed) + child_length, out);
    string(packed, out);
    reference(child, out);
}

fn reference(reference: &Reference, out: &mut Vec<u8>) {
    if reference.is_inline() {
        out.extend_from_slice(Reference::inline_rlp(reference.bytes()));
    } else {
        hashed(reference.bytes(), out);
    }
}

fn hashed(hash: &B256, out: &mut Vec<u8>) {
    let mut item = [0xa0; 33];
    item[1..].copy_from_slice(hash.as_slice());
    out.extend_from_slice(&item);
}

/// The length of a string of at most 255 bytes as an item.
fn string_length(bytes: &[u8]) -> usize {
    match bytes {
        [byte] if *byte < 0x80 => 1,
        _ => bytes.len() + 1 + usize::from(bytes.len() > 55),
    }
}

pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes {
        [byte] if *byte < 0x80 => {}
        _ if bytes.len() <= 55 => out.push(0x80 + bytes.len() as u8),
        _ => out.extend_from_slice(&[0xb8, bytes.len() as u8]),
    }
    out.extend_from_slice(bytes);
}

/// The header of a list; no node is longer than 64 KiB.
pub(super) fn list_header(payload: usize, out: &mut Vec<u8>) {
    match payload {
        0..=55 => out.push(0xc0 + payload as u8),
        56..=255 => out.extend_from_slice(&[0xf8, payload as u8]),
        _ => out.extend_from_slice(&[0xf9, (payload >> 8) as u8, payload as u8]),
    }
}
