//! Everything that looks random in a workload, derived from its seed.

use alloy_primitives::{Address, B256, keccak256};

/// Where keys, addresses and numbers come from: Keccak-256 of the seed, a tag and an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(pub(super) u64);

impl Seed {
    /// A hash that depends on the seed, the tag and the index alone.
    pub(super) fn hash(self, tag: &str, index: u64) -> B256 {
        let numbers = [self.0.to_be_bytes(), index.to_be_bytes()].concat();
        keccak256([&numbers, tag.as_bytes()].concat())
    }

    /// An address whose key nobody knows.
    pub(super) fn address(self, tag: &str, index: u64) -> Address {
        Address::from_word(self.hash(tag, index))
    }

    /// A sequence of numbers of its own.
    pub(super) fn numbers(self, tag: &str) -> Numbers {
        Numbers::new(self.hash(tag, 0))
    }
}

/// A sequence of numbers: SplitMix64 (Steele, Lea and Flood, 2014). Good enough to spread
/// amounts; nothing depends on it being hard to guess.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// A sequence that begins with a hash's last eight bytes.
    pub(super) fn new(hash: B256) -> Self {
        let (_, last) = hash.as_slice().split_at(24);
        Self(u64::from_be_bytes(last.try_into().expect("a hash has 32 bytes")))
    }

    /// The sequence of this seed.
    pub(crate) const fn of_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to one below `bound`, which is not zero.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// A number of `range`, its end excluded.
    pub(super) const fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// True once in `n` times.
    pub(super) const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Puts a list into another order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}
