//! A state on disk, and what was read of it.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash},
    sync::atomic::{AtomicBool, Ordering},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use pleach_state::mpt::{NodePlace, NodeSource, SourceError};
use revm::{DatabaseRef, bytecode::Bytecode, database::BundleState, state::AccountInfo};

/// So many locks, so that threads which read side by side seldom meet at one.
const SHARDS: usize = 64;

/// Passes reads on to a state that does not change, and remembers the answers.
///
/// When the state below is replaced by the one after some blocks, [`Self::succeeded_by`] carries
/// the answers over and brings them up to date: no reader of the old one can spoil the new one.
#[derive(Debug)]
pub(super) struct Cached<D> {
    below: D,
    accounts: Sharded<Address, Option<AccountInfo>>,
    slots: Sharded<(Address, U256), U256>,
}

/// A value, and whether it is there only because somebody thought that it will be needed.
#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// Relaxed: guesses are judged by it, nothing else.
    hinted: AtomicBool,
}

impl<D> Cached<D> {
    /// Nothing is remembered yet.
    pub(super) fn new(below: D) -> Self {
        Self { below, accounts: Sharded::default(), slots: Sharded::default() }
    }

    /// The state below.
    pub(super) const fn below(&self) -> &D {
        &self.below
    }

    /// Takes the answers out for the state after some blocks, whose changes are given in order, and
    /// which lies in `below`. Of more than `most` answers none is kept. This state stays readable.
    pub(super) fn succeeded_by<'a, E>(
        &self,
        below: E,
        changes: impl Iterator<Item = &'a BundleState>,
        most: usize,
    ) -> Cached<E> {
        let mut next = Cached::new(below);
        if self.accounts.len() + self.slots.len() > most {
            return next;
        }
        next.accounts = self.accounts.take();
        next.slots = self.slots.take();
        changes.for_each(|bundle| next.apply(bundle));
        next
    }

    fn apply(&self, bundle: &BundleState) {
        let changed = bundle.state.iter();
        let gone = changed.filter(|(_, account)| account.was_destroyed() || account.info.is_none());
        let gone: HashSet<Address, RandomState> = gone.map(|(address, _)| *address).collect();
        if !gone.is_empty() {
            self.slots.retain(|(address, _)| !gone.contains(address));
        }
        bundle.state.iter().for_each(|(address, account)| {
            let info = account.info.clone().map(|info| AccountInfo { code: None, ..info });
            self.accounts.set(*address, info);
            account.storage.iter().filter(|_| account.info.is_some()).for_each(|(slot, value)| {
                self.slots.set((*address, *slot), value.present_value);
            });
        });
    }
}

impl<D: DatabaseRef> Cached<D> {
    /// Reads an account that will be needed, if it is not there. Returns whether it was read.
    pub(super) fn hint_account(&self, address: Address) -> bool {
        self.accounts.hint(address, || self.below.basic_ref(address))
    }

    /// Reads a slot that may be needed, if it is not there. Returns whether it was read.
    pub(super) fn hint_slot(&self, address: Address, slot: U256) -> bool {
        self.slots.hint((address, slot), || self.below.storage_ref(address, slot))
    }

    /// Whether a slot is remembered for another reason than a hint.
    pub(super) fn has_read(&self, address: Address, slot: U256) -> bool {
        self.slots.has_read(&(address, slot))
    }
}

