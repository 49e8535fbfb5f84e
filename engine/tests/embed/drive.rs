//! Runs one sequence of calls on a chain's own block executor and on the parallel one.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{ReceiptEnvelope, TxEnvelope};
use alloy_evm::{
    Evm, EvmEnv, EvmFactory,
    block::{
        BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory, TxResult,
    },
    eth::{EthBlockExecutionCtx, EthBlockExecutorFactory, receipt_builder::AlloyReceiptBuilder},
};
use pleach_engine::{
    ChainSpec, Engine, EngineConfig, Metrics, ParallelBlockExecutorFactory, ParallelExecutionCtx,
    PleachEvmFactory, Speculation, SpeculativeEvmFactory, Validation,
};
use pleach_state::FlatState;
use revm::{
    context::{TxEnv, result::ResultAndState},
    database::{BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
    state::bal::alloy::AlloyBal,
};

use crate::scenario::TestBlock;

pub(crate) type Db = State<WrapDatabaseRef<Arc<FlatState>>>;
/// What [`BlockExecutor::finish`] gives.
pub(crate) type Finished<X> =
    Result<(<X as BlockExecutor>::Evm, BlockExecutionResult<ReceiptEnvelope>), BlockExecutionError>;

/// A sequence of calls on a block executor.
pub(crate) trait Caller {
    /// Makes the calls; notes in `log` what each gave.
    fn call<X>(&self, executor: X, block: &TestBlock, log: &mut Vec<String>) -> Finished<X>
    where
        X: BlockExecutor<
                Transaction = TxEnvelope,
                Receipt = ReceiptEnvelope,
                Evm: Evm<DB = Db, Tx = TxEnv>,
            >;
}

/// All that a caller gets to see, and all that is left in the database.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    log: Vec<String>,
    result: Result<BlockExecutionResult<ReceiptEnvelope>, String>,
    bundle: Option<BundleState>,
    access_list: Option<AlloyBal>,
}

impl Outcome {
    pub(crate) fn receipts(&self) -> &[ReceiptEnvelope] {
        &self.result.as_ref().expect("the block executes").receipts
    }
}

pub(crate) fn database(block: &TestBlock) -> Db {
    let db = WrapDatabaseRef(Arc::clone(&block.state));
    State::builder().with_database(db).with_bundle_update().with_bal_builder().build()
}

pub(crate) fn ctx(block: &TestBlock) -> EthBlockExecutionCtx<'static> {
    EthBlockExecutionCtx {
        parent_hash: block.header.parent_hash,
        parent_beacon_block_root: block.header.parent_beacon_block_root,
        ommers: &[],
        withdrawals: None,
        extra_data: Default::default(),
        tx_count_hint: None,
        slot_number: None,
    }
}

pub(crate) fn describe<H: std::fmt::Debug>(ran: &ResultAndState<H>) -> String {
    let accounts: BTreeMap<_, _> = ran.state.iter().collect();
    let accounts = accounts.iter().map(|(address, account)| {
        let slots: BTreeMap<_, _> = account.changed_storage_slots().collect();
        let info = &account.info;
        format!("{address} {} {} {} {slots:?}", info.balance, info.nonce, info.code_hash)
    });
    format!("{:?} {:?}", ran.result, accounts.collect::<Vec<_>>())
}

pub(crate) fn factory<E>(
    evm_factory: E,
) -> EthBlockExecutorFactory<AlloyReceiptBuilder, ChainSpec, E> {
    EthBlockExecutorFactory::new(AlloyReceiptBuilder::default(), ChainSpec::mainnet(), evm_factory)
}

pub(crate) type ParallelFactory<E> = ParallelBlockExecutorFactory<
    EthBlockExecutorFactory<AlloyReceiptBuilder, ChainSpec, PleachEvmFactory<E>>,
>;

pub(crate) fn parallel_factory<E: Clone>(evm_factory: &E, threads: usize) -> ParallelFactory<E> {
    let engine = Engine::new(EngineConfig { threads }).expect("threads start");
    Arc::new(engine).executor_factory(factory(PleachEvmFactory::new(evm_factory.clone())))
}

/// The transactions as the EVM sees them.
pub(crate) fn list(block: &TestBlock) -> Vec<TxEnv> {
    block.txs.iter().map(alloy_evm::ToTxEnv::to_tx_env).collect()
}

fn outcome<V: Evm<DB = Db>>(
    finished: Result<(V, BlockExecutionResult<ReceiptEnvelope>), BlockExecutionError>,
    log: Vec<String>,
) -> Outcome {
    match finished {
        Ok((evm, result)) => {
            let mut db = evm.into_db();
            db.merge_transitions(BundleRetention::Reverts);
            let bundle = Some(db.take_bundle());
            Outcome { log, result: Ok(result), bundle, access_list: db.take_built_alloy_bal() }
        }
        Err(error) => {
            Outcome { log, result: Err(error.to_string()), bundle: None, access_list: None }
        }
    }
}

