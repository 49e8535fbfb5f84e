//! Balances commute only as far as nobody looks at them: each way of looking, and each edge.

use alloy_primitives::{Address, U256};

use crate::support::{
    blocks::{BENEFICIARY, Tx, case, funded, header, signer},
    compare::Engines,
    field::{MACHINE, OTHER, slot},
    forks::{ALL, Fork},
    machine::{Kind, Program, init_code, machine_code},
    prestate::put,
};

const PAYEE: Address = Address::repeat_byte(0x77);

/// Several transactions pay an account while others look at what it has.
fn paid_while_looked_at(fork: Fork, look: &Program) {
    let mut state = funded(9);
    put(&mut state, MACHINE, 40, 1, &machine_code(), &[]);
    put(&mut state, BENEFICIARY, 3, 0, &[], &[]);
    put(&mut state, PAYEE, 3, 0, &[], &[]);
    let tx = |n: u8| match n % 3 {
        0 => Tx::call(signer(n), 0, MACHINE).input(look.bytes()),
        1 => Tx::call(signer(n), 0, MACHINE).value(u64::from(n)),
        _ => Tx::call(signer(n), 0, PAYEE).value(u64::from(n)),
    };
    let txs: Vec<_> = (1..=9).map(tx).collect();
    Engines::check_valid(&case(fork, header(fork), &txs, state));
}

#[test]
fn every_way_of_looking_at_a_balance_is_noticed() {
    for fork in [Fork::Frontier, Fork::SpuriousDragon, Fork::Istanbul, Fork::Shanghai, Fork::Osaka]
    {
        for account in [MACHINE, PAYEE, BENEFICIARY] {
            let look =
                Program::new().step(Kind::Balance, account, 0).step(Kind::Store, 1, u64::MAX);
            paid_while_looked_at(fork, &look);
        }
        if fork >= Fork::Istanbul {
            let look = Program::new().step(Kind::SelfBalance, 0, 0).step(Kind::Store, 1, u64::MAX);
            paid_while_looked_at(fork, &look);
        }
        paid_while_looked_at(fork, &Program::new().step(Kind::SelfDestruct, PAYEE, 0));
    }
}

/// A call, a creation and a call to oneself each succeed or fail by a balance that lower
/// transactions raise wei by wei, past the edge.
#[test]
fn withdrawals_at_the_edge_of_what_is_there() {
    for fork in [Fork::SpuriousDragon, Fork::London, Fork::Osaka] {
        let init = init_code(MACHINE, &Program::new(), 0, &[0]);
        let spends = [
            Program::new().call(Kind::Call, PAYEE, 13, 30_000, &[]),
            Program::new().call(Kind::CallCode, OTHER, 13, 30_000, &[]),
            Program::new().create(13, &init),
            Program::new().call(Kind::Call, PAYEE, 6, 30_000, &[]).create(7, &init),
        ];
        for spend in spends {
            let spend = spend.step(Kind::Store, 1, u64::MAX);
            let mut state = funded(16);
            put(&mut state, MACHINE, 9, 1, &machine_code(), &[]);
            put(&mut state, PAYEE, 1, 0, &[], &[]);
            let tx = |n: u8| match n % 4 {
                0 => Tx::call(signer(n), 0, MACHINE).input(spend.bytes()),
                _ => Tx::call(signer(n), 0, MACHINE).value(u64::from(n % 3) + 1),
            };
            let txs: Vec<_> = (1..=16).map(tx).collect();
            Engines::check_valid(&case(fork, header(fork), &txs, state));
        }
    }
}

/// A sender's funds come and go within the block, so that it can pay at its turn and not before,
/// or before and not at its turn.
#[test]
fn senders_funded_and_drained_within_the_block() {
    let fork = Fork::London;
    let mut state = funded(3);
    let (late, broke) = (signer(20), signer(21));
    put(&mut state, broke, 10_000_000, 0, &[], &[]);
    put(&mut state, BENEFICIARY, 1, 0, &[], &[]);
    let mut txs = vec![
        Tx::call(signer(1), 0, late).value(5_000_123),
        Tx::call(late, 0, signer(2)).value(123),
        Tx::call(broke, 0, signer(2)).value(5_000_000),
        Tx::call(signer(3), 0, signer(2)),
    ];
    Engines::check_valid(&case(fork, header(fork), &txs, state.clone()));
    txs.push(Tx::call(broke, 1, signer(2)).value(5));
    let error = Engines::check(&case(fork, header(fork), &txs, state)).map(|_| ());
    assert_eq!(error.expect_err("it cannot pay twice").index(), Some(4));
}

/// Payments that overflow 2^256 by one wei, or just do not, depending on what came before: revm
/// fails the payment. No account is huge before the transaction, and no payment alone is.
#[test]
fn sums_near_the_top_overflow_as_in_serial_execution() {
    let fork = Fork::Osaka;
    let nearly = (U256::from(1) << 252) - U256::from(1);
    let payers = [0x61, 0x62, 0x63, 0x64].map(Address::repeat_byte);
    for short in 0..6_u64 {
        let mut state = funded(4);
        put(&mut state, MACHINE, 100, 1, &machine_code(), &[]);
        let start = (U256::from(1) << 254) - U256::from(7);
        put(&mut state, PAYEE, start, 0, &[], &[]);
        // Twelve payments lift the payee to within a few wei of the top; one more is too much.
        let mut pay = Program::new();
        for payer in payers {
            put(&mut state, payer, start, 1, &machine_code(), &[]);
            let mut thrice = Program::new();
            for _ in 0..3 {
                thrice = thrice.call(Kind::Call, PAYEE, nearly, 30_000, &[]);
            }
            pay = pay.call(Kind::Call, payer, 0, 150_000, thrice.bytes());
        }
        let pay = pay.call(Kind::Call, PAYEE, 18 - short, 30_000, &[]);
        let pay = pay.step(Kind::Store, 1, u64::MAX);
        let txs = [
            Tx::call(signer(1), 0, PAYEE).value(1),
            Tx::call(signer(2), 0, PAYEE).value(1),
            Tx::call(signer(3), 0, MACHINE).input(pay.bytes()).gas_limit(2_000_000),
            Tx::call(signer(4), 0, PAYEE).value(1),
        ];
        let output = Engines::check_valid(&case(fork, header(fork), &txs, state));
        assert!(slot(&output, MACHINE, 1).is_some(), "the payments were made");
    }
}

/// Gas limits swept over every edge of a transaction: before it, within its calls, past them.
#[test]
fn gas_limits_swept_over_every_edge() {
    for fork in ALL {
        let mut state = funded(4);
        put(&mut state, MACHINE, 1_000, 1, &machine_code(), &[(0, 1)]);
        put(&mut state, OTHER, 10, 1, &machine_code(), &[]);
        let inner = Program::new().step(Kind::Load, 0, 0).step(Kind::Store, 0, 3);
        let program = Program::new()
            .step(Kind::Load, 0, 0)
            .step(Kind::Mix, 1, 0)
            .step(Kind::Store, 0, 7)
            .call(Kind::Call, OTHER, 1, 9_000, inner.bytes())
            .step(Kind::Balance, OTHER, 0)
            .step(Kind::Store, 1, u64::MAX);
        let tx = |at: u64| {
            let (sender, nonce) = (signer((at % 4) as u8 + 1), at / 4);
            Tx::call(sender, nonce, MACHINE).input(program.bytes()).gas_limit(62_000 + at * 317)
        };
        let txs: Vec<_> = (0..240).map(tx).collect();
        Engines::check_valid(&case(fork, header(fork), &txs, state));
    }
}
