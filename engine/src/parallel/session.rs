//! One block in flight: what its workers and its committer share, and how a worker works.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_evm::{Evm, EvmEnv};
use alloy_primitives::{Address, Bloom};
use crossbeam_utils::CachePadded;
use pleach_scheduler::{EntryId, Pen, Run, Scheduler, TxIdx, Version};
use revm::{context::result::ResultAndState, state::EvmState};

use super::{
    ahead::Ahead,
    blooms::logs_bloom,
    bundle::help_gather,
    committed::is_odd,
    hot::{EXPLORED, HotTargets},
    location::Writer,
    observe::SpeculativeEvmFactory,
    payment::Payment,
    pool::Work,
    read_set::ReadSet,
    trace::{Ending, Lane, Tracer},
    validate::{stale_writer, still_reads_the_same},
    view::{Shared, View, ViewError},
};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, MODEL, Mutex, Ordering, spin_loop};

/// How often a transaction is run speculatively before it is left to the committer.
pub(super) const MAX_INCARNATIONS: u32 = 3;

/// What an incarnation gives: its result, and what the result rests on.
///
/// The committer takes the result and leaves the rest for its worker to use again: memory that one
/// thread allocates and another frees is slow on both ends.
#[derive(Debug)]
pub(super) struct Speculated<H> {
    /// Where the memory keeps the block's changes, the state has the odd accounts alone.
    pub(super) result: Option<ResultAndState<H>>,
    pub(super) reads: ReadSet,
    /// What the incarnation wrote to the memory.
    pub(super) writes: Vec<EntryId>,
    /// The bloom of the result's logs, if it has any: hashing topics is worth a worker's time.
    pub(super) bloom: Option<Bloom>,
    /// Whether it did not wait for others of its target, although that is held to be hot.
    pub(super) explored: bool,
    /// How long it took, in nanoseconds, if that was measured.
    pub(super) nanos: Option<u32>,
}

impl<H> Default for Speculated<H> {
    fn default() -> Self {
        Self {
            result: None,
            reads: ReadSet::default(),
            writes: Vec::new(),
            bloom: None,
            explored: false,
            nanos: None,
        }
    }
}

/// Where a transaction's latest incarnation leaves its result: `None` if it gave none, as an
/// invalid transaction.
type Slot<H> = Mutex<Option<Box<Speculated<H>>>>;

/// One block in flight.
pub(super) struct Session<E: SpeculativeEvmFactory> {
    pub(super) shared: Arc<Shared>,
    factory: E,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    pub(super) txs: Arc<[E::Tx]>,
    slots: Box<[Slot<E::HaltReason>]>,
    /// One for each thread, so that counting does not make them meet.
    counters: Box<[CachePadded<Counters>]>,
    /// Threads that have come to work so far, the committer included.
    arrived: AtomicUsize,
    pub(super) hot: HotTargets,
    /// What workers have found out since the committer last asked.
    clashes: Clashes,
    /// What the follower has been told ahead of commits.
    ahead: Mutex<Ahead>,
    /// Whether one of the threads that sleep attends to the follower. Only steers: relaxed.
    attended: AtomicBool,
    /// Threads that work on the block beside the committer.
    workers: usize,
    /// Where to write down what happens when, if somebody asked for it.
    pub(super) tracer: Option<Arc<Tracer>>,
}

/// What the block cost one thread so far. Statistics only: nothing is decided by them, so relaxed
/// will do.
#[derive(Debug, Default)]
pub(super) struct Counters {
    executions: AtomicU64,
    aborts: AtomicU64,
    reexecuted_gas: AtomicU64,
}

impl Counters {
    pub(super) fn count_execution(&self) {
        self.executions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_abort(&self, gas: u64) {
        self.aborts.fetch_add(1, Ordering::Relaxed);
        self.reexecuted_gas.fetch_add(gas, Ordering::Relaxed);
    }
}

impl<E: SpeculativeEvmFactory> Session<E> {
    pub(super) fn new(
        factory: E,
        env: EvmEnv<E::Spec, E::BlockEnv>,
        txs: Arc<[E::Tx]>,
        shared: Arc<Shared>,
        hot: HotTargets,
        workers: usize,
        tracer: Option<Arc<Tracer>>,
    ) -> Self {
        let slots = txs.iter().map(|_| Mutex::new(None)).collect();
        // The committer has two: one of its own, and one as it helps the workers.
        let counters = (0..workers + 2).map(|_| CachePadded::default()).collect();
        let arrived = AtomicUsize::new(1);
        Self {
            shared,
            factory,
            env,
            txs,
            slots,
            counters,
            arrived,
            hot,
            clashes: Clashes::default(),
            ahead: Mutex::default(),
            attended: AtomicBool::new(false),
            workers,
            tracer,
        }
    }

