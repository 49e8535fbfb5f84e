//! How a location is turned into a number, and the filter that answers "never written" at once.

use std::{
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{Address, U256};
use foldhash::fast::RandomState;

/// The hash of an account's address, under a seed drawn at random per block.
///
/// Hashes only ever steer: to a shard, to a filter bit. Whether two locations are the same is
/// decided by comparing addresses and slots in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccountHash(u64);

/// The hash of a storage slot of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotHash(u64);

/// Hashes locations with a seed that nobody outside can know.
#[derive(Debug, Default)]
pub(super) struct LocationHasher(RandomState);

impl LocationHasher {
    pub(super) fn account(&self, address: &Address) -> AccountHash {
        let mut hasher = self.0.build_hasher();
        hasher.write(address.as_slice());
        AccountHash(hasher.finish())
    }

    pub(super) fn slot(&self, account: AccountHash, slot: &U256) -> SlotHash {
        let mut hasher = self.0.build_hasher();
        let [a, b, c, d] = *slot.as_limbs();
        hasher.write_u128(u128::from(a) | u128::from(b) << 64);
        hasher.write_u128(u128::from(c) | u128::from(d) << 64);
        hasher.write_u64(account.0);
        SlotHash(hasher.finish())
    }
}

impl AccountHash {
    pub(super) const fn shard(self, shards: usize) -> usize {
        (self.0 >> 48) as usize % shards
    }

    const fn info_bit(self) -> u64 {
        self.0
    }

    /// Another bit of the same account: "its storage was wiped".
    const fn reset_bit(self) -> u64 {
        self.0.rotate_left(23) ^ 0x5bd1_e995
    }
}

const FILTER_WORDS: usize = 1 << 10;

/// One bit per bucket of locations: unset means that no transaction of this block, committed or
/// speculative, has written any location of the bucket.
///
/// A set bit says nothing; an unset bit is what makes reads and validation cheap, since most
/// locations that a block reads are never written in it. Bits are set before the write they
/// announce becomes visible (release, paired with the acquire in `test`), and never cleared.
#[derive(Debug)]
pub(super) struct WriteFilter(Box<[AtomicU64; FILTER_WORDS]>);

impl WriteFilter {
    pub(super) fn new() -> Self {
        Self(Box::new([const { AtomicU64::new(0) }; FILTER_WORDS]))
    }

    pub(super) fn mark_info(&self, account: AccountHash) {
        self.set(account.info_bit());
    }

    pub(super) fn mark_reset(&self, account: AccountHash) {
        self.set(account.reset_bit());
    }

    pub(super) fn mark_slot(&self, slot: SlotHash) {
        self.set(slot.0);
    }

    pub(super) fn info_written(&self, account: AccountHash) -> bool {
        self.test(account.info_bit())
    }

    /// Whether the slot may have been written, by itself or by a wipe of the account's storage.
    pub(super) fn slot_written(&self, account: AccountHash, slot: SlotHash) -> bool {
        self.test(slot.0) || self.test(account.reset_bit())
    }

    fn set(&self, hash: u64) {
        let (word, bit) = Self::place(hash);
        // Hot locations are written by many transactions: look before dirtying the cache line.
        if self.0[word].load(Ordering::Acquire) & bit == 0 {
            self.0[word].fetch_or(bit, Ordering::AcqRel);
        }
    }

    fn test(&self, hash: u64) -> bool {
        let (word, bit) = Self::place(hash);
        self.0[word].load(Ordering::Acquire) & bit != 0
    }

    const fn place(hash: u64) -> (usize, u64) {
        ((hash >> 6) as usize % FILTER_WORDS, 1 << (hash & 63))
    }
}
