//! The engine: construct once, execute many blocks.

use std::{io, sync::Arc};

use alloy_consensus::ReceiptEnvelope;
use alloy_evm::{
    Evm, EvmFactory,
    block::{BalIndexedDatabase, BlockExecutionError, BlockExecutionResult, StateDB},
    eth::{EthBlockExecutor, EthEvmFactory},
};
use alloy_primitives::B256;
use pleach_crew::Crew;
use pleach_state::mpt::{NodeSource, StateTrie, TouchedKey};
use revm::context::TxEnv;

use crate::{
    AccessList, BlockOutput, ChainSpec, ExecuteError, Follower, ListFault, Prestate,
    RecoveredBlock,
    controller::{Decision, decide, decide_listed, fit_workers},
    durations::Durations,
    executor::ParallelBlockExecutorFactory,
    follow::Help,
    history::History,
    parallel::{
        Announced, Attempt, Before, Committed, Done, Effort, HandedBloom, HandedBloomReceipts, Hot,
        ListedBlock, ListedRoot, PleachEvm, PleachEvmFactory, Pool, SpareMemory, Tracer,
        Validation, Work, attempt,
    },
    serial::{
        commit_state, execute_followed, execute_serial, execution_ctx, output, output_with,
        run_block,
    },
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
    /// How many threads work on the block beside the calling one.
    workers: usize,
    /// Targets that earlier blocks found to make transactions collide.
    hot: Vec<Hot>,
    /// Where to write down what happens when, if somebody asked for it.
    tracer: Option<Arc<Tracer>>,
    follower: Option<Arc<dyn Follower>>,
}

/// Who looks on.
#[derive(Default)]
struct Onlookers {
    tracer: Option<Arc<Tracer>>,
    follower: Option<Arc<dyn Follower>>,
}

impl Onlookers {
    fn traced(tracer: &Arc<Tracer>) -> Self {
        Self { tracer: Some(Arc::clone(tracer)), follower: None }
    }
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
    /// Threads that were asked to run ahead, beside the calling one.
    pub workers: usize,
}

/// What execution with an access list gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The block's output; right whatever the list is.
    pub output: BlockOutput,
    /// What it cost. Where the list was of no use, what was done with it counts as aborted.
    pub metrics: Metrics,
    /// The first thing found wrong with the list; `None` if it is exactly the block's.
    pub fault: Option<ListFault>,
}

/// The state root after a block, and the tries there, if they were computed from its access list.
/// None if that was wrong, or does not say all that the root depends on, or a node was missing: the
/// output is right all the same, and the root is to be computed from its bundle and the tries
/// before the block.
pub type AfterBlock = Option<(B256, StateTrie)>;

/// Executes blocks in parallel. Owns its worker threads, which sleep between blocks.
#[derive(Debug)]
pub struct Engine {
    pool: Arc<Pool>,
    spare: SpareMemory,
    history: History,
    durations: Durations,
}

