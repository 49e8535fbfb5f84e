//! Threads and Keccak for tries.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use alloy_primitives::B256;
use pleach_crew::Crew;

use super::{
    error::TrieError,
    hash::hash_parts,
    keccak::{Batch, KeccakBatch, KeccakCount, KeccakStats, keccak_one_by_one},
    reveal::Reading,
    trie::{PartChanges, Trie},
    value::Value,
};

/// Changes for each thread up to which it takes all of its share at once: many nodes of one depth
/// are hashed together, and a vector should be full.
const FEW_CHANGES: usize = 64;
/// What part of its share of the changes left a thread takes otherwise: large pieces first, and
/// small ones last, so that threads end together.
const SHARE_OF_OWN: usize = 2;
/// The fewest changes that are worth a piece, and the most: nodes should still be near the core
/// when their parents are hashed.
const PIECE: std::ops::RangeInclusive<usize> = 16..=512;
/// Keys that are hashed in less time than it takes to call a thread that is awake.
const MIN_HASHED: usize = 128;

/// The threads that update a trie, and how they hash.
#[derive(Debug, Clone)]
pub struct TrieWorkers {
    /// None where the calling thread does the work alone.
    crew: Option<Arc<Crew>>,
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
        Self { crew: None, keccak: keccak_one_by_one, count: Arc::default() }
    }
}

impl TrieWorkers {
    /// So many threads, the calling one included; the others are started for this.
    ///
    /// # Errors
    /// If the operating system refuses to start the threads.
    pub fn new(threads: usize) -> io::Result<Self> {
        match threads.saturating_sub(1) {
            0 => Ok(Self::default()),
            helpers => Ok(Self::sharing(Arc::new(Crew::new(helpers)?))),
        }
    }

    /// Threads that others use as well.
    pub fn sharing(crew: Arc<Crew>) -> Self {
        Self { crew: Some(crew), ..Self::default() }
    }

    /// Hashes with another implementation of Keccak-256.
    #[must_use]
    pub fn with_keccak(mut self, keccak: KeccakBatch) -> Self {
        self.keccak = keccak;
        self
    }

    /// The threads that share an update.
    pub fn threads(&self) -> usize {
        self.crew.as_ref().map_or(1, |crew| crew.threads())
    }

    /// Hashes computed so far, by these workers and their clones.
    pub fn keccak_stats(&self) -> KeccakStats {
        self.count.read()
    }

    /// Wakes the threads, for there will soon be work.
    pub(super) fn rouse(&self) {
        if let Some(crew) = &self.crew {
            crew.rouse();
        }
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
        let Some(crew) = self.crew.as_ref().filter(|_| messages.len() > 2 * MIN_HASHED) else {
            return self.hash_here(messages);
        };
        let mut hashes = vec![B256::ZERO; messages.len()];
        self.count.add(messages);
        let size = messages.len().div_ceil(crew.threads()).max(MIN_HASHED);
        let pieces = messages.chunks(size).zip(hashes.chunks_mut(size));
        let mut pieces: Vec<_> = pieces.collect();
        crew.each(&mut pieces, |(messages, hashes)| (self.keccak)(messages, hashes));
        hashes
    }

    /// What a function makes of so many items at a time, in order, on all threads.
    pub(super) fn map_pieces<T: Sync, A: Send>(
        &self,
        items: &[T],
        size: usize,
        make: impl Fn(&[T]) -> Vec<A> + Sync,
    ) -> Vec<Vec<A>> {
        let Some(crew) = &self.crew else { return vec![make(items)] };
        let mut pieces: Vec<_> = items.chunks(size).map(|items| (items, Vec::new())).collect();
        crew.each(&mut pieces, |(items, made)| *made = make(items));
        pieces.into_iter().map(|(_, made)| made).collect()
    }

    /// Does something with each piece of work, until one fails.
    pub(super) fn each<T: Send>(
        &self,
        mut pieces: Vec<T>,
        work: impl Fn(&mut T) -> Result<(), TrieError> + Sync,
    ) -> Result<(), TrieError> {
        let Some(crew) = &self.crew else { return pieces.iter_mut().try_for_each(work) };
        let failed = OnceLock::new();
        crew.each(&mut pieces, |piece| {
            if failed.get().is_none()
                && let Err(error) = work(piece)
            {
                // Who fails second has nothing to add.
                let _ = failed.set(error);
            }
        });
        failed.into_inner().map_or(Ok(()), Err)
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
        let pieces = trie.divide(keys, |key| *key).map(|(part, keys)| {
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
        self.each(pieces(parts, self.threads()), |piece| self.update_here(piece, cx))
    }

    /// The same, on the calling thread.
    pub(super) fn update_here<V: Value>(
        &self,
        parts: &mut [PartChanges<'_, V>],
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        for PartChanges { part, changes, owner } in parts.iter_mut() {
            part.warm(changes.iter().map(|change| &change.key));
            part.apply(changes, Reading { owner: *owner, ..cx })?;
        }
        let mut parts: Vec<_> = parts.iter_mut().map(|changed| &mut *changed.part).collect();
        hash_parts(&mut parts, self.hashing());
        Ok(())
    }
}

/// Divides parts into pieces for threads that are awake. Of few changes each thread gets its share
/// at once. Of many, a piece is a share of what is left when it is taken, and parts with many
/// changes come first, for none is divided.
fn pieces<V: Value>(
    mut parts: Vec<PartChanges<'_, V>>,
    threads: usize,
) -> Vec<Vec<PartChanges<'_, V>>> {
    if threads == 1 {
        return vec![parts];
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.changes.len()));
    let total: usize = parts.iter().map(|part| part.changes.len()).sum();
    let enough = |left: usize| match total <= FEW_CHANGES * threads {
        true => total.div_ceil(threads),
        false => (left / (threads * SHARE_OF_OWN)).clamp(*PIECE.start(), *PIECE.end()),
    };
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    let (mut left, mut changes) = (total, 0);
    for part in parts {
        changes += part.changes.len();
        piece.push(part);
        if changes >= enough(left) {
            pieces.push(std::mem::take(&mut piece));
            left -= changes;
            changes = 0;
        }
    }
    pieces.push(piece);
    pieces
}
