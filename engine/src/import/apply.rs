//! The last stage, on the calling thread: execute, check, commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::yield_now,
    time::{Duration, Instant},
};

use alloy_hardforks::EthereumHardforks;
use alloy_primitives::B256;
use pleach_state::{
    mpt::{StateChanges, StateTrie, TrieWorkers},
    store::{BlockCommit, Pending, Snapshot},
};

use super::{
    ImportError, ImportEvent, ImportFailure, ImportReport, Importer, Refused, StageTimes,
    batch::BlockBatch,
    cached::Cached,
    commit::{Commits, Done},
    execute::Executed,
    input::ReadyBlock,
    prefetch::Prefetcher,
    report::Clocks,
};
use crate::{BlockOutput, backlog::Backlog};

/// How often a request to stop is looked for while no block comes.
const GLANCE: Duration = Duration::from_millis(100);
/// The same while a commit is under way, which then is told to be durable no later than that.
const GLANCE_AT_COMMIT: Duration = Duration::from_millis(2);

/// How often the engine's threads are given way so that they let go of the last block's state:
/// some tens of microseconds.
const PATIENCE: usize = 100;

/// More nodes of tries than this are not copied for the roots between transactions.
const EARLY_NODES: usize = 1 << 16;

/// Blocks that are ready, and how many signatures of them wait.
pub(super) struct Blocks<'a> {
    pub(super) ready: Receiver<Result<ReadyBlock, ImportError>>,
    pub(super) backlog: &'a Backlog,
}

/// The state after the last block that stands.
pub(super) struct Applier<'a> {
    pub(super) importer: &'a Importer,
    clocks: &'a Clocks,
    prefetcher: &'a Prefetcher,
    /// Hears of every block and commit.
    pub(super) tell: &'a mut dyn FnMut(ImportEvent),
    commits: Commits,
    /// What is committed.
    pub(super) below: Arc<Cached<Snapshot>>,
    /// That, under the blocks of the commit under way and of the batch.
    pub(super) state: Arc<Pending<Arc<Cached<Snapshot>>>>,
    /// After all of those, and after the block in hand if they are ahead.
    pub(super) tries: StateTrie,
    pub(super) tries_are_ahead: bool,
    batch: BlockBatch,
    pub(super) report: ImportReport,
}

impl<'a> Applier<'a> {
    /// Begins with what the prefetcher reads from.
    pub(super) fn new(
        importer: &'a Importer,
        clocks: &'a Clocks,
        prefetcher: &'a Prefetcher,
        commits: Commits,
        tell: &'a mut dyn FnMut(ImportEvent),
    ) -> Self {
        let below = prefetcher.below();
        let head = *below.below().head();
        Self {
            importer,
            clocks,
            prefetcher,
            tell,
            commits,
            state: Arc::new(Pending::new(below.clone())),
            tries: tries_of(&below, &importer.workers),
            tries_are_ahead: false,
            below,
            batch: BlockBatch::default(),
            report: ImportReport {
                blocks: 0,
                known: 0,
                txs: 0,
                gas: 0,
                stopped: false,
                head,
                commits: 0,
                recover_batches: 0,
                listed: 0,
                lists_unused: 0,
                total: Duration::ZERO,
                times: StageTimes::default(),
            },
        }
    }

    /// Takes blocks until they end, one is refused, or a stop is asked for, and commits what
    /// stands.
    pub(super) fn run(
        mut self,
        blocks: Blocks<'_>,
        stop: &AtomicBool,
    ) -> Result<ImportReport, ImportFailure> {
        let ended = self.take_all(&blocks, stop);
        let committed = self.commit_now();
        let (clocks, times) = (self.clocks, &mut self.report.times);
        times.lineage = clocks.busy(&clocks.lineage);
        times.recover = clocks.busy(&clocks.recover);
        times.prefetch = clocks.busy(&clocks.prefetch);
        times.commit = clocks.busy(&clocks.commit);
        self.report.recover_batches = clocks.batches.load(Ordering::Relaxed);
        self.report.known = clocks.known.load(Ordering::Relaxed);
        self.report.stopped = stop.load(Ordering::Relaxed);
        self.report.total = clocks.total();
        // If both fail, the store's failure says that less is durable.
        match committed.and(ended) {
            Ok(()) => Ok(self.report),
            Err(error) => Err(ImportFailure { error, report: Some(Box::new(self.report)) }),
        }
    }

