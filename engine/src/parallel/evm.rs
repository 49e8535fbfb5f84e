//! The EVM inside a parallel block executor: the chain's own, with results handed to it.
//!
//! A chain's block executor knows its rules: gas admission, receipts, requests, what happens before
//! and after the transactions. None of that is written a second time. The executor is given an EVM
//! whose `transact` may answer with a result that a worker computed ahead of time, and that has
//! been found to be what running the transaction now would give. All the rest, errors included,
//! is the executor's own.

use std::sync::{Arc, atomic::AtomicBool};

use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, Bytes};
use pleach_scheduler::{Pen, Scheduler};
use revm::{
    Inspector,
    context::{Block, CfgEnv, DBErrorMarker, result::ResultAndState},
    inspector::NoOpInspector,
    state::EvmState,
};

use super::{
    bundle::Gathering,
    committer::{Committer, Effort, Step},
    early::{Expected, early_starts},
    hot::{Heat, Hot, HotTargets},
    location::Writer,
    mv_memory::MvMemory,
    observe::SpeculativeEvmFactory,
    pool::{Pool, Work},
    receipts::HandedBloom,
    session::{MAX_INCARNATIONS, Session},
    trace::Tracer,
    validate::Validation,
    view::{Shared, SharedPrestate},
};
use crate::{Follower, Metrics, durations::Call};

/// Creates EVMs of the chain's factory that can be handed results.
///
/// An EVM with an inspector runs every transaction itself, so that the inspector sees all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct PleachEvmFactory<E> {
    inner: E,
    same_precompiles: bool,
}

impl<E> PleachEvmFactory<E> {
    /// Wraps a chain's EVM factory.
    pub const fn new(inner: E) -> Self {
        Self { inner, same_precompiles: false }
    }

    /// Promises that an EVM's precompiles are replaced only by ones that compute the same, as a
    /// cache in front of them does.
    ///
    /// Workers have the precompiles that the chain's factory gives them. So without this promise
    /// an EVM whose precompiles are lent out for change runs serially from there on.
    pub const fn with_same_precompiles(mut self) -> Self {
        self.same_precompiles = true;
        self
    }

    /// The chain's own factory.
    pub const fn inner(&self) -> &E {
        &self.inner
    }
}

impl<E: SpeculativeEvmFactory> EvmFactory for PleachEvmFactory<E> {
    type Evm<DB: Database, I: Inspector<Self::Context<DB>>> = PleachEvm<E, E::Evm<DB, I>>;
    type Context<DB: Database> = E::Context<DB>;
    type Tx = E::Tx;
    type Error<DBError: DBErrorMarker> = E::Error<DBError>;
    type HaltReason = E::HaltReason;
    type Spec = E::Spec;
    type BlockEnv = E::BlockEnv;
    type Precompiles = E::Precompiles;

    fn create_evm<DB: Database>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
    ) -> Self::Evm<DB, NoOpInspector> {
        let inner = self.inner.create_evm(db, env.clone());
        PleachEvm::new(inner, self, env, false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<Self::Context<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let inner = self.inner.create_evm_with_inspector(db, env.clone(), inspector);
        PleachEvm::new(inner, self, env, true)
    }
}

/// A chain's EVM that can be handed results. See the module's introduction.
pub struct PleachEvm<E: SpeculativeEvmFactory, V> {
    inner: V,
    factory: E,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    /// Whether an inspector watches: then every transaction must really run, here.
    inspecting: bool,
    same_precompiles: bool,
    stage: Stage<E>,
    /// Whether the next transaction that is asked for stands for the one announced.
    next_is_announced: bool,
    /// What speculation cost, once it has ended.
    metrics: Option<Metrics>,
}

/// How far the block has come.
///
/// ```text
/// BeforeTransactions ── first transaction is the one announced ──▶ Speculating
///         │                                                            │
///         │ first transaction, none announced          departure, error, end
///         ▼                                                            ▼
///       Serial ◀───────────────────────────────────────────────────────┘
/// ```
enum Stage<E: SpeculativeEvmFactory> {
    BeforeTransactions {
        /// What system calls have changed so far.
        changes: Vec<EvmState>,
        announced: Option<Announced<E::Tx>>,
    },
    Speculating(Box<Committer<E>>),
    Serial,
}

/// The transactions of the block, made known before the first one is asked for.
pub(crate) struct Announced<Tx> {
    pub(crate) pool: Arc<Pool>,
    /// How many of the pool's threads are wanted, all at most.
    pub(crate) workers: usize,
    pub(crate) txs: Arc<[Tx]>,
    pub(crate) before: Before,
    /// Targets whose transactions are expected to rest on one another, a hint.
    pub(crate) hot: Vec<Hot>,
    pub(crate) validation: Validation,
    pub(crate) effort: Effort,
    /// Where the receipt builder looks for a result's bloom, if it does.
    pub(crate) bloom: HandedBloom,
    /// Where to write down what happens when, if somebody asked for it.
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// Who is told of commits; where the memory keeps the changes, that one knows already.
    pub(crate) follower: Option<Arc<dyn Follower>>,
}

