//! The last stage, on the calling thread: execute, check, commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use alloy_consensus::{Eip658Value, proofs::calculate_receipt_root};
use alloy_hardforks::EthereumHardforks;
use pleach_state::{
    mpt::{StateChanges, StateTrie, TrieWorkers},
    store::{Pending, Snapshot},
};

use super::{
    ImportError, ImportEvent, ImportFailure, ImportReport, Importer, Refused, StageTimes,
    batch::BlockBatch, cached::Cached, input::ReadyBlock, prefetch::Prefetcher, report::Clocks,
};
use crate::{
    BlockOutput, ExecuteOptions, IntermediateRootError,
    backlog::Backlog,
    intermediate_roots,
    validate::{OutputError, validate_output, validate_system_contracts},
};

/// How often a request to stop is looked for while no block comes.
const GLANCE: Duration = Duration::from_millis(100);

/// More nodes of tries than this are not copied for the roots between transactions.
const EARLY_NODES: usize = 1 << 16;

/// Blocks that are ready, and how many signatures of them wait.
pub(super) struct Blocks<'a> {
    pub(super) ready: Receiver<Result<ReadyBlock, ImportError>>,
    pub(super) backlog: &'a Backlog,
}

/// The state after the last block that stands.
pub(super) struct Applier<'a> {
    importer: &'a Importer,
    clocks: &'a Clocks,
    /// What is committed.
    below: Arc<Cached<Snapshot>>,
    /// That, under the blocks that are not.
    state: Arc<Pending<Arc<Cached<Snapshot>>>>,
    tries: StateTrie,
    batch: BlockBatch,
    report: ImportReport,
}

