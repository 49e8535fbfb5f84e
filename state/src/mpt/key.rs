//! Paths through a trie: nibbles of 32-byte keys, high nibble first.

use alloy_primitives::B256;
use alloy_trie::Nibbles;

/// Nibbles in a key, and so the depth at which every leaf's path ends.
pub(super) const KEY_NIBBLES: usize = 64;

/// The nibble of a key at a depth, which is below [`KEY_NIBBLES`].
#[inline]
pub(super) fn nibble(key: &B256, depth: usize) -> u8 {
    let byte = key[depth / 2];
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
}

/// How many leading nibbles two keys share.
pub(super) fn shared(a: &B256, b: &B256) -> usize {
    match a.iter().zip(b.iter()).position(|(a, b)| a != b) {
        Some(at) => 2 * at + usize::from((a[at] ^ b[at]) < 0x10),
        None => KEY_NIBBLES,
    }
}

/// How many leading nibbles of `path` a key has from `depth` on.
pub(super) fn shared_with_path(path: &Nibbles, key: &B256, depth: usize) -> usize {
    (0..path.len()).take_while(|&at| path.get(at) == Some(nibble(key, depth + at))).count()
}

/// The nibbles of a key from one depth up to, and without, another.
pub(super) fn path_between(key: &B256, from: usize, to: usize) -> Nibbles {
    Nibbles::unpack(key).slice(from..to)
}

/// A key that begins with the first `depth` nibbles of another and goes on with a path; zero
/// behind that.
///
/// The caller has checked that the path ends within a key.
pub(super) fn joined(key: &B256, depth: usize, path: &Nibbles) -> B256 {
    let mut joined = Nibbles::unpack(key).slice(..depth);
    joined.extend(path);
    let mut bytes = B256::ZERO;
    joined.pack_to(&mut bytes[..joined.len().div_ceil(2)]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_come_high_before_low() {
        let key = B256::left_padding_from(&[0xab, 0xcd]);
        let tail: Vec<_> = (60..KEY_NIBBLES).map(|depth| nibble(&key, depth)).collect();
        assert_eq!(tail, [0xa, 0xb, 0xc, 0xd]);
    }

    #[test]
    fn shared_counts_nibbles_not_bytes() {
        let key = B256::repeat_byte(0x11);
        let differing = |at: usize, bits: u8| {
            let mut other = key;
            other[at] ^= bits;
            shared(&key, &other)
        };
        assert_eq!(shared(&key, &key), KEY_NIBBLES);
        assert_eq!([differing(0, 0x10), differing(0, 0x01), differing(31, 0x08)], [0, 1, 63]);
        let path = Nibbles::from_nibbles([1, 1, 2]);
        assert_eq!(shared_with_path(&path, &key, 5), 2);
    }

    #[test]
    fn a_key_is_joined_from_its_beginning_and_a_path() {
        let key = B256::repeat_byte(0xab);
        let path = Nibbles::from_nibbles([1, 2, 3]);
        let joined = joined(&key, 3, &path);
        assert_eq!(joined[..4], [0xab, 0xa1, 0x23, 0]);
        assert_eq!(path_between(&joined, 3, 6), path);
    }
}
