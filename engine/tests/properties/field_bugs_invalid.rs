//! Bugs that other parallel engines had, each as a test: invalid transactions, admission, and what
//! threads do with their time.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use pleach_engine::{Engine, EngineConfig, ExecuteError};

use crate::support::{
    blocks::{Style, Tx, case, funded, header, signer},
    compare::{Case, Engines, execute},
    field::{MACHINE, OTHER},
    forks::{ALL, Fork},
    machine::{Kind, Program, machine_code},
    prestate::{SlowState, put},
};

/// A contract with ether.
const OWNER: Address = Address::repeat_byte(0x0c);

/// A block in which all transactions but one are valid, and that one's error.
fn stops_at(index: usize, fork: Fork, tx: Tx) -> ExecuteError {
    let mut state = funded(8);
    put(&mut state, MACHINE, 9, 1, &machine_code(), &[]);
    put(&mut state, signer(9), 30_000, 0, &[], &[]);
    put(&mut state, OWNER, 10_u64.pow(18), 1, &[0], &[]);
    let count = Program::new().step(Kind::Mix, 1, 0).step(Kind::Store, 0, u64::MAX);
    let mut txs: Vec<_> = (1..=8)
        .map(|n| Tx::call(signer(n), 0, if n % 2 == 0 { MACHINE } else { OTHER }))
        .map(|tx| tx.input(count.bytes()))
        .collect();
    txs.insert(index, tx);
    let error = Engines::check(&case(fork, header(fork), &txs, state)).map(|_| ());
    let error = error.expect_err("the block is invalid");
    assert_eq!(error.index(), Some(index));
    assert!(error.is_invalid_block());
    error
}

/// A nonce too high livelocked: it waited for a transaction that never comes.
#[test]
fn a_nonce_too_high_is_an_error() {
    for index in [0, 1, 5, 8] {
        // Of a stranger to the block, and of a sender that is in it.
        let error = stops_at(index, Fork::Osaka, Tx::call(signer(9), 3, OTHER));
        assert!(error.to_string().contains("nonce 3 too high"), "{error}");
        stops_at(index, Fork::Osaka, Tx::call(signer(1), 7, OTHER));
    }
}

/// A nonce too low livelocked likewise.
#[test]
fn a_nonce_too_low_is_an_error() {
    for fork in [Fork::Frontier, Fork::Prague] {
        let error = stops_at(5, fork, Tx::call(signer(2), 0, OTHER));
        assert!(error.to_string().contains("nonce 0 too low"), "{error}");
    }
}

/// A nonce at its limit (EIP-2681) must not overflow on the way to the error.
#[test]
fn a_nonce_at_its_limit_is_an_error() {
    stops_at(3, Fork::Osaka, Tx::call(signer(1), u64::MAX, OTHER));
}

/// An underfunded sender livelocked.
#[test]
fn an_underfunded_sender_is_an_error() {
    for fork in [Fork::Frontier, Fork::London, Fork::Osaka] {
        // Of something, for a payment of nothing to nobody is left to the interpreter.
        let error = stops_at(4, fork, Tx::call(signer(9), 0, OTHER).value(1));
        assert!(error.to_string().contains("lack of funds"), "{error}");
    }
}

/// Gas admission was missing on the parallel path: a transaction must fit in what the block has
/// left, and, from Osaka on, below EIP-7825's cap. EIP-8037's two budgets are Amsterdam's.
#[test]
fn gas_admission_is_the_chains_own() {
    let error = stops_at(2, Fork::Prague, Tx::call(signer(9), 0, OTHER).gas_limit(30_000_000));
    assert!(error.to_string().contains("more than blocks available gas"), "{error}");
    stops_at(2, Fork::Osaka, Tx::call(signer(9), 0, OTHER).gas_limit((1 << 24) + 1));
    stops_at(6, Fork::Osaka, Tx::call(signer(9), 0, OTHER).gas_limit(20_999));
}

/// Fee and sender rules hold on the parallel path as well: a price below the base fee, a tip above
/// the cap, no blob in a blob transaction, a sender with code (EIP-3607).
#[test]
fn fee_and_sender_rules_are_the_chains_own() {
    stops_at(1, Fork::London, Tx::call(signer(9), 0, OTHER).gas_limit(21_000).gas_price(1));
    let tip = Style::DynamicFee { tip: 12 };
    stops_at(1, Fork::London, Tx { style: tip, ..Tx::call(signer(9), 0, OTHER) });
    let blob = Style::Blob { tip: 0, hashes: Vec::new(), max_blob_fee: 1 };
    stops_at(7, Fork::Cancun, Tx { style: blob, ..Tx::call(signer(9), 0, OTHER) });
    stops_at(7, Fork::Prague, Tx::call(signer(9), 0, OTHER).delegating(Vec::new()));
    // With enough for a payment to go through: its code alone is in the way.
    let by_code = Tx::call(OWNER, 1, Address::repeat_byte(0x77)).gas_limit(21_000).gas_price(7);
    let error = stops_at(5, Fork::London, by_code.value(1));
    assert!(error.to_string().contains("senders with deployed code"), "{error}");
}

