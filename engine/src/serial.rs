//! Serial execution: alloy-evm's own block executor on one thread. It is the oracle that parallel
//! execution is compared with, and the baseline that it has to beat.

use std::{borrow::Cow, sync::Arc};

use alloy_consensus::{ReceiptEnvelope, TxEnvelope};
use alloy_evm::{
    Evm, EvmFactory,
    block::{
        BalIndexedDatabase, BlockExecutionError, BlockExecutionResult, BlockExecutor,
        BlockExecutorFactory, BlockValidationError, StateDB,
    },
    eth::{
        EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmFactory, dao_fork,
        receipt_builder::AlloyReceiptBuilder,
    },
};
use revm::{
    context::TxEnv,
    database::{
        BundleState, DatabaseCommitExt, State, WrapDatabaseRef,
        states::bundle_state::BundleRetention,
    },
    primitives::KECCAK_EMPTY,
    state::Account,
};

use crate::{
    BlockOutput, ChainSpec, ExecuteError, Follower, Prestate, RecoveredBlock, follow::Followed,
};

/// Executes a block on the calling thread, in block order.
///
/// # Errors
/// [`ExecuteError`] says where execution stopped and why.
pub fn execute_serial<P: Prestate>(
    chain: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    prestate: &Arc<P>,
    access_list: bool,
) -> Result<BlockOutput, ExecuteError> {
    let (db, result) =
        run_serially(chain, block, commit_state(prestate.clone(), access_list), |_| ())?;
    Ok(output(db, result))
}

/// The same, and a follower hears what commits.
pub(crate) fn execute_followed<P: Prestate>(
    chain: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    prestate: &Arc<P>,
    access_list: bool,
    follower: Arc<dyn Follower>,
) -> Result<BlockOutput, ExecuteError> {
    let inner = commit_state(prestate.clone(), access_list);
    let (db, result) = run_serially(chain, block, Followed { inner, follower }, |_| ())?;
    Ok(output(db.inner, result))
}

/// Runs a block on a database that collects its changes, and shows that after each transaction.
pub(crate) fn run_serially<DB: StateDB + BalIndexedDatabase>(
    chain: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    db: DB,
    mut after_transaction: impl FnMut(&mut DB),
) -> Result<(DB, BlockExecutionResult<ReceiptEnvelope>), ExecuteError> {
    let factory = EthBlockExecutorFactory::new(
        AlloyReceiptBuilder::default(),
        chain.clone(),
        EthEvmFactory::default(),
    );
    let evm = factory.evm_factory().create_evm(db, chain.evm_env(block.header()));
    let executor = factory.create_executor(evm, execution_ctx(block));
    let tx_env = |_: &mut _, index: usize| block.tx_envs()[index].clone();
    let after = |evm: &mut _| after_transaction(Evm::db_mut(evm));
    let (evm, result) = run_block(executor, chain, block, |_| (), tx_env, after)?;
    Ok((evm.into_db(), result))
}

/// The state that committed changes are collected in.
pub(crate) fn commit_state<P: Prestate>(
    prestate: Arc<P>,
    access_list: bool,
) -> State<WrapDatabaseRef<Arc<P>>> {
    let builder = State::builder().with_database(WrapDatabaseRef(prestate)).with_bundle_update();
    if access_list { builder.with_bal_builder().build() } else { builder.build() }
}

/// What a block's rules need beside its environment.
pub(crate) fn execution_ctx(block: &RecoveredBlock) -> EthBlockExecutionCtx<'_> {
    let header = block.header();
    let body = &block.block().body;
    EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &body.ommers,
        withdrawals: body.withdrawals.as_ref().map(|list| Cow::Borrowed(list.as_slice())),
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(body.transactions.len()),
        slot_number: header.slot_number,
    }
}

/// Drives a block executor over a block. Serial and parallel execution both come through here:
/// they differ in the EVM inside the executor alone.
pub(crate) fn run_block<E>(
    mut executor: E,
    chain: &ChainSpec,
    block: &RecoveredBlock,
    before_transactions: impl FnOnce(&mut E::Evm),
    tx_env: impl Fn(&mut E::Evm, usize) -> TxEnv,
    mut after_transaction: impl FnMut(&mut E::Evm),
) -> Result<(E::Evm, BlockExecutionResult<ReceiptEnvelope>), ExecuteError>
where
    E: BlockExecutor<
            Transaction = TxEnvelope,
            Receipt = ReceiptEnvelope,
            Evm: Evm<DB: StateDB + BalIndexedDatabase, Tx = TxEnv>,
        >,
{
    executor.apply_pre_execution_changes().map_err(ExecuteError::PreExecution)?;
    if chain.dao_fork_block() == Some(block.header().number) {
        move_dao_balances(executor.evm_mut().db_mut()).map_err(ExecuteError::PreExecution)?;
    }
    before_transactions(executor.evm_mut());
    for index in 0..block.transactions().len() {
        executor.evm_mut().db_mut().set_bal_index(index as u64 + 1);
        let tx_env = tx_env(executor.evm_mut(), index);
        executor
            .execute_transaction((tx_env, block.recovered(index)))
            .map_err(|source| ExecuteError::Transaction { index, source })?;
        after_transaction(executor.evm_mut());
    }
    executor.evm_mut().db_mut().bump_bal_index();
    executor.finish().map_err(ExecuteError::PostExecution)
}

/// The irregular state change of the DAO fork (EIP-779): the balances of the listed accounts go to
/// one account.
fn move_dao_balances<DB: StateDB>(db: &mut DB) -> Result<(), BlockExecutionError> {
    let failed = |_| BlockValidationError::IncrementBalanceFailed;
    let mut total = 0;
    let mut emptied = Vec::with_capacity(dao_fork::DAO_HARDFORK_ACCOUNTS.len());
    for address in dao_fork::DAO_HARDFORK_ACCOUNTS {
        let info = db.basic(address).map_err(failed)?.unwrap_or_default();
        let mut account = Account::from(info);
        total += std::mem::take(&mut account.info.balance).saturating_to::<u128>();
        account.mark_touch();
        // The fork comes before EIP-161: an account that is left empty stays.
        if account.is_empty() {
            account.mark_created();
        }
        emptied.push((address, account));
    }
    db.commit_iter(&mut emptied.into_iter());
    let heir = (dao_fork::DAO_HARDFORK_BENEFICIARY, total);
    db.increment_balances([heir]).map_err(failed)?;
    Ok(())
}

/// Takes a block's output out of the state that its changes were committed to.
pub(crate) fn output<P: Prestate>(
    mut state: State<WrapDatabaseRef<Arc<P>>>,
    result: BlockExecutionResult<ReceiptEnvelope>,
) -> BlockOutput {
    state.merge_transitions(BundleRetention::Reverts);
    let bundle = state.take_bundle();
    BlockOutput { access_list: state.take_built_alloy_bal(), ..output_with(bundle, result) }
}

/// A block's output, given its state changes.
pub(crate) fn output_with(
    mut bundle: BundleState,
    result: BlockExecutionResult<ReceiptEnvelope>,
) -> BlockOutput {
    // The empty code is no contract. Whether revm lists it depends on how accounts were loaded.
    bundle.contracts.remove(&KECCAK_EMPTY);
    BlockOutput {
        receipts: result.receipts,
        gas_used: result.gas_used,
        blob_gas_used: result.blob_gas_used,
        requests: result.requests,
        bundle,
        access_list: None,
    }
}