/// What the chain's own executor gives.
pub(crate) fn plain<E, C>(
    evm_factory: &E,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    block: &TestBlock,
    caller: &C,
) -> Outcome
where
    E: EvmFactory<Tx = TxEnv, Spec: Into<SpecId>> + Clone + 'static,
    C: Caller,
{
    let factory = factory(evm_factory.clone());
    let evm = factory.evm_factory().create_evm(database(block), env);
    let mut log = Vec::new();
    let finished = caller.call(factory.create_executor(evm, ctx(block)), block, &mut log);
    outcome(finished, log)
}

/// What the parallel executor gives, the transactions being announced.
pub(crate) fn parallel<E, C>(
    factory: &ParallelFactory<E>,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    block: &TestBlock,
    caller: &C,
) -> Outcome
where
    E: SpeculativeEvmFactory<Tx = TxEnv, Spec: Into<SpecId>>,
    C: Caller,
{
    let speculation = Speculation::new(Arc::clone(&block.state)).with_transactions(list(block));
    let ctx = ParallelExecutionCtx::parallel(ctx(block), speculation);
    let evm = factory.evm_factory().create_evm(database(block), env);
    let mut log = Vec::new();
    let finished = caller.call(factory.create_executor(evm, ctx), block, &mut log);
    outcome(finished, log)
}

/// Runs the calls both ways, with several numbers of threads, and compares all there is to see.
pub(crate) fn compare<P, E, C>(
    plain_evm: &P,
    evm: &E,
    env: &EvmEnv<E::Spec, E::BlockEnv>,
    block: &TestBlock,
    (caller, validations): (&C, &[Validation]),
) -> Outcome
where
    P: EvmFactory<Tx = TxEnv, Spec = E::Spec, BlockEnv = E::BlockEnv> + Clone + 'static,
    E: SpeculativeEvmFactory<Tx = TxEnv, Spec: Into<SpecId>>,
    C: Caller,
{
    let expected = plain(plain_evm, env.clone(), block, caller);
    for threads in [1, 2, 8] {
        for validation in validations {
            let factory = parallel_factory(evm, threads).with_validation(*validation);
            let found = parallel(&factory, env.clone(), block, caller);
            assert_eq!(found, expected, "{threads} threads, {validation:?}");
        }
    }
    expected
}

/// Gives the workers time to finish these small blocks before the first transaction is asked for,
/// so that as many results as possible are made of what never was, or is no more.
pub(crate) fn let_workers_run_ahead() {
    std::thread::sleep(std::time::Duration::from_millis(2));
}

/// Goes one by one, as a node does that streams transactions.
pub(crate) struct OneByOne;

impl Caller for OneByOne {
    fn call<X>(&self, mut executor: X, block: &TestBlock, log: &mut Vec<String>) -> Finished<X>
    where
        X: BlockExecutor<
                Transaction = TxEnvelope,
                Receipt = ReceiptEnvelope,
                Evm: Evm<DB = Db, Tx = TxEnv>,
            >,
    {
        executor.apply_pre_execution_changes()?;
        let_workers_run_ahead();
        for (index, tx) in block.txs.iter().enumerate() {
            executor.execute_transaction_with_index_and_result_closure(tx, index, |result| {
                log.push(describe(result.result()));
            })?;
        }
        executor.evm_mut().db_mut().bump_bal_index();
        executor.finish()
    }
}

/// What a block costs when it is executed whole.
pub(crate) fn metrics<E>(
    factory: &ParallelFactory<E>,
    env: EvmEnv<E::Spec, E::BlockEnv>,
    block: &TestBlock,
) -> Metrics
where
    E: SpeculativeEvmFactory<Tx = TxEnv, Spec: Into<SpecId>>,
{
    metrics_of(factory, factory.evm_factory().create_evm(database(block), env), block)
}

/// What a block costs when it is executed whole on this EVM.
pub(crate) fn metrics_of<E>(
    factory: &ParallelFactory<E>,
    evm: <PleachEvmFactory<E> as EvmFactory>::Evm<Db, NoOpInspector>,
    block: &TestBlock,
) -> Metrics
where
    E: SpeculativeEvmFactory<Tx = TxEnv, Spec: Into<SpecId>>,
{
    let speculation = Speculation::new(Arc::clone(&block.state)).with_transactions(list(block));
    let ctx = ParallelExecutionCtx::parallel(ctx(block), speculation);
    let mut executor = factory.create_executor(evm, ctx);
    executor.apply_pre_execution_changes().expect("executes");
    for tx in &block.txs {
        executor.execute_transaction(tx).expect("executes");
    }
    let (evm, _) = executor.finish().expect("executes");
    evm.metrics()
}
