//! Callers that leave the announced list, leave transactions uncommitted, repeat them, or change
//! the database behind the EVM's back.

use alloy_consensus::{ReceiptEnvelope, TxEnvelope};
use alloy_evm::{
    EthEvmFactory, Evm, EvmEnv, EvmFactory,
    block::{BlockExecutor, BlockExecutorFactory, CommitChanges, TxResult},
};
use alloy_primitives::{Address, Bytes};
use pleach_engine::{ChainSpec, Observed, ParallelExecutionCtx, Speculation, Validation};
use revm::{
    DatabaseCommit, context::TxEnv, database::DatabaseCommitExt, state::bal::BlockAccessIndex,
};

use crate::{
    drive::{
        Caller, Db, Finished, OneByOne, compare, ctx, database, describe, let_workers_run_ahead,
        list, parallel_factory,
    },
    scenario::{
        BENEFICIARY, COUNTER, ONLOOKED, PAYER, SENDERS, TestBlock, block, block_of_the_poor,
        header, sender, tx, word,
    },
};

const BOTH: [Validation; 2] = [Validation::Everything, Validation::Written];

fn env() -> EvmEnv {
    ChainSpec::mainnet().evm_env(header())
}

/// The block of this seed, or none of it, by a caller; on Ethereum's own observation of balances
/// and on that by inspector.
fn check(caller: &impl Caller, validations: &[Validation]) {
    for seed in 0..3 {
        let block = block(seed, 60, &[]);
        let plain = EthEvmFactory::default();
        compare(&plain, &plain, &env(), &block, (caller, validations));
        compare(&plain, &Observed::new(plain), &env(), &block, (caller, validations));
    }
}

