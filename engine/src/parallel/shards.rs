//! Hash tables behind locks of their own.

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};

/// Enough that two threads rarely want the same one.
const SHARDS: usize = 64;

/// A hash table cut in parts, each behind its lock. It takes hashes that are computed already and
/// compares keys in full.
#[derive(Debug)]
pub(super) struct Shards<T>(Box<[CachePadded<Mutex<Table<T>>>]>);

/// Entries with their hashes.
type Table<T> = HashTable<(u64, T)>;

impl<T> Shards<T> {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| CachePadded::new(Mutex::new(HashTable::new()))).collect())
    }

    /// Locks the part where entries of this hash live.
    pub(super) fn lock(&self, hash: u64) -> Shard<'_, T> {
        // Neither the low bits, which choose the bucket, nor the top ones, which tag it.
        Shard { hash, table: self.0[(hash >> 26) as usize % SHARDS].lock() }
    }
}

/// A locked part, looked into under one hash.
pub(super) struct Shard<'a, T> {
    hash: u64,
    table: MutexGuard<'a, Table<T>>,
}

impl<T> Shard<'_, T> {
    pub(super) fn find(&self, same: impl Fn(&T) -> bool) -> Option<&T> {
        self.table.find(self.hash, |(_, entry)| same(entry)).map(|(_, entry)| entry)
    }

    pub(super) fn find_mut(&mut self, same: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.table.find_mut(self.hash, |(_, entry)| same(entry)).map(|(_, entry)| entry)
    }

    pub(super) fn find_or_insert(
        &mut self,
        same: impl Fn(&T) -> bool,
        new: impl FnOnce() -> T,
    ) -> &mut T {
        let entry = self.table.entry(self.hash, |(_, e)| same(e), |(hash, _)| *hash);
        &mut entry.or_insert_with(|| (self.hash, new())).into_mut().1
    }
}