    /// The committer's own counters.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters[0]
    }

    /// Executions, aborts and gas executed again, over all threads.
    pub(super) fn costs(&self) -> [u64; 3] {
        let counts = self.counters.iter().map(|counters| {
            [&counters.executions, &counters.aborts, &counters.reexecuted_gas]
                .map(|count| count.load(Ordering::Relaxed))
        });
        counts.fold([0; 3], |sum, count| std::array::from_fn(|at| sum[at] + count[at]))
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        &self.shared.scheduler
    }

    pub(super) const fn workers(&self) -> usize {
        self.workers
    }

    /// The closest lower transaction to the same target, or to one of its group, that has not
    /// executed, if the target's transactions have shown to rest on one another.
    fn likely_dependency(&self, index: TxIdx) -> Option<TxIdx> {
        let target = E::target(&self.txs[index])?;
        let lower = (self.scheduler().frontier()..index).rev().take(LOOK_BACK);
        let lower = lower.filter_map(|lower| Some((lower, E::target(&self.txs[lower])?)));
        self.hot.find_kin(&target, lower, |lower| !self.scheduler().has_executed(*lower))
    }

    /// The account whose code a transaction calls, if it is not a plain payment.
    pub(super) fn callee(&self, index: TxIdx) -> Option<Address> {
        let tx = &self.txs[index];
        if E::may_be_payment(tx) { None } else { E::target(tx) }
    }

    /// Whether most transactions from `index` on call one target whose transactions have shown to
    /// rest on one another. Such a block is a chain, and more threads make it no shorter.
    pub(super) fn is_mostly_hot(&self, index: TxIdx, target: Address) -> bool {
        let rest = &self.txs[index..];
        let calls = rest.iter().filter(|tx| E::target(tx) == Some(target)).count();
        calls * 4 >= rest.len() * 3
    }

    /// Incarnations that were overtaken since the last call.
    pub(super) fn take_clashes(&self) -> Vec<Clash> {
        self.clashes.take()
    }

    /// Takes what the latest incarnation left.
    pub(super) fn take(&self, index: TxIdx) -> Option<Box<Speculated<E::HaltReason>>> {
        self.slots[index].lock().take()
    }

    /// Leaves what is committed for its worker to use again.
    pub(super) fn give_back(&self, index: TxIdx, used: Box<Speculated<E::HaltReason>>) {
        *self.slots[index].lock() = Some(used);
    }

    /// Sleeps until there is work. Where there is a follower, one of those that sleep looks now and
    /// then whether there is something to do for it: who commits does not wake anybody for that.
    fn sleep(&self) {
        let attends =
            self.shared.follower.is_some() && !self.attended.swap(true, Ordering::Relaxed);
        if attends {
            self.scheduler().nap_until_work(NAP);
            self.attended.store(false, Ordering::Relaxed);
        } else {
            self.scheduler().sleep_until_work();
        }
    }

    /// Lets the follower have the time of a thread that has nothing to execute. Says whether there
    /// was anything to do.
    pub(super) fn idle(&self) -> bool {
        let Some(follower) = &self.shared.follower else { return false };
        let found = self.ahead.try_lock().and_then(|mut ahead| ahead.find(self.scheduler()));
        let Some(index) = found else { return follower.idle() };
        let left = self.slots[index].lock();
        let writes = left.iter().flat_map(|left| self.shared.written(&left.writes));
        let writes: Vec<_> = writes.collect();
        drop(left);
        follower.executed(&mut writes.into_iter());
        true
    }

    fn store(&self, index: TxIdx, speculated: Option<Box<Speculated<E::HaltReason>>>) {
        *self.slots[index].lock() = speculated;
    }
}

/// How far back a likely dependency is looked for.
const LOOK_BACK: usize = 128;

impl<E: SpeculativeEvmFactory> Work for Session<E> {
    fn work(&self) {
        let mut runner = Runner::new(self);
        let mut idle_rounds = 0;
        while !self.scheduler().is_halted() {
            if let Some(version) = runner.claim(self) {
                runner.run(self, version);
                idle_rounds = 0;
            } else if self.idle() {
                idle_rounds = 0;
            } else if idle_rounds < SPIN_ROUNDS {
                idle_rounds += 1;
                pause(idle_rounds);
            } else {
                self.sleep();
                idle_rounds = 0;
            }
        }
        self.shared.help_follower();
        if self.shared.ledger.is_some() {
            help_gather(&self.shared);
        }
    }
}

/// Gas limit from which on a transaction's time is taken. A model knows no time.
const TIMED_FROM: u64 = if MODEL { u64::MAX } else { 100_000 };

