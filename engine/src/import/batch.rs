//! Blocks that stand and are not committed yet.

use std::time::{Duration, Instant};

use pleach_state::store::{BlockCommit, encode_body, encode_receipts};

use super::{ImportConfig, input::ReadyBlock};
use crate::BlockOutput;

/// Bytes that a changed account or slot takes in a batch, about: its entry, what it replaced, and
/// the nodes above it.
const BYTES_PER_CHANGE: usize = 512;

/// Blocks, and bytes, that are committed while the store has nothing else to do: with fewer it
/// would mostly write the same places again and again.
const WORTH_BLOCKS: usize = 128;
const WORTH_BYTES: usize = 32 << 20;

/// Blocks to commit together.
#[derive(Debug, Default)]
pub(super) struct BlockBatch {
    pub(super) blocks: Vec<BlockCommit>,
    bytes: usize,
    /// When the first of them was added.
    since: Option<Instant>,
}

impl BlockBatch {
    pub(super) fn push(&mut self, ready: &ReadyBlock, output: BlockOutput) {
        let block = ready.block.block();
        let receipts = encode_receipts(&output.receipts);
        self.bytes += ready.place.bytes
            + receipts.len()
            + output.bundle.size_hint().saturating_mul(BYTES_PER_CHANGE);
        self.since.get_or_insert_with(Instant::now);
        self.blocks.push(BlockCommit {
            header: block.header.clone(),
            hash: ready.place.hash,
            total_difficulty: ready.place.total_difficulty,
            body: encode_body(&block.body),
            receipts,
            bundle: output.bundle,
        });
    }

    /// Whether it should be committed now.
    pub(super) fn is_full(&self, config: &ImportConfig) -> bool {
        self.blocks.len() >= config.commit_blocks.max(1)
            || self.bytes >= config.commit_bytes
            || self.time_left(config).is_some_and(|left| left.is_zero())
    }

    /// Whether it is worth a commit that nothing waits for.
    pub(super) fn is_worth_a_commit(&self) -> bool {
        self.blocks.len() >= WORTH_BLOCKS || self.bytes >= WORTH_BYTES
    }

    /// How long it may still wait; none while it is empty.
    pub(super) fn time_left(&self, config: &ImportConfig) -> Option<Duration> {
        self.since.map(|since| config.commit_after.saturating_sub(since.elapsed()))
    }
}
