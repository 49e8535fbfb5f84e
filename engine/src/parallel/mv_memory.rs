//! The multi-version memory: per location, what each transaction of the block wrote.

use alloy_primitives::{Address, B256, U256};
use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use pleach_scheduler::TxIdx;
use revm::{
    bytecode::Bytecode,
    state::{Account, AccountInfo, EvmState},
};

use super::location::{AccountHash, LocationHasher, SlotHash, WriteFilter};

const SHARDS: usize = 64;

/// Who wrote an entry: the changes before the first transaction, or a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Writer(u32);

impl Writer {
    /// System calls and whatever else a chain does before its first transaction.
    pub(crate) const PRE_BLOCK: Self = Self(0);

    pub(crate) fn transaction(index: TxIdx) -> Self {
        Self(u32::try_from(index + 1).expect("a block has fewer than 2^32 transactions"))
    }

    /// The transaction's index, if a transaction it is.
    pub(crate) const fn index(self) -> Option<TxIdx> {
        match self.0 {
            0 => None,
            n => Some(n as TxIdx - 1),
        }
    }
}

/// The values that different writers gave one location, in ascending order of writer.
#[derive(Debug)]
struct Versions<T>(Vec<(Writer, T)>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Versions<T> {
    /// What the transaction at `index` reads: the value of the closest writer before it.
    fn before(&self, index: TxIdx) -> Option<(Writer, &T)> {
        let reader = Writer::transaction(index);
        let found = self.0.iter().rev().find(|(writer, _)| *writer < reader)?;
        Some((found.0, &found.1))
    }

    fn insert(&mut self, writer: Writer, value: T) {
        match self.0.iter().rposition(|(existing, _)| *existing <= writer) {
            Some(at) if self.0[at].0 == writer => self.0[at].1 = value,
            Some(at) => self.0.insert(at + 1, (writer, value)),
            None => self.0.insert(0, (writer, value)),
        }
    }

    fn remove(&mut self, writer: Writer) {
        self.0.retain(|(existing, _)| *existing != writer);
    }
}

/// All versions of one account. Its parts are separate locations: a transaction that pays an
/// account does not touch what others know of its nonce or code.
#[derive(Debug, Default)]
struct AccountVersions {
    balance: Versions<U256>,
    nonce: Versions<u64>,
    code: Versions<(B256, Option<Bytecode>)>,
    exists: Versions<bool>,
    /// Writers after which no earlier slot value counts: creation and self-destruct.
    resets: Versions<()>,
    slots: HashMap<U256, Versions<U256>, RandomState>,
}

/// Which entries a writer left, so that its next incarnation can take them back.
#[derive(Debug, Default)]
pub(crate) struct WrittenLocations {
    accounts: Vec<Address>,
    slots: Vec<(Address, U256)>,
}

/// An account as earlier writers left it: each part is `None` where none of them wrote it.
#[derive(Debug, Default)]
pub(crate) struct AccountOverlay {
    pub(crate) balance: Option<U256>,
    pub(crate) nonce: Option<u64>,
    pub(crate) code: Option<(B256, Option<Bytecode>)>,
    pub(crate) exists: Option<bool>,
    /// The latest writer of any part.
    pub(crate) latest: Option<Writer>,
}

/// The multi-version memory of one block.
///
/// Readers see the writes of lower transactions as soon as those have executed, long before they
/// commit. What a reader gets may be overtaken; it is checked when the reader commits.
#[derive(Debug)]
pub(crate) struct MvMemory {
    hasher: LocationHasher,
    filter: WriteFilter,
    shards: Box<[CachePadded<Mutex<Shard>>]>,
}

type Shard = HashMap<Address, AccountVersions, RandomState>;

impl MvMemory {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| CachePadded::default()).collect();
        Self { hasher: LocationHasher::default(), filter: WriteFilter::new(), shards }
    }

    pub(super) fn account_hash(&self, address: &Address) -> AccountHash {
        self.hasher.account(address)
    }

    pub(super) fn slot_hash(&self, account: AccountHash, slot: &U256) -> SlotHash {
        self.hasher.slot(account, slot)
    }

    /// Whether any writer may have changed the account's balance, nonce, code or existence.
    pub(super) fn info_written(&self, account: AccountHash) -> bool {
        self.filter.info_written(account)
    }

    /// Whether any writer may have changed the slot.
    pub(super) fn slot_written(&self, account: AccountHash, slot: SlotHash) -> bool {
        self.filter.slot_written(account, slot)
    }

    /// The account as the transaction at `index` finds it.
    pub(super) fn account(
        &self,
        hash: AccountHash,
        address: &Address,
        index: TxIdx,
    ) -> AccountOverlay {
        let shard = self.shard(hash);
        let Some(versions) = shard.get(address) else { return AccountOverlay::default() };
        let balance = versions.balance.before(index);
        let nonce = versions.nonce.before(index);
        let code = versions.code.before(index);
        let exists = versions.exists.before(index);
        let writers = [
            balance.map(|(writer, _)| writer),
            nonce.map(|(writer, _)| writer),
            code.map(|(writer, _)| writer),
            exists.map(|(writer, _)| writer),
        ];
        AccountOverlay {
            balance: balance.map(|(_, value)| *value),
            nonce: nonce.map(|(_, value)| *value),
            code: code.map(|(_, value)| value.clone()),
            exists: exists.map(|(_, value)| *value),
            latest: writers.into_iter().flatten().max(),
        }
    }

    /// The slot as the transaction at `index` finds it, if an earlier writer set or wiped it.
    pub(super) fn slot(
        &self,
        hash: AccountHash,
        address: &Address,
        slot: &U256,
        index: TxIdx,
    ) -> Option<(Writer, U256)> {
        let shard = self.shard(hash);
        let versions = shard.get(address)?;
        let written = versions.slots.get(slot).and_then(|versions| versions.before(index));
        let reset = versions.resets.before(index).map(|(writer, ())| writer);
        match (written, reset) {
            (Some((writer, value)), reset) if reset <= Some(writer) => Some((writer, *value)),
            (_, Some(reset)) => Some((reset, U256::ZERO)),
            (None, None) => None,
            (Some(_), None) => unreachable!("no reset is below every writer"),
        }
    }

    /// Publishes what a writer changed, and says where.
    pub(crate) fn publish(&self, writer: Writer, state: &EvmState) -> WrittenLocations {
        let mut written = WrittenLocations::default();
        #[expect(clippy::iter_over_hash_type, reason = "each entry goes to a location of its own")]
        for (address, account) in state {
            if account.is_touched() {
                self.publish_account(writer, address, account, &mut written);
            }
        }
        written
    }

    /// Takes back what an earlier incarnation published.
    pub(crate) fn retract(&self, writer: Writer, written: &WrittenLocations) {
        for address in &written.accounts {
            let mut shard = self.shard(self.account_hash(address));
            let Some(versions) = shard.get_mut(address) else { continue };
            versions.balance.remove(writer);
            versions.nonce.remove(writer);
            versions.code.remove(writer);
            versions.exists.remove(writer);
            versions.resets.remove(writer);
        }
        for (address, slot) in &written.slots {
            let mut shard = self.shard(self.account_hash(address));
            let slots = shard.get_mut(address).map(|versions| &mut versions.slots);
            if let Some(versions) = slots.and_then(|slots| slots.get_mut(slot)) {
                versions.remove(writer);
            }
        }
    }

    /// Corrects a balance that was computed from an overtaken one.
    pub(crate) fn correct_balance(&self, writer: Writer, address: &Address, balance: U256) {
        let mut shard = self.shard(self.account_hash(address));
        if let Some(versions) = shard.get_mut(address) {
            versions.balance.insert(writer, balance);
        }
    }

    fn publish_account(
        &self,
        writer: Writer,
        address: &Address,
        account: &Account,
        written: &mut WrittenLocations,
    ) {
        let before = account.original_info();
        let after = InfoAfter::of(account);
        let reset = account.is_selfdestructed() || account.is_created();
        let info_changed = reset || after.differs(&before, account);
        let slots = account.changed_storage_slots().filter(|_| !account.is_selfdestructed());
        let mut slots = slots.peekable();
        if !info_changed && slots.peek().is_none() {
            return;
        }

        let hash = self.account_hash(address);
        let mut shard = self.shard(hash);
        let versions = shard.entry(*address).or_default();
        if info_changed {
            self.filter.mark_info(hash);
            written.accounts.push(*address);
            after.insert(versions, writer, &before, account);
        }
        if reset {
            self.filter.mark_reset(hash);
            versions.resets.insert(writer, ());
        }
        for (slot, value) in slots {
            self.filter.mark_slot(self.slot_hash(hash, slot));
            written.slots.push((*address, *slot));
            versions.slots.entry(*slot).or_default().insert(writer, value.present_value);
        }
    }

    fn shard(&self, hash: AccountHash) -> parking_lot::MutexGuard<'_, Shard> {
        self.shards[hash.shard(SHARDS)].lock()
    }
}

