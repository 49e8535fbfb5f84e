//! From the multi-version memory to the block's bundle.
//!
//! The bundle is revm's: what `State` would have collected, commit by commit, is put together here
//! at once from where the block ended. For most accounts only first and last values matter. For an
//! *odd* account, one that was created, emptied or destroyed, the steps in between matter too: they
//! are gone through with revm's own rules ([`odd`]).

mod odd;
mod together;

use std::collections::{HashMap, HashSet};

use alloy_primitives::{Address, B256, U256};
use pleach_scheduler::Head;
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    database::{
        AccountRevert, AccountStatus, BundleAccount, BundleState, RevertToSlot,
        states::{StorageSlot, reverts::AccountInfoRevert},
    },
    state::AccountInfo,
};
use smallvec::SmallVec;

pub(super) use odd::{Step, Steps, follow_steps};
pub(super) use together::Gathering;

use super::{
    committed::Ledger,
    location::Writer,
    mv_memory::{MvMemory, Part as Written, Write},
    parts::AccountOverlay,
    view::{Readable, Shared},
};
use crate::sync::RandomState;

/// What one partition of the memory adds to the bundle.
#[derive(Debug, Default)]
pub(super) struct Part {
    accounts: Vec<(Address, BundleAccount)>,
    reverts: Vec<(Address, AccountRevert)>,
    contracts: Vec<(B256, Bytecode)>,
    /// What was written to odd accounts, for [`odd`].
    odd: Vec<OddChange>,
}

impl Part {
    fn with_room_for(accounts: usize) -> Self {
        let (accounts, reverts) = (Vec::with_capacity(accounts), Vec::with_capacity(accounts));
        Self { accounts, reverts, ..Self::default() }
    }
}

/// Something that was written to an odd account.
#[derive(Debug)]
struct OddChange {
    address: Address,
    writer: Writer,
    part: Written,
    slot: U256,
    value: U256,
}

impl OddChange {
    fn new(writer: Writer, write: &Write) -> Self {
        let (address, part) = (write.address(), write.part());
        Self { address, writer, part, slot: write.slot(), value: write.value() }
    }
}

/// What the block left of one account.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) overlay: AccountOverlay,
    pub(super) slots: Vec<(U256, U256)>,
}

/// The accounts of one partition, those of one group of lists next to each other.
type Drafts = Vec<(Address, AccountOverlay)>;
/// Slots with their last values, by account.
type Slots = HashMap<Address, Vec<(U256, U256)>, RandomState>;

/// What the parts of a bundle are made from, once all transactions are committed.
#[derive(Debug)]
pub(super) struct Plan {
    ledger: Ledger,
    odd: HashSet<Address, RandomState>,
}

/// The bundle of a block whose transactions are all committed. Workers that are still awake help.
pub(super) fn gather<P: DatabaseRef>(
    shared: &Shared,
    prestate: &P,
) -> Result<BundleState, P::Error> {
    let ledger = shared.ledger.as_ref().map(|ledger| std::mem::take(&mut *ledger.lock()));
    let ledger = ledger.unwrap_or_default();
    let odd = ledger.odd().iter().map(|step| step.1).collect();
    let plan = shared.gathering.begin(Plan { ledger, odd });
    let mut whole = Whole::default();
    shared.gathering.take_part(
        |partition| gather_partition(&shared.memory, plan, prestate, partition),
        |part| whole.add(part),
    )?;
    whole.add(gather_paid(plan, &shared.memory, prestate)?);
    let (mut bundle, odd_changes) = whole.into_parts();
    odd::add_odd(&mut bundle, (plan, odd_changes), &shared.memory, prestate)?;
    Ok(bundle)
}

/// A worker's help with [`gather`].
pub(super) fn help_gather(shared: &Shared) {
    shared.gathering.help(|plan, partition| {
        gather_partition(&shared.memory, plan, &Readable(&*shared.prestate), partition).ok()
    });
}

/// The bundle as far as it is put together.
#[derive(Debug, Default)]
pub(super) struct Whole {
    bundle: BundleState,
    reverts: Vec<(Address, AccountRevert)>,
    odd: Vec<OddChange>,
}

impl Whole {
    pub(super) fn add(&mut self, part: Part) {
        let Self { bundle, reverts, odd } = self;
        odd.extend(part.odd);
        if bundle.state.is_empty() {
            // Partitions are about equal: the first one tells how much there will be.
            let all = part.accounts.len() * (MvMemory::PARTITIONS + 2);
            bundle.state.reserve(all);
            reverts.reserve(all);
        }
        for (address, account) in part.accounts {
            bundle.state_size += account.size_hint();
            bundle.state.insert(address, account);
        }
        bundle.contracts.extend(part.contracts);
        for revert in part.reverts {
            bundle.reverts_size += revert.1.size_hint();
            reverts.push(revert);
        }
    }

    /// The bundle, and what was written to odd accounts.
    fn into_parts(self) -> (BundleState, Vec<OddChange>) {
        let Self { mut bundle, reverts, odd } = self;
        bundle.reverts.push(reverts);
        (bundle, odd)
    }

    pub(super) fn into_bundle(self) -> BundleState {
        self.into_parts().0
    }
}

