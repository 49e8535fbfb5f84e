//! Bugs that other parallel engines had, each as a test: locations, code and invalid transactions.

use crate::support::{
    blocks::{Tx, case, header, signer},
    compare::Engines,
    forks::{ALL, Fork},
    machine::{Kind, Program, machine_code},
    prestate::put,
};
use alloy_primitives::{Address, U256};
use pleach_state::FlatState;

const MACHINE: Address = Address::repeat_byte(0xc0);

/// The machine itself works: a program's every step has the effect that its kind names.
#[test]
fn the_machine_runs_programs() {
    let sender = signer(1);
    let mut state = FlatState::new();
    put(&mut state, sender, 1_000_000_000_000_u64, 0, &[], &[]);
    put(&mut state, MACHINE, 5, 1, &machine_code(), &[(1, 41)]);
    let program = Program::new()
        .step(Kind::Mix, 1, 0)
        .step(Kind::Load, 1, 0)
        .step(Kind::Store, 2, u64::MAX)
        .step(Kind::Balance, MACHINE, 0)
        .step(Kind::Store, 3, u64::MAX);
    let txs = [Tx::call(sender, 0, MACHINE).input(program.bytes())];
    for fork in ALL {
        let output = Engines::check_valid(&case(fork, header(fork), &txs, state.clone()));
        let account = output.bundle.account(&MACHINE).expect("it was written");
        let slot = |slot: u64| account.storage_slot(U256::from(slot)).expect("it was written");
        assert_eq!(slot(2), U256::from(31 + 41));
        assert_eq!(slot(3), U256::from((31 + 41) * 31 + 5));
    }
    let _ = Fork::Osaka;
}
