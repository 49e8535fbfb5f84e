//! The state as one incarnation sees it.

use std::{
    collections::HashSet,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_primitives::{Address, B256, U256};
use pleach_scheduler::{EntryId, Scheduler, TxIdx};
use pleach_state::mpt::TouchedKey;
use revm::{
    Database, DatabaseRef, bytecode::Bytecode, database_interface::DBErrorMarker,
    primitives::KECCAK_EMPTY, state::AccountInfo,
};

use super::{
    bundle::Gathering,
    committed::Ledger,
    location::Writer,
    mv_memory::{After, MvMemory, Part},
    parts::Known,
    read_set::{AccountRead, EXACT_FROM, HUGE_AMOUNT, ReadSet, SlotRead},
};
use crate::{Follower, Prestate, follow::help, sync::Mutex};

/// A prestate whose type is forgotten. Speculation does not care why a read failed: the
/// transaction is then run by the committer, on the caller's own database, which says why.
pub trait SharedPrestate: Debug + Send + Sync {
    /// See [`DatabaseRef::basic_ref`](revm::DatabaseRef::basic_ref).
    fn basic(&self, address: Address) -> Option<Option<AccountInfo>>;
    /// See [`DatabaseRef::code_by_hash_ref`](revm::DatabaseRef::code_by_hash_ref).
    fn code(&self, code_hash: B256) -> Option<Bytecode>;
    /// See [`DatabaseRef::storage_ref`](revm::DatabaseRef::storage_ref).
    fn storage(&self, address: Address, slot: U256) -> Option<U256>;
    /// See [`DatabaseRef::block_hash_ref`](revm::DatabaseRef::block_hash_ref).
    fn block_hash(&self, number: u64) -> Option<B256>;
}

impl<P: Prestate> SharedPrestate for P {
    fn basic(&self, address: Address) -> Option<Option<AccountInfo>> {
        self.basic_ref(address).ok()
    }

    fn code(&self, code_hash: B256) -> Option<Bytecode> {
        self.code_by_hash_ref(code_hash).ok()
    }

    fn storage(&self, address: Address, slot: U256) -> Option<U256> {
        self.storage_ref(address, slot).ok()
    }

    fn block_hash(&self, number: u64) -> Option<B256> {
        self.block_hash_ref(number).ok()
    }
}

/// A shared prestate as revm reads one.
#[derive(Debug)]
pub(super) struct Readable<'a>(pub(super) &'a dyn SharedPrestate);

impl DatabaseRef for Readable<'_> {
    type Error = ViewError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        self.0.basic(address).ok_or(ViewError::Prestate)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, ViewError> {
        self.0.code(code_hash).ok_or(ViewError::Prestate)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ViewError> {
        self.0.storage(address, slot).ok_or(ViewError::Prestate)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ViewError> {
        self.0.block_hash(number).ok_or(ViewError::Prestate)
    }
}

/// What all incarnations of a block share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) memory: Arc<MvMemory>,
    pub(super) scheduler: Scheduler,
    pub(super) prestate: Arc<dyn SharedPrestate>,
    /// Where the memory keeps the block's changes until the end, the committer's notes beside it.
    /// `None` where the block executor's own database collects the changes.
    pub(super) ledger: Option<Mutex<Ledger>>,
    /// How threads make the bundle together in the end.
    pub(super) gathering: Gathering,
    /// Who is told of commits, if anybody.
    pub(super) follower: Option<Arc<dyn Follower>>,
    /// Whether the committer has left.
    pub(super) is_over: AtomicBool,
}

impl Shared {
    /// Tells the follower, if there is one, of what has committed.
    pub(super) fn tell(&self, mut writes: impl Iterator<Item = TouchedKey>) {
        if let Some(follower) = &self.follower {
            follower.committed(&mut writes);
        }
    }

    /// The keys behind the names of writes.
    pub(super) fn written(&self, names: &[EntryId]) -> impl Iterator<Item = TouchedKey> {
        names.iter().map(|name| {
            let write = self.memory.write(*name);
            match write.part() {
                Part::Slot => TouchedKey::Slot(write.address(), write.slot()),
                _ => TouchedKey::Account(write.address()),
            }
        })
    }

    /// Helps the follower while the rest of the block runs serially.
    pub(super) fn help_follower(&self) {
        if let Some(follower) = &self.follower {
            help(&**follower, || self.is_over.load(Ordering::Relaxed));
        }
    }
}

/// Why an incarnation cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// It read what a lower transaction is about to write anew.
    #[error("waits for transaction {0}")]
    Dependency(TxIdx),
    /// The prestate failed.
    #[error("the prestate could not be read")]
    Prestate,
}

impl DBErrorMarker for ViewError {}

/// The state as one incarnation sees it: the writes of lower transactions over the prestate.
///
/// It writes down all that it hands out. That record, compared with the committed state, decides
/// whether the incarnation stands.
#[derive(Debug)]
pub struct View {
    shared: Arc<Shared>,
    reader: Writer,
    /// The sender of the transaction and the nonce that it must have for the transaction to be
    /// valid at all.
    sender: Option<(Address, u64)>,
    reads: ReadSet,
    failure: Option<ViewError>,
}

