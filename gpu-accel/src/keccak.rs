//! Keccak-256 of many messages.

use alloy_primitives::{B256, keccak256};
use rayon::{ThreadPool, prelude::*};

/// Bytes that one Keccak-f permutation absorbs in Keccak-256.
const RATE: usize = 136;

/// Batches of at most this many permutations stay on the calling thread: below it, waking another
/// one costs more than it saves (`cargo bench -p pleach-bench-suite --bench recovery`).
pub const KECCAK_INLINE_BLOCKS: usize = 64;

/// One hash per message, in order, on the pool's threads or the calling one.
pub(crate) fn keccak_batch<M: AsRef<[u8]> + Sync>(
    pool: Option<&ThreadPool>,
    messages: &[M],
) -> Vec<B256> {
    match pool {
        Some(pool) if exceeds_inline(messages) => {
            pool.install(|| messages.par_iter().map(keccak256).collect())
        }
        _ => messages.iter().map(keccak256).collect(),
    }
}

/// Whether the batch takes more than [`KECCAK_INLINE_BLOCKS`] permutations; looks at no more
/// messages than that.
fn exceeds_inline<M: AsRef<[u8]>>(messages: &[M]) -> bool {
    let mut left = KECCAK_INLINE_BLOCKS;
    messages.iter().any(|message| {
        let blocks = message.as_ref().len() / RATE + 1;
        let exceeds = blocks > left;
        left = left.saturating_sub(blocks);
        exceeds
    })
}
