//! A state on disk, and what was read of it.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash},
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

/// A map in parts, each behind a lock of its own.
#[derive(Debug)]
struct Sharded<K, V> {
    hasher: RandomState,
    shards: Vec<RwLock<HashMap<K, V, RandomState>>>,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { hasher: RandomState::default(), shards }
    }
}

impl<K: Hash + Eq, V: Clone> Sharded<K, V> {
    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V, RandomState>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn get_or_read<E>(&self, key: K, read: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let shard = self.shard(&key);
        if let Some(value) = shard.read().get(&key) {
            return Ok(value.clone());
        }
        // Read without a lock: two threads may read the same, and get the same.
        let value = read()?;
        shard.write().insert(key, value.clone());
        Ok(value)
    }

    fn set(&self, key: K, value: V) {
        self.shard(&key).write().insert(key, value);
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
