//! What a transaction wrote ahead of its turn and does not write in its turn no longer counts,
//! whatever kind of location it went to.
//!
//! Two threads are made to go through the one order in which that shows. Whichever takes the first
//! transaction is held in it until somebody is at the end of the third. That can only be the other
//! thread, which takes the lowest transaction that nobody has taken: it has run the second before,
//! and the third has read what that one wrote. Then the first stores what makes the second fail in
//! its turn, and the third has read what never was.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use pleach_engine::{BlockOutput, Engine, EngineConfig, execute_serial};
use pleach_state::FlatState;

use crate::support::{
    blocks::{Tx, case, funded, header, signer},
    compare::{Case, execute_with},
    field::{MACHINE, OTHER, slot},
    forks::Fork,
    machine::{Kind, Program, init_code, machine_code},
    prestate::{SlowState, put},
};

/// Where the first and the third transaction meet.
const MEETING: [Address; 2] = [Address::repeat_byte(0x51), Address::repeat_byte(0x52)];
const PAYEE: Address = Address::repeat_byte(0x77);
const NOBODY: Address = Address::repeat_byte(0xf0);
/// Where the third transaction leaves what it has read.
const SEEN: u64 = 5;
/// So much of the block's gas that neither of the others looks long: a long one at the end starts
/// early, and the third would run before the second.
const MOST_GAS: u64 = 10_000_000;

fn state() -> FlatState {
    let mut state = funded(3);
    put(&mut state, MACHINE, 50, 1, &machine_code(), &[]);
    put(&mut state, OTHER, 0_u64, 1, &machine_code(), &[]);
    put(&mut state, PAYEE, 1, 0, &[], &[]);
    // There before it is created, so that all that changes is its code.
    put(&mut state, OTHER.create(1), 1, 0, &[], &[]);
    state
}

/// The block in which `effect` is taken back after `look` has seen it.
fn block(fork: Fork, effect: &Program, look: &Program) -> Case {
    let first = Program::new().step(Kind::Balance, MEETING[0], 0).step(Kind::StoreConst, 0, 1);
    let second = Program::new().step(Kind::Load, 0, 0).step(Kind::FailIf, 1, 0);
    let third = look.clone().step(Kind::Store, SEEN, u64::MAX).step(Kind::Balance, MEETING[1], 0);
    let call = |from, program: &Program| Tx::call(signer(from), 0, MACHINE).input(program.bytes());
    let first = call(1, &first).gas_limit(MOST_GAS);
    let txs = [first, call(2, &second.then(effect)), call(3, &third)];
    case(fork, header(fork), &txs, state())
}

fn serially(case: &Case, access_list: bool) -> BlockOutput {
    let serial = execute_serial(&case.chain, &case.block, &case.prestate, access_list);
    serial.expect("the block is valid")
}

/// `seen` is what the third transaction sees in its turn.
fn taken_back(fork: Fork, effect: &Program, look: &Program, seen: Option<u64>) {
    let case = block(fork, effect, look);
    for access_list in [false, true] {
        let serial = serially(&case, access_list);
        if let Some(seen) = seen {
            assert_eq!(slot(&serial, MACHINE, SEEN).unwrap_or_default(), U256::from(seen));
        }
        let prestate = Arc::new(SlowState::with_meeting(state(), MEETING));
        let engine = Engine::new(EngineConfig { threads: 2 }).expect("threads start");
        let met = execute_with(&engine, &Case { prestate, ..case.clone() }, access_list);
        let (output, metrics) = met.expect("the block is valid");
        assert_eq!(serial.difference(&output), None, "{fork:?}, list: {access_list}");
        // Of three transactions the last two had to run again.
        let happened = (metrics.executions, metrics.aborts);
        assert_eq!(happened, (5, 2), "{fork:?}, list: {access_list}: not in the order meant");
    }
}

#[test]
fn a_slot() {
    let store = Program::new().step(Kind::StoreConst, 1, 7);
    let look = Program::new().step(Kind::Load, 1, 0);
    for fork in [Fork::Homestead, Fork::Osaka] {
        taken_back(fork, &store, &look, Some(0));
    }
}

#[test]
fn a_balance() {
    let pay = Program::new().call(Kind::Call, PAYEE, 5, 30_000, &[]);
    let look = Program::new().step(Kind::Balance, PAYEE, 0);
    for fork in [Fork::Homestead, Fork::Osaka] {
        taken_back(fork, &pay, &look, Some(1));
    }
}

/// The creator's nonce is in the address of what it creates.
#[test]
fn a_nonce() {
    let create = Program::new().create(0_u64, &init_code(MACHINE, &Program::new(), 0, &[0]));
    for fork in [Fork::Homestead, Fork::Osaka] {
        taken_back(fork, &create, &create, None);
    }
}

/// Before EIP-161, a call of no wei makes an account, and the next one costs less.
#[test]
fn an_existence() {
    let touch = Program::new().call(Kind::Call, NOBODY, 0, 30_000, &[]);
    let look = touch.clone().step(Kind::Gas, 0, 0);
    taken_back(Fork::Homestead, &touch, &look, None);
}

/// Before EIP-161, a contract begins with nonce 0: there is nothing new to it but its code. Its
/// creator is one that the third transaction does not read, for its nonce is new as well.
#[test]
fn a_code() {
    let create = Program::new().create(0_u64, &init_code(MACHINE, &Program::new(), 0, &[0]));
    let create = Program::new().call(Kind::Call, OTHER, 0_u64, 200_000, create.bytes());
    let look = Program::new().step(Kind::CodeSize, OTHER.create(1), 0);
    taken_back(Fork::Homestead, &create, &look, Some(0));
}
