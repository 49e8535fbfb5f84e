//! Inspectors see every call of every transaction once, in order.

use alloy_evm::{
    EthEvmFactory, Evm, EvmFactory,
    block::{BlockExecutor, BlockExecutorFactory},
};
use alloy_primitives::{Address, U256};
use pleach_engine::{ChainSpec, ParallelExecutionCtx, Speculation};
use revm::{
    Inspector,
    interpreter::{CallInputs, CallOutcome},
};

use crate::{
    drive::{ctx, database, factory, list, parallel_factory},
    scenario::{TestBlock, block, header},
};

/// Writes down who is called by whom with what.
#[derive(Debug, Default, PartialEq)]
struct Calls(Vec<(Address, Address, U256)>);

impl<CTX> Inspector<CTX> for Calls {
    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.0.push((inputs.caller, inputs.target_address, inputs.call_value()));
        None
    }
}

fn expected(block: &TestBlock) -> Calls {
    let mut calls = Calls::default();
    let factory = factory(EthEvmFactory::default());
    let env = ChainSpec::mainnet().evm_env(header());
    let evm = factory.evm_factory().create_evm_with_inspector(database(block), env, &mut calls);
    factory.create_executor(evm, ctx(block)).execute_block(&block.txs).expect("executes");
    calls
}

#[test]
fn an_inspector_sees_all_calls_once() {
    let block = block(11, 60, &[]);
    let expected = expected(&block);
    assert!(expected.0.len() > block.txs.len(), "some calls are inner ones");
    let factory = parallel_factory(&EthEvmFactory::default(), 2);
    for announced in [false, true] {
        let mut speculation = Speculation::new(std::sync::Arc::clone(&block.state));
        if announced {
            speculation = speculation.with_transactions(list(&block));
        }
        let ctx = ParallelExecutionCtx::parallel(ctx(&block), speculation);
        let mut calls = Calls::default();
        let env = ChainSpec::mainnet().evm_env(header());
        let db = database(&block);
        let evm = factory.evm_factory().create_evm_with_inspector(db, env, &mut calls);
        factory.create_executor(evm, ctx).execute_block(&block.txs).expect("executes");
        assert_eq!(calls, expected);
    }
}

#[test]
fn an_inspector_that_is_switched_on_sees_the_rest() {
    let block = block(12, 40, &[]);
    let factory = parallel_factory(&EthEvmFactory::default(), 2);
    let env = ChainSpec::mainnet().evm_env(header());
    let mut calls = Calls::default();
    let mut evm =
        factory.evm_factory().create_evm_with_inspector(database(&block), env, &mut calls);
    evm.disable_inspector();
    let speculation =
        Speculation::new(std::sync::Arc::clone(&block.state)).with_transactions(list(&block));
    let ctx = ParallelExecutionCtx::parallel(ctx(&block), speculation);
    let mut executor = factory.create_executor(evm, ctx);
    executor.apply_pre_execution_changes().expect("executes");
    for (index, tx) in block.txs.iter().enumerate() {
        if index == 15 {
            assert!(executor.metrics().executions >= 15);
            executor.evm_mut().enable_inspector();
        }
        executor.execute_transaction(tx).expect("executes");
    }
    drop(executor);
    let all = expected(&block).0;
    assert!(!calls.0.is_empty() && all.ends_with(&calls.0));
    let tops = calls.0.iter().filter(|(caller, ..)| caller.0[16] == 0x5e).count();
    assert_eq!(tops, 25, "one outermost call per transaction that was left");
}
