//! A chain's block executor whose transactions run ahead.

use std::{fmt, sync::Arc};

use alloy_evm::{
    Evm, FromRecoveredTx, FromTxWithEncoded,
    block::{
        BalIndexedDatabase, BlockExecutionError, BlockExecutionResult, BlockExecutor,
        CommitChanges, ExecutableTx, ExecutableTxParts, GasOutput,
    },
};

use super::Speculation;
use crate::{
    Metrics, PleachEvm, SpeculativeEvmFactory, Validation,
    parallel::{Announced, Before, Effort, HandedBloom, Pool},
};

/// A chain's block executor `X`, with results handed to the EVM inside it.
///
/// Every call goes to the chain's executor. Beside that,
/// [`execute_block`](BlockExecutor::execute_block) makes the transactions known to the engine
/// before the first one runs; a list in the context does so for callers that go one by one.
pub struct ParallelBlockExecutor<X, E: SpeculativeEvmFactory> {
    inner: X,
    pool: Arc<Pool>,
    speculation: Option<Speculation<E::Tx>>,
    validation: Validation,
}

impl<X: fmt::Debug, E: SpeculativeEvmFactory> fmt::Debug for ParallelBlockExecutor<X, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelBlockExecutor").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<X, E: SpeculativeEvmFactory> ParallelBlockExecutor<X, E> {
    pub(super) const fn new(
        inner: X,
        pool: Arc<Pool>,
        speculation: Option<Speculation<E::Tx>>,
        validation: Validation,
    ) -> Self {
        Self { inner, pool, speculation, validation }
    }

    /// The chain's own executor.
    pub const fn inner(&self) -> &X {
        &self.inner
    }
}

impl<X, E, V> ParallelBlockExecutor<X, E>
where
    X: BlockExecutor<Evm = PleachEvm<E, V>>,
    E: SpeculativeEvmFactory,
    E::Tx: FromRecoveredTx<X::Transaction> + FromTxWithEncoded<X::Transaction>,
    V: Evm<Tx = E::Tx, HaltReason = E::HaltReason, Spec = E::Spec, BlockEnv = E::BlockEnv>,
{
    /// What speculation has cost so far; all zero if there was none.
    pub fn metrics(&self) -> Metrics {
        self.inner.evm().metrics()
    }

    fn announce(&mut self, speculation: &Speculation<E::Tx>, txs: Vec<E::Tx>) {
        self.inner.evm_mut().announce(Announced {
            pool: Arc::clone(&self.pool),
            workers: self.pool.len(),
            txs: txs.into(),
            before: Before::Prestate(Arc::clone(&speculation.prestate)),
            hot: Vec::new(),
            validation: self.validation,
            effort: Effort::Adaptive,
            // The chain's own receipt builder computes blooms itself.
            bloom: HandedBloom::default(),
            tracer: None,
            follower: None,
        });
    }
}

impl<X, E, V> BlockExecutor for ParallelBlockExecutor<X, E>
where
    X: BlockExecutor<Evm = PleachEvm<E, V>>,
    E: SpeculativeEvmFactory,
    E::Tx: FromRecoveredTx<X::Transaction> + FromTxWithEncoded<X::Transaction>,
    V: Evm<Tx = E::Tx, HaltReason = E::HaltReason, Spec = E::Spec, BlockEnv = E::BlockEnv>,
{
    type Transaction = X::Transaction;
    type Receipt = X::Receipt;
    type Evm = PleachEvm<E, V>;
    type Result = X::Result;

    fn apply_pre_execution_changes(&mut self) -> Result<(), BlockExecutionError> {
        self.inner.apply_pre_execution_changes()?;
        let speculation = self.speculation.take();
        let list = speculation.as_ref().and_then(|speculation| speculation.transactions.as_ref());
        if let (Some(speculation), Some(list)) = (&speculation, list) {
            self.announce(speculation, list.to_vec());
            self.inner.evm_mut().speculate();
        }
        Ok(())
    }

    fn execute_transaction(
        &mut self,
        tx: impl ExecutableTx<Self>,
    ) -> Result<GasOutput, BlockExecutionError> {
        self.inner.execute_transaction(tx)
    }

    fn execute_transaction_with_index(
        &mut self,
        tx: impl ExecutableTx<Self>,
        tx_index: usize,
    ) -> Result<GasOutput, BlockExecutionError>
    where
        <Self::Evm as Evm>::DB: BalIndexedDatabase,
    {
        self.inner.execute_transaction_with_index(tx, tx_index)
    }

    fn execute_transaction_with_index_and_result_closure(
        &mut self,
        tx: impl ExecutableTx<Self>,
        tx_index: usize,
        f: impl FnOnce(&Self::Result),
    ) -> Result<GasOutput, BlockExecutionError>
    where
        <Self::Evm as Evm>::DB: BalIndexedDatabase,
    {
        self.inner.execute_transaction_with_index_and_result_closure(tx, tx_index, f)
    }

    fn execute_transaction_with_result_closure(
        &mut self,
        tx: impl ExecutableTx<Self>,
        f: impl FnOnce(&Self::Result),
    ) -> Result<GasOutput, BlockExecutionError> {
        self.inner.execute_transaction_with_result_closure(tx, f)
    }

    fn execute_transaction_with_commit_condition(
        &mut self,
        tx: impl ExecutableTx<Self>,
        f: impl FnOnce(&Self::Result) -> CommitChanges,
    ) -> Result<Option<GasOutput>, BlockExecutionError> {
        self.inner.execute_transaction_with_commit_condition(tx, f)
    }

    fn execute_transaction_without_commit(
        &mut self,
        tx: impl ExecutableTx<Self>,
    ) -> Result<Self::Result, BlockExecutionError> {
        self.inner.execute_transaction_without_commit(tx)
    }

    fn commit_transaction(&mut self, output: Self::Result) -> GasOutput {
        self.inner.commit_transaction(output)
    }

    fn finish(
        mut self,
    ) -> Result<(Self::Evm, BlockExecutionResult<Self::Receipt>), BlockExecutionError> {
        // What comes after the transactions has been announced to nobody.
        self.inner.evm_mut().stop();
        self.inner.finish()
    }

    fn apply_post_execution_changes(
        mut self,
    ) -> Result<BlockExecutionResult<Self::Receipt>, BlockExecutionError> {
        self.inner.evm_mut().stop();
        self.inner.apply_post_execution_changes()
    }

    fn evm_mut(&mut self) -> &mut Self::Evm {
        self.inner.evm_mut()
    }

    fn evm(&self) -> &Self::Evm {
        self.inner.evm()
    }

    fn receipts(&self) -> &[Self::Receipt] {
        self.inner.receipts()
    }

    fn execute_block(
        mut self,
        transactions: impl IntoIterator<Item = impl ExecutableTx<Self>>,
    ) -> Result<BlockExecutionResult<Self::Receipt>, BlockExecutionError> {
        let Some(speculation) = self.speculation.take() else {
            return self.inner.execute_block(transactions);
        };
        let parts: Vec<_> = transactions.into_iter().map(ExecutableTxParts::into_parts).collect();
        let txs = parts.iter().map(|(tx, _)| tx.clone()).collect();
        self.announce(&speculation, txs);
        self.inner.execute_block(parts)
    }
}