macro_rules! caller {
    ($(#[$doc:meta])* $name:ident, |$executor:ident, $block:ident, $log:ident| $body:block) => {
        $(#[$doc])*
        struct $name;

        impl Caller for $name {
            fn call<X>(
                &self,
                mut $executor: X,
                $block: &TestBlock,
                $log: &mut Vec<String>,
            ) -> Finished<X>
            where
                X: BlockExecutor<
                        Transaction = TxEnvelope,
                        Receipt = ReceiptEnvelope,
                        Evm: Evm<DB = Db, Tx = TxEnv>,
                    >,
            {
                $executor.apply_pre_execution_changes()?;
                let_workers_run_ahead();
                $body
                $executor.finish()
            }
        }
    };
}

/// Executes and commits, errors noted and passed over.
fn execute<X>(
    executor: &mut X,
    tx: &alloy_consensus::transaction::Recovered<TxEnvelope>,
    log: &mut Vec<String>,
) where
    X: BlockExecutor<Transaction = TxEnvelope, Evm: Evm<DB = Db, Tx = TxEnv>>,
{
    let note = |result: &X::Result| log.push(describe(result.result()));
    match executor.execute_transaction_with_result_closure(tx, note) {
        Ok(gas) => log.push(format!("{gas:?}")),
        Err(error) => log.push(error.to_string()),
    }
}

caller!(
    /// Looks at every third result and does not commit it.
    Skips,
    |executor, block, log| {
        for (index, tx) in block.txs.iter().enumerate() {
            executor.evm_mut().db_mut().set_bal_index(BlockAccessIndex::new(index as u64 + 1));
            let ran = executor.execute_transaction_with_commit_condition(tx, |result| {
                log.push(describe(result.result()));
                if index % 3 == 2 { CommitChanges::No } else { CommitChanges::Yes }
            });
            log.push(ran.map_or_else(|error| error.to_string(), |gas| format!("{gas:?}")));
        }
    }
);

caller!(
    /// Executes every transaction twice before it commits the second result.
    Repeats,
    |executor, block, log| {
        for tx in &block.txs {
            let first = executor.execute_transaction_without_commit(tx)?;
            log.push(describe(first.result()));
            let second = executor.execute_transaction_without_commit(tx)?;
            log.push(describe(second.result()));
            executor.commit_transaction(second);
        }
    }
);

caller!(
    /// Executes two transactions before it commits the first.
    CommitsLate,
    |executor, block, log| {
        for pair in block.txs.chunks(2) {
            let ran: Vec<_> =
                pair.iter().map(|tx| executor.execute_transaction_without_commit(tx)).collect();
            for result in ran {
                match result {
                    Ok(result) => {
                        log.push(describe(result.result()));
                        executor.commit_transaction(result);
                    }
                    Err(error) => log.push(error.to_string()),
                }
            }
        }
    }
);

caller!(
    /// Puts a transaction of its own into the middle, then goes on with the list.
    Departs,
    |executor, block, log| {
        let own = tx(sender(SENDERS), 0, COUNTER, 0, Bytes::new());
        for (index, tx) in block.txs.iter().enumerate() {
            if index == block.txs.len() / 2 {
                execute(&mut executor, &own, log);
            }
            execute(&mut executor, tx, log);
        }
    }
);

caller!(
    /// Goes through the list backwards, invalid transactions and all, then forwards.
    Wanders,
    |executor, block, log| {
        for tx in block.txs.iter().rev().chain(&block.txs) {
            execute(&mut executor, tx, log);
        }
    }
);

caller!(
    /// Leaves out every fourth transaction, which makes later ones of its sender invalid.
    LeavesOut,
    |executor, block, log| {
        for (index, tx) in block.txs.iter().enumerate().filter(|(index, _)| index % 4 != 1) {
            log.push(index.to_string());
            execute(&mut executor, tx, log);
        }
    }
);

caller!(
    /// Ends in the middle.
    EndsEarly,
    |executor, block, log| {
        for tx in block.txs.iter().take(block.txs.len() / 2) {
            execute(&mut executor, tx, log);
        }
    }
);

caller!(
    /// Writes to the database between transactions: balances up, and one account away.
    WritesBehind,
    |executor, block, log| {
        for (index, tx) in block.txs.iter().enumerate() {
            let db = executor.evm_mut().db_mut();
            let receivers = [sender(index as u64 % 12), BENEFICIARY, ONLOOKED, PAYER];
            db.increment_balances(receivers.map(|address| (address, 1 << 40)))
                .expect("the state can be read");
            if index % 10 == 9 {
                db.drain_balances([sender(3), PAYER]).expect("the state can be read");
            }
            execute(&mut executor, tx, log);
        }
    }
);

caller!(
    /// Makes system calls between transactions and commits what they change.
    CallsSystem,
    |executor, block, log| {
        for tx in &block.txs {
            execute(&mut executor, tx, log);
            let caller = Address::repeat_byte(0xff);
            let called = executor.evm_mut().transact_system_call(caller, COUNTER, Bytes::new());
            let called = called.unwrap_or_else(|error| panic!("the state can be read: {error}"));
            log.push(describe(&called));
            executor.evm_mut().db_mut().commit(called.state);
        }
    }
);

#[test]
fn one_by_one() {
    check(&OneByOne, &BOTH);
}

#[test]
fn results_that_are_not_committed() {
    check(&Skips, &BOTH);
}

#[test]
fn transactions_run_twice() {
    check(&Repeats, &BOTH);
}

#[test]
fn commits_that_come_late() {
    check(&CommitsLate, &BOTH);
}

#[test]
fn a_transaction_that_was_not_announced() {
    check(&Departs, &BOTH);
}

#[test]
fn another_order() {
    check(&Wanders, &BOTH);
}

#[test]
fn transactions_left_out() {
    check(&LeavesOut, &BOTH);
}

#[test]
fn an_early_end() {
    check(&EndsEarly, &BOTH);
}

#[test]
fn writes_behind_the_evms_back() {
    check(&WritesBehind, &[Validation::Everything]);
}

#[test]
fn system_calls_in_between() {
    check(&CallsSystem, &[Validation::Everything]);
}

#[test]
fn announced_transactions_that_are_invalid() {
    let mut block = block(7, 40, &[]);
    block.txs.insert(20, tx(sender(2), 1_000, COUNTER, 0, Bytes::new()));
    let evm = EthEvmFactory::default();
    compare(&evm, &evm, &env(), &block, (&OneByOne, &BOTH));
    compare(&evm, &evm, &env(), &block, (&LeavesOut, &BOTH));
}

caller!(
    /// Executes what can be executed.
    PassesOver,
    |executor, block, log| {
        for tx in &block.txs {
            execute(&mut executor, tx, log);
        }
    }
);

#[test]
fn senders_who_can_pay_only_after_or_before_another_transaction() {
    // An invalid transaction ends speculation: many small blocks rather than one large.
    for count in [1, 2, 3, 30] {
        let block = block_of_the_poor(count);
        let plain = EthEvmFactory::default();
        compare(&plain, &plain, &env(), &block, (&PassesOver, &BOTH));
        compare(&plain, &Observed::new(plain), &env(), &block, (&PassesOver, &BOTH));
    }
}

#[test]
fn a_prestate_of_another_block_costs_time_and_changes_nothing() {
    let right = block(3, 40, &[]);
    let expected = crate::drive::plain(&EthEvmFactory::default(), env(), &right, &OneByOne);
    let mut wrong = crate::scenario::state();
    for number in 0..SENDERS {
        crate::scenario::insert(&mut wrong, sender(number), 3, &[]);
    }
    let factory = parallel_factory(&EthEvmFactory::default(), 2);
    let speculation = Speculation::new(std::sync::Arc::new(wrong)).with_transactions(list(&right));
    let evm = factory.evm_factory().create_evm(database(&right), env());
    let ctx = ParallelExecutionCtx::parallel(ctx(&right), speculation);
    let executor = factory.create_executor(evm, ctx);
    let (_, result) = OneByOne.call(executor, &right, &mut Vec::new()).expect("executes");
    assert_eq!(result.receipts, expected.receipts());
}

#[test]
fn whole_blocks_with_and_without_speculation() {
    let block = block(5, 80, &[(BENEFICIARY, word(COUNTER))]);
    let plain_factory = crate::drive::factory(EthEvmFactory::default());
    let mut db = database(&block);
    let evm = plain_factory.evm_factory().create_evm(&mut db, env());
    let executor = plain_factory.create_executor(evm, ctx(&block));
    let expected = executor.execute_block(&block.txs).expect("executes");

    let factory = parallel_factory(&EthEvmFactory::default(), 2);
    let prestate = std::sync::Arc::clone(&block.state);
    for speculation in [None, Some(Speculation::new(prestate))] {
        let mut found = database(&block);
        let evm = factory.evm_factory().create_evm(&mut found, env());
        let ctx = ParallelExecutionCtx { inner: ctx(&block), speculation };
        let result = factory.create_executor(evm, ctx).execute_block(&block.txs);
        assert_eq!(result.expect("executes"), expected);
        assert_eq!(found.transition_state, db.transition_state);
    }
}
