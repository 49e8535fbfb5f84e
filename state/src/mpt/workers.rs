//! Threads and Keccak for tries.

use std::sync::Arc;

use alloy_primitives::B256;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder, prelude::*};

use super::{
    error::TrieError,
    hash::hash_parts,
    keccak::{Batch, KeccakBatch, KeccakCount, KeccakStats, keccak_one_by_one},
    reveal::Reading,
    trie::{PartChanges, Trie},
    value::Value,
};

/// Pieces of work for each thread, so that a thread that is done early finds more.
const PIECES_PER_THREAD: usize = 4;
/// Changes below which another thread is not worth waking.
const MIN_PIECE: usize = 32;

/// The threads that update a trie, and how they hash.
#[derive(Debug, Clone)]
pub struct TrieWorkers {
    /// None where the calling thread does the work.
    pool: Option<Arc<ThreadPool>>,
    keccak: KeccakBatch,
    count: Arc<KeccakCount>,
}

/// How to hash, and where hashes are counted.
#[derive(Clone, Copy)]
pub(super) struct Hashing<'a> {
    pub(super) keccak: KeccakBatch,
    pub(super) count: &'a KeccakCount,
}

impl Hashing<'_> {
    pub(super) fn hash_one(self, message: &[u8]) -> B256 {
        let mut batch = Batch::new(self.keccak);
        batch.push(|out| out.extend_from_slice(message));
        batch.hash(self.count)[0]
    }
}

impl Default for TrieWorkers {
    /// The calling thread alone.
    fn default() -> Self {
        Self { pool: None, keccak: keccak_one_by_one, count: Arc::default() }
    }
}

impl TrieWorkers {
    /// So many threads of their own; with 0 or 1 the calling thread does the work.
    ///
    /// # Errors
    /// If the operating system refuses to start the threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        if threads <= 1 {
            return Ok(Self::default());
        }
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder.thread_name(|index| format!("pleach-trie-{index}")).build()?;
        Ok(Self { pool: Some(Arc::new(pool)), ..Self::default() })
    }

    /// Threads that others use as well.
    pub fn sharing(pool: Arc<ThreadPool>) -> Self {
        Self { pool: Some(pool), ..Self::default() }
    }

    /// Hashes with another implementation of Keccak-256.
    #[must_use]
    pub fn with_keccak(mut self, keccak: KeccakBatch) -> Self {
        self.keccak = keccak;
        self
    }

    /// The threads that share an update.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Hashes computed so far, by these workers and their clones.
    pub fn keccak_stats(&self) -> KeccakStats {
        self.count.read()
    }

    pub(super) fn hashing(&self) -> Hashing<'_> {
        Hashing { keccak: self.keccak, count: &self.count }
    }

    /// Keccak-256 of each message, in order, on the calling thread.
    pub(super) fn hash_here(&self, messages: &[&[u8]]) -> Vec<B256> {
        let mut hashes = vec![B256::ZERO; messages.len()];
        self.count.add(messages);
        (self.keccak)(messages, &mut hashes);
        hashes
    }

    /// Keccak-256 of each message, in order, on all threads.
    pub(super) fn hash_all(&self, messages: &[&[u8]]) -> Vec<B256> {
        let Some(pool) = self.pool.as_ref().filter(|_| messages.len() > 2 * MIN_PIECE) else {
            return self.hash_here(messages);
        };
        let mut hashes = vec![B256::ZERO; messages.len()];
        self.count.add(messages);
        pool.install(|| {
            let size = messages.len().div_ceil(pool.current_num_threads()).max(MIN_PIECE);
            let pieces = messages.par_chunks(size).zip(hashes.par_chunks_mut(size));
            pieces.for_each(|(messages, hashes)| (self.keccak)(messages, hashes));
        });
        hashes
    }

    /// Does something with each piece of work, until one fails.
    pub(super) fn each<T: Send>(
        &self,
        mut pieces: Vec<T>,
        work: impl Fn(&mut T) -> Result<(), TrieError> + Sync,
    ) -> Result<(), TrieError> {
        match &self.pool {
            Some(pool) if pieces.len() > 1 => {
                pool.install(|| pieces.par_iter_mut().with_max_len(1).try_for_each(&work))
            }
            _ => pieces.iter_mut().try_for_each(work),
        }
    }

    /// The values under sorted keys of one trie, in their order.
    pub(super) fn get_all<V: Value>(
        &self,
        trie: &mut Trie<V>,
        keys: &[&B256],
        cx: Reading<'_>,
    ) -> Result<Vec<Option<V>>, TrieError> {
        let mut found = vec![None; keys.len()];
        let mut rest = found.as_mut_slice();
        let pieces = trie.part_keys(keys).map(|(part, keys)| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(keys.len());
            rest = others;
            (part, keys, own)
        });
        self.each(pieces.filter(|(_, keys, _)| !keys.is_empty()).collect(), |piece| {
            let (part, keys, found) = piece;
            part.warm(keys.iter().copied());
            for (key, found) in keys.iter().zip(found.iter_mut()) {
                *found = part.get(key, cx)?.cloned();
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Applies changes to parts of tries and brings the references of their roots up to date.
    pub(super) fn update<V: Value>(
        &self,
        parts: Vec<PartChanges<'_, V>>,
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let total: usize = parts.iter().map(|part| part.changes.len()).sum();
        let piece = (total / (self.threads() * PIECES_PER_THREAD)).max(MIN_PIECE);
        self.each(pieces(parts, piece), |piece| {
            for PartChanges { part, changes, owner } in piece.iter_mut() {
                part.warm(changes.iter().map(|change| &change.key));
                part.apply(changes, Reading { owner: *owner, ..cx })?;
            }
            let mut parts: Vec<_> = piece.iter_mut().map(|changed| &mut *changed.part).collect();
            hash_parts(&mut parts, self.hashing());
            Ok(())
        })
    }
}

/// Gathers parts until there are at least so many changes in a piece.
fn pieces<V: Value>(parts: Vec<PartChanges<'_, V>>, least: usize) -> Vec<Vec<PartChanges<'_, V>>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut changes = 0;
    for part in parts {
        changes += part.changes.len();
        piece.push(part);
        if changes >= least {
            pieces.push(std::mem::take(&mut piece));
            changes = 0;
        }
    }
    pieces.push(piece);
    pieces
}