/// An account's parts after a transaction, deletion taken into account.
struct InfoAfter<'a> {
    info: &'a AccountInfo,
    exists: bool,
}

impl<'a> InfoAfter<'a> {
    fn of(account: &'a Account) -> Self {
        // EIP-161 deletes what is touched and empty; before it, the journal has unmarked or created
        // such accounts, so that the rule is the same for all forks.
        let deleted = account.is_selfdestructed() || (account.is_empty() && !account.is_created());
        Self { info: &account.info, exists: !deleted }
    }

    fn differs(&self, before: &AccountInfo, account: &Account) -> bool {
        self.exists == account.is_loaded_as_not_existing()
            || self.info.balance != before.balance
            || self.info.nonce != before.nonce
            || self.info.code_hash != before.code_hash
    }

    fn insert(
        &self,
        versions: &mut AccountVersions,
        writer: Writer,
        before: &AccountInfo,
        account: &Account,
    ) {
        if self.exists == account.is_loaded_as_not_existing() || account.is_created() {
            versions.exists.insert(writer, self.exists);
        }
        let gone = AccountInfo::default();
        let info = if self.exists { self.info } else { &gone };
        if info.balance != before.balance {
            versions.balance.insert(writer, info.balance);
        }
        if info.nonce != before.nonce {
            versions.nonce.insert(writer, info.nonce);
        }
        if info.code_hash != before.code_hash {
            versions.code.insert(writer, (info.code_hash, info.code.clone()));
        }
    }
}