/// One partition's share, odd accounts left as they come.
fn gather_partition<P: DatabaseRef>(
    memory: &MvMemory,
    Plan { ledger, odd }: &Plan,
    prestate: &P,
    partition: usize,
) -> Result<Part, P::Error> {
    let mut slots = draft_slots(memory, partition);
    let mut drafts = Drafts::new();
    for heads in memory.walk_accounts(partition) {
        draft_accounts(memory, heads, &mut drafts);
    }
    let mut part = Part::with_room_for(drafts.len());
    for (address, mut overlay) in drafts.into_iter().filter(|draft| !odd.contains(&draft.0)) {
        overlay.balance = ledger.balance(&address).or(overlay.balance);
        let slots = slots.remove(&address).unwrap_or_default();
        finish(&mut part, address, Draft { overlay, slots }, prestate)?;
    }
    let in_slots_only = slots.into_iter().filter(|(address, _)| !odd.contains(address));
    for (address, slots) in in_slots_only {
        let balance = ledger.balance(&address);
        let overlay = AccountOverlay { balance, ..AccountOverlay::default() };
        finish(&mut part, address, Draft { overlay, slots }, prestate)?;
    }
    part.odd = odd::changes(memory, odd, partition);
    Ok(part)
}

/// Accounts that were paid outside of the memory and did nothing else: the beneficiary.
fn gather_paid<P: DatabaseRef>(
    Plan { ledger, odd }: &Plan,
    memory: &MvMemory,
    prestate: &P,
) -> Result<Part, P::Error> {
    let mut part = Part::default();
    let beneficiary = *memory.beneficiary();
    let hash = memory.account_hash(&beneficiary);
    let elsewhere = memory.has_writes(hash, &beneficiary) || odd.contains(&beneficiary);
    if let (Some(balance), false) = (ledger.balance(&beneficiary), elsewhere) {
        let overlay = AccountOverlay { balance: Some(balance), ..AccountOverlay::default() };
        finish(&mut part, beneficiary, Draft { overlay, slots: Vec::new() }, prestate)?;
    }
    Ok(part)
}

/// What one group of lists left of its accounts.
fn draft_accounts(memory: &MvMemory, heads: [&Head; 3], drafts: &mut Drafts) {
    let first = drafts.len();
    // The latest writer comes first, so what is there already stands.
    for (_, write) in heads.into_iter().flat_map(|head| memory.list(head)) {
        let address = write.address();
        let at = drafts[first..].iter().position(|draft| draft.0 == address);
        let at = at.map(|at| first + at).unwrap_or_else(|| {
            drafts.push((address, AccountOverlay::default()));
            drafts.len() - 1
        });
        let overlay = &mut drafts[at].1;
        match write.part() {
            Written::Balance if overlay.balance.is_none() => overlay.balance = Some(write.value()),
            Written::Nonce if overlay.nonce.is_none() => overlay.nonce = Some(write.value().to()),
            Written::Exists if overlay.exists.is_none() => {
                overlay.exists = Some(!write.value().is_zero());
            }
            Written::Code if overlay.code.is_none() => {
                overlay.code = Some(memory.code(write.value()))
            }
            _ => {}
        }
    }
}

fn draft_slots(memory: &MvMemory, partition: usize) -> Slots {
    let mut slots = Slots::default();
    let mut seen: SmallVec<[&Write; 8]> = SmallVec::new();
    for head in memory.walk_slots(partition) {
        seen.clear();
        for (_, write) in memory.list(head) {
            if !seen.iter().any(|other| other.is_beside(write)) {
                seen.push(write);
                slots.entry(write.address()).or_default().push((write.slot(), write.value()));
            }
        }
    }
    slots
}

/// Compares what the block left of an account with what it found.
pub(super) fn finish<P: DatabaseRef>(
    part: &mut Part,
    address: Address,
    draft: Draft,
    prestate: &P,
) -> Result<(), P::Error> {
    let original_info = prestate.basic_ref(address)?;
    let (status, previous_status) = statuses(original_info.as_ref());
    let info = draft.overlay.over(original_info.clone());
    let mut account = BundleAccount { info, original_info, storage: Default::default(), status };
    let mut revert = AccountRevert {
        account: revert_info(account.info.as_ref(), account.original_info.as_ref()),
        storage: Default::default(),
        previous_status,
        wipe_storage: false,
    };
    account.storage.reserve(draft.slots.len());
    revert.storage.reserve(draft.slots.len());
    for (slot, value) in draft.slots {
        let original = prestate.storage_ref(address, slot)?;
        if value != original {
            account.storage.insert(slot, StorageSlot::new_changed(original, value));
            revert.storage.insert(slot, RevertToSlot::Some(original));
        }
    }
    if !revert.is_empty() {
        part.contracts.extend(new_contract(&account));
        part.accounts.push((address, account));
        part.reverts.push((address, revert));
    }
    Ok(())
}

/// An account's status after a change, and before.
fn statuses(original: Option<&AccountInfo>) -> (AccountStatus, AccountStatus) {
    match original {
        None => (AccountStatus::InMemoryChange, AccountStatus::LoadedNotExisting),
        Some(info) if info.is_empty() => {
            (AccountStatus::InMemoryChange, AccountStatus::LoadedEmptyEIP161)
        }
        Some(info) if info.has_no_code_and_nonce() => {
            (AccountStatus::InMemoryChange, AccountStatus::Loaded)
        }
        Some(_) => (AccountStatus::Changed, AccountStatus::Loaded),
    }
}

fn revert_info(now: Option<&AccountInfo>, original: Option<&AccountInfo>) -> AccountInfoRevert {
    match original {
        None => AccountInfoRevert::DeleteIt,
        Some(original) if now == Some(original) => AccountInfoRevert::DoNothing,
        Some(original) => AccountInfoRevert::RevertTo(original.clone()),
    }
}

/// The code of an account whose code changed.
fn new_contract(account: &BundleAccount) -> Option<(B256, Bytecode)> {
    let hash = |info: &Option<AccountInfo>| info.as_ref().map(|info| info.code_hash);
    let info = account.info.as_ref()?;
    let changed = hash(&account.info) != hash(&account.original_info);
    changed.then(|| info.code.clone().map(|code| (info.code_hash, code))).flatten()
}
