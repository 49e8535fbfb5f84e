//! Keccak-256 of many messages.

use alloy_primitives::B256;
use pleach_crew::Crew;

use crate::{cpu::CpuPath, share::share};

/// Bytes that one Keccak-f permutation absorbs in Keccak-256.
const RATE: usize = 136;

/// Batches of at most this many permutations stay on the calling thread: below it, waking another
/// one costs more than it saves (`cargo bench -p pleach-bench-suite --bench recovery`).
pub const KECCAK_INLINE_BLOCKS: usize = 256;

/// The most messages that a thread takes at once, and the fewest, but for the last.
const PORTION_MAX: usize = 1024;
const PORTION_MIN: usize = 64;

/// Keccak-256 of each message into the place of the same index, on the calling thread, by the
/// fastest [`CpuPath`].
///
/// This is what tries, whose threads share their work out themselves, take for their hashing
/// (`pleach_state::mpt::TrieWorkers::with_keccak`).
///
/// # Panics
/// If there are not as many places for hashes as messages.
pub fn keccak256_batch(messages: &[&[u8]], hashes: &mut [B256]) {
    CpuPath::best().keccak256(messages, hashes);
}

/// One hash per message, in order.
pub(crate) fn keccak_batch<M: AsRef<[u8]> + Sync>(crew: &Crew, messages: &[M]) -> Vec<B256> {
    let path = CpuPath::best();
    let mut hashes = vec![B256::ZERO; messages.len()];
    let work = |messages: &[M], hashes: &mut [B256]| path.keccak256(messages, hashes);
    if exceeds_inline(messages) {
        let portions = 4 * crew.threads();
        let portion = messages.len().div_ceil(portions).clamp(PORTION_MIN, PORTION_MAX);
        // Few messages that are not inline are long ones, and these are worth a thread each.
        let portion = if messages.len() <= PORTION_MIN { 1 } else { portion };
        share(crew, messages, &mut hashes, |_| portion, work);
    } else {
        work(messages, &mut hashes);
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
