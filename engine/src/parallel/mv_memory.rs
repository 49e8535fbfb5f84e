//! The multi-version memory: per location, what each transaction of the block wrote.

use alloy_primitives::{Address, B256, U256};
use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use pleach_scheduler::TxIdx;
use revm::{
    bytecode::Bytecode,
    state::{Account, AccountInfo, EvmState},
};
use smallvec::SmallVec;

use super::location::{AccountHash, LocationHasher, SlotHash, WriteFilter, Writer};

const SHARDS: usize = 64;

/// A code hash and, where the block created the code, the code.
pub(crate) type Code = (B256, Option<Bytecode>);

/// The parts of an account that one writer changed. The parts are locations of their own:
/// who pays an account does not touch what others know of its nonce or code.
#[derive(Debug, Clone, Default)]
struct Parts {
    balance: Option<U256>,
    nonce: Option<u64>,
    exists: Option<bool>,
    code: Option<Box<Code>>,
}

#[derive(Debug)]
struct AccountVersions {
    address: Address,
    /// In ascending order of writer.
    parts: SmallVec<[(Writer, Parts); 1]>,
    /// Writers after which no earlier slot value counts: creation and deletion.
    resets: Vec<Writer>,
    /// Which parts any writer changed: a search need not go on for others.
    ever_changed: PartSet,
}

/// A set of an account's parts, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct PartSet(u8);

#[derive(Debug)]
struct SlotVersions {
    address: Address,
    slot: U256,
    /// In ascending order of writer.
    values: SmallVec<[(Writer, U256); 1]>,
}

/// An account as earlier writers left it: each part is `None` where none of them wrote it.
#[derive(Debug, Default)]
pub(super) struct AccountOverlay {
    pub(super) balance: Option<U256>,
    pub(super) nonce: Option<u64>,
    pub(super) exists: Option<bool>,
    pub(super) code: Option<Box<Code>>,
    /// The latest writer of a part that is compared by value. Balances mostly are not.
    pub(super) latest: Option<Writer>,
}

/// The multi-version memory of one block.
///
/// Readers see the writes of lower transactions as soon as those have executed, long before they
/// commit. What a reader gets may be overtaken; it is checked when the reader commits.
#[derive(Debug)]
pub(super) struct MvMemory {
    hasher: LocationHasher,
    filter: WriteFilter,
    accounts: Shards<AccountVersions>,
    slots: Shards<SlotVersions>,
    /// Everybody pays the beneficiary and hardly anybody looks: its balance is left out, so that
    /// the fee does not make one location of the whole block.
    beneficiary: Address,
}

impl MvMemory {
    pub(super) fn new(transactions: usize, beneficiary: Address) -> Self {
        let memory = Self {
            hasher: LocationHasher::default(),
            filter: WriteFilter::new(transactions),
            accounts: Shards::new(),
            slots: Shards::new(),
            beneficiary,
        };
        // What is left out must still be compared at commit.
        memory.filter.mark_info(memory.account_hash(&beneficiary), Writer::PRE_BLOCK);
        memory
    }

    pub(super) fn account_hash(&self, address: &Address) -> AccountHash {
        self.hasher.account(address)
    }

    pub(super) fn slot_hash(&self, account: AccountHash, slot: &U256) -> SlotHash {
        self.hasher.slot(account, slot)
    }

    /// Whether a writer before `index` may have changed the account's balance, nonce, code or
    /// existence.
    pub(super) fn info_written(&self, account: AccountHash, index: TxIdx) -> bool {
        self.filter.info_written(account, Writer::transaction(index))
    }

    /// Whether a writer before `index` may have changed the slot.
    pub(super) fn slot_written(&self, account: AccountHash, slot: SlotHash, index: TxIdx) -> bool {
        self.filter.slot_written(account, slot, Writer::transaction(index))
    }

    /// The account as the transaction at `index` finds it.
    pub(super) fn account(
        &self,
        hash: AccountHash,
        address: &Address,
        index: TxIdx,
    ) -> AccountOverlay {
        let reader = Writer::transaction(index);
        let mut overlay = AccountOverlay::default();
        let shard = self.accounts.lock(hash.0);
        let Some(versions) = shard.find(|entry| entry.address == *address) else {
            return overlay;
        };
        for (writer, parts) in versions.parts.iter().rev().filter(|(writer, _)| *writer < reader) {
            overlay.add(*writer, parts);
            if overlay.parts() == versions.ever_changed {
                break;
            }
        }
        overlay
    }

