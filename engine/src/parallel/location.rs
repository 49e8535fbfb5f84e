//! How a location is turned into a number, and the filter that answers "never written" at once.

use std::{
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicU32, Ordering},
};

use alloy_primitives::{Address, U256};
use foldhash::fast::RandomState;
use pleach_scheduler::TxIdx;

/// The hash of an account's address, under a seed drawn at random per block.
///
/// Hashes only ever steer: to a shard, a bucket, a filter entry. Whether two locations are the
/// same is decided by comparing addresses and slots in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AccountHash(pub(super) u64);

/// The hash of a storage slot of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotHash(pub(super) u64);

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
    /// Where the filter keeps "this account's storage was wiped".
    const fn of_reset(self) -> u64 {
        self.0.rotate_left(23) ^ 0x5bd1_e995
    }
}

/// Who wrote a value: the changes before the first transaction, or a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Writer(u32);

impl Writer {
    /// System calls and whatever else a chain does before its first transaction.
    pub(crate) const PRE_BLOCK: Self = Self(0);

    pub(crate) fn transaction(index: TxIdx) -> Self {
        Self(u32::try_from(index + 1).expect("a block has fewer than 2^32 transactions"))
    }

    /// The transaction's index, if a transaction it is.
    pub(crate) const fn index(self) -> Option<TxIdx> {
        match self.0 {
            0 => None,
            n => Some(n as TxIdx - 1),
        }
    }
}

/// Per bucket of locations, the lowest writer so far.
///
/// A reader whose bucket has no lower writer is certain that no lower transaction has written the
/// location, committed or speculative, itself and higher ones aside. That is true of most reads
/// of a block and makes both reading and validating them cheap. A writer enters itself before its
/// write becomes visible (release, paired with the acquire of `written_before`), and entries only
/// ever fall.
#[derive(Debug)]
pub(super) struct WriteFilter {
    /// Writers counted down from the top, so that zeroed memory means "nobody".
    lowest: Box<[AtomicU32]>,
}

/// Entries for each transaction of the block: several times what one writes.
const ENTRIES_PER_TX: usize = 32;

impl WriteFilter {
    pub(super) fn new(transactions: usize) -> Self {
        let entries = (transactions * ENTRIES_PER_TX).next_power_of_two().clamp(1 << 10, 1 << 16);
        Self { lowest: (0..entries).map(|_| AtomicU32::new(0)).collect() }
    }

    pub(super) fn mark_info(&self, account: AccountHash, writer: Writer) {
        self.mark(account.0, writer);
    }

    pub(super) fn mark_reset(&self, account: AccountHash, writer: Writer) {
        self.mark(account.of_reset(), writer);
    }

    pub(super) fn mark_slot(&self, slot: SlotHash, writer: Writer) {
        self.mark(slot.0, writer);
    }

    /// Whether a writer before `reader` may have changed the account, its storage apart.
    pub(super) fn info_written(&self, account: AccountHash, reader: Writer) -> bool {
        self.written_before(account.0, reader)
    }

    /// Whether a writer before `reader` may have changed the slot, be it by wiping the storage.
    pub(super) fn slot_written(
        &self,
        account: AccountHash,
        slot: SlotHash,
        reader: Writer,
    ) -> bool {
        self.written_before(slot.0, reader) || self.storage_reset(account, reader)
    }

    /// Whether a writer before `reader` may have wiped the account's storage.
    pub(super) fn storage_reset(&self, account: AccountHash, reader: Writer) -> bool {
        self.written_before(account.of_reset(), reader)
    }

    fn mark(&self, hash: u64, writer: Writer) {
        let entry = self.entry(hash);
        let rank = u32::MAX - writer.0;
        // Hot locations are written by many transactions: look before dirtying the cache line.
        if entry.load(Ordering::Acquire) < rank {
            entry.fetch_max(rank, Ordering::AcqRel);
        }
    }

    fn written_before(&self, hash: u64, reader: Writer) -> bool {
        self.entry(hash).load(Ordering::Acquire) > u32::MAX - reader.0
    }

    fn entry(&self, hash: u64) -> &AtomicU32 {
        // High bits: the low ones choose the bucket within a hash table.
        &self.lowest[(hash >> 32) as usize & (self.lowest.len() - 1)]
    }
}
