//! The one place where tries hash.

use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{B256, keccak256};

/// Keccak-256 of each message into the place of the same index.
///
/// Both slices have one length. This is where an implementation for many messages at a time is
/// put in; [`keccak_one_by_one`] is the plain one.
pub type KeccakBatch = fn(&[&[u8]], &mut [B256]);

/// Keccak-256 of one message after another.
pub fn keccak_one_by_one(messages: &[&[u8]], hashes: &mut [B256]) {
    for (message, hash) in messages.iter().zip(hashes) {
        *hash = keccak256(message);
    }
}

/// Messages in one buffer, hashed together, and how many there were so far.
pub(super) struct Batch {
    keccak: KeccakBatch,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    hashes: Vec<B256>,
}

/// Messages of one batch: enough to keep many lanes busy, few enough to stay near the core.
pub(super) const BATCH: usize = 256;

impl Batch {
    pub(super) fn new(keccak: KeccakBatch) -> Self {
        Self { keccak, bytes: Vec::new(), ends: Vec::new(), hashes: Vec::new() }
    }

    /// Appends a message, which the closure writes behind those that are there, and shows it.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        &self.bytes[start..]
    }

    /// Takes the last message out.
    pub(super) fn pop(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The messages, in order.
    fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// Hashes all messages.
    pub(super) fn hash(&mut self, count: &KeccakCount) -> &[B256] {
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.resize(self.ends.len(), B256::ZERO);
        let messages: Vec<_> = self.messages().collect();
        (self.keccak)(&messages, &mut hashes);
        count.add(&messages);
        self.hashes = hashes;
        &self.hashes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Bytes that one permutation absorbs.
const RATE: usize = 136;

/// How many hashes were computed.
#[derive(Debug, Default)]
pub(super) struct KeccakCount {
    calls: AtomicU64,
    permutations: AtomicU64,
}

/// How many hashes were computed, and of how many permutations they consisted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeccakStats {
    /// Messages hashed.
    pub calls: u64,
    /// Permutations of Keccak-f, one for each 136 bytes begun.
    pub permutations: u64,
}

impl KeccakCount {
    /// Ordering is relaxed: the counters are read when those who add have been joined.
    pub(super) fn add(&self, messages: &[&[u8]]) {
        let permutations: usize = messages.iter().map(|message| message.len() / RATE + 1).sum();
        self.calls.fetch_add(messages.len() as u64, Ordering::Relaxed);
        self.permutations.fetch_add(permutations as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> KeccakStats {
        KeccakStats {
            calls: self.calls.load(Ordering::Relaxed),
            permutations: self.permutations.load(Ordering::Relaxed),
        }
    }
}