/// The state before the block, as workers get to it.
pub(crate) enum Before {
    /// The block executor's own database collects the changes; this is what it started from.
    Prestate(Arc<dyn SharedPrestate>),
    /// The memory keeps the changes, and has those so far.
    Memory(Arc<Shared>),
}

impl Before {
    /// The memory that a block's workers read, given what has changed so far.
    fn into_shared<E: SpeculativeEvmFactory>(
        self,
        changes: &[EvmState],
        (txs, hot): (&[E::Tx], &[Hot]),
        block: &E::BlockEnv,
        workers: usize,
        follower: Option<Arc<dyn Follower>>,
    ) -> Arc<Shared> {
        let prestate = match self {
            Self::Memory(shared) => return shared,
            Self::Prestate(prestate) => prestate,
        };
        let gas = block.gas_limit();
        let memory = MvMemory::new(txs.len(), gas, block.beneficiary());
        let expected = Expected::of(hot, txs.iter().map(|tx| (E::gas_limit(tx), E::target(tx))));
        let early = early_starts(expected, gas, workers + 1);
        let scheduler = Scheduler::new(txs.len(), MAX_INCARNATIONS).with_early_starts(early);
        let (memory, gathering) = (Arc::new(memory), Gathering::default());
        let is_over = AtomicBool::new(false);
        let ledger = None;
        let shared = Shared { memory, scheduler, prestate, ledger, gathering, follower, is_over };
        let (mut pen, mut names) = (Pen::default(), Vec::new());
        for (call, state) in changes.iter().enumerate() {
            let writer = Writer::before_transactions(call);
            shared.publish_committed((&mut pen, &mut names), writer, state);
        }
        Arc::new(shared)
    }
}

impl<E: SpeculativeEvmFactory, V> std::fmt::Debug for PleachEvm<E, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PleachEvm").field("inspecting", &self.inspecting).finish_non_exhaustive()
    }
}

impl<E: SpeculativeEvmFactory, V> PleachEvm<E, V> {
    fn new(
        inner: V,
        factory: &PleachEvmFactory<E>,
        env: EvmEnv<E::Spec, E::BlockEnv>,
        inspecting: bool,
    ) -> Self {
        Self {
            inner,
            factory: factory.inner.clone(),
            env,
            inspecting,
            same_precompiles: factory.same_precompiles,
            stage: Stage::BeforeTransactions { changes: Vec::new(), announced: None },
            next_is_announced: false,
            metrics: None,
        }
    }

    /// Makes the block's transactions known. The pool runs ahead with them as soon as all changes
    /// that come before the first transaction are in the database, which is when that one is asked
    /// for, or when [`Self::speculate`] says so.
    pub(crate) fn announce(&mut self, block: Announced<E::Tx>) {
        if let (false, Stage::BeforeTransactions { announced, .. }) =
            (self.inspecting, &mut self.stage)
        {
            *announced = Some(block);
        }
    }

    /// Lets the pool run ahead with the transactions that were announced, if any were.
    pub(crate) fn speculate(&mut self) {
        let Stage::BeforeTransactions { changes, announced } = &mut self.stage else { return };
        let Some(block) = announced.take() else { return };
        let (factory, env) = (self.factory.clone(), self.env.clone());
        let workers = block.workers.min(block.pool.len());
        let (txs, block_env, follower) = (&*block.txs, &env.block_env, block.follower);
        let txs = (txs, &*block.hot);
        let shared = block.before.into_shared::<E>(changes, txs, block_env, workers, follower);
        let hot = HotTargets::known(block.hot);
        let session = Session::new(factory, env, block.txs, shared, hot, workers, block.tracer);
        let session = Arc::new(session);
        let work: Arc<dyn Work> = session.clone();
        block.pool.submit(Arc::downgrade(&work), workers);
        let committer = Committer::new(session, block.validation, block.effort, block.bloom);
        self.stage = Stage::Speculating(Box::new(committer));
    }

    /// Ends speculation; what is still to come runs serially. Returns what speculation has cost, if
    /// there was any.
    pub(crate) fn stop(&mut self) -> Option<Metrics> {
        if let Stage::Speculating(committer) = &self.stage {
            self.metrics = Some(committer.metrics());
        }
        self.stage = Stage::Serial;
        self.metrics
    }

    /// What has been learnt so far of targets whose transactions rest on one another.
    pub(crate) fn heat(&self) -> Heat {
        match &self.stage {
            Stage::Speculating(committer) => committer.heat(),
            Stage::BeforeTransactions { .. } | Stage::Serial => Heat::default(),
        }
    }

    /// Calls that took longer than expected, with their durations in nanoseconds.
    pub(crate) fn long_calls(&self) -> Vec<(Call, u32)> {
        match &self.stage {
            Stage::Speculating(committer) => committer.long_calls(),
            Stage::BeforeTransactions { .. } | Stage::Serial => Vec::new(),
        }
    }

