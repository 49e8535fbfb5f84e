//! What an import did, and where its time went.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use alloy_eips::eip7928::BlockAccessList;
use alloy_primitives::B256;
use pleach_state::store::Head;

use crate::ListFault;

/// What an import tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportEvent {
    /// A block stands: everything about it was checked. It is not committed yet.
    Valid {
        /// Its number.
        number: u64,
        /// Its transactions.
        txs: usize,
        /// Gas that they used.
        gas: u64,
    },
    /// The access list of a block that stands, where that was asked for.
    AccessList {
        /// The block's number.
        number: u64,
        /// What it touched and changed.
        list: BlockAccessList,
    },
    /// A block's access list was of no use. The block itself may stand.
    ListUnused {
        /// The block's number.
        number: u64,
        /// Why.
        reason: Box<UnusedList>,
    },
    /// All blocks up to this one are durable.
    Durable(Head),
}

/// Why a block's access list was of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusedList {
    /// The header names another one.
    #[error("the header names the access list {header}, this one is {given}")]
    NotTheHeaders {
        /// The hash in the header.
        header: B256,
        /// The hash of what was given.
        given: B256,
    },
    /// It is not what the block does.
    #[error(transparent)]
    Wrong(#[from] ListFault),
}

/// What an import did.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportReport {
    /// Blocks imported.
    pub blocks: u64,
    /// Blocks passed over, because the store had them.
    pub known: u64,
    /// Transactions in the blocks imported.
    pub txs: u64,
    /// Gas used by the blocks imported.
    pub gas: u64,
    /// Whether the import was asked to stop.
    pub stopped: bool,
    /// The last block, which is durable.
    pub head: Head,
    /// Commits to the store.
    pub commits: u64,
    /// Batches in which senders were recovered.
    pub recover_batches: u64,
    /// Blocks that were executed with their access list.
    pub listed: u64,
    /// Blocks whose access list was wrong, or not the one that the header names.
    pub lists_unused: u64,
    /// From beginning to end.
    pub total: Duration,
    /// Where the time went.
    pub times: StageTimes,
}

/// Where an import's time went. The first three and `commit` pass beside the others, on their own
/// threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Reading blocks and validating what headers and bodies show.
    pub lineage: Duration,
    /// Recovering senders.
    pub recover: Duration,
    /// Reading ahead from the store.
    pub prefetch: Duration,
    /// Waiting for the stages before, on the thread that executes.
    pub wait: Duration,
    /// The part of that in which senders were being recovered: what of recovery is not overlapped.
    pub recover_wait: Duration,
    /// Executing, with the checks of the output.
    pub execute: Duration,
    /// Updating tries.
    pub root: Duration,
    /// Writing to the store, on a thread of its own.
    pub commit: Duration,
    /// What of commits passed on the thread that executes: making batches, waiting until one is
    /// written, moving on to the state after it.
    pub commit_wait: Duration,
}

impl StageTimes {
    /// The share of recovery that passed beside other work; from 0 to 1, and 1 where there was
    /// nothing to recover.
    pub fn recover_hidden(&self) -> f64 {
        match self.recover.as_secs_f64() {
            0.0 => 1.0,
            recover => (1.0 - self.recover_wait.as_secs_f64() / recover).max(0.0),
        }
    }
}

/// The clocks of the stages that run beside execution, and what they count.
#[derive(Debug)]
pub(super) struct Clocks {
    origin: Instant,
    pub(super) lineage: Busy,
    pub(super) recover: Busy,
    pub(super) prefetch: Busy,
    pub(super) commit: Busy,
    pub(super) known: AtomicU64,
    /// Batches of signatures.
    pub(super) batches: AtomicU64,
}

/// How long a thread was at its work so far, readable from others at any moment.
///
/// All accesses are relaxed: these are measurements, and nothing else is reached through them. Who
/// reads between the two writes that end a piece of work sees it once too often or not at all.
#[derive(Debug, Default)]
pub(super) struct Busy {
    ended_ns: AtomicU64,
    /// When the piece of work in hand began, plus one; 0 without one.
    since_ns: AtomicU64,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            lineage: Busy::default(),
            recover: Busy::default(),
            prefetch: Busy::default(),
            commit: Busy::default(),
            known: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        }
    }
}

impl Clocks {
    fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Does a piece of work on a stage's clock.
    pub(super) fn time<T>(&self, busy: &Busy, work: impl FnOnce() -> T) -> T {
        let begin = self.now_ns();
        busy.since_ns.store(begin + 1, Ordering::Relaxed);
        let done = work();
        busy.since_ns.store(0, Ordering::Relaxed);
        busy.ended_ns.fetch_add(self.now_ns().saturating_sub(begin), Ordering::Relaxed);
        done
    }

    /// How long a stage was at work until now.
    pub(super) fn busy(&self, busy: &Busy) -> Duration {
        let ended = busy.ended_ns.load(Ordering::Relaxed);
        let since = busy.since_ns.load(Ordering::Relaxed);
        let running = since.checked_sub(1).map_or(0, |since| self.now_ns().saturating_sub(since));
        Duration::from_nanos(ended + running)
    }

    pub(super) fn total(&self) -> Duration {
        self.origin.elapsed()
    }
}