impl<D: DatabaseRef> DatabaseRef for Cached<D> {
    type Error = D::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        self.accounts.get_or_read(address, || self.below.basic_ref(address))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, D::Error> {
        self.below.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, D::Error> {
        self.slots.get_or_read((address, slot), || self.below.storage_ref(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, D::Error> {
        self.below.block_hash_ref(number)
    }
}

impl<D: NodeSource> NodeSource for Cached<D> {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        self.below.node(place)
    }
}

impl<V> Entry<V> {
    const fn new(value: V, hinted: bool) -> Self {
        Self { value, hinted: AtomicBool::new(hinted) }
    }
}

/// A map in parts, each behind a lock of its own.
#[derive(Debug)]
struct Sharded<K, V> {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<K, Entry<V>, RandomState>>>,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { hasher: RandomState::default(), shards }
    }
}

impl<K: Hash + Eq, V: Clone> Sharded<K, V> {
    fn shard(&self, key: &K) -> &RwLock<HashMap<K, Entry<V>, RandomState>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn get_or_read<E>(&self, key: K, read: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let shard = self.shard(&key);
        if let Some(entry) = shard.read().get(&key) {
            // Written once, so that threads which read the same do not take turns.
            if entry.hinted.load(Ordering::Relaxed) {
                entry.hinted.store(false, Ordering::Relaxed);
            }
            return Ok(entry.value.clone());
        }
        // Read without a lock: two threads may read the same, and get the same.
        let value = read()?;
        shard.write().insert(key, Entry::new(value.clone(), false));
        Ok(value)
    }

    /// Reads a value that is not there. Returns whether it was read; what fails is left to whoever
    /// needs it.
    fn hint<E>(&self, key: K, read: impl FnOnce() -> Result<V, E>) -> bool {
        let shard = self.shard(&key);
        if shard.read().contains_key(&key) {
            return false;
        }
        let Ok(value) = read() else { return false };
        // Whoever read it in the meantime needed it.
        shard.write().entry(key).or_insert_with(|| Entry::new(value, true));
        true
    }

    fn has_read(&self, key: &K) -> bool {
        let shard = self.shard(key).read();
        shard.get(key).is_some_and(|entry| !entry.hinted.load(Ordering::Relaxed))
    }

    fn set(&self, key: K, value: V) {
        self.shard(&key).write().insert(key, Entry::new(value, false));
    }

    fn retain(&self, keep: impl Fn(&K) -> bool) {
        self.shards.iter().for_each(|shard| shard.write().retain(|key, _| keep(key)));
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn take(&self) -> Self {
        let shards =
            self.shards.iter().map(|shard| RwLock::new(std::mem::take(&mut *shard.write())));
        Self { hasher: self.hasher.clone(), shards: shards.collect() }
    }
}

#[cfg(test)]
mod tests {
    use pleach_state::{FlatAccount, FlatState};

    use super::*;

    fn state() -> FlatState {
        let mut state = FlatState::new();
        for byte in 1..=20 {
            let info = AccountInfo { nonce: u64::from(byte), ..AccountInfo::default() };
            let storage = (0..5).map(|slot| (U256::from(slot), U256::from(byte) + U256::ONE));
            let account = FlatAccount { info, storage: storage.collect() };
            state.insert_account(Address::repeat_byte(byte), account);
        }
        state
    }

    /// Hints about what is there and what is not: what is read afterwards is what lies below.
    #[test]
    fn hints_change_no_answer() {
        let (below, cached) = (state(), Cached::new(state()));
        for byte in (0..40).step_by(3) {
            let address = Address::repeat_byte(byte);
            assert!(cached.hint_account(address) && !cached.hint_account(address));
            for slot in (0..9).map(U256::from) {
                assert!(cached.hint_slot(address, slot) && !cached.hint_slot(address, slot));
            }
        }
        for byte in 0..40 {
            let address = Address::repeat_byte(byte);
            assert_eq!(cached.basic_ref(address), below.basic_ref(address));
            for slot in (0..9).map(U256::from) {
                assert_eq!(cached.storage_ref(address, slot), below.storage_ref(address, slot));
            }
        }
    }

    /// A hint is not taken for a read, or guesses would confirm themselves.
    #[test]
    fn what_was_hinted_counts_as_read_once_it_is() {
        let (cached, address) = (Cached::new(state()), Address::repeat_byte(1));
        let [hinted, read] = [U256::ZERO, U256::ONE];
        cached.hint_slot(address, hinted);
        assert!(!cached.has_read(address, hinted) && !cached.has_read(address, read));
        cached.storage_ref(address, read).unwrap();
        assert!(!cached.has_read(address, hinted) && cached.has_read(address, read));
        cached.storage_ref(address, hinted).unwrap();
        assert!(cached.has_read(address, hinted));
    }
}
