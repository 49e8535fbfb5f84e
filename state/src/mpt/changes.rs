//! What a block changes, as the tries see it: by hashed addresses and hashed slots.

use alloy_primitives::{Address, B256, U256};
use revm::{
    database::{BundleAccount, BundleState},
    state::AccountInfo,
};

use super::workers::TrieWorkers;
use crate::FlatState;

/// Everything that a block, or several, changed: one entry an account, sorted by hashed address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateChanges {
    accounts: Vec<AccountChange>,
}

/// What became of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// Keccak-256 of the address.
    pub hashed_address: B256,
    /// The account without its storage; none if it does not exist any more.
    pub account: Option<AccountFields>,
    /// Whether the storage that it had before is gone.
    pub wiped: bool,
    /// Slots by the Keccak-256 of their numbers, sorted, with their values; zero takes a slot out.
    pub slots: Vec<(B256, U256)>,
}

/// What became of one account, its address and slots not hashed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainChange {
    /// The account's address.
    pub address: Address,
    /// The account without its storage; none if it does not exist any more.
    pub account: Option<AccountFields>,
    /// Whether the storage that it had before is gone.
    pub wiped: bool,
    /// Slots by their numbers, in any order, with their values; zero takes a slot out.
    pub slots: Vec<(B256, U256)>,
}

/// An account without its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFields {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
}

impl From<&AccountInfo> for AccountFields {
    fn from(info: &AccountInfo) -> Self {
        Self { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash }
    }
}

impl AccountChange {
    /// Whether there is a storage trie to write to.
    pub(super) const fn writes_slots(&self) -> bool {
        self.account.is_some() && !self.slots.is_empty()
    }
}

impl StateChanges {
    /// Changes in any order, of which none may be of the same account as another.
    pub fn new(mut accounts: Vec<AccountChange>) -> Self {
        sort(&mut accounts);
        Self { accounts }
    }

    /// The changes that execution collected. Addresses and slots are hashed by the workers.
    pub fn from_bundle(bundle: &BundleState, workers: &TrieWorkers) -> Self {
        // An update follows.
        workers.rouse();
        let changed: Vec<_> = bundle.state.iter().collect();
        let pieces = workers.map_pieces(&changed, ACCOUNTS_AT_ONCE, |piece| {
            let plain = piece.iter().map(|(address, account)| PlainChange {
                address: **address,
                account: account.info.as_ref().map(AccountFields::from),
                wiped: account.was_destroyed(),
                slots: slots(account),
            });
            let mut changes = hashed(plain.collect(), |messages| workers.hash_here(messages));
            sort(&mut changes);
            changes
        });
        let mut accounts = pieces.concat();
        // Stable, because that makes use of the pieces' being sorted.
        accounts.sort_by_key(|account| account.hashed_address);
        Self { accounts }
    }

    /// Changes in any order, of which none may be of the same account as another. Addresses and
    /// slots are hashed by the workers.
    pub fn hashed(changes: Vec<PlainChange>, workers: &TrieWorkers) -> Self {
        Self::new(hashed(changes, |messages| workers.hash_all(messages)))
    }

    /// What makes a whole state out of an empty one. Addresses and slots are hashed by the workers.
    pub fn of_flat(state: &FlatState, workers: &TrieWorkers) -> Self {
        let accounts: Vec<_> = state.accounts().collect();
        let slots = accounts.iter().flat_map(|(_, account)| account.storage.iter());
        let slots: Vec<_> = slots.map(|(slot, value)| (B256::from(*slot), *value)).collect();
        let addresses = accounts.iter().map(|(address, _)| address.as_slice());
        let numbers = slots.iter().map(|(slot, _)| slot.as_slice());
        let messages: Vec<_> = addresses.chain(numbers).collect();
        let mut hashes = workers.hash_all(&messages);
        let hashed_slots = hashes.split_off(accounts.len()).into_iter();
        let mut slots = hashed_slots.zip(slots.iter().map(|(_, value)| *value));
        let accounts = accounts.iter().zip(hashes).map(|((_, account), hashed_address)| {
            let slots = slots.by_ref().take(account.storage.len()).collect();
            let account = Some(AccountFields::from(&account.info));
            AccountChange { hashed_address, account, wiped: false, slots }
        });
        Self::new(accounts.collect())
    }

    /// The changed accounts, sorted by hashed address.
    pub fn accounts(&self) -> &[AccountChange] {
        &self.accounts
    }
}

/// Accounts whose keys one thread hashes at once: enough for several vectors.
const ACCOUNTS_AT_ONCE: usize = 24;

/// Changes with their keys hashed, in the same order.
fn hashed(
    changes: Vec<PlainChange>,
    hash: impl FnOnce(&[&[u8]]) -> Vec<B256>,
) -> Vec<AccountChange> {
    let addresses = changes.iter().map(|change| change.address.as_slice());
    let numbers = changes.iter().flat_map(|change| &change.slots);
    let messages: Vec<_> = addresses.chain(numbers.map(|(slot, _)| slot.as_slice())).collect();
    let mut hashes = hash(&messages);
    let mut hashed_slots = hashes.split_off(changes.len()).into_iter();
    let accounts = changes.into_iter().zip(hashes).map(|(change, hashed_address)| {
        let PlainChange { account, wiped, mut slots, .. } = change;
        slots.iter_mut().zip(hashed_slots.by_ref()).for_each(|((slot, _), hash)| *slot = hash);
        AccountChange { hashed_address, account, wiped, slots }
    });
    accounts.collect()
}

fn sort(accounts: &mut [AccountChange]) {
    accounts.sort_unstable_by_key(|account| account.hashed_address);
    accounts.iter_mut().for_each(|account| account.slots.sort_unstable());
}

/// The slots to write: of a wiped storage all that is there now, otherwise what differs.
fn slots(account: &BundleAccount) -> Vec<(B256, U256)> {
    if account.info.is_none() {
        return Vec::new();
    }
    let wiped = account.was_destroyed();
    let slots = account.storage.iter().filter(|(_, slot)| match wiped {
        true => !slot.present_value.is_zero(),
        false => slot.present_value != slot.previous_or_original_value,
    });
    slots.map(|(number, slot)| (B256::from(*number), slot.present_value)).collect()
}
