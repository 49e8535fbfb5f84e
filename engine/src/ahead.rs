//! Senders of the next blocks, recovered while a block executes.
//!
//! Executing a chain takes senders first and transactions second, and the second never changes the
//! first: so the senders of block N+1 … N+k are recovered on a thread of their own while block N
//! executes. The thread pulls blocks from an iterator (which may read and decode them: that is
//! overlapped as well), puts several small ones in one batch, and stops when k blocks wait. A batch
//! is small while the caller waits for it, and grows while he has blocks to execute.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pleach_gpu_accel::Accelerator;

use crate::{BlockError, RecoveredBlock, SignedBlock, backlog::Backlog};

/// How far ahead senders are recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AheadOptions {
    /// Recovered blocks that may wait for their turn; at least one. As many blocks as are put in
    /// one batch come on top.
    pub blocks: usize,
    /// Signatures after which a batch takes no further block, at the most: the first batches have
    /// fewer, and so have those that the caller waits for. With 1 each block is its own batch.
    /// More is faster for small blocks; but where the iterator waits for blocks to be made, those
    /// that it gave before wait too.
    pub batch: usize,
}

impl Default for AheadOptions {
    /// Eight blocks, in batches of 512 signatures.
    fn default() -> Self {
        Self { blocks: 8, batch: 512 }
    }
}

/// Where time went, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AheadMetrics {
    /// Blocks recovered.
    pub blocks: u64,
    /// Signatures recovered: of transactions and of EIP-7702 authorizations.
    pub signatures: u64,
    /// Batches that these made.
    pub batches: u64,
    /// Time that the iterator took to give blocks.
    pub source: Duration,
    /// Time that recovery took.
    pub recover: Duration,
    /// Time that the caller waited in `next`: what was not hidden behind its own work.
    pub waited: Duration,
}

impl AheadMetrics {
    /// The share of the source's and recovery's time that the caller did not wait for; from 0 to
    /// 1, and 1 where there was nothing to do.
    pub fn hidden(&self) -> f64 {
        let work = (self.source + self.recover).as_secs_f64();
        if work > 0.0 { (1.0 - self.waited.as_secs_f64() / work).max(0.0) } else { 1.0 }
    }
}

/// Blocks with their senders, in order, recovered ahead of the caller.
///
/// An error of the source, or a block without senders, comes out in its place, and nothing after
/// it. Dropping this ends the thread once the source and the batch in work return.
///
/// ```
/// use std::sync::Arc;
/// use alloy_consensus::{Block, BlockBody, Header};
/// use pleach_engine::{AheadOptions, BlockError, RecoverAhead, SignedBlock};
/// use pleach_gpu_accel::Accelerator;
///
/// let blocks = (1..=3).map(|number| {
///     let header = Header { number, ..Header::default() };
///     let block = Block { header, body: BlockBody::default() };
///     Ok::<_, BlockError>(SignedBlock { block, homestead: true })
/// });
/// let accelerator = Arc::new(Accelerator::cpu(2)?);
/// let mut ahead = RecoverAhead::start(blocks, accelerator, AheadOptions::default())?;
/// for block in &mut ahead {
///     let block = block?;
///     // Execute it here: the next ones' senders are recovered meanwhile.
///     assert!(block.senders().is_empty());
/// }
/// assert_eq!(ahead.metrics().blocks, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RecoverAhead<E> {
    /// None once it is dropped, which the thread sees.
    results: Option<Receiver<Result<RecoveredBlock, E>>>,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<Mutex<AheadMetrics>>,
    backlog: Arc<Backlog>,
}

