//! Whether a transaction did what the list says.

use alloy_primitives::{Address, U256};
use revm::state::{Account, AccountInfo, EvmState};

use super::{
    super::committed::is_odd,
    fault::{ListFault, ListedPart, first_change},
    list::AccessList,
    view::Source,
};

/// Which entries of a list were used. One for each thread, so that noting a use is a plain store.
#[derive(Debug)]
pub(super) struct Seen {
    accounts: Vec<bool>,
    slots: Vec<bool>,
}

impl Seen {
    pub(super) fn new(list: &AccessList) -> Self {
        Self {
            accounts: vec![false; list.accounts().len()],
            slots: vec![false; list.slots().len()],
        }
    }

    pub(super) fn account(&mut self, account: u32) {
        self.accounts[account as usize] = true;
    }

    pub(super) fn slot(&mut self, slot: u32) {
        self.slots[slot as usize] = true;
    }

    /// Adds what another thread has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        let pairs = self.accounts.iter_mut().zip(&other.accounts);
        pairs.chain(self.slots.iter_mut().zip(&other.slots)).for_each(|(ours, their)| {
            *ours |= their;
        });
    }

    /// The first entry that nobody used.
    pub(super) fn unused(&self, list: &AccessList) -> Option<ListFault> {
        if self.accounts.iter().all(|seen| *seen) && self.slots.iter().all(|seen| *seen) {
            return None;
        }
        for (id, account) in list.accounts().iter().enumerate() {
            let address = account.address;
            if !self.accounts[id] {
                return Some(ListFault::UnusedAccount { address });
            }
            if let Some(slot) = list.slots_of(id as u32).find(|slot| !self.slots[*slot]) {
                return Some(ListFault::UnusedSlot { address, slot: list.slots()[slot].key });
            }
        }
        None
    }
}

/// Why a result does not stand.
#[derive(Debug)]
pub(super) enum Fall {
    /// The list is wrong.
    Wrong(Box<ListFault>),
    /// The list may be right, but cannot say what this transaction did: it wiped storage that the
    /// list does not show to be zero, or left an account that exists and is empty.
    Inexpressible,
    /// The transaction is invalid, or the prestate failed, or running it panicked.
    Failed,
}

/// Compares all that a transaction touched and changed with the list's entries at its index.
///
/// Given that the list has what the transactions below changed, this makes sure that it has what
/// the transactions up to this one did. Returns the accounts that were created, emptied
/// or destroyed.
pub(super) fn check(
    source: &Source,
    index: u32,
    state: &mut EvmState,
    seen: &mut Seen,
) -> Result<Vec<(Address, Account)>, Fall> {
    let mut odd = Vec::new();
    let mut matched = 0;
    let (mut same, mut expressible) = (true, true);
    #[expect(clippy::iter_over_hash_type, reason = "each account has its own entries")]
    for (address, account) in state.iter_mut() {
        let listed = check_account(source, index, (address, account), seen);
        same &= listed.is_some();
        let changes = listed.unwrap_or_default();
        matched += changes;
        // What is not touched is not committed, whatever the EVM left there: a transfer that
        // overflows a balance takes it from the payer although it is undone.
        expressible &= changes == 0 || account.is_touched();
        if is_odd(account) {
            odd.push((*address, account.clone()));
        }
    }
    if !same || matched != source.list.changes_at(index) {
        return Err(Fall::Wrong(Box::new(name_fault(&source.list, index, state))));
    }
    expressible &=
        odd.iter().all(|(address, account)| is_expressible(source, index, address, account));
    if expressible { Ok(odd) } else { Err(Fall::Inexpressible) }
}

/// How many of the list's changes at this index the account accounts for; `None` if something is
/// not as listed.
fn check_account(
    source: &Source,
    index: u32,
    (address, account): (&Address, &mut Account),
    seen: &mut Seen,
) -> Option<u32> {
    let list = &source.list;
    let id = list.account_id_from(account.info.account_id, address)?;
    seen.account(id);
    let mut matched = 0;
    let gone = AccountInfo::default();
    let destroyed = account.is_selfdestructed_locally();
    let Account { info, storage, .. } = &*account;
    let after = if destroyed { &gone } else { info };
    #[expect(clippy::iter_over_hash_type, reason = "each slot has its own entry")]
    for (key, value) in storage {
        let slot = list.slot_id(id, *key)?;
        seen.slot(slot);
        let present = if destroyed { U256::ZERO } else { value.present_value };
        if present != value.original_value {
            matched += 1;
            if list.values(slot).at(index) != Some(&present) {
                return None;
            }
        }
    }
    let (balance, nonce, code_hash) = (after.balance, after.nonce, after.code_hash);
    let before = account.original_info_mut();
    let mut differs = |changed: bool, listed: bool| {
        matched += u32::from(changed);
        changed && !listed
    };
    let wrong = differs(balance != before.balance, list.balances(id).at(index) == Some(&balance))
        || differs(nonce != before.nonce, list.nonces(id).at(index) == Some(&nonce))
        || differs(
            code_hash != before.code_hash,
            list.codes(id).at(index).is_some_and(|code| code.0 == code_hash),
        );
    (!wrong).then_some(matched)
}

