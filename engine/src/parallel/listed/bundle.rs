//! The bundle, made from the list.
//!
//! Once the list is known to be right, a block's changes are its last values. So the bundle is made
//! beside execution, part by part, and is good if every transaction turns out to be as listed. Only
//! accounts that were created, emptied or destroyed are done once more in the end, from their
//! steps.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use alloy_primitives::{Address, U256};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use revm::{database::BundleState, state::Account};

use super::{
    super::{
        bundle::{Draft, Part, Step, Steps, Whole, finish, follow_steps},
        location::Writer,
        parts::{AccountOverlay, Parts},
        view::{Readable, ViewError},
    },
    list::AccessList,
    session::pause,
    view::Source,
};

/// The making of one block's bundle, beside its execution.
#[derive(Debug)]
pub(super) struct Bundling {
    whole: Mutex<Whole>,
    /// Parts that are not in it yet.
    missing: AtomicUsize,
    failed: AtomicBool,
}

/// Accounts in one part.
const ACCOUNTS: usize = 48;

impl Bundling {
    pub(super) fn new(list: &AccessList) -> Self {
        let missing = AtomicUsize::new(Self::parts(list));
        Self { whole: Mutex::default(), missing, failed: AtomicBool::new(false) }
    }

    pub(super) fn parts(list: &AccessList) -> usize {
        list.accounts().len().div_ceil(ACCOUNTS)
    }

    /// Makes one part and puts it in its place.
    pub(super) fn make(&self, source: &Source, part: usize) -> Result<(), ViewError> {
        let part = make_part(source, part)?;
        self.whole.lock().add(part);
        // Release: pairs with the acquire in `take`, which then finds the part under the lock.
        self.missing.fetch_sub(1, Ordering::Release);
        Ok(())
    }

