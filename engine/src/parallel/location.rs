//! How a location is turned into a number, and who writes to it.

use std::hash::{BuildHasher, Hasher};

use alloy_primitives::{Address, U256};
use pleach_scheduler::TxIdx;

use crate::sync::RandomState;

/// The hash of an account's address, under a seed drawn at random per block.
///
/// Hashes only ever steer: to a list. Whether two locations are the
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

/// Who wrote a value: a change before the first transaction, a transaction, or a change after the
/// last one. Their order is that of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Writer(u32);

/// Changes before the first transaction that are told apart; further ones count as the last.
const PRE_BLOCK: u32 = 16;

impl Writer {
    /// Sees everything.
    pub(crate) const LAST: Self = Self(u32::MAX);

    /// The `call`-th change that a chain makes before its first transaction.
    pub(crate) fn before_transactions(call: usize) -> Self {
        Self(u32::try_from(call).unwrap_or(u32::MAX).min(PRE_BLOCK - 1))
    }

    pub(crate) fn transaction(index: TxIdx) -> Self {
        let index = u32::try_from(index).ok().and_then(|index| index.checked_add(PRE_BLOCK));
        Self(index.expect("a block has fewer than 2^31 transactions"))
    }

    /// The `call`-th change that a chain makes after its last transaction.
    pub(crate) fn after_transactions(transactions: usize, call: usize) -> Self {
        Self::transaction(transactions + call)
    }

    /// The transaction's index, if a transaction it is.
    pub(crate) const fn index(self) -> Option<TxIdx> {
        match self.0.checked_sub(PRE_BLOCK) {
            None => None,
            Some(index) => Some(index as TxIdx),
        }
    }

    /// Its place in lists that are ordered by writer.
    pub(crate) const fn rank(self) -> u32 {
        self.0
    }

    pub(crate) const fn of_rank(rank: u32) -> Self {
        Self(rank)
    }
}
