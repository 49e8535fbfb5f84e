//! The threads and the Keccak of all tries that the command times.

use std::{io, sync::Arc};

use pleach_crew::Crew;
use pleach_gpu_accel::keccak256_batch;
use pleach_state::mpt::TrieWorkers;

/// Workers on so many threads; on 1 the calling thread does the work.
///
/// # Errors
/// If the operating system refuses to start the threads.
pub(crate) fn trie_workers(threads: usize) -> io::Result<TrieWorkers> {
    Ok(TrieWorkers::new(threads)?.with_keccak(keccak256_batch))
}

/// Workers on threads that others use as well.
pub(crate) fn trie_workers_sharing(crew: Arc<Crew>) -> TrieWorkers {
    TrieWorkers::sharing(crew).with_keccak(keccak256_batch)
}