    /// Notes that a part could not be made.
    pub(super) fn fail(&self) {
        // Relaxed: nothing else is read on account of it.
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Waits for the bundle, which is there once; `None` if a part of it could not be made.
    pub(super) fn take(&self) -> Option<BundleState> {
        let mut rounds = 0;
        while !self.failed.load(Ordering::Relaxed) {
            if self.missing.load(Ordering::Acquire) == 0 {
                return Some(std::mem::take(&mut *self.whole.lock()).into_bundle());
            }
            pause(&mut rounds);
        }
        None
    }
}

fn make_part(source: &Source, part: usize) -> Result<Part, ViewError> {
    let list = &source.list;
    let start = part * ACCOUNTS;
    let end = (start + ACCOUNTS).min(list.accounts().len());
    let mut made = Part::default();
    for id in start..end {
        if let Some(draft) = last_values(list, id as u32) {
            let address = list.accounts()[id].address;
            finish(&mut made, address, draft, &Readable(&*source.prestate))?;
        }
    }
    Ok(made)
}

/// What the list leaves of an account, if anything changes.
fn last_values(list: &AccessList, account: u32) -> Option<Draft> {
    let overlay = AccountOverlay {
        balance: list.balances(account).last().copied(),
        nonce: list.nonces(account).last().copied(),
        code: list.codes(account).last().map(|code| Box::new((code.0, Some(code.1.clone())))),
        ..AccountOverlay::default()
    };
    let slots = list.slots_of(account);
    let slots = slots.filter_map(|slot| {
        let value = list.values(slot as u32).last()?;
        Some((list.slots()[slot].key, *value))
    });
    let slots: Vec<_> = slots.collect();
    let any = overlay.balance.is_some() || overlay.nonce.is_some() || overlay.code.is_some();
    (any || !slots.is_empty()).then(|| Draft { overlay: exists_if_listed(overlay, any), slots })
}

/// An account whose numbers change exists after that, unless they are all gone, which makes the
/// account an odd one.
fn exists_if_listed(overlay: AccountOverlay, any: bool) -> AccountOverlay {
    AccountOverlay { exists: any.then_some(true), ..overlay }
}

/// What happened outside of the list's sight: odd accounts as transactions left them, and all
/// changes before and after the transactions, in commit order.
#[derive(Debug, Default)]
pub(super) struct Oddities {
    pub(super) odd: Vec<(Writer, Address, Account)>,
    pub(super) calls: Vec<(Writer, Address, Account)>,
}

pub(super) type Addresses = HashSet<Address, RandomState>;

/// Puts the odd accounts into a bundle in place of what the list's last values made of them, and
/// says which they are.
pub(super) fn redo_odd(
    bundle: &mut BundleState,
    source: &Source,
    oddities: Oddities,
) -> Result<Addresses, ViewError> {
    let Oddities { odd, calls } = oddities;
    let is_odd = |change: &&(Writer, Address, Account)| super::super::committed::is_odd(&change.2);
    let addresses = odd.iter().chain(calls.iter().filter(is_odd)).map(|change| change.1);
    let addresses: Addresses = addresses.collect();
    if addresses.is_empty() {
        return Ok(addresses);
    }
    remove(bundle, &addresses);
    let mut all: HashMap<Address, Steps, RandomState> = HashMap::default();
    #[expect(clippy::iter_over_hash_type, reason = "each account has steps of its own")]
    for address in &addresses {
        all.insert(*address, listed_steps(&source.list, address));
    }
    for (writer, address, account) in odd.into_iter().chain(calls) {
        if let Some(steps) = all.get_mut(&address) {
            let step = match super::super::committed::is_odd(&account) {
                true => Step::Odd(vec![account]),
                false => Step::Change(change(&account)),
            };
            steps.insert(writer, step);
        }
    }
    let paths = all.into_iter().map(|(address, steps)| (address, steps, None));
    follow_steps(bundle, paths, &Readable(&*source.prestate))?;
    Ok(addresses)
}

/// An account's changes by transactions, as the list has them.
fn listed_steps(list: &AccessList, address: &Address) -> Steps {
    let mut drafts: BTreeMap<u32, Draft> = BTreeMap::new();
    let Some(account) = list.account_id(address) else { return Steps::new() };
    for (index, balance) in list.balances(account).all() {
        drafts.entry(*index).or_default().overlay.balance = Some(*balance);
    }
    for (index, nonce) in list.nonces(account).all() {
        drafts.entry(*index).or_default().overlay.nonce = Some(*nonce);
    }
    for (index, code) in list.codes(account).all() {
        let code = Box::new((code.0, Some(code.1.clone())));
        drafts.entry(*index).or_default().overlay.code = Some(code);
    }
    for slot in list.slots_of(account) {
        let key = list.slots()[slot].key;
        for (index, value) in list.values(slot as u32).all() {
            drafts.entry(*index).or_default().slots.push((key, *value));
        }
    }
    let by_transaction = 1..=list.transactions() as u32;
    let drafts = drafts.into_iter().filter(|(index, _)| by_transaction.contains(index));
    let step = |(index, draft)| (Writer::transaction(index as usize - 1), Step::Change(draft));
    drafts.map(step).collect()
}

/// What a call outside of transactions changed.
fn change(account: &Account) -> Draft {
    let Parts { balance, nonce, exists, code } = Parts::changed(account);
    let slots = account.changed_storage_slots();
    let slots: Vec<(U256, U256)> =
        slots.map(|(slot, value)| (*slot, value.present_value)).collect();
    let overlay = AccountOverlay { balance, nonce, exists, code, latest: None };
    Draft { overlay, slots }
}

fn remove(bundle: &mut BundleState, addresses: &Addresses) {
    #[expect(clippy::iter_over_hash_type, reason = "each account is taken out on its own")]
    for address in addresses {
        if let Some(account) = bundle.state.remove(address) {
            bundle.state_size -= account.size_hint();
        }
    }
    let Some(reverts) = bundle.reverts.last_mut() else { return };
    let mut removed = 0;
    reverts.retain(|(address, revert)| {
        let stays = !addresses.contains(address);
        removed += if stays { 0 } else { revert.size_hint() };
        stays
    });
    bundle.reverts_size -= removed;
}