    fn take_all(&mut self, blocks: &Blocks<'_>, stop: &AtomicBool) -> Result<(), ImportError> {
        while !stop.load(Ordering::Relaxed) {
            match self.wait(blocks) {
                Ok(ready) => {
                    let ready = ready?;
                    if is_early(&ready) && self.tries.node_count() > EARLY_NODES {
                        self.commit_now()?;
                        self.tries = tries_of(&self.below, &self.importer.workers);
                    }
                    self.apply(&ready)?;
                    let (number, txs, gas) = facts(&ready);
                    (self.tell)(ImportEvent::Valid { number, txs, gas });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if let Some(done) = self.commits.poll() {
                self.settle(done)?;
            }
            let idle = !self.commits.is_under_way();
            if self.batch.is_full(&self.importer.config) || idle && self.batch.is_worth_a_commit() {
                self.begin_commit()?;
            }
        }
        Ok(())
    }

    /// The next block, waited for as long as the batch may wait, and no longer than a glance.
    fn wait(
        &mut self,
        blocks: &Blocks<'_>,
    ) -> Result<Result<ReadyBlock, ImportError>, RecvTimeoutError> {
        let clocks = self.clocks;
        let glance = if self.commits.is_under_way() { GLANCE_AT_COMMIT } else { GLANCE };
        let longest = self.batch.time_left(&self.importer.config).unwrap_or(glance).min(glance);
        let (begin, recovering) = (Instant::now(), clocks.busy(&clocks.recover));
        let next = blocks.ready.recv_timeout(longest);
        if let Ok(Ok(ready)) = &next {
            blocks.backlog.take(ready.block.signatures());
        }
        let waited = begin.elapsed();
        let recovered = clocks.busy(&clocks.recover).saturating_sub(recovering);
        self.report.times.wait += waited;
        self.report.times.recover_wait += recovered.min(waited);
        next
    }

    /// Executes a block and adds it to the batch, if everything about it is right.
    fn apply(&mut self, ready: &ReadyBlock) -> Result<(), ImportError> {
        let applied = self.apply_ahead(ready);
        match applied {
            Ok(()) => self.tries_are_ahead = false,
            Err(_) => self.go_back()?,
        }
        applied
    }

    fn apply_ahead(&mut self, ready: &ReadyBlock) -> Result<(), ImportError> {
        let begin = Instant::now();
        let Executed { mut output, root } = self.execute(ready)?;
        if is_early(ready) {
            self.complete_receipts(ready, &mut output)?;
        }
        let executed = Instant::now();
        self.check_root(ready, &output, root)?;
        self.report.times.execute += executed - begin;
        self.report.times.root += executed.elapsed();
        let (number, txs, gas) = facts(ready);
        self.prefetcher.executed(number);
        self.report.blocks += 1;
        self.report.txs += txs as u64;
        self.report.gas += gas;
        self.state().push(number, ready.place.hash, &output.bundle);
        self.batch.push(ready, output);
        Ok(())
    }

    /// Takes the tries back to after the batch, if a block that does not stand, or a list that is
    /// wrong, has changed them.
    pub(super) fn go_back(&mut self) -> Result<(), ImportError> {
        if self.tries_are_ahead {
            self.wait_for_commit()?;
            self.restore_tries();
            self.tries_are_ahead = false;
        }
        Ok(())
    }

    /// The state, to be changed. The engine's threads may hold it a moment longer; if that takes
    /// long it is copied.
    fn state(&mut self) -> &mut Pending<Arc<Cached<Snapshot>>> {
        let mut given_way = 0;
        while Arc::strong_count(&self.state) > 1 && given_way < PATIENCE {
            given_way += 1;
            yield_now();
        }
        Arc::make_mut(&mut self.state)
    }

    /// Compares the state root with the header's. It is computed here unless it is known.
    fn check_root(
        &mut self,
        ready: &ReadyBlock,
        output: &BlockOutput,
        known: Option<B256>,
    ) -> Result<(), ImportError> {
        let header = ready.block.header();
        let computed = match known {
            Some(root) => root,
            None => {
                let changes = StateChanges::from_bundle(&output.bundle, self.tries.workers());
                self.tries_are_ahead = true;
                let (number, hash) = (header.number, ready.place.hash);
                let updated = self.tries.update(&changes, &*self.below);
                updated.map_err(|source| ImportError::Tries { number, hash, source })?
            }
        };
        match computed == header.state_root {
            true => Ok(()),
            false => {
                Err(refused(ready, Refused::StateRoot { computed, header: header.state_root }))
            }
        }
    }

    /// The tries after the batch, built anew. No commit is under way.
    fn restore_tries(&mut self) {
        self.tries = tries_of(&self.below, &self.importer.workers);
        for block in &self.batch.blocks {
            let changes = StateChanges::from_bundle(&block.bundle, self.tries.workers());
            if self.tries.update(&changes, &*self.below).is_err() {
                // The store is damaged: these blocks cannot be committed any more.
                self.batch = BlockBatch::default();
                return;
            }
        }
    }

    /// Commits the batch, and returns when it is durable.
    fn commit_now(&mut self) -> Result<(), ImportError> {
        self.begin_commit()?;
        self.wait_for_commit()
    }

    /// Begins to commit the batch, after the one before.
    fn begin_commit(&mut self) -> Result<(), ImportError> {
        self.wait_for_commit()?;
        let batch = std::mem::take(&mut self.batch);
        if batch.blocks.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        self.commits.begin(batch.blocks, self.tries.take_node_changes());
        self.report.times.commit_wait += begin.elapsed();
        if self.tries.node_count() > self.importer.config.trie_nodes {
            // Those that begin anew can only begin with what is committed.
            self.wait_for_commit()?;
            self.tries = tries_of(&self.below, &self.importer.workers);
        }
        Ok(())
    }

    /// Waits until no commit is under way.
    fn wait_for_commit(&mut self) -> Result<(), ImportError> {
        let begin = Instant::now();
        let Some(done) = self.commits.wait() else { return Ok(()) };
        self.report.times.commit_wait += begin.elapsed();
        self.settle(done)
    }

    /// Moves on to the state after a commit, under the blocks that have been executed meanwhile.
    fn settle(&mut self, done: Done) -> Result<(), ImportError> {
        let begin = Instant::now();
        let settled = self.move_up(done);
        if settled.is_err() {
            // What comes after blocks that are not durable, or cannot be read, is void.
            self.batch = BlockBatch::default();
        }
        self.report.times.commit_wait += begin.elapsed();
        settled
    }

    fn move_up(&mut self, done: Done) -> Result<(), ImportError> {
        let head = done.head?;
        self.report.commits += 1;
        self.report.head = head;
        (self.tell)(ImportEvent::Durable(head));
        let snapshot = self.importer.store.snapshot()?;
        let bundles = done.blocks.iter().map(|block| &block.bundle);
        let most = self.importer.config.cached_reads;
        self.below = Arc::new(self.below.succeeded_by(snapshot, bundles, most));
        let mut state = Pending::new(self.below.clone());
        for BlockCommit { header, hash, bundle, .. } in &self.batch.blocks {
            state.push(header.number, *hash, bundle);
        }
        self.state = Arc::new(state);
        self.prefetcher.replace(self.below.clone());
        Ok(())
    }
}

/// The tries of a state that is committed, of which nothing is known yet.
fn tries_of(below: &Cached<Snapshot>, workers: &TrieWorkers) -> StateTrie {
    let root = below.below().head().state_root;
    StateTrie::new(root).with_workers(workers.clone()).recording_nodes()
}

/// Whether a block's receipts hold the state roots after its transactions (EIP-658 ended that).
pub(super) fn is_early(ready: &ReadyBlock) -> bool {
    let (block, chain) = (&ready.block, &ready.place.chain);
    !block.transactions().is_empty() && !chain.is_byzantium_active_at_block(block.header().number)
}

/// A block's number, transactions and gas.
fn facts(ready: &ReadyBlock) -> (u64, usize, u64) {
    let header = ready.block.header();
    (header.number, ready.block.transactions().len(), header.gas_used)
}

pub(super) fn refused(ready: &ReadyBlock, reason: Refused) -> ImportError {
    ImportError::Refused {
        number: ready.block.header().number,
        hash: ready.place.hash,
        origin: ready.place.origin.clone(),
        reason: Box::new(reason),
    }
}
