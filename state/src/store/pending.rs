//! The state after blocks that are executed and not committed yet.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, U256};
use foldhash::fast::RandomState;
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    database::{BundleAccount, BundleState},
    state::AccountInfo,
};

/// The state after some blocks on top of another state, which may be anything that implements
/// revm's [`DatabaseRef`]: a [`Snapshot`](super::Snapshot), an embedder's own database.
///
/// So several blocks can be executed and then committed together.
#[derive(Debug, Clone)]
pub struct Pending<D> {
    below: D,
    accounts: HashMap<Address, PendingAccount, RandomState>,
    codes: HashMap<B256, Bytecode, RandomState>,
    hashes: HashMap<u64, B256, RandomState>,
}

/// An account that a pending block changed.
#[derive(Debug, Clone, Default)]
struct PendingAccount {
    /// None if it does not exist.
    info: Option<AccountInfo>,
    /// Whether the storage that it has in the state below is gone.
    wiped: bool,
    slots: HashMap<U256, U256, RandomState>,
}

impl<D> Pending<D> {
    /// The state below, as it is.
    pub fn new(below: D) -> Self {
        Self {
            below,
            accounts: HashMap::default(),
            codes: HashMap::default(),
            hashes: HashMap::default(),
        }
    }

    /// The state below.
    pub const fn below(&self) -> &D {
        &self.below
    }

    /// Adds what the next block changed, and its hash for `BLOCKHASH`.
    pub fn push(&mut self, number: u64, hash: B256, bundle: &BundleState) {
        self.hashes.insert(number, hash);
        let codes = bundle.contracts.iter();
        self.codes.extend(codes.map(|(hash, code)| (*hash, code.clone())));
        bundle.state.iter().for_each(|(address, change)| {
            self.accounts.entry(*address).or_default().apply(change);
        });
    }
}

impl PendingAccount {
    fn apply(&mut self, change: &BundleAccount) {
        self.info = change.info.clone().map(|info| AccountInfo { code: None, ..info });
        if change.was_destroyed() || change.info.is_none() {
            self.wiped = true;
            self.slots.clear();
        }
        if change.info.is_some() {
            let slots = change.storage.iter();
            self.slots.extend(slots.map(|(slot, value)| (*slot, value.present_value)));
        }
    }
}

impl<D: DatabaseRef> DatabaseRef for Pending<D> {
    type Error = D::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        match self.accounts.get(&address) {
            Some(account) => Ok(account.info.clone()),
            None => self.below.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, D::Error> {
        match self.codes.get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.below.code_by_hash_ref(code_hash),
        }
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, D::Error> {
        let account = self.accounts.get(&address);
        match account.map(|account| (account.slots.get(&slot), account.wiped)) {
            Some((Some(value), _)) => Ok(*value),
            Some((None, true)) => Ok(U256::ZERO),
            Some((None, false)) | None => self.below.storage_ref(address, slot),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, D::Error> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.below.block_hash_ref(number),
        }
    }
}
