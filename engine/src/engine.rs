//! The engine: construct once, execute many blocks.

use std::{io, sync::Arc};

use alloy_consensus::ReceiptEnvelope;
use alloy_evm::{
    Evm, EvmFactory,
    block::{BalIndexedDatabase, BlockExecutionError, BlockExecutionResult, StateDB},
    eth::{EthBlockExecutor, EthEvmFactory},
};

use revm::context::TxEnv;

use crate::{
    BlockOutput, ChainSpec, ExecuteError, Prestate, RecoveredBlock,
    controller::{Decision, decide},
    durations::Durations,
    executor::ParallelBlockExecutorFactory,
    history::History,
    parallel::{
        Announced, Before, Committed, Effort, HandedBloom, HandedBloomReceipts, Hot, PleachEvm,
        PleachEvmFactory, Pool, SpareMemory, Tracer, Validation,
    },
    serial::{commit_state, execute_serial, execution_ctx, output, output_with, run_block},
    trace::Traced,
};

/// How an [`Engine`] is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Threads that execute transactions, the calling one included; at least one.
    pub threads: usize,
}

/// What is asked of one execution beside the block itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExecuteOptions {
    /// Whether the output carries the EIP-7928 block access list.
    pub access_list: bool,
    /// Run ahead even where serial execution would be chosen, as measurements and tests want.
    pub force_parallel: bool,
    /// Run even the transaction whose turn it is ahead first, so that every result passes through
    /// validation, whatever the number of threads. Slower; for tests. Implies `force_parallel`.
    pub rehearse: bool,
}

/// How one block is run ahead.
struct RunAhead {
    access_list: bool,
    effort: Effort,
    /// Targets that earlier blocks found to make transactions collide.
    hot: Vec<Hot>,
    /// Where to write down what happens when, if somebody asked for it.
    tracer: Option<Arc<Tracer>>,
}

/// What one execution cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Executions of transactions, of all incarnations.
    pub executions: u64,
    /// Incarnations whose result was thrown away.
    pub aborts: u64,
    /// Gas that the thrown away incarnations had used.
    pub reexecuted_gas: u64,
    /// How the block was executed, and why.
    pub decision: Decision,
}

/// Executes blocks in parallel. Owns its worker threads, which sleep between blocks.
#[derive(Debug)]
pub struct Engine {
    pool: Arc<Pool>,
    spare: SpareMemory,
    history: History,
    durations: Durations,
}

impl Engine {
    /// Starts the worker threads.
    ///
    /// # Errors
    /// What the operating system says if it refuses to start a thread.
    pub fn new(config: EngineConfig) -> io::Result<Self> {
        let pool = Arc::new(Pool::new(config.threads.saturating_sub(1))?);
        Ok(Self {
            pool,
            spare: SpareMemory::default(),
            history: History::default(),
            durations: Durations::default(),
        })
    }

    /// The number of threads that execute, the calling one included.
    pub fn threads(&self) -> usize {
        self.pool.len() + 1
    }

