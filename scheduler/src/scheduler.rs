//! The scheduler of one block.

use std::{collections::BTreeMap, time::Duration};

use crossbeam_utils::CachePadded;

use crate::{
    Incarnation, TxIdx, Version,
    idle::Idle,
    status::{Phase, Status, StatusWord},
    sync::{AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock},
};

/// A transaction that should start out of its order: as soon as all below `before` have started,
/// and `after` has executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EarlyStart {
    /// The lowest transaction that may wait until this one has started.
    pub before: TxIdx,
    /// The transaction itself.
    pub index: TxIdx,
    /// A lower transaction that it is expected to rest on.
    pub after: Option<TxIdx>,
}

/// Neighbouring transactions that one thread has reserved. See [`Scheduler::claim_in_run`].
#[derive(Debug, Default)]
pub struct Run {
    next: TxIdx,
    end: TxIdx,
}

/// How far above the frontier a transaction may be to be left to the committer.
const CLOSE: usize = 2;

/// How many early starts that are due a thread looks at.
const EARLY_AT_ONCE: usize = 8;

/// What the committer finds at the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frontier {
    /// A result waits; validate it, then [`Scheduler::commit`] or [`Scheduler::reclaim`].
    Executed(Version),
    /// Nobody ran it; it is the committer's now, to be run on the committed state.
    Claimed(Version),
    /// A worker is running it.
    Busy,
}

/// Hands out transactions of one block, lowest index first, and keeps the commit frontier.
///
/// Any number of workers call [`claim`](Self::claim), [`finish`](Self::finish),
/// [`wait_for`](Self::wait_for) and [`abort`](Self::abort); one thread, the committer, calls
/// [`at_frontier`](Self::at_frontier), [`reclaim`](Self::reclaim) and [`commit`](Self::commit).
#[derive(Debug)]
pub struct Scheduler {
    statuses: Box<[StatusWord]>,
    /// No `Ready` transaction lies below, except one whose owner is about to lower this.
    cursor: CachePadded<AtomicUsize>,
    /// The lowest transaction that is not committed. Written by the committer alone.
    frontier: CachePadded<AtomicUsize>,
    /// Whether the committer has nothing to do but wait for the frontier, as far as it has said. A
    /// hint on who had better run what comes next.
    committer_waits: AtomicBool,
    halted: AtomicBool,
    /// Transactions that start out of their order, and how many of the first of them have.
    early: Box<[EarlyStart]>,
    next_early: AtomicUsize,
    /// Who waits for whom: dependency to waiting transactions.
    waiting: Mutex<BTreeMap<TxIdx, Vec<TxIdx>>>,
    idle: Idle,
    max_incarnations: Incarnation,
}

impl Scheduler {
    /// A scheduler for `transactions` transactions, each run speculatively at most
    /// `max_incarnations` times; after that only the committer runs it, once.
    pub fn new(transactions: usize, max_incarnations: Incarnation) -> Self {
        Self {
            statuses: (0..transactions).map(|_| StatusWord::new()).collect(),
            cursor: CachePadded::new(AtomicUsize::new(0)),
            frontier: CachePadded::new(AtomicUsize::new(0)),
            committer_waits: AtomicBool::new(false),
            halted: AtomicBool::new(transactions == 0),
            early: Box::default(),
            next_early: AtomicUsize::new(0),
            waiting: Mutex::new(BTreeMap::new()),
            idle: Idle::new(),
            max_incarnations,
        }
    }

    /// The same, with transactions that start out of their order, as hints: in ascending order of
    /// when. Only [`claim_in_run`](Self::claim_in_run) heeds them.
    pub fn with_early_starts(mut self, early: Vec<EarlyStart>) -> Self {
        self.early = early.into();
        self
    }

    /// Number of transactions in the block.
    pub fn len(&self) -> usize {
        self.statuses.len()
    }

