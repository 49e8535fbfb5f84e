//! Keccak-256 of many messages.

use alloy_primitives::B256;
use pleach_crew::Crew;

use crate::cpu::CpuPath;

/// Bytes that one Keccak-f permutation absorbs in Keccak-256.
const RATE: usize = 136;

/// Batches of at most this many permutations stay on the calling thread: below it, waking another
/// one costs more than it saves (`cargo bench -p pleach-bench-suite --bench recovery`).
pub const KECCAK_INLINE_BLOCKS: usize = 256;

/// The most messages that a thread takes at once.
const CHUNK_MAX: usize = 1024;

/// One hash per message, in order, on all threads or the calling one.
pub(crate) fn keccak_batch<M: AsRef<[u8]> + Sync>(crew: &Crew, messages: &[M]) -> Vec<B256> {
    let path = CpuPath::best();
    let mut hashes = vec![B256::ZERO; messages.len()];
    if crew.threads() > 1 && exceeds_inline(messages) {
        let chunk = messages.len().div_ceil(4 * crew.threads()).clamp(1, CHUNK_MAX);
        let chunks = messages.chunks(chunk).zip(hashes.chunks_mut(chunk));
        let mut chunks: Vec<_> = chunks.collect();
        crew.each(&mut chunks, |(messages, hashes)| path.keccak256(messages, hashes));
    } else {
        path.keccak256(messages, &mut hashes);
    }
    hashes
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
