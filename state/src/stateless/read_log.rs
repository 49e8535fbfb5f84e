//! A prestate that notes what is asked of it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256};
use parking_lot::Mutex;
use revm::{DatabaseRef, bytecode::Bytecode, primitives::KECCAK_EMPTY, state::AccountInfo};

/// Passes reads on to the prestate inside and notes what is read, whether or not it exists.
///
/// Reads may come from many threads, but speculation reads more than a block needs: for a witness
/// that holds no more than is needed the block is executed serially.
#[derive(Debug)]
pub struct ReadLog<D> {
    inner: D,
    reads: Mutex<Reads>,
}

/// What a block read, in order of addresses, slots and numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Slots by account. An account of which only balance, nonce or code was read has none.
    pub accounts: BTreeMap<Address, BTreeSet<U256>>,
    /// Bytecodes by their Keccak-256 hashes; never the empty code.
    pub codes: BTreeMap<B256, Bytes>,
    /// The hashes that `BLOCKHASH` found, by number.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl<D> ReadLog<D> {
    /// Begins to note reads of a prestate.
    pub fn new(inner: D) -> Self {
        Self { inner, reads: Mutex::default() }
    }

    /// What was read so far.
    pub fn into_reads(self) -> Reads {
        self.reads.into_inner()
    }

    fn note_code(&self, hash: B256, code: &Bytecode) {
        if hash != KECCAK_EMPTY && !hash.is_zero() {
            self.reads.lock().codes.entry(hash).or_insert_with(|| code.original_bytes());
        }
    }
}

impl<D: DatabaseRef> DatabaseRef for ReadLog<D> {
    type Error = D::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        self.reads.lock().accounts.entry(address).or_default();
        let info = self.inner.basic_ref(address)?;
        // A code that comes along was not asked for, but whether it is used does not show.
        if let Some(AccountInfo { code_hash, code: Some(code), .. }) = &info {
            self.note_code(*code_hash, code);
        }
        Ok(info)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, D::Error> {
        let code = self.inner.code_by_hash_ref(code_hash)?;
        self.note_code(code_hash, &code);
        Ok(code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, D::Error> {
        self.reads.lock().accounts.entry(address).or_default().insert(slot);
        self.inner.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, D::Error> {
        let hash = self.inner.block_hash_ref(number)?;
        self.reads.lock().block_hashes.insert(number, hash);
        Ok(hash)
    }
}
