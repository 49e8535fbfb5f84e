//! The state before each transaction, as the list has it.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, DatabaseRef,
    bytecode::Bytecode,
    primitives::KECCAK_EMPTY,
    state::{AccountId, AccountInfo},
};

use super::{
    super::view::{SharedPrestate, ViewError},
    list::AccessList,
};

/// A list over the prestate that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) list: Arc<AccessList>,
    pub(super) prestate: Arc<dyn SharedPrestate>,
    /// Whether the EVM tells an account that is empty from one that does not exist: before EIP-161
    /// in all it does, and again when EIP-7702 refunds for an authority that exists.
    pub(super) empty_is_something: bool,
}

impl Source {
    /// An account before an index.
    pub(super) fn account(
        &self,
        address: Address,
        index: u32,
    ) -> Result<Option<AccountInfo>, ViewError> {
        let before = self.prestate.basic(address).ok_or(ViewError::Prestate)?;
        match self.list.account_id(&address) {
            Some(account) => Ok(self.list.account_before(account, index, before)),
            None => Ok(before),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytecode, ViewError> {
        if code_hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        self.prestate.code(code_hash).ok_or(ViewError::Prestate)
    }

    /// A slot of an account that has this place in the list, if it has one.
    pub(super) fn slot(
        &self,
        account: Option<u32>,
        (address, slot): (Address, U256),
        index: u32,
    ) -> Result<U256, ViewError> {
        let listed = account.and_then(|account| self.list.slot_id(account, slot));
        match listed.and_then(|slot| self.list.values(slot).before(index)) {
            Some(value) => Ok(*value),
            None => self.prestate.storage(address, slot).ok_or(ViewError::Prestate),
        }
    }
}

/// The state before one index. What the list leaves out is as in the prestate.
#[derive(Debug)]
pub(super) struct ListedView {
    pub(super) source: Source,
    pub(super) index: u32,
}

impl DatabaseRef for ListedView {
    type Error = ViewError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        self.source.account(address, self.index)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, ViewError> {
        self.source.code(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ViewError> {
        let account = self.source.list.account_id(&address);
        self.source.slot(account, (address, slot), self.index)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ViewError> {
        self.source.prestate.block_hash(number).ok_or(ViewError::Prestate)
    }
}

impl Database for ListedView {
    type Error = ViewError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        self.basic_ref(address)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ViewError> {
        self.code_by_hash_ref(code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewError> {
        self.storage_ref(address, slot)
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        account: AccountId,
        slot: U256,
    ) -> Result<U256, ViewError> {
        self.source.slot(Some(account.get() as u32), (address, slot), self.index)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewError> {
        self.block_hash_ref(number)
    }
}
