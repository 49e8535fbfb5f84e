//! A whole prestate in hash tables.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use foldhash::fast::RandomState;
use revm::{DatabaseRef, bytecode::Bytecode, primitives::KECCAK_EMPTY, state::AccountInfo};

use crate::{StateError, analysis::analyse};

/// An account of a [`FlatState`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlatAccount {
    /// Balance in wei, nonce and code hash. `code` stays `None`: code lives in the state's own map.
    pub info: AccountInfo,
    /// Slot to value; a slot that is not listed is zero.
    pub storage: HashMap<U256, U256, RandomState>,
}

/// A prestate of plain maps: every read is one or two hash look-ups.
///
/// An account or slot that is not listed does not exist or is zero. Bytecode is analysed when it is
/// inserted, once, so that executing it never is. Hashers are seeded per table, because the
/// keys are chosen by whoever sends transactions.
#[derive(Debug, Clone, Default)]
pub struct FlatState {
    accounts: HashMap<Address, FlatAccount, RandomState>,
    codes: HashMap<B256, Bytecode, RandomState>,
    block_hashes: HashMap<u64, B256, RandomState>,
}

impl FlatState {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces an account. Code inside `info` moves to the state's code map.
    pub fn insert_account(&mut self, address: Address, mut account: FlatAccount) {
        if let Some(code) = account.info.code.take()
            && !code.is_empty()
        {
            self.codes.insert(account.info.code_hash, code);
        }
        account.storage.retain(|_, value| !value.is_zero());
        self.accounts.insert(address, account);
    }

    /// Sets one slot, creating an empty account if there is none.
    pub fn insert_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.accounts.entry(address).or_default().storage.insert(slot, value);
    }

    /// Adds bytecode, analysed, under its Keccak-256 hash, and returns that hash.
    ///
    /// Bytes that begin like an EIP-7702 delegation without being one are kept as legacy code.
    pub fn insert_code(&mut self, code: Bytes) -> B256 {
        let hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
        self.codes.insert(hash, analyse(code));
        hash
    }

    /// Adds bytecode that is analysed already.
    pub fn insert_bytecode(&mut self, hash: B256, code: Bytecode) {
        self.codes.insert(hash, code);
    }

    /// Adds the hash of an ancestor block, for `BLOCKHASH`.
    pub fn insert_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// A copy that shares no memory with this one, not even bytecode, whose reference counts would
    /// otherwise be contended between threads that each execute on a copy.
    pub fn deep_clone(&self) -> Self {
        let codes = self.codes.iter();
        let codes = codes.map(|(hash, code)| {
            (*hash, analyse(Bytes::copy_from_slice(code.original_byte_slice())))
        });
        Self {
            accounts: self.accounts.clone(),
            codes: codes.collect(),
            block_hashes: self.block_hashes.clone(),
        }
    }

    /// The account at an address, if it exists.
    pub fn account(&self, address: &Address) -> Option<&FlatAccount> {
        self.accounts.get(address)
    }

    /// Takes an account out, so that reads find none. Returns what was there.
    pub fn remove_account(&mut self, address: &Address) -> Option<FlatAccount> {
        self.accounts.remove(address)
    }

    /// Takes a bytecode out. Returns what was there.
    pub fn remove_code(&mut self, hash: &B256) -> Option<Bytecode> {
        self.codes.remove(hash)
    }

    /// All accounts, in no particular order.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &FlatAccount)> {
        self.accounts.iter()
    }

    /// Hashes of all codes, in no particular order.
    pub fn code_hashes(&self) -> impl Iterator<Item = &B256> {
        self.codes.keys()
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is no account at all.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

impl DatabaseRef for FlatState {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.accounts.get(&address).map(|account| account.info.clone()))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        if code_hash == KECCAK_EMPTY || code_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        self.codes.get(&code_hash).cloned().ok_or(StateError::MissingCode { code_hash })
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let account = self.accounts.get(&address);
        Ok(account.and_then(|a| a.storage.get(&slot)).copied().unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).copied().ok_or(StateError::MissingBlockHash { number })
    }
}