    /// Executes a block; the output equals [`execute_serial`](crate::execute_serial)'s in every
    /// field.
    ///
    /// # Errors
    /// The same [`ExecuteError`] that serial execution gives.
    pub fn execute<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        options: ExecuteOptions,
    ) -> Result<(BlockOutput, Metrics), ExecuteError> {
        self.choose(chain, block, prestate, options, None)
    }

    /// Like [`Self::execute`], and writes down what happens when. Takes a little longer: the clock
    /// is read a few times per transaction.
    ///
    /// # Errors
    /// The same as [`Self::execute`].
    pub fn execute_traced<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        options: ExecuteOptions,
    ) -> Result<Traced, ExecuteError> {
        let senders = block.tx_envs().iter().map(|tx| (tx.caller, tx.nonce)).collect();
        let tracer = Tracer::start(senders, options.rehearse && self.threads() == 1);
        let (output, metrics) =
            self.choose(chain, block, prestate, options, Some(Arc::clone(&tracer)))?;
        let trace = metrics.decision.runs_ahead().then(|| tracer.finish());
        Ok(Traced { output, metrics, trace })
    }

    fn choose<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        options: ExecuteOptions,
        tracer: Option<Arc<Tracer>>,
    ) -> Result<(BlockOutput, Metrics), ExecuteError> {
        let targets = block.tx_envs().iter().filter_map(|tx| tx.kind.to().copied());
        let (hot, calls) = self.history.hot_among(targets);
        let decision = match options.force_parallel || options.rehearse {
            true => Decision::Forced,
            false => decide(block, self.threads(), calls),
        };
        if let Some(effort) = Effort::of(decision, options.rehearse) {
            let ahead = RunAhead { access_list: options.access_list, effort, hot, tracer };
            return self.run_ahead(chain, block, prestate, ahead);
        }
        let executions = block.transactions().len() as u64;
        let output = execute_serial(chain, block, prestate, options.access_list)?;
        Ok((output, Metrics { executions, decision, ..Metrics::default() }))
    }

    fn run_ahead<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        ahead: RunAhead,
    ) -> Result<(BlockOutput, Metrics), ExecuteError> {
        if ahead.access_list {
            // revm's `State` builds the list from what is committed to it.
            let db = commit_state(prestate.clone(), true);
            let before = Before::Prestate(prestate.clone());
            let (db, result, metrics) = self.run_over(db, before, chain, block, ahead)?;
            return Ok((output(db, result), metrics));
        }
        let db = {
            let weights = self.durations.weigh(block);
            Committed::new(prestate.clone(), block, &weights, self.threads(), &self.spare)
        };
        let before = Before::Memory(db.shared());
        let (db, result, metrics) = self.run_over(db, before, chain, block, ahead)?;
        let failed = |error| ExecuteError::PostExecution(BlockExecutionError::other(error));
        let bundle = db.into_bundle(&self.spare).map_err(failed)?;
        Ok((output_with(bundle, result), metrics))
    }

    /// Drives the chain's block executor over a database that collects the block's changes.
    fn run_over<DB: StateDB + BalIndexedDatabase>(
        &self,
        db: DB,
        before: Before,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        RunAhead { effort, hot, tracer, .. }: RunAhead,
    ) -> Result<(DB, BlockExecutionResult<ReceiptEnvelope>, Metrics), ExecuteError> {
        // The DAO's balances are moved behind the EVM's back.
        let validation = match chain.dao_fork_block() == Some(block.header().number) {
            true => Validation::Everything,
            false => Validation::Written,
        };
        let evm_factory = PleachEvmFactory::new(EthEvmFactory::default());
        let bloom = HandedBloom::default();
        let receipts = HandedBloomReceipts::new(bloom.clone());
        let mut evm = evm_factory.create_evm(db, chain.evm_env(block.header()));
        // Where the memory keeps the changes, nobody has to wait for those that come before the
        // transactions: who misses one reads anew.
        let at_once = matches!(before, Before::Memory(_));
        evm.announce(Announced {
            pool: Arc::clone(&self.pool),
            txs: block.shared_tx_envs(),
            before,
            hot,
            validation,
            effort,
            bloom,
            tracer,
        });
        if at_once {
            evm.speculate();
        }
        let executor = EthBlockExecutor::new(evm, execution_ctx(block), &**chain, receipts);
        let tx_env = |evm: &mut PleachEvm<_, _>, index: usize| match evm.take_next_as_announced() {
            true => TxEnv::default(),
            false => block.tx_envs()[index].clone(),
        };
        let (mut evm, result) = run_block(executor, chain, block, PleachEvm::speculate, tx_env)?;
        self.history.remember(&evm.heat());
        self.durations.remember(&evm.long_calls());
        let metrics = evm.stop().unwrap_or_default();
        Ok((evm.into_db(), result, metrics))
    }

    /// Makes a chain's block executors run in parallel on this engine's threads.
    ///
    /// `inner` is the chain's own factory, made with an EVM factory that is wrapped in
    /// [`PleachEvmFactory`]. See [`ParallelBlockExecutorFactory`].
    pub fn executor_factory<F>(self: &Arc<Self>, inner: F) -> ParallelBlockExecutorFactory<F> {
        ParallelBlockExecutorFactory::new(Arc::clone(self), inner)
    }

    pub(crate) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}
