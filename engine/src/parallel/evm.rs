//! The EVM inside a parallel block executor: the chain's own, with results handed to it.
//!
//! A chain's block executor knows its rules: gas admission, receipts, requests, what happens before
//! and after the transactions. None of that is written a second time. The executor is given an EVM
//! whose `transact` may answer with a result that a worker computed ahead of time, and that has
//! been found to be what running the transaction now would give. All the rest, errors included,
//! is the executor's own.

use std::sync::Arc;

use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, Bytes};
use revm::{
    Inspector,
    context::{CfgEnv, DBErrorMarker, result::ResultAndState},
    inspector::NoOpInspector,
    state::EvmState,
};

use super::{
    committer::{Committer, Step},
    observe::SpeculativeEvmFactory,
    pool::{Pool, Work},
    receipts::HandedBloom,
    session::Session,
    validate::Validation,
    view::SharedPrestate,
};
use crate::Metrics;

/// Creates EVMs of the chain's factory that can be handed results.
#[derive(Debug, Clone, Copy, Default)]
pub struct PleachEvmFactory<E> {
    inner: E,
}

impl<E> PleachEvmFactory<E> {
    /// Wraps a chain's EVM factory.
    pub const fn new(inner: E) -> Self {
        Self { inner }
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
        PleachEvm::new(inner, self.inner.clone(), env, false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<Self::Context<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let inner = self.inner.create_evm_with_inspector(db, env.clone(), inspector);
        PleachEvm::new(inner, self.inner.clone(), env, true)
    }
}

/// A chain's EVM that can be handed results. See the module's introduction.
pub struct PleachEvm<E: SpeculativeEvmFactory, V> {
    inner: V,
    factory: E,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    /// Whether an inspector watches: then every transaction must really run, here.
    inspecting: bool,
    /// What system calls changed before speculation started.
    pre_block: Vec<EvmState>,
    committer: Option<Committer<E>>,
    metrics: Metrics,
}

impl<E: SpeculativeEvmFactory, V> std::fmt::Debug for PleachEvm<E, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PleachEvm").field("inspecting", &self.inspecting).finish_non_exhaustive()
    }
}

impl<E: SpeculativeEvmFactory, V> PleachEvm<E, V> {
    fn new(inner: V, factory: E, env: EvmEnv<E::Spec, E::BlockEnv>, inspecting: bool) -> Self {
        let metrics = Metrics::default();
        let pre_block = Vec::new();
        Self { inner, factory, env, inspecting, pre_block, committer: None, metrics }
    }

    /// Lets the pool run ahead with the block's transactions. Called once all changes that come
    /// before the first transaction are in the database.
    pub(crate) fn speculate(
        &mut self,
        pool: &Pool,
        txs: Arc<[E::Tx]>,
        prestate: Arc<dyn SharedPrestate>,
        validation: Validation,
        bloom: HandedBloom,
    ) {
        if self.inspecting {
            return;
        }
        let (factory, env) = (self.factory.clone(), self.env.clone());
        let workers = pool.len();
        let session = Session::new(factory, env, txs, prestate, &self.pre_block, workers);
        let session = Arc::new(session);
        let work: Arc<dyn Work> = session.clone();
        pool.submit(Arc::downgrade(&work));
        self.committer = Some(Committer::new(session, validation, bloom));
    }

    /// Ends speculation; what is still to come runs serially. Returns what speculation has cost.
    pub(crate) fn stop(&mut self) -> Metrics {
        if let Some(committer) = self.committer.take() {
            self.metrics = committer.metrics();
        }
        self.metrics
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
        let Some(committer) = self.committer.as_mut() else { return self.inner.transact_raw(tx) };
        if !committer.expects(&tx) {
            let _ = self.stop();
            return self.inner.transact_raw(tx);
        }
        match committer.step(self.inner.db_mut()) {
            Step::Result(result) => Ok(result),
            Step::Run => {
                let result = self.inner.transact_raw(tx);
                match &result {
                    Ok(ran) => committer.ran(&ran.state),
                    Err(_) => {
                        let _ = self.stop();
                    }
                }
                result
            }
        }
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let result = self.inner.transact_system_call(caller, contract, data);
        if let (None, Ok(called)) = (&self.committer, &result) {
            self.pre_block.push(called.state.clone());
        }
        result
    }

    fn finish(self) -> (Self::DB, EvmEnv<Self::Spec, Self::BlockEnv>) {
        self.inner.finish()
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspecting = enabled;
        if enabled {
            let _ = self.stop();
        }
        self.inner.set_inspector_enabled(enabled);
    }

    fn components(&self) -> (&Self::DB, &Self::Inspector, &Self::Precompiles) {
        self.inner.components()
    }

    fn components_mut(&mut self) -> (&mut Self::DB, &mut Self::Inspector, &mut Self::Precompiles) {
        self.inner.components_mut()
    }
}
