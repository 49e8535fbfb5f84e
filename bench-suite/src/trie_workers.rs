//! The threads and the Keccak of all tries that the command times.

use std::io;

use alloy_primitives::B256;
use pleach_gpu_accel::CpuPath;
use pleach_state::mpt::TrieWorkers;

/// Workers on so many threads; on 1 the calling thread does the work.
///
/// # Errors
/// If the operating system refuses to start the threads.
pub(crate) fn trie_workers(threads: usize) -> io::Result<TrieWorkers> {
    let keccak =
        |messages: &[&[u8]], hashes: &mut [B256]| CpuPath::best().keccak256(messages, hashes);
    Ok(TrieWorkers::new(threads)?.with_keccak(keccak))
}