/// Whether the list, read on its own, gives what this left of an account.
fn is_expressible(source: &Source, index: u32, address: &Address, account: &Account) -> bool {
    let deleted = account.is_selfdestructed() || (account.is_empty() && !account.is_created());
    let exists_empty = !deleted && account.is_empty();
    let was_empty = !account.is_loaded_as_not_existing() && account.original_info().is_empty();
    if exists_empty || (deleted && was_empty && source.empty_is_something) {
        return false;
    }
    if !account.is_selfdestructed() && !account.is_created() {
        return true;
    }
    let list = &source.list;
    let Some(id) = list.account_id(address) else { return false };
    list.slots_of(id).all(|slot| {
        let key = list.slots()[slot].key;
        let kept = account.storage.get(&key).filter(|_| !account.is_selfdestructed());
        let left = kept.map(|value| value.present_value).unwrap_or_default();
        source.slot(Some(id), (*address, key), index + 1) == Ok(left)
    })
}

/// The first thing, in the list's order, in which the list differs from what was done.
fn name_fault(list: &AccessList, index: u32, state: &EvmState) -> ListFault {
    let mut touched: Vec<_> = state.iter().collect();
    touched.sort_unstable_by_key(|(address, _)| **address);
    let accounts = touched.iter().map(|(address, account)| {
        let mut slots: Vec<_> = account.storage.keys().copied().collect();
        slots.sort_unstable();
        (**address, slots, changes(account, index))
    });
    let fault = first_fault(list, index, &accounts.collect::<Vec<_>>());
    fault.expect("something was found to differ")
}

/// An account with the slots used of it and what was changed, all in order.
pub(super) type Touched = (Address, Vec<U256>, Vec<((ListedPart, u64), U256)>);

/// The first fault at an index, given all accounts that were touched there, in order.
pub(super) fn first_fault(list: &AccessList, index: u32, touched: &[Touched]) -> Option<ListFault> {
    let at = Some(u64::from(index));
    for (address, slots, _) in touched {
        let Some(id) = list.account_id(address) else {
            return Some(ListFault::UnlistedAccount { address: *address, index: at });
        };
        if let Some(slot) = slots.iter().find(|slot| list.slot_id(id, **slot).is_none()) {
            return Some(ListFault::UnlistedSlot { address: *address, slot: *slot, index: at });
        }
    }
    list.accounts().iter().enumerate().find_map(|(id, account)| {
        let found = touched.binary_search_by_key(&account.address, |touched| touched.0);
        let found = found.map(|at| touched[at].2.as_slice()).unwrap_or_default();
        first_change(account.address, &list.account_changes_at(id as u32, index), found)
    })
}

/// What a transaction changed of an account, in order.
fn changes(account: &Account, index: u32) -> Vec<((ListedPart, u64), U256)> {
    let destroyed = account.is_selfdestructed_locally();
    let gone = AccountInfo::default();
    let (before, after) = (account.original_info(), if destroyed { &gone } else { &account.info });
    let slots = account.storage.iter().map(|(slot, value)| {
        let present = if destroyed { U256::ZERO } else { value.present_value };
        (ListedPart::Slot(*slot), value.original_value, present)
    });
    let numbers = [
        (ListedPart::Balance, before.balance, after.balance),
        (ListedPart::Nonce, U256::from(before.nonce), U256::from(after.nonce)),
        (ListedPart::Code, before.code_hash.into(), after.code_hash.into()),
    ];
    let changed = slots.chain(numbers).filter(|(_, before, after)| before != after);
    let mut changes: Vec<_> =
        changed.map(|(part, _, after)| ((part, u64::from(index)), after)).collect();
    changes.sort_unstable();
    changes
}