    /// The slot as the transaction at `index` finds it, if an earlier writer set or wiped it.
    pub(super) fn slot(
        &self,
        hashes: (AccountHash, SlotHash),
        address: &Address,
        slot: &U256,
        index: TxIdx,
    ) -> Option<(Writer, U256)> {
        let reader = Writer::transaction(index);
        let reset = self.last_reset(hashes.0, address, reader);
        let shard = self.slots.lock(hashes.1.0);
        let versions = shard.find(|entry| entry.is(address, slot));
        let written = versions
            .and_then(|versions| versions.values.iter().rev().find(|(w, _)| *w < reader).copied());
        match (written, reset) {
            (Some((writer, value)), reset) if reset <= Some(writer) => Some((writer, value)),
            (_, Some(reset)) => Some((reset, U256::ZERO)),
            (_, None) => None,
        }
    }

    /// Makes visible what a writer changed.
    pub(super) fn publish(&self, writer: Writer, state: &EvmState) {
        #[expect(clippy::iter_over_hash_type, reason = "each entry goes to a location of its own")]
        for (address, account) in state {
            if account.is_touched() {
                self.publish_account(writer, address, account);
            }
        }
    }

    /// Takes back what a writer published, given the same state.
    pub(super) fn retract(&self, writer: Writer, state: &EvmState) {
        #[expect(clippy::iter_over_hash_type, reason = "each entry goes to a location of its own")]
        for (address, account) in state {
            if !account.is_touched() {
                continue;
            }
            let hash = self.account_hash(address);
            let mut shard = self.accounts.lock(hash.0);
            if let Some(versions) = shard.find_mut(|entry| entry.address == *address) {
                versions.parts.retain(|(existing, _)| *existing != writer);
                versions.resets.retain(|existing| *existing != writer);
            }
            drop(shard);
            for (slot, _) in account.changed_storage_slots() {
                let hash = self.slot_hash(hash, slot);
                let mut shard = self.slots.lock(hash.0);
                if let Some(versions) = shard.find_mut(|entry| entry.is(address, slot)) {
                    versions.values.retain(|(existing, _)| *existing != writer);
                }
            }
        }
    }

    /// Corrects a balance that was computed from an overtaken one.
    pub(super) fn correct_balance(&self, writer: Writer, address: &Address, balance: U256) {
        let hash = self.account_hash(address);
        let mut shard = self.accounts.lock(hash.0);
        let versions = shard.find_mut(|entry| entry.address == *address);
        if let Some(versions) = versions
            && let Ok(at) = versions.parts.binary_search_by_key(&writer, |(writer, _)| *writer)
        {
            versions.parts[at].1.balance = Some(balance);
        }
    }

    fn last_reset(&self, hash: AccountHash, address: &Address, reader: Writer) -> Option<Writer> {
        if !self.filter.storage_reset(hash, reader) {
            return None;
        }
        let shard = self.accounts.lock(hash.0);
        let versions = shard.find(|entry| entry.address == *address)?;
        versions.resets.iter().rev().find(|writer| **writer < reader).copied()
    }

    fn publish_account(&self, writer: Writer, address: &Address, account: &Account) {
        let hash = self.account_hash(address);
        let mut parts = Parts::changed(account);
        // EIP-161 may delete an account that is empty but for its storage.
        let deleted = parts.exists == Some(false);
        let reset = deleted || account.is_selfdestructed() || account.is_created();
        if *address == self.beneficiary && !reset {
            parts.balance = None;
        }
        if reset || !parts.set().is_empty() {
            self.filter.mark_info(hash, writer);
            if reset {
                self.filter.mark_reset(hash, writer);
            }
            let mut shard = self.accounts.lock(hash.0);
            let same = |entry: &AccountVersions| entry.address == *address;
            let versions = shard.find_or_insert(same, || AccountVersions::new(*address));
            versions.insert(writer, parts, reset);
        }
        if account.is_selfdestructed() {
            return;
        }
        for (slot, value) in account.changed_storage_slots() {
            let slot_hash = self.slot_hash(hash, slot);
            self.filter.mark_slot(slot_hash, writer);
            let mut shard = self.slots.lock(slot_hash.0);
            let same = |entry: &SlotVersions| entry.is(address, slot);
            let versions = shard.find_or_insert(same, || SlotVersions::new(*address, *slot));
            insert_sorted(&mut versions.values, writer, value.present_value);
        }
    }
}

