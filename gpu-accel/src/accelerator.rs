//! The type that owns the threads.

use alloy_primitives::{Address, B256};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::{RecoveryError, RecoveryRequest, keccak, recovery};

/// Recovers senders and hashes messages in batches, on all cores given to it.
#[derive(Debug)]
pub struct Accelerator {
    /// None where one thread was asked for: the calling one does the work.
    pool: Option<ThreadPool>,
}

/// An accelerator that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceleratorError {
    /// The operating system refused to start the threads.
    #[error(
        "{threads} threads for sender recovery could not be started ({source}): \
         ask for fewer, or raise the limit on threads"
    )]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the operating system said.
        source: ThreadPoolBuildError,
    },
}

impl Accelerator {
    /// An accelerator on this many CPU threads; 0 counts as 1. With 1 no thread is started.
    ///
    /// # Errors
    /// [`AcceleratorError::Threads`] if the operating system refuses to start them.
    pub fn cpu(threads: usize) -> Result<Self, AcceleratorError> {
        if threads <= 1 {
            return Ok(Self { pool: None });
        }
        let builder = ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder.thread_name(|index| format!("pleach-accel-{index}")).build();
        pool.map(|pool| Self { pool: Some(pool) })
            .map_err(|source| AcceleratorError::Threads { threads, source })
    }

    /// The CPU threads that share a batch.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Recovers one address per request, in order.
    pub fn recover(&self, requests: &[RecoveryRequest]) -> Vec<Result<Address, RecoveryError>> {
        recovery::recover_batch(self.pool.as_ref(), requests)
    }

    /// Keccak-256 of each message, in order.
    pub fn keccak256<M: AsRef<[u8]> + Sync>(&self, messages: &[M]) -> Vec<B256> {
        keccak::keccak_batch(self.pool.as_ref(), messages)
    }
}