    /// Whether the block has no transactions.
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }

    /// The lowest transaction that is not committed.
    pub fn frontier(&self) -> TxIdx {
        self.frontier.load(Ordering::Acquire)
    }

    /// Whether the block is over, by commit of its last transaction or by [`halt`](Self::halt).
    pub fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// Claims the lowest transaction that is ready; the caller must run it and then call
    /// [`finish`](Self::finish), [`abort`](Self::abort) or [`wait_for`](Self::wait_for).
    pub fn claim(&self) -> Option<Version> {
        while !self.is_halted() {
            if self.cursor.load(Ordering::Relaxed) >= self.len() {
                return None;
            }
            let index = self.cursor.fetch_add(1, Ordering::AcqRel);
            if let Some(version) = self.try_claim(index) {
                return Some(version);
            }
        }
        None
    }

    /// Like [`claim`](Self::claim), but reserves up to `most(first)` neighbours at a time, where
    /// `first` is the lowest of them. Claims come from what `run` has reserved first: one thread
    /// then works on neighbours, and two threads do not meet at each.
    ///
    /// What is reserved is not claimed: the committer may still take it, and a halt leaves it.
    pub fn claim_in_run(&self, run: &mut Run, most: impl Fn(TxIdx) -> usize) -> Option<Version> {
        while !self.is_halted() {
            while run.next < run.end {
                run.next += 1;
                if let Some(version) = self.try_claim(run.next - 1) {
                    return Some(version);
                }
            }
            let first = self.cursor.load(Ordering::Relaxed);
            if first >= self.len() {
                return None;
            }
            if let Some(version) = self.claim_early(first) {
                return Some(version);
            }
            let most = most(first).max(1);
            let first = self.cursor.fetch_add(most, Ordering::AcqRel);
            *run = Run { next: first, end: (first + most).min(self.len()) };
        }
        None
    }

    /// Claims a transaction whose early start is due, of those next in the list.
    fn claim_early(&self, cursor: TxIdx) -> Option<Version> {
        // Relaxed: where to begin to look is a hint, and the status word settles the claim.
        let first = self.next_early.load(Ordering::Relaxed);
        let due = self.early.get(first..)?.iter().take_while(|start| start.before <= cursor);
        for (offset, start) in due.take(EARLY_AT_ONCE).enumerate() {
            // Past the end of the block there is nothing to start.
            let status = self.statuses.get(start.index).map(StatusWord::load);
            match status.filter(|status| status.incarnation == 0).map(|status| status.phase) {
                Some(Phase::Ready) => {
                    let rests_on = start.after.filter(|after| *after < self.len());
                    if rests_on.is_none_or(|after| self.has_executed(after))
                        && let Some(version) = self.try_claim(start.index)
                    {
                        return Some(version);
                    }
                }
                Some(Phase::Blocked) => {}
                // It has started. Who comes next need not look at it, nor at what lies before.
                _ if offset == 0 => {
                    let next = (first, first + 1);
                    let order = (Ordering::Relaxed, Ordering::Relaxed);
                    let _ = self.next_early.compare_exchange(next.0, next.1, order.0, order.1);
                }
                _ => {}
            }
        }
        None
    }

    /// Claims one given transaction, if it is ready.
    pub fn try_claim(&self, index: TxIdx) -> Option<Version> {
        let word = self.statuses.get(index)?;
        let status = word.load();
        let to = Status::new(Phase::Executing, status.incarnation);
        let to = Status { awaited: status.awaited, ..to };
        let claimed = status.phase == Phase::Ready && word.exchange(status, to);
        claimed.then_some(Version { index, incarnation: status.incarnation })
    }

    /// Whether what a transaction has written so far will be written anew: it was run, and is to be
    /// run again.
    pub fn is_estimate(&self, index: TxIdx) -> bool {
        let status = self.statuses[index].load();
        status.incarnation > 0 && !matches!(status.phase, Phase::Executed | Phase::Committed)
    }

    /// Whether a transaction's writes are all there to be read.
    pub fn has_executed(&self, index: TxIdx) -> bool {
        matches!(self.statuses[index].load().phase, Phase::Executed | Phase::Committed)
    }

    /// The caller has stored this version's result where the committer finds it.
    pub fn finish(&self, version: Version) {
        let to = Status::new(Phase::Executed, version.incarnation);
        let awaited = self.statuses[version.index].leave(Phase::Executing, to);
        // Relaxed: a hint.
        let for_committer =
            self.committer_waits.load(Ordering::Relaxed) && self.frontier() == version.index;
        // One released transaction is for this thread itself, which looks for work next: waking
        // another for it would pass a chain of transactions from thread to thread.
        let others = self.release_quietly(version.index, awaited, for_committer);
        if others > 1 {
            self.idle.announce();
        }
        // The committer moves the frontier here and then looks at the phase; this thread has moved
        // the phase and now looks at the frontier. The fence, with the one in `Idle::sleep_unless`,
        // makes sure that one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.frontier() == version.index {
            self.idle.announce();
        }
    }

    /// The caller's incarnation is void. Unless its incarnations are spent, it becomes ready
    /// again, under the next number.
    pub fn abort(&self, version: Version) {
        let word = &self.statuses[version.index];
        let awaited = word.leave(Phase::Executing, self.after_abort(version.incarnation));
        self.release(version.index, awaited);
        self.lower_cursor(version.index);
    }

    /// The caller's incarnation cannot go on until `dependency`, a lower transaction, has
    /// executed. It becomes ready again, under the next number, when that is so.
    pub fn wait_for(&self, version: Version, dependency: TxIdx) {
        self.block_on(version, dependency, version.incarnation + 1);
    }

    /// Like [`wait_for`](Self::wait_for) for an incarnation that has not begun: it keeps its
    /// number.
    pub fn postpone(&self, version: Version, dependency: TxIdx) {
        self.block_on(version, dependency, version.incarnation);
    }

    fn block_on(&self, version: Version, dependency: TxIdx, next: Incarnation) {
        assert!(dependency < version.index, "a transaction depends on lower ones only");
        let word = &self.statuses[version.index];
        let mut waiting = lock(&self.waiting);
        if self.mark_awaited(dependency) {
            waiting.entry(dependency).or_default().push(version.index);
            let awaited = word.leave(Phase::Executing, Status::new(Phase::Blocked, next));
            drop(waiting);
            self.release(version.index, awaited);
        } else {
            drop(waiting);
            let awaited = word.leave(Phase::Executing, self.ready_again(next));
            self.release(version.index, awaited);
            self.lower_cursor(version.index);
        }
    }

    /// What the committer finds at the frontier. Only the committer calls this.
    pub fn at_frontier(&self) -> Frontier {
        let index = self.frontier.load(Ordering::Relaxed);
        let word = &self.statuses[index];
        loop {
            let status = word.load();
            let version = Version { index, incarnation: status.incarnation };
            match status.phase {
                Phase::Executed => return Frontier::Executed(version),
                Phase::Executing => return Frontier::Busy,
                Phase::Ready | Phase::Reserved | Phase::Blocked => {
                    let to = Status { phase: Phase::Executing, ..status };
                    if word.exchange(status, to) {
                        return Frontier::Claimed(version);
                    }
                }
                Phase::Committed => unreachable!("the frontier lies above the committed prefix"),
            }
        }
    }

    /// The committer found the result at the frontier invalid and runs the transaction itself.
    /// False if that version does not wait at the frontier.
    pub fn reclaim(&self, version: Version) -> bool {
        let from = Status::new(Phase::Executed, version.incarnation);
        let to = Status::new(Phase::Executing, version.incarnation + 1);
        self.statuses[version.index].exchange(from, to)
    }

    /// The committer has committed the transaction at the frontier, which it has claimed or found
    /// executed. False, and nothing done, if it has neither.
    pub fn commit(&self, index: TxIdx) -> bool {
        assert_eq!(index, self.frontier.load(Ordering::Relaxed), "commits are in block order");
        let word = &self.statuses[index];
        loop {
            let status = word.load();
            if !matches!(status.phase, Phase::Executed | Phase::Executing) {
                return false;
            }
            let to = Status::new(Phase::Committed, status.incarnation);
            if word.exchange(status, to) {
                if self.release_quietly(index, status.awaited, true) > 0 {
                    self.idle.announce();
                }
                self.advance(index + 1);
                return true;
            }
        }
    }

    /// Ends the block at once: workers find nothing more to do.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::Release);
        self.idle.announce();
    }

    /// Sleeps until there may be something to claim or the block is over.
    pub fn sleep_until_work(&self) {
        self.idle.sleep_unless(None, || self.has_work());
    }

    /// The same, but for no longer than so much time.
    pub fn nap_until_work(&self, at_most: Duration) {
        self.idle.sleep_unless(Some(at_most), || self.has_work());
    }

    fn has_work(&self) -> bool {
        self.is_halted() || self.cursor.load(Ordering::Relaxed) < self.len()
    }

    /// The committer says whether it has nothing to do but wait for the frontier. A hint.
    pub fn set_committer_waits(&self, waits: bool) {
        self.committer_waits.store(waits, Ordering::Relaxed);
    }

    /// The committer sleeps until the frontier is not busy or there is something to claim.
    pub fn sleep_until_frontier(&self) {
        let index = self.frontier();
        self.idle.sleep_unless(None, || {
            self.has_work() || self.statuses[index].load().phase != Phase::Executing
        });
    }

    fn after_abort(&self, incarnation: Incarnation) -> Status {
        self.ready_again(incarnation + 1)
    }

    /// Ready for this incarnation, if there may be so many.
    fn ready_again(&self, next: Incarnation) -> Status {
        let spent = next >= self.max_incarnations;
        Status::new(if spent { Phase::Reserved } else { Phase::Ready }, next)
    }

    fn advance(&self, frontier: TxIdx) {
        self.frontier.store(frontier, Ordering::Release);
        if frontier == self.len() {
            self.halt();
        }
    }

    /// Makes a transaction that has become ready reachable again.
    fn lower_cursor(&self, index: TxIdx) {
        self.cursor.fetch_min(index, Ordering::AcqRel);
        self.idle.announce();
    }

    /// Sets the awaited mark of a transaction that has not executed yet. False if it has.
    fn mark_awaited(&self, dependency: TxIdx) -> bool {
        let word = &self.statuses[dependency];
        loop {
            let status = word.load();
            if matches!(status.phase, Phase::Executed | Phase::Committed) {
                return false;
            }
            if status.awaited || word.exchange(status, Status { awaited: true, ..status }) {
                return true;
            }
        }
    }

    /// Releases whoever waits for a transaction, if its awaited mark was set, and wakes threads
    /// for them.
    fn release(&self, index: TxIdx, awaited: bool) {
        if self.release_quietly(index, awaited, false) > 0 {
            self.idle.announce();
        }
    }

    /// Releases whoever waits for a transaction. Returns how many there were that any thread may
    /// claim now.
    ///
    /// Where the committer is free and close, one that waited alone is left to it: it is the next
    /// link of a chain that has arrived at the frontier, where running it takes no speculation.
    fn release_quietly(&self, index: TxIdx, awaited: bool, committer_is_free: bool) -> usize {
        if !awaited {
            return 0;
        }
        let released = lock(&self.waiting).remove(&index).unwrap_or_default();
        if let ([next], true) = (&*released, committer_is_free)
            && *next <= index + CLOSE
        {
            self.unblock(*next, Phase::Reserved);
            return 0;
        }
        for waiting in &released {
            self.unblock(*waiting, Phase::Ready);
        }
        released.len()
    }

    /// A transaction waits no more. It goes to `phase`, unless its incarnations are spent.
    fn unblock(&self, index: TxIdx, phase: Phase) {
        let word = &self.statuses[index];
        loop {
            let status = word.load();
            // The committer may have claimed it from under its dependency.
            if status.phase != Phase::Blocked {
                return;
            }
            let spent = status.incarnation >= self.max_incarnations;
            let phase = if spent { Phase::Reserved } else { phase };
            if word.exchange(status, Status { phase, ..status }) {
                if phase == Phase::Ready {
                    self.cursor.fetch_min(index, Ordering::AcqRel);
                }
                return;
            }
        }
    }
}
