//! From the multi-version memory to the block's bundle.
//!
//! The bundle is revm's: what `State` would have collected, commit by commit, is put together here
//! at once from where the block ended. For most accounts only first and last values matter. For an
//! *odd* account, one that was created, emptied or destroyed, the steps in between matter too: they
//! are gone through with revm's own rules ([`odd`]).

mod odd;

use std::collections::{HashMap, HashSet};

use alloy_primitives::{Address, B256, U256};
use foldhash::fast::RandomState;
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

use super::{
    committed::Ledger,
    mv_memory::{MvMemory, Place, Write},
    parts::AccountOverlay,
    view::Shared,
};

/// What one partition of the memory adds to the bundle.
#[derive(Debug, Default)]
pub(super) struct Part {
    accounts: Vec<(Address, BundleAccount)>,
    reverts: Vec<(Address, AccountRevert)>,
    contracts: Vec<(B256, Bytecode)>,
}

/// What the block left of one account.
#[derive(Debug, Default)]
struct Draft {
    overlay: AccountOverlay,
    slots: Vec<(U256, U256)>,
}

type Drafts = HashMap<Address, Draft, RandomState>;

/// The bundle of a block whose transactions are all committed.
pub(super) fn gather<P: DatabaseRef>(
    shared: &Shared,
    prestate: &P,
) -> Result<BundleState, P::Error> {
    let ledger = shared.ledger.as_ref().map(|ledger| std::mem::take(&mut *ledger.lock()));
    let ledger = ledger.unwrap_or_default();
    let odd: HashSet<Address, RandomState> = ledger.odd().iter().map(|step| step.1).collect();
    let mut bundle = BundleState::default();
    bundle.reverts.push(Vec::new());
    for partition in 0..MvMemory::PARTITIONS {
        let part = gather_partition(&shared.memory, &ledger, &odd, prestate, partition)?;
        add(&mut bundle, part);
    }
    odd::add_odd(&mut bundle, &shared.memory, &ledger, &odd, prestate)?;
    Ok(bundle)
}

fn add(bundle: &mut BundleState, part: Part) {
    bundle.state.reserve(part.accounts.len());
    for (address, account) in part.accounts {
        bundle.state_size += account.size_hint();
        bundle.state.insert(address, account);
    }
    bundle.contracts.extend(part.contracts);
    bundle.reverts_size += part.reverts.iter().map(|(_, revert)| revert.size_hint()).sum::<usize>();
    if let Some(reverts) = bundle.reverts.last_mut() {
        reverts.extend(part.reverts);
    }
}

/// One partition's share, odd accounts left out.
fn gather_partition<P: DatabaseRef>(
    memory: &MvMemory,
    ledger: &Ledger,
    odd: &HashSet<Address, RandomState>,
    prestate: &P,
    partition: usize,
) -> Result<Part, P::Error> {
    let mut drafts = Drafts::default();
    draft_accounts(memory, partition, &mut drafts);
    draft_slots(memory, partition, &mut drafts);
    for (address, balance) in ledger.balances() {
        if MvMemory::partition(memory.account_hash(address)) == partition {
            drafts.entry(*address).or_default().overlay.balance = Some(*balance);
        }
    }
    let mut part = Part::default();
    #[expect(clippy::iter_over_hash_type, reason = "a bundle has no order of accounts")]
    for (address, draft) in drafts {
        if !odd.contains(&address) {
            finish(&mut part, address, draft, prestate)?;
        }
    }
    Ok(part)
}

fn draft_accounts(memory: &MvMemory, partition: usize, drafts: &mut Drafts) {
    for heads in memory.walk_accounts(partition) {
        // The latest writer comes first, so what is there already stands.
        for (_, write) in heads.into_iter().flat_map(|head| memory.list(head)) {
            let overlay = &mut drafts.entry(write.address).or_default().overlay;
            match write.place {
                Place::Balance if overlay.balance.is_none() => {
                    overlay.balance = Some(write.value());
                }
                Place::Nonce if overlay.nonce.is_none() => {
                    overlay.nonce = Some(write.value().to());
                }
                Place::Exists if overlay.exists.is_none() => {
                    overlay.exists = Some(!write.value().is_zero());
                }
                Place::Code if overlay.code.is_none() => overlay.code.clone_from(&write.code),
                _ => {}
            }
        }
    }
}

fn draft_slots(memory: &MvMemory, partition: usize, drafts: &mut Drafts) {
    let mut seen: SmallVec<[&Write; 8]> = SmallVec::new();
    for head in memory.walk_slots(partition) {
        seen.clear();
        for (_, write) in memory.list(head) {
            let same = |other: &&Write| other.place == write.place && other.address == write.address;
            if !seen.iter().any(same) {
                seen.push(write);
            }
        }
        for write in &seen {
            if let Place::Slot(slot) = write.place {
                drafts.entry(write.address).or_default().slots.push((slot, write.value()));
            }
        }
    }
}

/// Compares what the block left of an account with what it found.
fn finish<P: DatabaseRef>(
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
