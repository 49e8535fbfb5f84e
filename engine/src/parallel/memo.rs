//! What a thread has hashed before.
//!
//! Most of what a block hashes are old acquaintances: the entry of one account in a token's
//! mapping, looked up to be read and again to be written; a few events, tokens and pools in the
//! logs. A hash never changes, so it need not be worked out twice. Tables are small enough to stay
//! in a core's cache, and each thread has its own, so that nobody waits. They hold facts, and no
//! state.

use std::cell::RefCell;

use alloy_primitives::{B256, keccak256};

/// Results of a function of `N` bytes. Each key has one place; who comes to a place that is taken
/// takes it over.
#[derive(Debug)]
pub(super) struct Memo<const N: usize, V>(Box<[Place<N, V>]>);

/// A key and the function's value for it.
type Place<const N: usize, V> = Option<([u8; N], V)>;

impl<const N: usize, V: Copy> Memo<N, V> {
    /// A memo with room for so many keys, a power of two.
    pub(super) fn new(places: usize) -> Self {
        assert!(places.is_power_of_two(), "a place is a hash's low bits");
        Self(vec![None; places].into())
    }

    /// The function's value, from memory if the key was met not long ago.
    pub(super) fn get(&mut self, key: &[u8; N], function: impl FnOnce(&[u8; N]) -> V) -> V {
        let places = self.0.len();
        let entry = &mut self.0[place(key) & (places - 1)];
        match entry {
            Some((known, value)) if known == key => *value,
            _ => entry.insert((*key, function(key))).1,
        }
    }
}

/// Where a key belongs. Who makes keys meet on purpose makes them be hashed, and no more.
fn place(key: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = key.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let mixed = words.fold(0, |sum: u64, word| (sum ^ word).wrapping_mul(MIX).rotate_left(29));
    (mixed.wrapping_mul(MIX) >> 40) as usize
}

/// Entries of mappings that a thread remembers.
const MAPPING_ENTRIES: usize = 1 << 10;

thread_local! {
    static HASHES: RefCell<Memo<64, B256>> = RefCell::new(Memo::new(MAPPING_ENTRIES));
}

/// Keccak-256 of 64 bytes: of a key and a mapping's slot, which is how Solidity and Vyper place a
/// mapping's entries.
pub(super) fn keccak256_of_64(input: &[u8; 64]) -> B256 {
    HASHES.with_borrow_mut(|hashes| hashes.get(input, |input| keccak256(input)))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    /// More keys than there is room for, each met again, some next to one another.
    #[test]
    fn what_is_remembered_is_what_was_computed() {
        for round in 0..3_u64 {
            for number in 0..3 * MAPPING_ENTRIES as u64 {
                let mut input = [0; 64];
                input[..32].copy_from_slice(&U256::from(number).to_be_bytes::<32>());
                input[32..].copy_from_slice(&U256::from(round * number % 7).to_be_bytes::<32>());
                for _ in 0..2 {
                    assert_eq!(keccak256_of_64(&input), keccak256(input), "{round}, {number}");
                }
            }
        }
    }

    #[test]
    fn every_byte_of_a_key_counts() {
        let mut memo = Memo::<20, usize>::new(1);
        let value = |at: usize, memo: &mut Memo<20, usize>| {
            let mut key = [0; 20];
            key[at] = 1;
            memo.get(&key, |_| at)
        };
        for at in (0..20).chain((0..20).rev()) {
            assert_eq!(value(at, &mut memo), at);
        }
    }
}
