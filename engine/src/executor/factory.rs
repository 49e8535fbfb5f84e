//! The factory of parallel block executors, and what it is told about a block.

use std::{fmt, sync::Arc};

use alloy_evm::{
    EvmFactory, FromRecoveredTx, FromTxWithEncoded,
    block::{BlockExecutorFactory, StateDB},
};
use revm::Inspector;

use super::ParallelBlockExecutor;
use crate::{
    Engine, PleachEvmFactory, Prestate, SharedPrestate, SpeculativeEvmFactory, Validation,
};

/// Wraps a chain's block executor factory so that its executors run in parallel.
///
/// Made by [`Engine::executor_factory`]. Its [`ExecutionCtx`](BlockExecutorFactory::ExecutionCtx)
/// is a [`ParallelExecutionCtx`]: the chain's own, and with what the block can run ahead.
#[derive(Debug, Clone)]
pub struct ParallelBlockExecutorFactory<F> {
    inner: F,
    engine: Arc<Engine>,
    validation: Validation,
}

impl<F> ParallelBlockExecutorFactory<F> {
    pub(crate) const fn new(engine: Arc<Engine>, inner: F) -> Self {
        Self { inner, engine, validation: Validation::Everything }
    }

    /// Chooses which reads are compared with the database before a result is handed out.
    ///
    /// The default, [`Validation::Everything`], is right for every chain.
    /// [`Validation::Written`] is cheaper, and right where the database changes during the block by
    /// nothing but the commit of what the EVM returned, unaltered.
    pub const fn with_validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// The chain's own factory.
    pub const fn inner(&self) -> &F {
        &self.inner
    }

    /// The engine whose threads execute.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

/// A chain's execution context, and with what the block can run ahead.
pub struct ParallelExecutionCtx<C, Tx> {
    /// What the chain's own block executor wants to know.
    pub inner: C,
    /// With what to run ahead; without it the block runs serially.
    pub speculation: Option<Speculation<Tx>>,
}

impl<C, Tx> ParallelExecutionCtx<C, Tx> {
    /// A block that can run ahead.
    pub const fn parallel(inner: C, speculation: Speculation<Tx>) -> Self {
        Self { inner, speculation: Some(speculation) }
    }

    /// A block that runs serially.
    pub const fn serial(inner: C) -> Self {
        Self { inner, speculation: None }
    }
}

impl<C: Clone, Tx> Clone for ParallelExecutionCtx<C, Tx> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), speculation: self.speculation.clone() }
    }
}

impl<C: fmt::Debug, Tx> fmt::Debug for ParallelExecutionCtx<C, Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner, speculation } = self;
        f.debug_struct("ParallelExecutionCtx")
            .field("inner", inner)
            .field("speculation", speculation)
            .finish()
    }
}

/// With what a block can run ahead: a state that threads can read side by side and, if they are
/// known before the caller hands them over one by one, the transactions.
pub struct Speculation<Tx> {
    pub(super) prestate: Arc<dyn SharedPrestate>,
    pub(super) transactions: Option<Arc<[Tx]>>,
}

impl<Tx> Speculation<Tx> {
    /// Runs ahead on this prestate: the state before the block, the same that the executor's
    /// database starts from. Accounts and slots that differ from the database's cost time and
    /// change nothing. Block hashes and the code of a hash are not compared.
    pub fn new<P: Prestate>(prestate: Arc<P>) -> Self {
        Self { prestate, transactions: None }
    }

    /// Makes the block's transactions known, for callers that execute them one by one. Not needed
    /// for [`execute_block`](alloy_evm::block::BlockExecutor::execute_block), which is given them.
    pub fn with_transactions(mut self, transactions: impl Into<Arc<[Tx]>>) -> Self {
        self.transactions = Some(transactions.into());
        self
    }
}

impl<Tx> Clone for Speculation<Tx> {
    fn clone(&self) -> Self {
        let (prestate, transactions) = (&self.prestate, &self.transactions);
        Self { prestate: Arc::clone(prestate), transactions: transactions.clone() }
    }
}

impl<Tx> fmt::Debug for Speculation<Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transactions = self.transactions.as_ref().map(|list| list.len());
        f.debug_struct("Speculation").field("transactions", &transactions).finish_non_exhaustive()
    }
}

impl<F, E> BlockExecutorFactory for ParallelBlockExecutorFactory<F>
where
    F: BlockExecutorFactory<EvmFactory = PleachEvmFactory<E>>,
    E: SpeculativeEvmFactory,
    E::Tx: FromRecoveredTx<F::Transaction> + FromTxWithEncoded<F::Transaction>,
{
    type EvmFactory = PleachEvmFactory<E>;
    type TxExecutionResult = F::TxExecutionResult;
    type ExecutionCtx<'a> = ParallelExecutionCtx<F::ExecutionCtx<'a>, E::Tx>;
    type Transaction = F::Transaction;
    type Receipt = F::Receipt;
    type Executor<'a, DB: StateDB, I: Inspector<E::Context<DB>>> =
        ParallelBlockExecutor<F::Executor<'a, DB, I>, E>;

    fn evm_factory(&self) -> &PleachEvmFactory<E> {
        self.inner.evm_factory()
    }

    fn create_executor<'a, DB, I>(
        &'a self,
        evm: <PleachEvmFactory<E> as EvmFactory>::Evm<DB, I>,
        ctx: Self::ExecutionCtx<'a>,
    ) -> Self::Executor<'a, DB, I>
    where
        DB: StateDB,
        I: Inspector<E::Context<DB>>,
    {
        let ParallelExecutionCtx { inner, speculation } = ctx;
        let executor = self.inner.create_executor(evm, inner);
        let pool = Arc::clone(self.engine.pool());
        ParallelBlockExecutor::new(executor, pool, speculation, self.validation)
    }
}
