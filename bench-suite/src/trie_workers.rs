//! The threads and the Keccak of all tries that the command times.

use pleach_gpu_accel::keccak256_batch;
use pleach_state::mpt::TrieWorkers;
use rayon::ThreadPoolBuildError;

/// Workers on so many threads; on 1 the calling thread does the work.
///
/// # Errors
/// If the operating system refuses to start the threads.
pub(crate) fn trie_workers(threads: usize) -> Result<TrieWorkers, ThreadPoolBuildError> {
    Ok(TrieWorkers::new(threads)?.with_keccak(keccak256_batch))
}