impl PartSet {
    const fn of(balance: bool, nonce: bool, exists: bool, code: bool) -> Self {
        Self(balance as u8 | (nonce as u8) << 1 | (exists as u8) << 2 | (code as u8) << 3)
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a part is in the set that is compared by value, as all but the balance are.
    const fn beyond_balance(self) -> bool {
        self.0 > 1
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl AccountOverlay {
    const fn parts(&self) -> PartSet {
        let (nonce, exists) = (self.nonce.is_some(), self.exists.is_some());
        PartSet::of(self.balance.is_some(), nonce, exists, self.code.is_some())
    }

    /// Takes over the parts that no later writer has given.
    fn add(&mut self, writer: Writer, parts: &Parts) {
        if parts.set().beyond_balance() && self.latest.is_none() {
            self.latest = Some(writer);
        }
        self.balance = self.balance.or(parts.balance);
        self.nonce = self.nonce.or(parts.nonce);
        self.exists = self.exists.or(parts.exists);
        if self.code.is_none() {
            self.code.clone_from(&parts.code);
        }
    }
}

impl Parts {
    /// What a transaction changed of an account it touched.
    fn changed(account: &Account) -> Self {
        // EIP-161 deletes what is touched and empty; before it, the journal has unmarked or created
        // such accounts, so that the rule is the same for all forks.
        let deleted = account.is_selfdestructed() || (account.is_empty() && !account.is_created());
        let existed = !account.is_loaded_as_not_existing();
        let gone = AccountInfo::default();
        let before = account.original_info();
        let after = if deleted { &gone } else { &account.info };
        let code = || Box::new((after.code_hash, after.code.clone()));
        Self {
            balance: (after.balance != before.balance).then_some(after.balance),
            nonce: (after.nonce != before.nonce).then_some(after.nonce),
            exists: (existed == deleted).then_some(!deleted),
            code: (after.code_hash != before.code_hash).then(code),
        }
    }

    const fn set(&self) -> PartSet {
        let (nonce, exists) = (self.nonce.is_some(), self.exists.is_some());
        PartSet::of(self.balance.is_some(), nonce, exists, self.code.is_some())
    }
}

/// Hash tables behind locks of their own. Tables take hashes that are computed already and
/// compare keys in full.
#[derive(Debug)]
struct Shards<T>(Box<[CachePadded<Mutex<HashTable<(u64, T)>>>]>);

impl<T> Shards<T> {
    fn new() -> Self {
        Self((0..SHARDS).map(|_| CachePadded::new(Mutex::new(HashTable::new()))).collect())
    }

    fn lock(&self, hash: u64) -> Shard<'_, T> {
        Shard { hash, table: self.0[(hash >> 26) as usize % SHARDS].lock() }
    }
}

/// A locked table, looked into under one hash.
struct Shard<'a, T> {
    hash: u64,
    table: MutexGuard<'a, HashTable<(u64, T)>>,
}

impl<T> Shard<'_, T> {
    fn find(&self, same: impl Fn(&T) -> bool) -> Option<&T> {
        self.table.find(self.hash, |(_, entry)| same(entry)).map(|(_, entry)| entry)
    }

    fn find_mut(&mut self, same: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.table.find_mut(self.hash, |(_, entry)| same(entry)).map(|(_, entry)| entry)
    }

    fn find_or_insert(&mut self, same: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
        let entry = self.table.entry(self.hash, |(_, e)| same(e), |(hash, _)| *hash);
        &mut entry.or_insert_with(|| (self.hash, new())).into_mut().1
    }
}

/// Sets a writer's value in a list that is in ascending order of writer.
fn insert_sorted<T>(list: &mut SmallVec<[(Writer, T); 1]>, writer: Writer, value: T) {
    match list.iter().rposition(|(existing, _)| *existing <= writer) {
        Some(at) if list[at].0 == writer => list[at].1 = value,
        Some(at) => list.insert(at + 1, (writer, value)),
        None => list.insert(0, (writer, value)),
    }
}

impl AccountVersions {
    const fn new(address: Address) -> Self {
        let parts = SmallVec::new_const();
        Self { address, parts, resets: Vec::new(), ever_changed: PartSet(0) }
    }

    fn insert(&mut self, writer: Writer, parts: Parts, reset: bool) {
        self.ever_changed = self.ever_changed.with(parts.set());
        insert_sorted(&mut self.parts, writer, parts);
        if reset && !self.resets.contains(&writer) {
            let at = self.resets.partition_point(|existing| *existing < writer);
            self.resets.insert(at, writer);
        }
    }
}

impl SlotVersions {
    const fn new(address: Address, slot: U256) -> Self {
        Self { address, slot, values: SmallVec::new_const() }
    }

    fn is(&self, address: &Address, slot: &U256) -> bool {
        self.slot == *slot && self.address == *address
    }
}