impl<'a> Applier<'a> {
    pub(super) fn new(importer: &'a Importer, clocks: &'a Clocks) -> Result<Self, ImportError> {
        let snapshot = importer.store.snapshot()?;
        let head = *snapshot.head();
        let below = Arc::new(Cached::new(snapshot));
        Ok(Self {
            importer,
            clocks,
            state: Arc::new(Pending::new(below.clone())),
            tries: tries_of(&below, &importer.workers),
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
                total: Duration::ZERO,
                times: StageTimes::default(),
            },
        })
    }

    pub(super) fn below(&self) -> Arc<Cached<Snapshot>> {
        self.below.clone()
    }

    /// Takes blocks until they end, one is refused, or a stop is asked for, and commits what
    /// stands.
    pub(super) fn run(
        mut self,
        blocks: Blocks<'_>,
        prefetcher: &Prefetcher,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport, ImportFailure> {
        let ended = self.take_all(&blocks, prefetcher, stop, tell);
        let committed = self.commit(prefetcher, tell);
        let (clocks, times) = (self.clocks, &mut self.report.times);
        times.lineage = clocks.busy(&clocks.lineage);
        times.recover = clocks.busy(&clocks.recover);
        times.prefetch = clocks.busy(&clocks.prefetch);
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

    fn take_all(
        &mut self,
        blocks: &Blocks<'_>,
        prefetcher: &Prefetcher,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(ImportEvent),
    ) -> Result<(), ImportError> {
        while !stop.load(Ordering::Relaxed) {
            match self.wait(blocks) {
                Ok(ready) => {
                    let ready = ready?;
                    if is_early(&ready) && self.tries.node_count() > EARLY_NODES {
                        self.commit(prefetcher, tell)?;
                        self.tries = tries_of(&self.below, &self.importer.workers);
                    }
                    self.apply(&ready)?;
                    let (number, txs, gas) = facts(&ready);
                    tell(ImportEvent::Valid { number, txs, gas });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.batch.is_full(&self.importer.config) {
                self.commit(prefetcher, tell)?;
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
        let longest = self.batch.time_left(&self.importer.config).unwrap_or(GLANCE).min(GLANCE);
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
        let begin = Instant::now();
        let mut output = self.execute(ready)?;
        if is_early(ready) {
            self.complete_receipts(ready, &mut output)?;
        }
        let executed = Instant::now();
        self.check_root(ready, &output)?;
        self.report.times.execute += executed - begin;
        self.report.times.root += executed.elapsed();
        let (number, txs, gas) = facts(ready);
        self.report.blocks += 1;
        self.report.txs += txs as u64;
        self.report.gas += gas;
        // The engine's threads may hold the state a moment longer; then it is copied.
        Arc::make_mut(&mut self.state).push(number, ready.place.hash, &output.bundle);
        self.batch.push(ready, output);
        Ok(())
    }

    fn execute(&self, ready: &ReadyBlock) -> Result<BlockOutput, ImportError> {
        let (block, chain) = (&ready.block, &ready.place.chain);
        let options = ExecuteOptions::default();
        let executed = self.importer.engine.execute(chain, block, &self.state, options);
        let (output, _) = executed.map_err(|error| match error.is_invalid_block() {
            true => refused(ready, error.into()),
            false => ImportError::State {
                number: block.header().number,
                hash: ready.place.hash,
                source: Box::new(error),
            },
        })?;
        validate_output(chain, block.header(), &output)
            .and_then(|()| validate_system_contracts(chain, block.header(), &*self.state, &output))
            .map_err(|error| refused(ready, error.into()))?;
        Ok(output)
    }

    /// Gives the receipts of a block before Byzantium the state roots that they hold, and compares
    /// them with the header.
    fn complete_receipts(
        &self,
        ready: &ReadyBlock,
        output: &mut BlockOutput,
    ) -> Result<(), ImportError> {
        let (block, tries) = (&ready.block, self.tries.clone());
        let roots = intermediate_roots(&ready.place.chain, block, &self.state, tries, &*self.below);
        let (number, hash) = (block.header().number, ready.place.hash);
        let roots = roots.map_err(|error| match error {
            IntermediateRootError::Execute(source) => {
                ImportError::State { number, hash, source: Box::new(source) }
            }
            IntermediateRootError::Trie { source, .. } => {
                ImportError::Tries { number, hash, source }
            }
        })?;
        for (receipt, root) in output.receipts.iter_mut().zip(roots) {
            if let Some(inner) = receipt.as_receipt_with_bloom_mut() {
                inner.receipt.status = Eip658Value::PostState(root);
            }
        }
        let executed = calculate_receipt_root(&output.receipts);
        let header = block.header().receipts_root;
        match executed == header {
            true => Ok(()),
            false => Err(refused(ready, OutputError::ReceiptsRoot { header, executed }.into())),
        }
    }

    fn check_root(&mut self, ready: &ReadyBlock, output: &BlockOutput) -> Result<(), ImportError> {
        let changes = StateChanges::from_bundle(&output.bundle, self.tries.workers());
        let header = ready.block.header();
        let failed = match self.tries.update(&changes, &*self.below) {
            Ok(computed) if computed == header.state_root => return Ok(()),
            Ok(computed) => {
                refused(ready, Refused::StateRoot { computed, header: header.state_root })
            }
            Err(source) => {
                let (number, hash) = (header.number, ready.place.hash);
                ImportError::Tries { number, hash, source }
            }
        };
        self.restore_tries();
        Err(failed)
    }

    /// The tries after the batch, when a block that does not stand has changed them.
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

    /// Commits the batch, and moves on to the state after it.
    fn commit(
        &mut self,
        prefetcher: &Prefetcher,
        tell: &mut dyn FnMut(ImportEvent),
    ) -> Result<(), ImportError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.blocks.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        let (store, config) = (&self.importer.store, &self.importer.config);
        let head = store.commit(&batch.blocks, &self.tries.take_node_changes())?;
        let bundles = batch.blocks.iter().map(|block| &block.bundle);
        let below = self.below.succeeded_by(store.snapshot()?, bundles, config.cached_reads);
        self.below = Arc::new(below);
        self.state = Arc::new(Pending::new(self.below.clone()));
        prefetcher.replace(self.below.clone());
        if self.tries.node_count() > config.trie_nodes {
            self.tries = tries_of(&self.below, &self.importer.workers);
        }
        self.report.times.commit += begin.elapsed();
        self.report.commits += 1;
        self.report.head = head;
        tell(ImportEvent::Durable(head));
        Ok(())
    }
}

/// The tries of a state that is committed, of which nothing is known yet.
fn tries_of(below: &Cached<Snapshot>, workers: &TrieWorkers) -> StateTrie {
    let root = below.below().head().state_root;
    StateTrie::new(root).with_workers(workers.clone()).recording_nodes()
}

/// Whether a block's receipts hold the state roots after its transactions (EIP-658 ended that).
fn is_early(ready: &ReadyBlock) -> bool {
    let (block, chain) = (&ready.block, &ready.place.chain);
    !block.transactions().is_empty() && !chain.is_byzantium_active_at_block(block.header().number)
}

/// A block's number, transactions and gas.
fn facts(ready: &ReadyBlock) -> (u64, usize, u64) {
    let header = ready.block.header();
    (header.number, ready.block.transactions().len(), header.gas_used)
}

fn refused(ready: &ReadyBlock, reason: Refused) -> ImportError {
    ImportError::Refused {
        number: ready.block.header().number,
        hash: ready.place.hash,
        origin: ready.place.origin.clone(),
        reason: Box::new(reason),
    }
}