/// Takes a transaction's time, where that is worth a look at the clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start<E: SpeculativeEvmFactory>(tx: &E::Tx) -> Option<Self> {
        (E::gas_limit(tx) >= TIMED_FROM).then(|| Self(Instant::now()))
    }

    pub(super) fn nanos(self) -> u32 {
        u32::try_from(self.0.elapsed().as_nanos()).unwrap_or(u32::MAX)
    }
}

/// Rounds that a thread looks for work before it sleeps: some tens of microseconds, about what
/// waking it costs.
pub(super) const SPIN_ROUNDS: u32 = if MODEL { 2 } else { 2_000 };

/// How long a thread sleeps that attends to a follower: about as long as a few transactions take.
const NAP: Duration = Duration::from_micros(50);

/// One round of waiting. Now and then the processor is offered to others: there may be more threads
/// than processors.
pub(super) fn pause(round: u32) {
    if round.is_multiple_of(64) && !MODEL {
        std::thread::yield_now();
    } else {
        spin_loop();
    }
}

/// An incarnation was overtaken: a lower transaction wrote what it had read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) index: TxIdx,
    /// Who wrote it, if that is known.
    pub(super) culprit: Option<TxIdx>,
}

/// A box of clashes, which is nearly always empty.
#[derive(Debug, Default)]
struct Clashes {
    /// A hint, so that the lock is taken only where there is something.
    any: AtomicBool,
    clashes: Mutex<Vec<Clash>>,
}

impl Clashes {
    fn add(&self, clash: Clash) {
        self.clashes.lock().push(clash);
        self.any.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Vec<Clash> {
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut clashes = self.clashes.lock();
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *clashes)
    }
}

/// Gas from which on an incarnation takes long enough for what it read to be overtaken meanwhile.
const CHECKED_FROM: u64 = 60_000;

/// Cheap transactions that a thread takes at once: their statuses fill half a cache line.
const MOST_AT_ONCE: usize = if MODEL { 2 } else { 8 };

/// One thread's EVM for running ahead, reused from transaction to transaction.
pub(super) struct Runner<E: SpeculativeEvmFactory> {
    evm: E::Speculative,
    pen: Pen,
    /// Where results were left that may have been committed by now.
    delivered: VecDeque<TxIdx>,
    spare: Option<Box<Speculated<E::HaltReason>>>,
    reserved: Run,
    /// Transactions so far that had better wait for others.
    waits: u32,
    /// Which of the session's counters are this thread's.
    number: usize,
    lane: Lane,
}

impl<E: SpeculativeEvmFactory> Runner<E> {
    pub(super) fn new(session: &Session<E>) -> Self {
        // More threads than counters come only after a panic; they share the last ones.
        let arrived = session.arrived.fetch_add(1, Ordering::Relaxed);
        Self::numbered(session, arrived.min(session.counters.len() - 1))
    }

    fn numbered(session: &Session<E>, number: usize) -> Self {
        let view = View::new(Arc::clone(&session.shared));
        let evm = session.factory.create_speculative(view, session.env.clone());
        Self {
            evm,
            pen: Pen::default(),
            delivered: VecDeque::new(),
            spare: None,
            reserved: Run::default(),
            waits: 0,
            number,
            lane: Lane::of(session),
        }
    }

    /// The next transaction to run ahead, if there is one.
    pub(super) fn claim(&mut self, session: &Session<E>) -> Option<Version> {
        session.scheduler().claim_in_run(&mut self.reserved, |first| {
            let next = session.txs[first..].iter().take(MOST_AT_ONCE);
            next.take_while(|tx| E::looks_cheap(tx)).count()
        })
    }

    /// Runs one incarnation and hands its result, or its failure, to the scheduler.
    pub(super) fn run(&mut self, session: &Session<E>, version: Version) {
        // A panic inside an EVM must not leave the committer waiting for a result that never comes:
        // the committer then runs the transaction itself and panics as serial execution would.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(session, version)));
        if outcome.is_err() {
            self.lane.ends(Ending::Void);
            *self = Self::numbered(session, self.number);
            session.store(version.index, None);
            session.scheduler().finish(version);
        }
    }