impl<E: From<BlockError> + Send + 'static> RecoverAhead<E> {
    /// Starts the thread that pulls blocks from `source`.
    ///
    /// # Errors
    /// If the operating system refuses to start it.
    pub fn start<I>(
        source: I,
        accelerator: Arc<Accelerator>,
        options: AheadOptions,
    ) -> io::Result<Self>
    where
        I: IntoIterator<Item = Result<SignedBlock, E>>,
        I::IntoIter: Send + 'static,
    {
        let (sender, results) = mpsc::sync_channel(options.blocks.max(1));
        let metrics = Arc::new(Mutex::new(AheadMetrics::default()));
        let backlog = Arc::<Backlog>::default();
        let feeder = Feeder {
            source: source.into_iter(),
            accelerator,
            batch: options.batch,
            results: sender,
            metrics: Arc::clone(&metrics),
            backlog: Arc::clone(&backlog),
        };
        let builder = thread::Builder::new().name("pleach-ahead".to_owned());
        let thread = builder.spawn(move || feeder.run())?;
        Ok(Self { results: Some(results), thread: Some(thread), metrics, backlog })
    }

    /// Where time went, so far.
    pub fn metrics(&self) -> AheadMetrics {
        *lock(&self.metrics)
    }
}

impl<E> Iterator for RecoverAhead<E> {
    type Item = Result<RecoveredBlock, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let next = self.results.as_ref()?.recv().ok();
        lock(&self.metrics).waited += start.elapsed();
        if let Some(Ok(block)) = &next {
            self.backlog.take(block.signatures());
        }
        if next.is_none() {
            // The source ended, or the thread panicked, which is passed on rather than taken
            // for an end.
            self.results = None;
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                std::panic::resume_unwind(panic);
            }
        }
        next
    }
}

impl<E> Drop for RecoverAhead<E> {
    fn drop(&mut self) {
        self.results = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has nobody left to go to.
            let _ = thread.join();
        }
    }
}

/// The thread's state.
struct Feeder<I, E> {
    source: I,
    accelerator: Arc<Accelerator>,
    batch: usize,
    results: SyncSender<Result<RecoveredBlock, E>>,
    metrics: Arc<Mutex<AheadMetrics>>,
    backlog: Arc<Backlog>,
}

impl<I, E> Feeder<I, E>
where
    I: Iterator<Item = Result<SignedBlock, E>>,
    E: From<BlockError>,
{
    /// Batch after batch, until the source ends or fails, a block does, or nobody listens.
    fn run(mut self) {
        self.accelerator.prepare();
        loop {
            let start = Instant::now();
            let (blocks, end) = self.gather();
            lock(&self.metrics).source += start.elapsed();
            for block in self.recover(blocks) {
                let failed = block.is_err();
                if let Ok(block) = &block {
                    self.backlog.add(block.signatures());
                }
                if self.results.send(block.map_err(E::from)).is_err() || failed {
                    return;
                }
            }
            match end {
                Some(End::Failed(error)) => return drop(self.results.send(Err(error))),
                Some(End::Done) => return,
                None => {}
            }
        }
    }

    /// The blocks of the next batch, and what comes after them if not another one.
    fn gather(&mut self) -> (Vec<SignedBlock>, Option<End<E>>) {
        let (mut blocks, mut signatures) = (Vec::new(), 0);
        let enough = self.backlog.next_batch(self.batch);
        loop {
            match self.source.next() {
                None => return (blocks, Some(End::Done)),
                Some(Err(error)) => return (blocks, Some(End::Failed(error))),
                Some(Ok(block)) => {
                    // Blocks without transactions count as well, so that every batch ends.
                    signatures += block.block.body.transactions.len().max(1);
                    blocks.push(block);
                }
            }
            if signatures >= enough {
                return (blocks, None);
            }
        }
    }

    fn recover(&self, blocks: Vec<SignedBlock>) -> Vec<Result<RecoveredBlock, BlockError>> {
        let start = Instant::now();
        let recovered = RecoveredBlock::recover_all(blocks, &self.accelerator);
        let mut metrics = lock(&self.metrics);
        metrics.recover += start.elapsed();
        metrics.batches += u64::from(!recovered.is_empty());
        metrics.blocks += recovered.len() as u64;
        let signatures = recovered.iter().flatten().map(|block| block.signatures() as u64);
        metrics.signatures += signatures.sum::<u64>();
        recovered
    }
}

/// Why no further block comes.
enum End<E> {
    Done,
    Failed(E),
}

fn lock(metrics: &Mutex<AheadMetrics>) -> MutexGuard<'_, AheadMetrics> {
    metrics.lock().unwrap_or_else(PoisonError::into_inner)
}
