//! Accounts whose way through the block matters, and not only its end.

use std::collections::{BTreeMap, HashMap, HashSet};

use alloy_primitives::{Address, U256};
use revm::{
    DatabaseRef,
    database::{BundleState, CacheState, TransitionState, states::bundle_state::BundleRetention},
    state::{Account, AccountInfo, EvmStorageSlot, TransactionId},
};

use super::{
    super::{
        committed::Ledger,
        location::Writer,
        mv_memory::{MvMemory, Part},
    },
    Draft, OddChange, Plan,
};
use crate::sync::RandomState;

/// What one writer did to an odd account.
#[derive(Debug)]
pub(in crate::parallel) enum Step {
    /// Changed values, as for any account.
    Change(Draft),
    /// Created, emptied or destroyed it: the account as revm left it.
    Odd(Vec<Account>),
}

/// All that was done to an odd account, in the block's order.
pub(in crate::parallel) type Steps = BTreeMap<Writer, Step>;

/// Adds the odd accounts to a bundle.
pub(super) fn add_odd<P: DatabaseRef>(
    bundle: &mut BundleState,
    (Plan { ledger, odd }, changes): (&Plan, Vec<OddChange>),
    memory: &MvMemory,
    prestate: &P,
) -> Result<(), P::Error> {
    if odd.is_empty() {
        return Ok(());
    }
    let steps = collect_steps(memory, ledger, changes).into_iter();
    let paths = steps.map(|(address, steps)| (address, steps, ledger.balance(&address)));
    follow_steps(bundle, paths, prestate)
}

/// Adds accounts to a bundle, each given by its steps and, where these do not have it, its last
/// balance.
pub(in crate::parallel) fn follow_steps<P: DatabaseRef>(
    bundle: &mut BundleState,
    paths: impl Iterator<Item = (Address, Steps, Option<U256>)>,
    prestate: &P,
) -> Result<(), P::Error> {
    let mut transitions = TransitionState::default();
    for (address, steps, balance) in paths {
        Path::begin(address, prestate)?.walk(steps, balance, &mut transitions)?;
    }
    let mut odd_bundle = BundleState::default();
    odd_bundle.apply_transitions_and_create_reverts(transitions, BundleRetention::Reverts);
    bundle.state.extend(odd_bundle.state);
    bundle.contracts.extend(odd_bundle.contracts);
    bundle.state_size += odd_bundle.state_size;
    bundle.reverts_size += odd_bundle.reverts_size;
    if let Some(reverts) = bundle.reverts.last_mut() {
        reverts.extend(odd_bundle.reverts.iter_mut().flat_map(std::mem::take));
    }
    Ok(())
}

fn collect_steps(
    memory: &MvMemory,
    ledger: &Ledger,
    changes: Vec<OddChange>,
) -> HashMap<Address, Steps, RandomState> {
    let mut all: HashMap<Address, Steps, RandomState> = HashMap::default();
    for (writer, address, account) in ledger.odd() {
        let steps = all.entry(*address).or_default();
        match steps.entry(*writer).or_insert_with(|| Step::Odd(Vec::new())) {
            Step::Odd(accounts) => accounts.push(account.clone()),
            Step::Change(_) => {}
        }
    }
    // The last writer of a list comes first, so what is there already stands.
    for OddChange { address, writer, part, slot, value } in changes {
        let Some(steps) = all.get_mut(&address) else { continue };
        let step = steps.entry(writer).or_insert_with(|| Step::Change(Draft::default()));
        let Step::Change(Draft { overlay, slots }) = step else { continue };
        match part {
            Part::Balance => overlay.balance = overlay.balance.or(Some(value)),
            Part::Nonce => overlay.nonce = overlay.nonce.or(Some(value.to())),
            Part::Code if overlay.code.is_none() => overlay.code = Some(memory.code(value)),
            Part::Slot => slots.push((slot, value)),
            Part::Code | Part::Exists | Part::Reset => {}
        }
    }
    all
}

/// What was written to those of the odd accounts that lie in one partition, list by list.
pub(super) fn changes(
    memory: &MvMemory,
    odd: &HashSet<Address, RandomState>,
    partition: usize,
) -> Vec<OddChange> {
    let here = |address| MvMemory::partition(memory.account_hash(address)) == partition;
    if !odd.iter().any(here) {
        return Vec::new();
    }
    let accounts = memory.walk_accounts(partition).flatten();
    let writes = accounts.chain(memory.walk_slots(partition)).flat_map(|head| memory.list(head));
    let odd = writes.filter(|(_, write)| odd.contains(&write.address()));
    odd.map(|(writer, write)| OddChange::new(writer, write)).collect()
}

/// One odd account on its way through the block.
struct Path<'a, P> {
    address: Address,
    prestate: &'a P,
    cache: CacheState,
    /// Slots as they are by now; others are as in the prestate, or zero once wiped.
    slots: HashMap<U256, U256, RandomState>,
    wiped: bool,
}

impl<'a, P: DatabaseRef> Path<'a, P> {
    fn begin(address: Address, prestate: &'a P) -> Result<Self, P::Error> {
        let mut cache = CacheState::new();
        match prestate.basic_ref(address)? {
            Some(info) => cache.insert_account(address, info),
            None => cache.insert_not_existing(address),
        }
        Ok(Self { address, prestate, cache, slots: HashMap::default(), wiped: false })
    }

    /// Takes all steps. `balance` is the last one, where the memory does not have it.
    fn walk(
        mut self,
        steps: Steps,
        balance: Option<U256>,
        transitions: &mut TransitionState,
    ) -> Result<(), P::Error> {
        for step in steps.into_values() {
            match step {
                Step::Change(draft) => {
                    let account = self.changed(draft)?;
                    self.apply(account, transitions);
                }
                Step::Odd(accounts) => {
                    for account in accounts {
                        self.remember(&account);
                        self.apply(account, transitions);
                    }
                }
            }
        }
        if let Some(balance) = balance
            && let Some(info) = self.info()
            && info.balance != balance
        {
            let mut account = Account::from(info);
            account.info.balance = balance;
            account.mark_touch();
            self.apply(account, transitions);
        }
        Ok(())
    }

    fn info(&self) -> Option<AccountInfo> {
        self.cache.accounts.get(&self.address).and_then(|account| account.account_info())
    }

    fn apply(&mut self, account: Account, transitions: &mut TransitionState) {
        let changed = self.cache.apply_evm_state([(self.address, account)], |_, _| ());
        transitions.add_transitions(changed);
    }

    /// Notes what an odd step left of the storage.
    fn remember(&mut self, account: &Account) {
        self.slots.clear();
        self.wiped = true;
        if !account.is_selfdestructed() && account.is_created() {
            let changed = account.changed_storage_slots();
            self.slots.extend(changed.map(|(slot, value)| (*slot, value.present_value)));
        }
    }

    /// The account with changed values, as a transaction would have left it.
    fn changed(&mut self, draft: Draft) -> Result<Account, P::Error> {
        let mut account = Account::from(self.info().unwrap_or_default());
        account.mark_touch();
        account.info = draft.overlay.over(Some(account.info)).unwrap_or_default();
        for (slot, value) in draft.slots {
            let before = match self.slots.insert(slot, value) {
                Some(before) => before,
                None if self.wiped => U256::ZERO,
                None => self.prestate.storage_ref(self.address, slot)?,
            };
            let changed = EvmStorageSlot::new_changed(before, value, TransactionId::ZERO);
            account.storage.insert(slot, changed);
        }
        Ok(account)
    }
}