/// The engine's threads help a crew as long as this lives.
#[derive(Debug)]
pub struct Lent<'a> {
    pool: &'a Pool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.lend(None);
    }
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

    /// Lends the engine's threads to a crew until what is returned is dropped: whenever they do not
    /// execute, they help with the crew's work, and look out for more, awake.
    ///
    /// So the stages of one block, from its signatures ([`Accelerator`]) to its state root
    /// ([`TrieWorkers`]), share one set of threads, which is woken once. The crew is best one of
    /// guests: [`Crew::of_guests`] with as many as there are [threads](Self::threads) beside the
    /// calling one.
    ///
    /// [`Accelerator`]: pleach_gpu_accel::Accelerator
    /// [`TrieWorkers`]: pleach_state::mpt::TrieWorkers
    pub fn lend_threads(&self, crew: &Arc<Crew>) -> Lent<'_> {
        self.pool.lend(Some(Arc::clone(crew)));
        Lent { pool: &self.pool }
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
        self.choose(chain, block, prestate, options, Onlookers::default())
    }

    /// Like [`Self::execute`], and tells a follower what commits, while it commits. The follower
    /// gets the time of the engine's threads that have nothing to execute.
    ///
    /// # Errors
    /// The same as [`Self::execute`].
    pub fn execute_followed<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        options: ExecuteOptions,
        follower: Arc<dyn Follower>,
    ) -> Result<(BlockOutput, Metrics), ExecuteError> {
        // Whoever is paid again and again is written once, in the end.
        let paid = TouchedKey::Account(block.header().beneficiary);
        follower.committed(&mut std::iter::once(paid));
        let onlookers = Onlookers { follower: Some(follower), tracer: None };
        self.choose(chain, block, prestate, options, onlookers)
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
            self.choose(chain, block, prestate, options, Onlookers::traced(&tracer))?;
        let trace = metrics.decision.runs_ahead().then(|| tracer.finish());
        Ok(Traced { output, metrics, trace })
    }

    /// Executes a block with the help of its access list (EIP-7928), or of what somebody says is
    /// one. Every entry is compared with what the block does; the output equals
    /// [`execute_serial`](crate::execute_serial)'s whether the list is right or wrong.
    ///
    /// On a fork whose headers name lists, a block with a wrong one is invalid: see
    /// [`Listed::fault`], and [`AccessList::is_of`] for the header.
    ///
    /// # Errors
    /// The same [`ExecuteError`] that serial execution gives.
    pub fn execute_listed<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        list: &Arc<AccessList>,
        options: ExecuteOptions,
    ) -> Result<Listed, ExecuteError> {
        let of = ListedBlock { chain, block, list, options };
        self.with_list(of, prestate, None).map(|(listed, _)| listed)
    }

    /// Like [`Self::execute_listed`], and computes the state root from the list, on one thread
    /// beside execution: `tries` are those before the block, `nodes` has what they lack.
    ///
    /// # Errors
    /// The same [`ExecuteError`] that serial execution gives.
    pub fn execute_listed_rooted<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        list: &Arc<AccessList>,
        options: ExecuteOptions,
        (tries, nodes): (StateTrie, Arc<dyn NodeSource + Send + Sync>),
    ) -> Result<(Listed, AfterBlock), ExecuteError> {
        let of = ListedBlock { chain, block, list, options };
        self.with_list(of, prestate, Some(ListedRoot::new(tries, nodes)))
    }

    fn with_list<P: Prestate>(
        &self,
        of: ListedBlock<'_>,
        prestate: &Arc<P>,
        root: Option<ListedRoot>,
    ) -> Result<(Listed, AfterBlock), ExecuteError> {
        let ListedBlock { block, list, options, .. } = of;
        let decision = match options.force_parallel {
            true => Decision::Forced,
            false => decide_listed(block, self.threads()),
        };
        let pool = decision.runs_ahead().then_some(&*self.pool);
        let (attempt, executions) = attempt(pool, of, prestate.clone(), root);
        let metrics = Metrics { executions, decision, ..Metrics::default() };
        let fault = match attempt {
            Attempt::Done(done) => {
                let Done { output, fault, after } = *done;
                if fault.is_none() || !options.access_list {
                    let access_list = options.access_list.then(|| list.entries().clone());
                    let output = BlockOutput { access_list, ..output };
                    return Ok((Listed { output, metrics, fault }, after));
                }
                fault
            }
            Attempt::Wrong(fault) => Some(*fault),
            Attempt::Impossible => None,
        };
        let listed = self.without_list(of, prestate, (fault, executions))?;
        Ok((listed, None))
    }

    /// Executes a block whose list was of no use, and says what is wrong with the list if that is
    /// not known yet.
    fn without_list<P: Prestate>(
        &self,
        ListedBlock { chain, block, list, options }: ListedBlock<'_>,
        prestate: &Arc<P>,
        (fault, lost): (Option<ListFault>, u64),
    ) -> Result<Listed, ExecuteError> {
        let access_list = options.access_list || fault.is_none();
        let asked = ExecuteOptions { access_list, ..options };
        let (mut output, mut metrics) =
            self.choose(chain, block, prestate, asked, Onlookers::default())?;
        metrics.executions += lost;
        metrics.aborts += lost;
        let made = output.access_list.as_ref();
        let fault = fault.or_else(|| ListFault::between(list.entries(), made?));
        output.access_list = output.access_list.filter(|_| options.access_list);
        Ok(Listed { output, metrics, fault })
    }

    fn choose<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        options: ExecuteOptions,
        onlookers: Onlookers,
    ) -> Result<(BlockOutput, Metrics), ExecuteError> {
        let targets = block.tx_envs().iter().filter_map(|tx| tx.kind.to().copied());
        let (hot, calls) = self.history.hot_among(targets);
        let decision = match options.force_parallel || options.rehearse {
            true => Decision::Forced,
            false => decide(block, self.threads(), calls),
        };
        if let Some(effort) = Effort::of(decision, options.rehearse) {
            let Onlookers { tracer, follower } = onlookers;
            let access_list = options.access_list;
            let workers = match (decision, &follower) {
                // Who has nothing to execute helps the follower.
                (Decision::Parallel, None) => fit_workers(block, self.pool.len()),
                _ => self.pool.len(),
            };
            let ahead = RunAhead { access_list, effort, workers, hot, tracer, follower };
            return self.run_ahead(chain, block, prestate, ahead);
        }
        let executions = block.transactions().len() as u64;
        let output = match onlookers.follower.filter(|_| decision == Decision::Chain) {
            Some(follower) => self.followed_serially(chain, block, prestate, options, follower)?,
            None => execute_serial(chain, block, prestate, options.access_list)?,
        };
        Ok((output, Metrics { executions, decision, ..Metrics::default() }))
    }

    /// Serial execution, and all other threads with the follower.
    fn followed_serially<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &RecoveredBlock,
        prestate: &Arc<P>,
        options: ExecuteOptions,
        follower: Arc<dyn Follower>,
    ) -> Result<BlockOutput, ExecuteError> {
        let help = Help::of(Arc::clone(&follower));
        let work: Arc<dyn Work> = Arc::clone(&help) as _;
        self.pool.submit(Arc::downgrade(&work), self.pool.len());
        let output = execute_followed(chain, block, prestate, options.access_list, follower);
        help.end();
        output
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
            let follower = ahead.follower.clone();
            let (prestate, threads) = (prestate.clone(), ahead.workers + 1);
            Committed::new(prestate, block, (&weights, &ahead.hot), threads, &self.spare, follower)
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
        RunAhead { effort, workers, hot, tracer, follower, .. }: RunAhead,
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
            workers,
            txs: block.shared_tx_envs(),
            before,
            hot,
            validation,
            effort,
            bloom,
            tracer,
            follower,
        });
        if at_once {
            evm.speculate();
        }
        let executor = EthBlockExecutor::new(evm, execution_ctx(block), &**chain, receipts);
        let tx_env = |evm: &mut PleachEvm<_, _>, index: usize| match evm.take_next_as_announced() {
            true => TxEnv::default(),
            false => block.tx_envs()[index].clone(),
        };
        let (mut evm, result) =
            run_block(executor, chain, block, PleachEvm::speculate, tx_env, |_| ())?;
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
