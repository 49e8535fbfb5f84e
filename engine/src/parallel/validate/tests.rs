//! Corrections, looked at where they are made.

use alloy_primitives::{Address, B256};
use pleach_scheduler::Pen;

use super::*;
use crate::parallel::{
    mv_memory::{After, NewBalance},
    parts::WrittenParts,
    payment::Party,
};

const PAYEE: Address = Address::repeat_byte(0x77);

/// A payee that had `found` and was paid five more wei, while `committed` is what it really had:
/// its read, and the memory that shows the payment.
fn paid(found: u64, committed: u64) -> (ReadSet, MvMemory) {
    let memory = MvMemory::new(1, 21_000, Address::ZERO);
    let [found, left] = [found, found + 5].map(U256::from);
    let party = Party {
        address: PAYEE,
        existed: true,
        has_code: false,
        balance: [found, left],
        nonce: [0, 0],
    };
    let mut after = After::default();
    let names = (&mut Pen::default(), &mut Vec::new());
    memory.publish_payment(names, Writer::transaction(0), &[party], |_, told| after = told);
    let read = AccountRead {
        address: PAYEE,
        hash: memory.account_hash(&PAYEE),
        exists: true,
        balance: found,
        nonce: 0,
        found_nonce: 0,
        code_hash: B256::ZERO,
        written: WrittenParts::default(),
        balance_observed: false,
        slack: U256::MAX,
        correction: Some(U256::from(committed)),
        after,
    };
    let mut reads = ReadSet::default();
    reads.accounts.push(read);
    (reads, memory)
}

/// What is corrected is so for the committer's notes, and in the memory, for whoever reads ahead.
#[test]
fn a_correction_reaches_notes_and_memory() {
    let (mut reads, memory) = paid(10, 40);
    assert!(correct_balances(&mut reads, &mut EvmState::default(), &memory));
    let noted = reads.accounts[0].after.balance.map(|NewBalance { balance, .. }| balance);
    assert_eq!(noted, Some(U256::from(45)));
    let hash = memory.account_hash(&PAYEE);
    let shown = memory.account(hash, &PAYEE, Writer::LAST, Known::default()).balance;
    assert_eq!(shown, Some(U256::from(45)));
}

/// Whether an account becomes empty is for the EVM to say: a correction to nothing is refused.
#[test]
fn a_correction_to_nothing_is_refused() {
    let (mut reads, memory) = paid(10, 0);
    reads.accounts[0].correction = Some(U256::ZERO.wrapping_sub(U256::from(5)));
    assert!(!correct_balances(&mut reads, &mut EvmState::default(), &memory));
}