/// A block of nothing, and of nothing but one invalid transaction, ends.
#[test]
fn empty_and_hopeless_blocks_end() {
    for fork in ALL {
        Engines::check_valid(&case(fork, header(fork), &[], funded(1)));
        let alone = [Tx::call(signer(1), 1, OTHER)];
        let error = Engines::check(&case(fork, header(fork), &alone, funded(1)));
        assert_eq!(error.map(|_| ()).expect_err("the nonce is too high").index(), Some(0));
    }
}

/// One transaction that could not run ahead turned the whole rest of a block serial. Here it is
/// underfunded until the one before it has paid its sender, and that one is held until the last
/// has begun: the thread that comes so far has met the poor sender's on its way.
#[test]
fn one_invalid_transaction_does_not_make_the_rest_serial() {
    let fork = Fork::Osaka;
    let poor = signer(99);
    // With data, so that it does not look cheap: of cheap ones, one thread takes several.
    let pay = Tx::call(signer(1), 0, poor).value(10_u64.pow(16)).input(&[1]);
    let mut txs = vec![pay, Tx::call(poor, 0, OTHER).value(5)];
    txs.extend((2..=60).map(|n| Tx::call(signer(n), 0, signer(n + 100)).value(1)));
    let case = case(fork, header(fork), &txs, funded(60));
    Engines::check_valid(&case);
    let prestate = Arc::new(SlowState::with_meeting(funded(60), [signer(1), signer(160)]));
    let engine = Engine::new(EngineConfig { threads: 2 }).expect("threads start");
    let met = execute(&engine, &Case { prestate, ..case });
    let (_, metrics) = met.expect("the block is valid");
    // The poor sender's ran in vain, and then in its turn.
    assert_eq!((metrics.executions, metrics.aborts), (txs.len() as u64 + 1, 1));
}

/// A mutex held through an EVM run blocked every other claimer: transactions that each wait for the
/// others to have begun all get through. Three, for one may be run by the committer in its turn,
/// who claims nothing for that.
#[test]
fn transactions_run_side_by_side() {
    let fork = Fork::Osaka;
    let recipients = [0x51, 0x52, 0x53].map(Address::repeat_byte);
    // With data, so that they do not look cheap: of cheap ones, one thread takes several.
    let tx = |(at, to): (usize, &Address)| Tx::call(signer(at as u8 + 1), 0, *to).input(&[1]);
    let txs: Vec<_> = recipients.iter().enumerate().map(tx).collect();
    let Case { chain, block, .. } = case(fork, header(fork), &txs, funded(3));
    let prestate = Arc::new(SlowState::with_meeting(funded(3), recipients));
    let engine = Engine::new(EngineConfig { threads: 3 }).expect("threads start");
    let met = execute(&engine, &Case { chain, block, prestate });
    let (output, metrics) = met.expect("the block is valid");
    assert_eq!(output.receipts.len(), 3);
    // Who waits in vain is run again.
    assert_eq!((metrics.executions, metrics.aborts), (3, 0));
}

/// Everybody calls one contract, nearly all senders distinct, as in mainnet block 25642542.
#[test]
fn a_contended_block_agrees() {
    let fork = Fork::Osaka;
    let mut state = funded(120);
    put(&mut state, MACHINE, 9, 1, &machine_code(), &[]);
    let txs: Vec<_> = (1..=120_u8)
        .map(|n| {
            let own = u64::from(n % 40) + 10;
            let program = Program::new()
                .step(Kind::Load, own, 0)
                .step(Kind::Mix, 1, 0)
                .step(Kind::Store, own, u64::MAX)
                .step(Kind::Load, own + 1, 0)
                .step(Kind::Store, own + 1, 255);
            Tx::call(signer(n), 0, MACHINE).input(program.bytes()).gas_limit(150_000)
        })
        .collect();
    Engines::check_valid(&case(fork, header(fork), &txs, state));
}

/// A state that cannot be read gives the error that serial execution gives, not a wrong result
/// and not a block that does not end.
#[test]
fn an_unreadable_state_is_an_error() {
    let fork = Fork::Osaka;
    let mut state = funded(6);
    put(&mut state, MACHINE, 9, 1, &machine_code(), &[]);
    let ask = Program::new().step(Kind::BlockHash, 5, 0).step(Kind::Store, 1, u64::MAX);
    let txs: Vec<_> = (1..=6)
        .map(|n| Tx::call(signer(n), 0, MACHINE).value(U256::from(n)))
        .map(|tx| if tx.from == signer(4) { tx.input(ask.bytes()) } else { tx })
        .collect();
    let error = Engines::check(&case(fork, header(fork), &txs, state)).map(|_| ());
    let error = error.expect_err("there are no block hashes in this state");
    assert_eq!(error.index(), Some(3));
    assert!(!error.is_invalid_block(), "the state is at fault: {error}");
}