    /// What speculation has cost so far; all zero if there was none.
    pub fn metrics(&self) -> Metrics {
        match &self.stage {
            Stage::Speculating(committer) => committer.metrics(),
            Stage::BeforeTransactions { .. } | Stage::Serial => self.metrics.unwrap_or_default(),
        }
    }

    /// Tells a caller that goes through the announced list that it may ask for any transaction
    /// next, such as an empty one, and gets what the announced one gives: copying a transaction
    /// for nothing but to be compared is a waste. False if the transaction itself is needed.
    pub(crate) fn take_next_as_announced(&mut self) -> bool {
        self.next_is_announced =
            matches!(&self.stage, Stage::Speculating(committer) if !committer.leaves());
        self.next_is_announced
    }

    /// The committer, if this is the transaction that it expects. It is taken out of the EVM while
    /// it works, so that a panic in the chain's code ends speculation instead of leaving it with a
    /// transaction that is neither done nor to be done.
    fn take_committer(&mut self, tx: &E::Tx) -> Option<Box<Committer<E>>> {
        self.start(tx);
        let Stage::Speculating(committer) = &self.stage else { return None };
        let expected = std::mem::take(&mut self.next_is_announced) || committer.expects(tx);
        if !expected || committer.leaves() {
            let _ = self.stop();
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::Serial) {
            Stage::Speculating(committer) => Some(committer),
            Stage::BeforeTransactions { .. } | Stage::Serial => None,
        }
    }

    /// Leaves the time before the first transaction, unless this is not yet the one announced: a
    /// chain may run transactions of its own before those of the block.
    fn start(&mut self, tx: &E::Tx) {
        let Stage::BeforeTransactions { announced, .. } = &self.stage else { return };
        match announced {
            Some(block) if block.txs.first() == Some(tx) => self.speculate(),
            Some(_) => {}
            None => self.stage = Stage::Serial,
        }
    }

    /// Keeps what a call before the first transaction changed.
    fn note_change<Error>(&mut self, called: &Result<ResultAndState<E::HaltReason>, Error>) {
        if let (Stage::BeforeTransactions { changes, .. }, Ok(called)) = (&mut self.stage, called) {
            changes.push(called.state.clone());
        }
    }

    /// Someone is about to get hold of the precompiles.
    fn distrust_precompiles(&mut self) {
        if !self.same_precompiles {
            let _ = self.stop();
        }
    }
}

impl<E, V> Evm for PleachEvm<E, V>
where
    E: SpeculativeEvmFactory,
    V: Evm<Tx = E::Tx, HaltReason = E::HaltReason, Spec = E::Spec, BlockEnv = E::BlockEnv>,
{
    type DB = V::DB;
    type Tx = V::Tx;
    type Error = V::Error;
    type HaltReason = V::HaltReason;
    type Spec = V::Spec;
    type BlockEnv = V::BlockEnv;
    type Precompiles = V::Precompiles;
    type Inspector = V::Inspector;

    fn block(&self) -> &Self::BlockEnv {
        self.inner.block()
    }

    fn cfg_env(&self) -> &CfgEnv<Self::Spec> {
        self.inner.cfg_env()
    }

    fn chain_id(&self) -> u64 {
        self.inner.chain_id()
    }

    fn transact_raw(
        &mut self,
        tx: Self::Tx,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let Some(mut committer) = self.take_committer(&tx) else {
            let result = self.inner.transact_raw(tx);
            self.note_change(&result);
            return result;
        };
        let result = match committer.step(self.inner.db_mut()) {
            Step::Result(result) => Ok(result),
            Step::Run => self.inner.transact_raw(committer.next_tx().cloned().unwrap_or(tx)).map(
                |mut ran| {
                    committer.ran(&mut ran.state);
                    ran
                },
            ),
        };
        match &result {
            Ok(_) => self.stage = Stage::Speculating(committer),
            Err(_) => self.metrics = Some(committer.metrics()),
        }
        result
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let result = self.inner.transact_system_call(caller, contract, data);
        self.note_change(&result);
        result
    }

    fn finish(self) -> (Self::DB, EvmEnv<Self::Spec, Self::BlockEnv>) {
        self.inner.finish()
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspecting = enabled;
        if enabled {
            self.stop();
        }
        self.inner.set_inspector_enabled(enabled);
    }

    fn db(&self) -> &Self::DB {
        self.inner.db()
    }

    fn db_mut(&mut self) -> &mut Self::DB {
        self.inner.db_mut()
    }

    fn inspector_mut(&mut self) -> &mut Self::Inspector {
        self.inner.inspector_mut()
    }

    fn precompiles_mut(&mut self) -> &mut Self::Precompiles {
        self.distrust_precompiles();
        self.inner.precompiles_mut()
    }

    fn components(&self) -> (&Self::DB, &Self::Inspector, &Self::Precompiles) {
        self.inner.components()
    }

    fn components_mut(&mut self) -> (&mut Self::DB, &mut Self::Inspector, &mut Self::Precompiles) {
        self.distrust_precompiles();
        self.inner.components_mut()
    }
}
