//! A large state and blocks that change it, all from a seed.

use std::error::Error;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256, keccak256};
use pleach_state::{
    FlatAccount, FlatState,
    mpt::{StateTrie, TrieWorkers},
    store::{BlockCommit, Snapshot, Store, StoreError},
};
use revm::{
    DatabaseRef,
    database::{AccountStatus, BundleAccount, BundleState, states::StorageSlot},
    state::AccountInfo,
};

use crate::workload::Numbers;

/// Accounts to a contract.
const ACCOUNTS_TO_A_CONTRACT: usize = 1_000;
/// Slots that a block changes of one contract.
const CHANGED_TOGETHER: usize = 10;
/// Slots of a contract.
const SLOTS: usize = 1_000;

/// Accounts 0, 1, … of which the first are contracts, and their slots 0, 1, …
#[derive(Debug)]
pub(super) struct World {
    addresses: Vec<Address>,
    contracts: usize,
    changed: usize,
    numbers: Numbers,
    /// The contracts' slots, one contract after another.
    slots: Vec<u64>,
    head: Header,
}

fn info(index: usize) -> AccountInfo {
    let balance = U256::from(index as u64 + 1) << 40;
    AccountInfo { nonce: index as u64 % 50, balance, code: None, ..AccountInfo::default() }
}

impl World {
    pub(super) fn new(accounts: usize, changed: usize, seed: u64) -> Self {
        let contracts = (accounts / ACCOUNTS_TO_A_CONTRACT).max(changed.div_ceil(CHANGED_TOGETHER));
        // Small states have fewer contracts than blocks change.
        let contracts = contracts.min(accounts);
        let mut numbers = Numbers::of_seed(seed);
        let slots = (0..contracts * SLOTS).map(|_| 1 + numbers.next() % 1_000_000).collect();
        let addresses =
            (0..accounts as u64).map(|index| Address::from_word(keccak256(index.to_be_bytes())));
        let addresses = addresses.collect();
        Self { addresses, contracts, changed, numbers, slots, head: Header::default() }
    }

    pub(super) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Puts the whole state into a store, as its first block.
    pub(super) fn init(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut state = FlatState::new();
        for index in 0..self.addresses.len() {
            let slots = self.slots.chunks(SLOTS).nth(index).unwrap_or_default();
            let slots = (0_u64..).zip(slots).map(|(slot, v)| (U256::from(slot), U256::from(*v)));
            let account = FlatAccount { info: info(index), storage: slots.collect() };
            state.insert_account(self.addresses[index], account);
        }
        let root = StateTrie::of_flat(&state, &TrieWorkers::default()).root();
        self.head = Header { state_root: root, ..Header::default() };
        store.init(&self.head, &state).map(drop)
    }

    /// What the next block changes.
    pub(super) fn change(&mut self) -> BundleState {
        let mut bundle = BundleState::default();
        let first = self.numbers.next() as usize % self.contracts;
        for nth in 0..self.changed.div_ceil(CHANGED_TOGETHER) {
            let contract = (first + nth) % self.contracts;
            let count = CHANGED_TOGETHER.min(self.changed - nth * CHANGED_TOGETHER);
            let start = self.numbers.next() as usize % SLOTS;
            let changed = (0..count).map(|offset| {
                let slot = (start + offset * 97) % SLOTS;
                let held = &mut self.slots[contract * SLOTS + slot];
                let before = U256::from(*held);
                *held += 1;
                (U256::from(slot), StorageSlot::new_changed(before, U256::from(*held)))
            });
            let info = Some(info(contract));
            let status = AccountStatus::Changed;
            let account = BundleAccount::new(info.clone(), info, changed.collect(), status);
            bundle.state.insert(self.addresses[contract], account);
        }
        bundle
    }

    /// The next block, with these changes.
    pub(super) fn block(&mut self, state_root: B256, bundle: BundleState) -> BlockCommit {
        self.head = Header {
            number: self.head.number + 1,
            parent_hash: self.head.hash_slow(),
            state_root,
            ..Header::default()
        };
        BlockCommit {
            hash: self.head.hash_slow(),
            header: self.head.clone(),
            total_difficulty: U256::from(self.head.number),
            body: Default::default(),
            receipts: Default::default(),
            bundle,
        }
    }

    pub(super) fn any_account(&self, numbers: &mut Numbers) -> Address {
        self.addresses[numbers.next() as usize % self.addresses.len()]
    }

    pub(super) fn any_slot(&self, numbers: &mut Numbers) -> (Address, U256) {
        let contract = numbers.next() as usize % self.contracts;
        (self.addresses[contract], U256::from(numbers.next() % SLOTS as u64))
    }

    /// Compares all slots, and some accounts, with what they should be.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Result<(), Box<dyn Error>> {
        for (index, expected) in self.slots.iter().enumerate() {
            let (contract, slot) = (index / SLOTS, U256::from(index % SLOTS));
            let value = snapshot.storage_ref(self.addresses[contract], slot)?;
            if value != U256::from(*expected) {
                return Err(format!("slot {slot} of contract {contract} is {value}").into());
            }
        }
        for index in (0..self.addresses.len()).step_by(97) {
            let found = snapshot.basic_ref(self.addresses[index])?;
            if found.as_ref() != Some(&info(index)) {
                return Err(format!("account {index} is {found:?}").into());
            }
        }
        Ok(())
    }
}
