//! The multi-version memory: per location, what each transaction of the block wrote.

use alloy_primitives::{Address, U256};
use pleach_scheduler::TxIdx;
use revm::state::{Account, EvmState};

use super::{
    location::{AccountHash, LocationHasher, SlotHash, WriteFilter, Writer},
    shards::Shards,
    versions::{AccountOverlay, AccountVersions, Parts, SlotVersions},
};

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
    /// Everybody pays the beneficiary and hardly anybody looks: once it has a balance, the balance
    /// is left out, so that the fee does not make one location of the whole block.
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
        let shard = self.accounts.lock(hash.0);
        let versions = shard.find(|entry| entry.is_of(address));
        versions.map(|versions| versions.before(Writer::transaction(index))).unwrap_or_default()
    }

    /// The slot as the transaction at `index` finds it, if an earlier writer set or wiped it.
    pub(super) fn slot(
        &self,
        (account_hash, slot_hash): (AccountHash, SlotHash),
        address: &Address,
        slot: &U256,
        index: TxIdx,
    ) -> Option<(Writer, U256)> {
        let reader = Writer::transaction(index);
        let reset = self.last_reset(account_hash, address, reader);
        let shard = self.slots.lock(slot_hash.0);
        let versions = shard.find(|entry| entry.is_of(address, slot));
        let written = versions.and_then(|versions| versions.values.before(reader));
        match (written, reset) {
            (Some((writer, value)), reset) if reset <= Some(writer) => Some((writer, *value)),
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
            if account.is_touched() {
                self.retract_account(writer, address, account);
            }
        }
    }

    /// Corrects a balance that was computed from an overtaken one.
    pub(super) fn correct_balance(&self, writer: Writer, address: &Address, balance: U256) {
        let mut shard = self.accounts.lock(self.account_hash(address).0);
        if let Some(versions) = shard.find_mut(|entry| entry.is_of(address)) {
            versions.balance.replace(writer, balance);
        }
    }

    fn last_reset(&self, hash: AccountHash, address: &Address, reader: Writer) -> Option<Writer> {
        if !self.filter.storage_reset(hash, reader) {
            return None;
        }
        let shard = self.accounts.lock(hash.0);
        let versions = shard.find(|entry| entry.is_of(address))?;
        versions.resets.before(reader).map(|(writer, ())| writer)
    }

    fn publish_account(&self, writer: Writer, address: &Address, account: &Account) {
        let hash = self.account_hash(address);
        let mut parts = Parts::changed(account);
        // EIP-161 may delete an account that is empty but for its storage.
        let deleted = account.is_selfdestructed() || parts.exists == Some(false);
        let reset = deleted || account.is_created();
        let paid_before = !account.original_info().balance.is_zero();
        if *address == self.beneficiary && paid_before && !reset {
            parts.balance = None;
        }
        if reset || !parts.is_empty() {
            self.filter.mark_info(hash, writer);
            if reset {
                self.filter.mark_reset(hash, writer);
            }
            let mut shard = self.accounts.lock(hash.0);
            let new = || AccountVersions::new(*address);
            shard.find_or_insert(|e| e.is_of(address), new).insert(writer, parts, reset);
        }
        if deleted {
            return;
        }
        for (slot, value) in account.changed_storage_slots() {
            let hash = self.slot_hash(hash, slot);
            self.filter.mark_slot(hash, writer);
            let mut shard = self.slots.lock(hash.0);
            let new = || SlotVersions::new(*address, *slot);
            let versions = shard.find_or_insert(|e| e.is_of(address, slot), new);
            versions.values.insert(writer, value.present_value);
        }
    }

    fn retract_account(&self, writer: Writer, address: &Address, account: &Account) {
        let hash = self.account_hash(address);
        let mut shard = self.accounts.lock(hash.0);
        if let Some(versions) = shard.find_mut(|entry| entry.is_of(address)) {
            versions.remove(writer);
        }
        drop(shard);
        for (slot, _) in account.changed_storage_slots() {
            let mut shard = self.slots.lock(self.slot_hash(hash, slot).0);
            if let Some(versions) = shard.find_mut(|entry| entry.is_of(address, slot)) {
                versions.values.remove(writer);
            }
        }
    }
}
