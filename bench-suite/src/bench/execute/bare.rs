//! alloy-evm's own block executor in a loop, with nothing of Pleach around it.

use std::{borrow::Cow, sync::Arc};

use alloy_evm::{
    EvmFactory,
    block::{BlockExecutor, BlockExecutorFactory},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmFactory,
        receipt_builder::AlloyReceiptBuilder,
    },
};
use pleach_engine::{BlockOutput, ChainSpec, ExecuteError, RecoveredBlock};
use pleach_state::FlatState;
use revm::database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention};
use revm::primitives::KECCAK_EMPTY;

/// Executes a block and collects its bundle.
pub(super) fn execute(
    chain: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    prestate: &Arc<FlatState>,
) -> Result<BlockOutput, ExecuteError> {
    let (header, body) = (block.header(), &block.block().body);
    let receipts = AlloyReceiptBuilder::default();
    let factory = EthBlockExecutorFactory::new(receipts, chain.clone(), EthEvmFactory::default());
    let db = State::builder().with_database(WrapDatabaseRef(prestate)).with_bundle_update();
    let mut db = db.build();
    let evm = factory.evm_factory().create_evm(&mut db, chain.evm_env(header));
    let ctx = EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &body.ommers,
        withdrawals: body.withdrawals.as_ref().map(|list| Cow::Borrowed(list.as_slice())),
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(body.transactions.len()),
        slot_number: header.slot_number,
    };
    let mut executor = factory.create_executor(evm, ctx);
    executor.apply_pre_execution_changes().map_err(ExecuteError::PreExecution)?;
    for (index, tx_env) in block.tx_envs().iter().enumerate() {
        executor
            .execute_transaction((tx_env.clone(), block.recovered(index)))
            .map_err(|source| ExecuteError::Transaction { index, source })?;
    }
    let result = executor.apply_post_execution_changes().map_err(ExecuteError::PostExecution)?;
    db.merge_transitions(BundleRetention::Reverts);
    let mut bundle = db.take_bundle();
    // As the engine's outputs have it: the empty code is no contract.
    bundle.contracts.remove(&KECCAK_EMPTY);
    Ok(BlockOutput {
        receipts: result.receipts,
        gas_used: result.gas_used,
        blob_gas_used: result.blob_gas_used,
        requests: result.requests,
        bundle,
        access_list: None,
    })
}
