//! A chain of blocks, each validated in every respect, into a [`Store`].
//!
//! ```text
//! blocks ──► lineage ──► recover ──► prefetch ──► execute and root ──► commit
//!            thread      thread      thread       calling thread      thread
//! ```
//!
//! Each stage runs on a thread of its own and is ahead of the next by a few blocks. Lineage checks
//! what headers and bodies alone show: that a block follows the one before it, and every rule of
//! [`validate`](crate::validate) that needs no state. Recovery takes the signatures of several
//! blocks in one batch, of more the more wait for execution. Prefetch reads from the store what a
//! block is known to need and, where that takes long, what it is likely to need, guessed from
//! blocks before it. The calling thread executes on the store's snapshot under the blocks that are
//! not committed yet, reveals the ways to what they write in the tries meanwhile, and compares the
//! output and the state root with the header. A block that comes with its access list is executed
//! with that, and its root is computed from it meanwhile. Commit makes batches of blocks durable
//! while later ones execute.
//!
//! A block that is refused ends the import with an error that names it; all blocks before it are
//! committed first. What [`ImportEvent::Durable`] has told stays, whatever happens to the process.

mod apply;
mod batch;
mod cached;
mod commit;
mod error;
mod execute;
mod input;
mod lineage;
mod prefetch;
mod recover;
mod report;

use std::{
    sync::{Arc, atomic::AtomicBool, mpsc::sync_channel},
    thread,
    time::Duration,
};

use pleach_gpu_accel::Accelerator;
use pleach_state::{
    mpt::TrieWorkers,
    store::{Head, Store},
};

use self::{
    apply::{Applier, Blocks},
    cached::Cached,
    commit::commits,
    lineage::Lineage,
    prefetch::Prefetcher,
    recover::recover_blocks,
    report::Clocks,
};
use crate::{ChainSpec, Engine, backlog::Backlog};

pub use error::{ImportError, ImportFailure, Refused};
pub use input::{GivenList, Origin, SourcedBlock};
pub use report::{ImportEvent, ImportReport, StageTimes, UnusedList};

/// Blocks that wait between two stages.
const WAITING: usize = 64;
/// Blocks whose reads are fetched ahead of execution: more would push out of the caches what the
/// next one needs.
const FETCHED_AHEAD: usize = 16;

/// How much an import does at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportConfig {
    /// Blocks after which they are committed; at least one.
    pub commit_blocks: usize,
    /// Bytes of blocks and of what they change after which they are committed.
    pub commit_bytes: usize,
    /// How long a block waits for others to be committed with.
    pub commit_after: Duration,
    /// Signatures that are recovered in one batch at the most, give or take one block's. Batches
    /// are smaller while execution waits for them.
    pub recover_batch: usize,
    /// Threads that read ahead beside the one that always does, where reads come from a disk.
    pub prefetch_threads: usize,
    /// Nodes of tries that are held in memory from one commit to the next.
    pub trie_nodes: usize,
    /// Accounts and slots that are held in memory from one commit to the next.
    pub cached_reads: usize,
    /// Whether to tell of each block's access list, which takes some more time.
    pub access_lists: bool,
}

impl Default for ImportConfig {
    /// For a machine with a few gigabytes of memory.
    fn default() -> Self {
        Self {
            commit_blocks: 1_024,
            commit_bytes: 64 << 20,
            commit_after: Duration::from_secs(5),
            recover_batch: 4_096,
            prefetch_threads: 8,
            trie_nodes: 4_000_000,
            cached_reads: 2_000_000,
            access_lists: false,
        }
    }
}

/// Imports blocks into a store that has its first block already ([`Store::init`]).
#[derive(Debug)]
pub struct Importer {
    /// The rules. Where they leave the Merge's block open, it is found by total difficulty.
    pub chain: Arc<ChainSpec>,
    /// Where blocks go.
    pub store: Arc<Store>,
    /// What executes.
    pub engine: Arc<Engine>,
    /// What recovers senders, on a thread beside execution.
    pub accelerator: Arc<Accelerator>,
    /// The threads that update tries.
    pub workers: TrieWorkers,
    /// How much is done at once.
    pub config: ImportConfig,
}

impl Importer {
    /// Imports blocks in their order. Blocks that the store has already are passed over.
    ///
    /// `stop` may be set at any time from any thread: the import then ends after the block in
    /// hand, which is committed, without an error. `tell` hears of every block and commit.
    ///
    /// # Errors
    /// The first error of the blocks' source, the first block that is refused, or a failing store.
    /// Except for the last, all blocks before it are committed.
    pub fn import<I>(
        &self,
        blocks: I,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport, ImportFailure>
    where
        I: Iterator<Item = Result<SourcedBlock, ImportError>> + Send,
    {
        let clocks = Clocks::default();
        let mut lineage = Lineage::new(&self.chain, &self.store)?;
        let snapshot = self.store.snapshot().map_err(ImportError::from)?;
        let prefetcher = Prefetcher::new(Arc::new(Cached::new(snapshot)));
        let (commits, writer) = commits();
        let backlog = Backlog::default();
        let (to_recovery, for_recovery) = sync_channel(WAITING);
        let (to_prefetch, for_prefetch) = sync_channel(WAITING);
        let (to_execution, for_execution) = sync_channel(FETCHED_AHEAD);
        thread::scope(|scope| {
            let (clocks, prefetcher, backlog) = (&clocks, &prefetcher, &backlog);
            scope.spawn(move || lineage.follow(blocks, &to_recovery, clocks, stop));
            let (accelerator, most) = (&*self.accelerator, self.config.recover_batch);
            scope.spawn(move || {
                recover_blocks(accelerator, most, backlog, &for_recovery, &to_prefetch, clocks);
            });
            let readers = self.config.prefetch_threads;
            scope.spawn(move || prefetcher.run(readers, &for_prefetch, &to_execution, clocks));
            let store = &*self.store;
            scope.spawn(move || writer.run(store, clocks));
            // What is dropped here ends the other stages.
            let blocks = Blocks { ready: for_execution, backlog };
            Applier::new(self, clocks, prefetcher, commits, tell).run(blocks, stop)
        })
    }

    /// The last block that is committed; none before there is a chain.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn head(&self) -> Result<Option<Head>, ImportError> {
        Ok(self.store.head()?)
    }
}
