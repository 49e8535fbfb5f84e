//! Pleach in the place of a chain's `BlockExecutorFactory`, as a node built on alloy-evm has one.
//!
//! Run with `cargo run --release --example alloy_executor -p pleach-engine`.

mod common;

use std::{error::Error, sync::Arc};

use alloy_evm::{
    EthEvmFactory, Evm, EvmFactory,
    block::{BlockExecutor, BlockExecutorFactory},
    eth::{EthBlockExecutionCtx, EthBlockExecutorFactory, receipt_builder::AlloyReceiptBuilder},
};
use pleach_engine::{
    ChainSpec, Engine, EngineConfig, ParallelExecutionCtx, PleachEvmFactory, Speculation,
};
use revm::database::{State, WrapDatabaseRef};

fn main() -> Result<(), Box<dyn Error>> {
    let chain = ChainSpec::mainnet();
    let block = common::block(None)?;
    let header = block.header();
    let state = Arc::new(common::state());
    let env = chain.evm_env(header);

    // The chain's own factory, its EVM factory wrapped, is all that the engine needs.
    let engine = Arc::new(Engine::new(EngineConfig { threads: 4 })?);
    let evm_factory = PleachEvmFactory::new(EthEvmFactory::default());
    let ethereum = EthBlockExecutorFactory::new(AlloyReceiptBuilder::default(), chain, evm_factory);
    let factory = engine.executor_factory(ethereum);

    // From here on everything goes by alloy-evm's traits. What is new is the second part of the
    // context: the state before the block, in a form that threads can share.
    let db = State::builder()
        .with_database(WrapDatabaseRef(Arc::clone(&state)))
        .with_bundle_update()
        .build();
    let ctx = EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &[],
        withdrawals: None,
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(block.transactions().len()),
        slot_number: None,
    };
    let speculation = Speculation::new(state).with_transactions(block.tx_envs().to_vec());
    let ctx = ParallelExecutionCtx::parallel(ctx, speculation);
    let evm = factory.evm_factory().create_evm(db, env);
    let mut executor = factory.create_executor(evm, ctx);

    executor.apply_pre_execution_changes()?;
    for index in 0..block.transactions().len() {
        executor.execute_transaction_with_index(block.recovered(index), index)?;
    }
    let (evm, result) = executor.finish()?;
    let metrics = evm.metrics();
    println!("receipts     {}", result.receipts.len());
    println!("gas used     {}", result.gas_used);
    println!("executions   {}", metrics.executions);
    println!("thrown away  {}", metrics.aborts);
    println!("in the cache {} accounts", evm.db().cache.accounts.len());
    Ok(())
}
