//! The states of the cases, and what changes in them.

use alloy_primitives::{B256, U256, keccak256};
use pleach_state::mpt::{AccountChange, AccountFields, StateChanges};

use crate::workload::Numbers;

/// In this share of changes, in percent, something is taken out, and in as many something new is
/// put in.
const TURNOVER_PERCENT: u64 = 4;

/// A state and how much of it changes at a time.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Accounts in the state.
    pub(super) accounts: usize,
    /// So many of them have storage.
    pub(super) contracts: usize,
    /// Slots of each of those.
    pub(super) slots: usize,
    /// Accounts without storage that change in a round.
    pub(super) changed_accounts: usize,
    /// Accounts with storage whose storage changes in a round.
    pub(super) changed_contracts: usize,
    /// Slots that change in each of those.
    pub(super) changed_slots: usize,
}

/// All cases.
pub(super) const CASES: [Case; 4] = [
    // A large state, and as much of it as a large block changes.
    Case {
        name: "accounts",
        accounts: 1_000_000,
        contracts: 0,
        slots: 0,
        changed_accounts: 3_000,
        changed_contracts: 0,
        changed_slots: 0,
    },
    // Everything changes, in many small tries.
    Case {
        name: "slots",
        accounts: 10_000,
        contracts: 10_000,
        slots: 100,
        changed_accounts: 0,
        changed_contracts: 10_000,
        changed_slots: 100,
    },
    // One token that everybody trades.
    Case {
        name: "token",
        accounts: 200_000,
        contracts: 1,
        slots: 500_000,
        changed_accounts: 1_500,
        changed_contracts: 1,
        changed_slots: 3_000,
    },
    // The proportions of a block of mainnet.
    Case {
        name: "block",
        accounts: 500_000,
        contracts: 2_000,
        slots: 200,
        changed_accounts: 400,
        changed_contracts: 100,
        changed_slots: 10,
    },
];

/// A case's keys, and the generator of its changes.
pub(super) struct World {
    case: &'static Case,
    random: Random,
    addresses: Vec<B256>,
    slots: Vec<B256>,
}

impl World {
    pub(super) fn new(case: &'static Case, seed: u64) -> Self {
        // Some keys are not in the state at first.
        let spare = |count: usize| count + count / 8;
        let keys = |count: usize, domain: u8| -> Vec<B256> {
            let key = |index: usize| keccak256([&[domain][..], &index.to_be_bytes()].concat());
            (0..count).map(key).collect()
        };
        Self {
            case,
            random: Random(Numbers::of_seed(seed)),
            addresses: keys(spare(case.accounts), 1),
            slots: keys(spare(case.slots), 2),
        }
    }

    /// The whole state, as a change of nothing. Accounts with storage come first.
    pub(super) fn all(&mut self) -> StateChanges {
        let accounts = (0..self.case.accounts).map(|index| {
            let slots = if index < self.case.contracts { self.case.slots } else { 0 };
            let slots = (0..slots).map(|slot| (self.slots[slot], self.random.value())).collect();
            self.random.account(self.addresses[index], slots)
        });
        StateChanges::new(accounts.collect())
    }

    /// The next round's changes.
    pub(super) fn change(&mut self) -> StateChanges {
        let Case { accounts, contracts, slots, .. } = *self.case;
        let plain = contracts..self.addresses.len();
        let changed = self.random.distinct(plain, accounts, self.case.changed_accounts);
        let mut changes = Vec::with_capacity(changed.len() + self.case.changed_contracts);
        for (index, is_removed) in changed {
            let mut change = self.random.account(self.addresses[index], Vec::new());
            change.account = change.account.filter(|_| !is_removed);
            changes.push(change);
        }
        let changed = self.random.distinct(0..contracts, contracts, self.case.changed_contracts);
        for (index, _) in changed {
            let written = self.random.distinct(0..self.slots.len(), slots, self.case.changed_slots);
            let written = written.into_iter().map(|(slot, is_removed)| {
                let value = if is_removed { U256::ZERO } else { self.random.value() };
                (self.slots[slot], value)
            });
            let written = written.collect();
            changes.push(self.random.account(self.addresses[index], written));
        }
        StateChanges::new(changes)
    }
}

/// What is random about accounts and their changes.
struct Random(Numbers);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A slot's value: an amount of a token as often as a whole word.
    fn value(&mut self) -> U256 {
        let word = U256::from(self.next() | 1);
        if self.next().is_multiple_of(2) { word } else { word << 180 }
    }

    fn account(&mut self, hashed_address: B256, slots: Vec<(B256, U256)>) -> AccountChange {
        let fields = AccountFields {
            nonce: self.next() % 1_000,
            balance: U256::from(self.next()),
            code_hash: alloy_trie::KECCAK_EMPTY,
        };
        AccountChange { hashed_address, account: Some(fields), wiped: false, slots }
    }

    /// So many different places of a range, most of them among the first `known` of all, each with
    /// whether what is there is taken out.
    fn distinct(
        &mut self,
        range: std::ops::Range<usize>,
        known: usize,
        count: usize,
    ) -> Vec<(usize, bool)> {
        let mut places = std::collections::BTreeMap::new();
        while places.len() < count {
            let dice = self.next() % 100;
            let end = if dice < TURNOVER_PERCENT { range.end } else { known.min(range.end) };
            let place = range.start + (self.next() % (end - range.start) as u64) as usize;
            places.insert(place, dice >= 100 - TURNOVER_PERCENT);
        }
        places.into_iter().collect()
    }
}
