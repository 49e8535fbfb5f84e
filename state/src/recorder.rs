//! Turning any prestate into a flat one by writing down what is read.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::{Address, B256, U256};
use parking_lot::Mutex;
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

use crate::{FlatAccount, FlatState};

/// Passes reads on to the prestate inside and remembers the answers.
///
/// After a block has run on it once, [`Recorder::into_flat`] gives a [`FlatState`] that answers
/// every read of that run from memory. Reads may come from many threads.
#[derive(Debug)]
pub struct Recorder<D> {
    inner: D,
    answers: Mutex<Answers>,
}

/// What was read so far. Ordered maps, so that what is made of them is the same each time.
#[derive(Debug, Default)]
struct Answers {
    accounts: BTreeMap<Address, AccountInfo>,
    slots: BTreeMap<(Address, U256), U256>,
    codes: BTreeMap<B256, Bytecode>,
    block_hashes: BTreeMap<u64, B256>,
}

impl<D: DatabaseRef> Recorder<D> {
    /// Begins to record reads of a prestate.
    pub fn new(inner: D) -> Self {
        Self { inner, answers: Mutex::default() }
    }

    /// All that was read, as a state of its own. What was never read is absent from it.
    pub fn into_flat(self) -> FlatState {
        self.into_parts().0
    }

    /// The same, and the prestate that was read from.
    pub fn into_parts(self) -> (FlatState, D) {
        (flat(self.answers.into_inner()), self.inner)
    }
}

fn flat(answers: Answers) -> FlatState {
    let mut storage: BTreeMap<Address, HashMap<U256, U256, _>> = BTreeMap::new();
    for ((address, slot), value) in answers.slots {
        storage.entry(address).or_default().insert(slot, value);
    }
    let mut flat = FlatState::new();
    for (address, info) in answers.accounts {
        let storage = storage.remove(&address).unwrap_or_default();
        flat.insert_account(address, FlatAccount { info, storage });
    }
    for (hash, code) in answers.codes {
        flat.insert_bytecode(hash, code);
    }
    for (number, hash) in answers.block_hashes {
        flat.insert_block_hash(number, hash);
    }
    flat
}

impl<D: DatabaseRef> DatabaseRef for Recorder<D> {
    type Error = D::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        let info = self.inner.basic_ref(address)?;
        if let Some(info) = &info {
            self.answers.lock().accounts.insert(address, info.clone());
        }
        Ok(info)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, D::Error> {
        let code = self.inner.code_by_hash_ref(code_hash)?;
        self.answers.lock().codes.insert(code_hash, code.clone());
        Ok(code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, D::Error> {
        let value = self.inner.storage_ref(address, slot)?;
        if !value.is_zero() {
            // A slot needs its account in the flat state, whether or not that is read as well.
            if !self.answers.lock().accounts.contains_key(&address) {
                self.basic_ref(address)?;
            }
            self.answers.lock().slots.insert((address, slot), value);
        }
        Ok(value)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, D::Error> {
        let hash = self.inner.block_hash_ref(number)?;
        self.answers.lock().block_hashes.insert(number, hash);
        Ok(hash)
    }
}
