//! One block in flight: what its workers and its committer share, and how a worker works.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_evm::{Evm, EvmEnv};
use parking_lot::Mutex;
use pleach_scheduler::{Scheduler, TxIdx, Version};
use revm::{context::result::ResultAndState, state::EvmState};

use super::{
    mv_memory::{MvMemory, Writer, WrittenLocations},
    observe::SpeculativeEvmFactory,
    pool::Work,
    read_set::ReadSet,
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
}

/// Where a transaction's incarnations leave their results.
#[derive(Debug)]
struct Slot<H> {
    /// The result of the latest incarnation; `None` if it gave none, as an invalid transaction.
    speculated: Option<Speculated<H>>,
    written: WrittenLocations,
}

/// One block in flight.
pub(super) struct Session<E: SpeculativeEvmFactory> {
    pub(super) shared: Arc<Shared>,
    factory: E,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    pub(super) txs: Vec<E::Tx>,
    pub(super) balances_commute: bool,
    slots: Box<[Mutex<Slot<E::HaltReason>>]>,
    pub(super) counters: Counters,
    /// Threads that work on the block beside the committer.
    workers: usize,
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
        txs: Vec<E::Tx>,
        prestate: Arc<dyn SharedPrestate>,
        pre_block: &[EvmState],
        workers: usize,
    ) -> Self {
        let scheduler = Scheduler::new(txs.len(), MAX_INCARNATIONS);
        let shared = Shared { memory: MvMemory::new(), scheduler, prestate };
        for state in pre_block {
            shared.memory.publish(Writer::PRE_BLOCK, state);
        }
        let empty = || Slot { speculated: None, written: WrittenLocations::default() };
        let slots = txs.iter().map(|_| Mutex::new(empty())).collect();
        let balances_commute = E::balances_commute(&env);
        let shared = Arc::new(shared);
        let counters = Counters::default();
        Self { shared, factory, env, txs, balances_commute, slots, counters, workers }
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        &self.shared.scheduler
    }

    pub(super) const fn workers(&self) -> usize {
        self.workers
    }

    /// Makes a transaction's writes visible to higher ones, in place of its earlier incarnation's.
    pub(super) fn publish(&self, index: TxIdx, state: &EvmState) {
        let writer = Writer::transaction(index);
        let mut slot = self.slots[index].lock();
        self.shared.memory.retract(writer, &slot.written);
        slot.written = self.shared.memory.publish(writer, state);
    }

    /// Takes the result of the latest incarnation.
    pub(super) fn take(&self, index: TxIdx) -> Option<Speculated<E::HaltReason>> {
        self.slots[index].lock().speculated.take()
    }

    fn store(&self, index: TxIdx, speculated: Option<Speculated<E::HaltReason>>) {
        self.slots[index].lock().speculated = speculated;
    }
}

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

/// Rounds that a thread looks for work before it sleeps: a few microseconds, about what waking costs.
pub(super) const SPIN_ROUNDS: u32 = 256;

/// One thread's EVM for running ahead, reused from transaction to transaction.
pub(super) struct Runner<E: SpeculativeEvmFactory> {
    evm: E::Speculative,
}

impl<E: SpeculativeEvmFactory> Runner<E> {
    pub(super) fn new(session: &Session<E>) -> Self {
        let view = View::new(Arc::clone(&session.shared));
        Self { evm: session.factory.create_speculative(view, session.env.clone()) }
    }

    /// Runs one incarnation and hands its result, or its failure, to the scheduler.
    pub(super) fn run(&mut self, session: &Session<E>, version: Version) {
        session.counters.count_execution();
        // A panic inside an EVM must not leave the committer waiting for a result that never comes:
        // the committer then runs the transaction itself and panics as serial execution would.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(session, version)));
        if outcome.is_err() {
            *self = Self::new(session);
            session.store(version.index, None);
            session.scheduler().finish(version);
        }
    }

    fn execute(&mut self, session: &Session<E>, version: Version) {
        let index = version.index;
        let tx = &session.txs[index];
        self.evm.db_mut().begin(index, E::sender(tx));
        let result = self.evm.transact_raw(tx.clone());
        if !session.balances_commute {
            self.evm.db_mut().observe_all_balances();
        }
        E::after_transaction(tx, &mut self.evm);
        let (reads, failure) = self.evm.db_mut().finish();
        match (result, failure) {
            (_, Some(ViewError::Dependency(dependency))) => {
                session.counters.count_abort(0);
                session.scheduler().wait_for(version, dependency);
            }
            (Ok(result), None) => Self::deliver(session, version, Speculated { result, reads }),
            (Ok(_), Some(ViewError::Prestate)) | (Err(_), _) => {
                session.publish(index, &EvmState::default());
                session.store(index, None);
                session.scheduler().finish(version);
            }
        }
    }

    fn deliver(session: &Session<E>, version: Version, speculated: Speculated<E::HaltReason>) {
        let index = version.index;
        if !still_reads_the_same(&session.shared.memory, index, &speculated.reads) {
            session.counters.count_abort(speculated.result.result.tx_gas_used());
            session.scheduler().abort(version);
            return;
        }
        session.publish(index, &speculated.result.state);
        session.store(index, Some(speculated));
        session.scheduler().finish(version);
    }
}