impl View {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let reader = Writer::transaction(0);
        Self { shared, reader, sender: None, reads: ReadSet::default(), failure: None }
    }

    /// Prepares for an incarnation of the transaction at `index`, which writes down what it reads
    /// in `reads`.
    pub(super) fn begin(
        &mut self,
        index: TxIdx,
        sender: Option<(Address, u64)>,
        mut reads: ReadSet,
    ) {
        reads.clear();
        self.reader = Writer::transaction(index);
        self.sender = sender;
        self.reads = reads;
        self.failure = None;
    }

    /// Hands over what the incarnation read. Returns whether a read failed.
    pub(super) fn finish(&mut self, reads: &mut ReadSet) -> Option<ViewError> {
        std::mem::swap(reads, &mut self.reads);
        self.failure.take()
    }

    /// The incarnation has learnt this account's balance.
    pub fn observe_balance(&mut self, address: &Address) {
        if let Some(read) = self.reads.account_mut(address) {
            read.balance_observed = true;
        }
    }

    /// The incarnation may have learnt any balance.
    pub const fn observe_all_balances(&mut self) {
        self.reads.all_balances_observed = true;
    }

    /// The incarnation draws `amount` (wei) on an account that now holds `balance`.
    pub fn withdraw(&mut self, address: &Address, balance: U256, amount: U256) {
        if amount >= HUGE_AMOUNT {
            self.observe_all_balances();
        }
        let Some(read) = self.reads.account_mut(address) else { return };
        match balance.checked_sub(amount) {
            Some(rest) => read.slack = read.slack.min(rest),
            None => read.balance_observed = true,
        }
    }

    /// What the incarnation has read of an account so far.
    pub(super) fn read_balance(&self, address: &Address) -> Option<U256> {
        let read = self.reads.accounts.iter().find(|read| read.address == *address);
        read.map(|read| read.balance)
    }

    /// Whether the incarnation has read some account more than once, as chains do that go past the
    /// journal. The two reads may differ, and balances can be corrected only for one.
    pub(super) fn has_read_an_account_twice(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.reads.accounts.len());
        !self.reads.accounts.iter().all(|read| seen.insert(read.address))
    }

    fn fail<T>(&mut self, error: ViewError) -> Result<T, ViewError> {
        self.failure = Some(error);
        Err(error)
    }

    /// A value left by a writer whose transaction runs again is an estimate: better wait.
    fn check_estimate(&mut self, writer: Option<Writer>) -> Result<(), ViewError> {
        match writer.and_then(Writer::index) {
            Some(index) if self.shared.scheduler.is_estimate(index) => {
                self.fail(ViewError::Dependency(index))
            }
            _ => Ok(()),
        }
    }

    fn record(&mut self, read: AccountRead) {
        if read.balance >= EXACT_FROM {
            self.observe_all_balances();
        }
        self.reads.accounts.push(read);
    }
}

impl Database for View {
    type Error = ViewError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        let Some(before) = self.shared.prestate.basic(address) else {
            return self.fail(ViewError::Prestate);
        };
        let memory = &self.shared.memory;
        let hash = memory.account_hash(&address);
        let overlay = memory.account(hash, &address, self.reader, Known::default());
        let written = overlay.written();
        self.check_estimate(overlay.latest)?;
        let mut found = overlay.over(before);
        let exists = found.is_some();
        let found_nonce = found.as_ref().map(|info| info.nonce).unwrap_or_default();
        if let (Some(info), Some((sender, nonce))) = (&mut found, self.sender)
            && sender == address
        {
            info.nonce = nonce;
        }
        let absent = AccountInfo::default();
        let info = found.as_ref().unwrap_or(&absent);
        self.record(AccountRead {
            address,
            hash,
            exists,
            balance: info.balance,
            nonce: info.nonce,
            found_nonce,
            code_hash: info.code_hash,
            written,
            balance_observed: false,
            slack: U256::MAX,
            correction: None,
            after: After::default(),
        });
        Ok(found)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ViewError> {
        if code_hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        match self.shared.prestate.code(code_hash) {
            Some(code) => Ok(code),
            None => self.fail(ViewError::Prestate),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewError> {
        let memory = &self.shared.memory;
        let account_hash = memory.account_hash(&address);
        let hash = memory.slot_hash(account_hash, &slot);
        let written = memory.slot((account_hash, hash), &address, &slot, self.reader);
        let value = match written {
            Some((writer, value)) => {
                self.check_estimate(Some(writer))?;
                value
            }
            None => match self.shared.prestate.storage(address, slot) {
                Some(value) => value,
                None => return self.fail(ViewError::Prestate),
            },
        };
        self.reads.slots.push(SlotRead {
            address,
            account_hash,
            hash,
            slot,
            value,
            from_memory: written.is_some(),
        });
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewError> {
        match self.shared.prestate.block_hash(number) {
            Some(hash) => Ok(hash),
            None => self.fail(ViewError::Prestate),
        }
    }
}
