//! One block in flight: what its workers and its committer share, and how a worker works.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_evm::{Evm, EvmEnv};
use alloy_primitives::{Bloom, logs_bloom};
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use pleach_scheduler::{Scheduler, TxIdx, Version};
use revm::{
    context::{Block, result::ResultAndState},
    state::EvmState,
};

use super::{
    hot::HotTargets,
    location::Writer,
    mv_memory::MvMemory,
    observe::SpeculativeEvmFactory,
    pool::Work,
    read_set::ReadSet,
    trace::{Ending, Lane, Tracer},
    validate::still_reads_the_same,
    view::{Shared, SharedPrestate, View, ViewError},
};

/// How often a transaction is run speculatively before it is left to the committer.
const MAX_INCARNATIONS: u32 = 3;

/// What an incarnation gives: its result, and what the result rests on.
#[derive(Debug)]
pub(super) struct Speculated<H> {
    pub(super) result: ResultAndState<H>,
    pub(super) reads: ReadSet,
    /// The bloom of the result's logs, if it has any: hashing topics is worth a worker's time.
    pub(super) bloom: Option<Box<Bloom>>,
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
    pub(super) counters: CachePadded<Counters>,
    pub(super) hot: HotTargets,
    /// Threads that work on the block beside the committer.
    workers: usize,
    /// Where to write down what happens when, if somebody asked for it.
    pub(super) tracer: Option<Arc<Tracer>>,
}

/// What the block cost so far. Statistics only: nothing is decided by them, so relaxed will do.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) executions: AtomicU64,
    pub(super) aborts: AtomicU64,
    pub(super) reexecuted_gas: AtomicU64,
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
        prestate: Arc<dyn SharedPrestate>,
        pre_block: &[EvmState],
        workers: usize,
        tracer: Option<Arc<Tracer>>,
    ) -> Self {
        let scheduler = Scheduler::new(txs.len(), MAX_INCARNATIONS);
        let memory = MvMemory::new(txs.len(), env.block_env.beneficiary());
        for state in pre_block {
            memory.publish(Writer::PRE_BLOCK, state);
        }
        let shared = Arc::new(Shared { memory, scheduler, prestate });
        let slots = txs.iter().map(|_| Mutex::new(None)).collect();
        let counters = CachePadded::default();
        let hot = HotTargets::default();
        Self { shared, factory, env, txs, slots, counters, hot, workers, tracer }
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        &self.shared.scheduler
    }

    /// Takes back what [`Self::publish`] made visible, given the same state.
    pub(super) fn retract(&self, index: TxIdx, state: &EvmState) {
        self.shared.memory.retract(Writer::transaction(index), state);
    }

    pub(super) const fn workers(&self) -> usize {
        self.workers
    }

    /// Makes a transaction's writes visible to higher ones.
    pub(super) fn publish(&self, index: TxIdx, state: &EvmState) {
        self.shared.memory.publish(Writer::transaction(index), state);
    }

    /// The closest lower transaction to the same target that has not executed, if the target's
    /// transactions have shown to rest on one another.
    fn likely_dependency(&self, index: TxIdx) -> Option<TxIdx> {
        let target = E::target(&self.txs[index])?;
        if !self.hot.contains(&target) {
            return None;
        }
        let lower = (self.scheduler().frontier()..index).rev().take(LOOK_BACK);
        let mut same = lower.filter(|lower| E::target(&self.txs[*lower]) == Some(target));
        same.find(|lower| !self.scheduler().has_executed(*lower))
    }

    /// Takes the result of the latest incarnation.
    pub(super) fn take(&self, index: TxIdx) -> Option<Box<Speculated<E::HaltReason>>> {
        self.slots[index].lock().take()
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
            if let Some(version) = self.scheduler().claim() {
                runner.run(self, version);
                idle_rounds = 0;
            } else if idle_rounds < SPIN_ROUNDS {
                idle_rounds += 1;
                std::hint::spin_loop();
            } else {
                self.scheduler().sleep_until_work();
                idle_rounds = 0;
            }
        }
    }
}

/// Rounds that a thread looks for work before it sleeps: a few microseconds, about what waking
/// costs.
pub(super) const SPIN_ROUNDS: u32 = 256;

/// One thread's EVM for running ahead, reused from transaction to transaction.
pub(super) struct Runner<E: SpeculativeEvmFactory> {
    evm: E::Speculative,
    lane: Lane,
}

impl<E: SpeculativeEvmFactory> Runner<E> {
    pub(super) fn new(session: &Session<E>) -> Self {
        let view = View::new(Arc::clone(&session.shared));
        let evm = session.factory.create_speculative(view, session.env.clone());
        Self { evm, lane: Lane::of(session) }
    }

    /// Runs one incarnation and hands its result, or its failure, to the scheduler.
    pub(super) fn run(&mut self, session: &Session<E>, version: Version) {
        // A panic inside an EVM must not leave the committer waiting for a result that never comes:
        // the committer then runs the transaction itself and panics as serial execution would.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(session, version)));
        if outcome.is_err() {
            self.lane.ends(Ending::Void);
            *self = Self::new(session);
            session.store(version.index, None);
            session.scheduler().finish(version);
        }
    }

    fn execute(&mut self, session: &Session<E>, version: Version) {
        let index = version.index;
        let tx = &session.txs[index];
        if let Some(dependency) = session.likely_dependency(index) {
            session.scheduler().postpone(version, dependency);
            return;
        }
        session.counters.count_execution();
        self.lane.begins(index);
        self.evm.db_mut().begin(index, E::sender(tx));
        let result = self.evm.transact_raw(tx.clone());
        E::after_transaction(tx, &mut self.evm);
        let (reads, failure) = self.evm.db_mut().finish();
        match (result, failure) {
            (_, Some(ViewError::Dependency(dependency))) => {
                session.counters.count_abort(0);
                self.lane.ends(Ending::Waited(dependency));
                session.scheduler().wait_for(version, dependency);
            }
            (Ok(result), None) => {
                let bloom = Self::bloom(&result);
                self.deliver(session, version, Box::new(Speculated { result, reads, bloom }));
            }
            (Ok(_), Some(ViewError::Prestate)) | (Err(_), _) => {
                self.lane.ends(Ending::Void);
                session.store(index, None);
                session.scheduler().finish(version);
            }
        }
    }

    fn bloom(result: &ResultAndState<E::HaltReason>) -> Option<Box<Bloom>> {
        let logs = result.result.logs();
        (!logs.is_empty()).then(|| Box::new(logs_bloom(logs)))
    }

    fn deliver(
        &self,
        session: &Session<E>,
        version: Version,
        speculated: Box<Speculated<E::HaltReason>>,
    ) {
        let index = version.index;
        if !still_reads_the_same(&session.shared.memory, index, &speculated.reads) {
            session.counters.count_abort(speculated.result.result.tx_gas_used());
            self.lane.is_overtaken(index, &session.shared.memory, &speculated);
            session.scheduler().abort(version);
            return;
        }
        session.publish(index, &speculated.result.state);
        self.lane.ends(Ending::Delivered);
        session.store(index, Some(speculated));
        session.scheduler().finish(version);
    }
}
