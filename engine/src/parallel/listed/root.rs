//! The state root from the list, beside execution.
//!
//! What a right list leaves of each account is known before anything has run. So one thread
//! computes the root of that while the others execute. It is the block's root if the list turns out
//! to be right, and to say all: of an account that was created, emptied or destroyed the list has
//! the last values, but not whether storage that it does not mention is gone. Such accounts are
//! compared with the bundle, and where they differ nothing is given out.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use alloy_primitives::{Address, B256, U256};
use parking_lot::Mutex;
use pleach_state::mpt::{AccountFields, NodeSource, PlainChange, StateChanges, StateTrie};
use revm::database::{BundleAccount, BundleState};

use super::{super::view::ViewError, list::AccessList, view::Source};

/// The root after one block, made by whichever thread comes first.
pub(crate) struct ListedRoot {
    nodes: Arc<dyn NodeSource + Send + Sync>,
    /// Held by who makes it.
    desk: Mutex<Desk>,
}

enum Desk {
    /// The tries before the block.
    Open(StateTrie),
    Made(Box<Made>),
    /// A read failed, or the tries lack a node: whoever goes the long way finds out.
    Failed,
}

struct Made {
    /// After the block.
    tries: StateTrie,
    root: B256,
    /// What the root is of, sorted by address.
    changes: Vec<PlainChange>,
}

impl fmt::Debug for ListedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListedRoot")
    }
}

impl ListedRoot {
    pub(crate) fn new(tries: StateTrie, nodes: Arc<dyn NodeSource + Send + Sync>) -> Self {
        Self { nodes, desk: Mutex::new(Desk::Open(tries)) }
    }

    /// Makes the root, unless another thread is at it or it is made.
    pub(super) fn make_if_nobody_does(&self, source: &Source) {
        if let Some(mut desk) = self.desk.try_lock() {
            self.make(&mut desk, source);
        }
    }

    fn make(&self, desk: &mut Desk, source: &Source) {
        let tries = match std::mem::replace(desk, Desk::Failed) {
            Desk::Open(tries) => tries,
            done => return *desk = done,
        };
        let make = AssertUnwindSafe(|| self.update(tries, source));
        if let Ok(Some(made)) = catch_unwind(make) {
            *desk = Desk::Made(Box::new(made));
        }
    }

    fn update(&self, mut tries: StateTrie, source: &Source) -> Option<Made> {
        let changes = last_changes(source).ok()?;
        let hashed = StateChanges::hashed(changes.clone(), tries.workers());
        let root = tries.update(&hashed, &*self.nodes).ok()?;
        Some(Made { tries, root, changes })
    }

    /// The root and the tries after the block, whose list is right and whose bundle this is, given
    /// the accounts that were created, emptied or destroyed. None if it cannot be had from the
    /// list.
    pub(super) fn take(
        &self,
        source: &Source,
        bundle: &BundleState,
        odd: impl IntoIterator<Item = Address>,
    ) -> Option<(B256, StateTrie)> {
        let mut desk = self.desk.lock();
        self.make(&mut desk, source);
        let Desk::Made(made) = std::mem::replace(&mut *desk, Desk::Failed) else { return None };
        let Made { tries, root, changes } = *made;
        let says_all = odd.into_iter().all(|address| {
            let listed = changes.binary_search_by_key(&address, |change| change.address);
            let listed = listed.ok().map(|at| &changes[at]);
            is_same(source, address, listed, bundle.state.get(&address)).unwrap_or(false)
        });
        says_all.then_some((root, tries))
    }
}

/// What the list leaves of each account that it has changes of, in its order, which is that of
/// addresses.
fn last_changes(source: &Source) -> Result<Vec<PlainChange>, ViewError> {
    let list = &source.list;
    let mut changes = Vec::with_capacity(list.accounts().len());
    for (id, account) in list.accounts().iter().enumerate() {
        let slots = last_slots(list, id as u32);
        if slots.is_empty() && !list.has_account_changes(id as u32) {
            continue;
        }
        let address = account.address;
        let account = source.account(address, AFTER_ALL)?.as_ref().map(AccountFields::from);
        let slots = if account.is_some() { slots } else { Vec::new() };
        changes.push(PlainChange { address, account, wiped: false, slots });
    }
    Ok(changes)
}

/// Beyond the index of every change.
const AFTER_ALL: u32 = u32::MAX;

fn last_slots(list: &AccessList, account: u32) -> Vec<(B256, U256)> {
    let slots = list.slots_of(account).filter_map(|slot| {
        let value = list.values(slot as u32).last()?;
        Some((B256::from(list.slots()[slot].key), *value))
    });
    slots.collect()
}

/// Whether the list leaves of an account what the bundle does.
fn is_same(
    source: &Source,
    address: Address,
    listed: Option<&PlainChange>,
    bundled: Option<&BundleAccount>,
) -> Result<bool, ViewError> {
    let before = || source.account(address, 0);
    let Some(listed) = listed else { return Ok(bundled.is_none()) };
    let Some(bundled) = bundled else {
        // It is as it was.
        let as_it_was = before()?.as_ref().map(AccountFields::from) == listed.account;
        return Ok(as_it_was && listed.slots.is_empty());
    };
    if bundled.was_destroyed() && bundled.info.is_some() {
        // Storage may be gone that the list does not mention.
        return Ok(false);
    }
    let found = bundled.info.as_ref().map(AccountFields::from);
    if found != listed.account {
        return Ok(false);
    }
    let slots = bundled.storage.iter().filter(|(_, slot)| slot.is_changed());
    let changed = if found.is_some() { slots.count() } else { 0 };
    let mut matched = 0;
    for (number, value) in &listed.slots {
        let number = U256::from_be_bytes(number.0);
        match bundled.storage.get(&number).filter(|slot| slot.is_changed()) {
            Some(slot) if slot.present_value == *value => matched += 1,
            Some(_) => return Ok(false),
            None if source.slot(None, (address, number), 0)? == *value => {}
            None => return Ok(false),
        }
    }
    Ok(matched == changed)
}