    fn execute(&mut self, session: &Session<E>, version: Version) {
        let index = version.index;
        let tx = &session.txs[index];
        let dependency = session.likely_dependency(index);
        if let Some(dependency) = dependency {
            self.waits += 1;
            if !self.waits.is_multiple_of(EXPLORED) {
                session.scheduler().postpone(version, dependency);
                return;
            }
        }
        let counters = &session.counters[self.number];
        counters.count_execution();
        self.lane.begins(index);
        let mut speculated = self.blank(session);
        speculated.explored = dependency.is_some();
        self.evm.db_mut().begin(index, E::sender(tx), std::mem::take(&mut speculated.reads));
        if session.shared.ledger.is_some() && E::may_be_payment(tx) {
            if let Some(payment) = E::pay(tx, &mut self.evm) {
                E::after_transaction(tx, &mut self.evm);
                let _ = self.evm.db_mut().finish(&mut speculated.reads);
                self.deliver_payment(session, version, speculated, payment);
                return;
            }
            let _ = self.evm.db_mut().finish(&mut speculated.reads);
            let reads = std::mem::take(&mut speculated.reads);
            self.evm.db_mut().begin(index, E::sender(tx), reads);
        }
        let clock = Clock::start::<E>(tx);
        let result = self.evm.transact_raw(tx.clone());
        speculated.nanos = clock.map(Clock::nanos);
        E::after_transaction(tx, &mut self.evm);
        let failure = self.evm.db_mut().finish(&mut speculated.reads);
        match (result, failure) {
            (_, Some(ViewError::Dependency(dependency))) => {
                self.spare = Some(speculated);
                counters.count_abort(0);
                self.lane.ends(Ending::Waited(dependency));
                session.scheduler().wait_for(version, dependency);
            }
            (Ok(result), None) => {
                let logs = result.result.logs();
                speculated.bloom = (!logs.is_empty()).then(|| logs_bloom(logs));
                self.deliver(session, version, speculated, result);
            }
            (Ok(_), Some(ViewError::Prestate)) | (Err(_), _) => {
                self.spare = Some(speculated);
                self.lane.ends(Ending::Void);
                session.store(index, None);
                session.scheduler().finish(version);
            }
        }
    }

    /// Where to put the next result: in one that was committed, if there is one.
    fn blank(&mut self, session: &Session<E>) -> Box<Speculated<E::HaltReason>> {
        let oldest = self.delivered.front();
        let committed = oldest.is_some_and(|oldest| *oldest < session.scheduler().frontier());
        let used = if committed { self.delivered.pop_front() } else { None };
        let blank = self.spare.take().or_else(|| session.take(used?));
        blank.unwrap_or_default()
    }

    fn deliver_payment(
        &mut self,
        session: &Session<E>,
        version: Version,
        mut speculated: Box<Speculated<E::HaltReason>>,
        Payment { result, parties }: Payment<E::HaltReason>,
    ) {
        let Speculated { reads, writes, .. } = &mut *speculated;
        writes.clear();
        let (names, writer) = ((&mut self.pen, writes), Writer::transaction(version.index));
        session.shared.memory.publish_payment(names, writer, &parties, |address, after| {
            if let Some(read) = reads.account_mut(address) {
                read.after = after;
            }
        });
        (speculated.bloom, speculated.nanos) = (None, None);
        speculated.result = Some(ResultAndState { result, state: EvmState::default() });
        self.hand_over(session, version, speculated);
    }

    /// Leaves a result, whose writes are all published, where the committer finds it.
    fn hand_over(
        &mut self,
        session: &Session<E>,
        version: Version,
        speculated: Box<Speculated<E::HaltReason>>,
    ) {
        self.lane.ends(Ending::Delivered);
        session.store(version.index, Some(speculated));
        session.scheduler().finish(version);
        self.delivered.push_back(version.index);
    }

    fn deliver(
        &mut self,
        session: &Session<E>,
        version: Version,
        mut speculated: Box<Speculated<E::HaltReason>>,
        mut result: ResultAndState<E::HaltReason>,
    ) {
        let index = version.index;
        let memory = &session.shared.memory;
        let writer = Writer::transaction(index);
        let worth_a_check = result.result.tx_gas_used() >= CHECKED_FROM;
        if worth_a_check && !still_reads_the_same(memory, writer, &speculated.reads) {
            let gas = result.result.tx_gas_used();
            let culprit = stale_writer(&session.shared, writer, &speculated.reads);
            session.clashes.add(Clash { index, culprit });
            self.lane.is_overtaken(index, gas, memory, &speculated.reads);
            self.spare = Some(speculated);
            session.counters[self.number].count_abort(gas);
            session.scheduler().abort(version);
            return;
        }
        let Speculated { reads, writes, .. } = &mut *speculated;
        writes.clear();
        memory.publish((&mut self.pen, writes), writer, &result.state, |address, after| {
            if let Some(read) = reads.account_mut(address) {
                read.after = after;
            }
        });
        if session.shared.ledger.is_some() {
            let state = std::mem::take(&mut result.state);
            result.state.extend(
                state.iter().filter(|(_, account)| is_odd(account)).map(|(a, b)| (*a, b.clone())),
            );
            E::recycle(&mut self.evm, state);
        }
        speculated.result = Some(result);
        self.hand_over(session, version, speculated);
    }
}
