//! What one incarnation read, and of what it made use.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, U256};

use super::{
    location::{AccountHash, SlotHash},
    mv_memory::After,
    parts::WrittenParts,
};
use crate::sync::RandomState;

/// An account as an incarnation read it.
#[derive(Debug)]
pub(super) struct AccountRead {
    pub(super) address: Address,
    pub(super) hash: AccountHash,
    pub(super) exists: bool,
    pub(super) balance: U256,
    pub(super) nonce: u64,
    /// The nonce that was found. The sender's is not taken from there: it is the one that the
    /// transaction must find to be valid.
    pub(super) found_nonce: u64,
    pub(super) code_hash: B256,
    /// Which of its parts lower transactions wrote.
    pub(super) written: WrittenParts,
    /// Whether the incarnation learnt the balance itself (`BALANCE`, `SELFBALANCE`, self-destruct,
    /// a transfer that failed for want of funds) rather than only adding to it or drawing on it.
    pub(super) balance_observed: bool,
    /// The least that was left after a withdrawal, over all withdrawals: a balance that is lower
    /// by no more than this would have served as well. `U256::MAX` if nothing was withdrawn.
    pub(super) slack: U256,
    /// The committed balance, once known, where it differs from the one read.
    pub(super) correction: Option<U256>,
    /// What the incarnation left, if it changed the balance or the nonce.
    pub(super) after: After,
}

/// A slot as an incarnation read it.
#[derive(Debug)]
pub(super) struct SlotRead {
    pub(super) address: Address,
    pub(super) account_hash: AccountHash,
    pub(super) hash: SlotHash,
    pub(super) slot: U256,
    pub(super) value: U256,
    /// Whether a lower transaction wrote it.
    pub(super) from_memory: bool,
}

/// Everything that an incarnation read from outside itself.
#[derive(Debug, Default)]
pub(super) struct ReadSet {
    pub(super) accounts: Vec<AccountRead>,
    pub(super) slots: Vec<SlotRead>,
    /// Set where the EVM may have learnt balances in ways that are not tracked one by one.
    pub(super) all_balances_observed: bool,
    /// Where in `accounts` an account is, for the first `placed` of them.
    places: HashMap<Address, usize, RandomState>,
    placed: usize,
}

/// Balances from here on are compared exactly, and make every balance of the transaction exact: no
/// sum in a tracked transfer can overflow with one starting balance and not with another, and
/// where a transfer does overflow, the EVM has drawn on the payer before it notices.
pub(super) const EXACT_FROM: U256 = U256::from_limbs([0, 0, 0, 1 << 62]);
/// Amounts from here on make every balance of the transaction exact, for the same reason: of
/// smaller ones, no transaction can make enough payments to lift a balance from below
/// [`EXACT_FROM`] over 2^256. There never are so many wei.
pub(super) const HUGE_AMOUNT: U256 = U256::from_limbs([0, 0, 1, 0]);

/// Up to here, a list is searched faster than a table.
const SEARCHED_BY_LIST: usize = 16;

impl ReadSet {
    /// Empties the read set and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.accounts.clear();
        self.slots.clear();
        self.places.clear();
        self.placed = 0;
        self.all_balances_observed = false;
    }

    /// The read of an account. A transaction may read thousands and ask for one of them as often
    /// as it has gas: then a table answers.
    pub(super) fn account_mut(&mut self, address: &Address) -> Option<&mut AccountRead> {
        if self.accounts.len() <= SEARCHED_BY_LIST {
            return self.accounts.iter_mut().rev().find(|read| read.address == *address);
        }
        for (at, read) in self.accounts.iter().enumerate().skip(self.placed) {
            self.places.insert(read.address, at);
        }
        self.placed = self.accounts.len();
        let at = *self.places.get(address)?;
        Some(&mut self.accounts[at])
    }
}

impl AccountRead {
    /// Whether the incarnation would have run the same, balances apart, had it read this balance.
    pub(super) fn balance_suffices(&self, all_observed: bool, balance: U256) -> bool {
        if balance == self.balance {
            return true;
        }
        let exact = all_observed || self.balance_observed;
        let small = balance < EXACT_FROM && self.balance < EXACT_FROM;
        // Whether an account is empty (EIP-161) shows in gas and code hashes: zero stays zero.
        let same_class = balance.is_zero() == self.balance.is_zero();
        let enough =
            balance >= self.balance || self.slack.checked_sub(self.balance - balance).is_some();
        !exact && small && same_class && enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::location::LocationHasher;

    fn read(address: Address) -> AccountRead {
        AccountRead {
            address,
            hash: LocationHasher::default().account(&address),
            exists: true,
            balance: U256::ZERO,
            nonce: 0,
            found_nonce: 0,
            code_hash: B256::ZERO,
            written: WrittenParts::default(),
            balance_observed: false,
            slack: U256::MAX,
            correction: None,
            after: After::default(),
        }
    }

    #[test]
    fn every_account_is_found_however_many_there_are() {
        let mut reads = ReadSet::default();
        for number in 0..100 {
            let address = Address::with_last_byte(number);
            assert!(reads.account_mut(&address).is_none());
            reads.accounts.push(read(address));
            let oldest = reads.account_mut(&Address::ZERO).map(|read| read.address);
            assert_eq!(oldest, Some(Address::ZERO));
            let newest = reads.account_mut(&address).map(|read| read.address);
            assert_eq!(newest, Some(address));
        }
    }
}
