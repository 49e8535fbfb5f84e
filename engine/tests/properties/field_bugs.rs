//! Bugs that other parallel engines had, each as a test: accounts, code and storage.
//!
//! Not here: wrong roots from streaming or concurrent commitment, which are tested where state
//! roots are computed; the contended mainnet block 25642542, which is among the real blocks.

use alloy_primitives::{Address, B256, U256, keccak256};
use revm::bytecode::opcode;

use crate::support::{
    asm::Asm,
    blocks::{BENEFICIARY, Tx, authorize, case, funded, header, signer},
    compare::Engines,
    field::{MACHINE, OTHER, slot},
    forks::{ALL, Fork},
    machine::{Kind, Program, init_code, machine_code, proxy_code},
    prestate::put,
};

const HEIR: Address = Address::repeat_byte(0xd0);

fn read_and_store(account: Kind, of: Address, slot: u64) -> Program {
    Program::new().step(account, of, 0).step(Kind::Store, slot, u64::MAX)
}

/// The machine itself works: a program's steps have the effect that their kinds name.
#[test]
fn the_machine_runs_programs() {
    let mut state = funded(1);
    put(&mut state, MACHINE, 5, 1, &machine_code(), &[(1, 41)]);
    let program = Program::new()
        .step(Kind::Mix, 1, 0)
        .step(Kind::Load, 1, 0)
        .step(Kind::Store, 2, u64::MAX)
        .step(Kind::Balance, MACHINE, 0)
        .step(Kind::Store, 3, u64::MAX);
    let txs = [Tx::call(signer(1), 0, MACHINE).input(program.bytes())];
    for fork in ALL {
        let output = Engines::check_valid(&case(fork, header(fork), &txs, state.clone()));
        assert_eq!(slot(&output, MACHINE, 2), Some(U256::from(31 + 41)), "{fork:?}");
        assert_eq!(slot(&output, MACHINE, 3), Some(U256::from((31 + 41) * 31 + 5)), "{fork:?}");
    }
}

/// Locations identified by an unkeyed 64-bit hash let crafted slots collide: slots that share
/// words, or that are each other's image under common mixers, must stay apart.
#[test]
fn slots_that_share_words_stay_apart() {
    let mut state = funded(8);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    put(&mut state, OTHER, 0, 1, &machine_code(), &[]);
    let one = U256::from(1);
    let slots = [U256::ZERO, one, one << 64, one << 128, one << 192, U256::MAX, one << 255];
    let mut program = Program::new().step(Kind::Mix, 3, 0);
    for slot in slots {
        program = program.step(Kind::Load, slot, 0).step(Kind::Store, slot, u64::MAX);
    }
    let txs: Vec<_> = (1..=8)
        .map(|n| Tx::call(signer(n), 0, if n % 3 == 0 { OTHER } else { MACHINE }))
        .map(|tx| tx.input(program.bytes()))
        .collect();
    let output = Engines::check_valid(&case(Fork::Osaka, header(Fork::Osaka), &txs, state));
    let values = &output.bundle.account(&MACHINE).expect("it was written").storage;
    let mut distinct: Vec<_> = values.values().map(|slot| slot.present_value).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), slots.len(), "each slot went its own way");
}

/// A change of the write set missed locations that the next incarnation no longer wrote: where a
/// transaction writes depends here on what the one before it wrote.
#[test]
fn a_rewritten_write_set_leaves_nothing_behind() {
    let mut state = funded(12);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    let program = Program::new()
        .step(Kind::Load, 0, 0)
        .step(Kind::SkipIf, 1, 0)
        .step(Kind::StoreConst, 1, 7)
        .step(Kind::Load, 1, 0)
        .step(Kind::Load, 2, 0)
        .step(Kind::Mix, 1, 0)
        .step(Kind::Store, 0, u64::MAX)
        .step(Kind::SkipIf, 2, 0)
        .step(Kind::Store, 2, 3);
    let txs: Vec<_> =
        (1..=12).map(|n| Tx::call(signer(n), 0, MACHINE).input(program.bytes())).collect();
    Engines::check_valid(&case(Fork::Osaka, header(Fork::Osaka), &txs, state));
}

/// Code was read outside the multi-version memory: a contract that the block creates must be seen
/// by what follows, in its code, its hash, its size, and when it is called.
#[test]
fn code_created_in_the_block_is_seen() {
    let fork = Fork::Osaka;
    let mut state = funded(4);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    let init = init_code(MACHINE, &Program::new(), 0, &proxy_code(MACHINE, 60_000));
    let created = signer(1).create(0);
    let looks = Program::new()
        .step(Kind::CodeSize, created, 0)
        .step(Kind::CodeHash, created, 0)
        .step(Kind::CodeCopy, created, 0)
        .step(Kind::Store, 5, u64::MAX);
    let writes = Program::new().step(Kind::StoreConst, 1, 99);
    let txs = [
        Tx::call(signer(2), 0, MACHINE).input(looks.bytes()),
        Tx::create(signer(1), 0, &init),
        Tx::call(signer(3), 0, created).input(writes.bytes()),
        Tx::call(signer(4), 0, MACHINE).input(looks.bytes()),
    ];
    let output = Engines::check_valid(&case(fork, header(fork), &txs, state));
    assert_eq!(slot(&output, created, 1), Some(U256::from(99)));
}

/// A delete was read as a clear, and a marker for cleared storage aliased a real slot: after
/// self-destruct every slot is zero, the first and the last one included, until written anew.
#[test]
fn storage_wiped_by_self_destruct_reads_as_zero() {
    let fork = Fork::Shanghai;
    let mut state = funded(6);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    let init = init_code(MACHINE, &Program::new(), 0, &proxy_code(MACHINE, 100_000));
    let child = MACHINE.create2(B256::ZERO, keccak256(&init));
    put(&mut state, child, 0, 1, &proxy_code(MACHINE, 100_000), &[(0, 5), (1, 6), (u64::MAX, 7)]);
    let mut look = Program::new();
    for at in [U256::ZERO, U256::from(1), U256::from(u64::MAX), U256::MAX] {
        look = look.step(Kind::Load, at, 0);
    }
    let look = look.step(Kind::Mix, 1, 0).step(Kind::Store, 2, u64::MAX);
    let die = Program::new().step(Kind::SelfDestruct, HEIR, 0);
    let create = Program::new().create2(0, 0, &init);
    let txs = [
        Tx::call(signer(1), 0, child).input(look.bytes()),
        Tx::call(signer(2), 0, child).input(die.bytes()),
        Tx::call(signer(3), 0, MACHINE).input(create.bytes()),
        Tx::call(signer(4), 0, child).input(look.bytes()),
        Tx::call(signer(5), 0, child).input(die.bytes()),
        Tx::call(signer(6), 0, MACHINE).input(create.bytes()),
    ];
    let output = Engines::check_valid(&case(fork, header(fork), &txs[..4], state.clone()));
    assert_eq!(slot(&output, child, 2), Some(U256::from(1)), "all slots read as zero");
    Engines::check_valid(&case(fork, header(fork), &txs, state));
}

/// Self-destruct and revival at the same address, across the fork at which EIP-6780 ended them.
#[test]
fn revival_follows_the_fork() {
    for fork in [Fork::Istanbul, Fork::London, Fork::Shanghai, Fork::Cancun, Fork::Osaka] {
        let mut state = funded(6);
        put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
        put(&mut state, HEIR, 1, 0, &[], &[]);
        let init = init_code(MACHINE, &Program::new(), 0, &proxy_code(MACHINE, 100_000));
        let child = MACHINE.create2(B256::ZERO, keccak256(&init));
        let create = Program::new().create2(0, 0, &init).step(Kind::Store, 1, u64::MAX);
        let store = Program::new().step(Kind::Load, 0, 0).step(Kind::Mix, 3, 0).step(
            Kind::Store,
            0,
            u64::MAX,
        );
        let die = Program::new().step(Kind::SelfDestruct, HEIR, 0);
        let txs = [
            Tx::call(signer(1), 0, MACHINE).input(create.bytes()),
            Tx::call(signer(2), 0, child).input(store.bytes()).value(9),
            Tx::call(signer(3), 0, child).input(die.bytes()),
            Tx::call(signer(4), 0, child).value(4),
            Tx::call(signer(5), 0, MACHINE).input(create.bytes()),
            Tx::call(signer(6), 0, child).input(store.bytes()),
        ];
        let output = Engines::check_valid(&case(fork, header(fork), &txs, state));
        // Revived, the child has stored once; never dead, twice: 3, and 3 * 31 + 3.
        let stored = if fork < Fork::Cancun { 3 } else { 96 };
        assert_eq!(slot(&output, child, 0), Some(U256::from(stored)), "{fork:?}");
    }
}

/// EIP-161: an account that is empty and touched is gone, and its storage with it; before
/// EIP-161 it stays.
#[test]
fn touched_empty_accounts_are_cleared() {
    let empty = Address::repeat_byte(0xe0);
    for fork in ALL {
        let mut state = funded(5);
        put(&mut state, empty, 0, 0, &[], &[]);
        put(&mut state, MACHINE, 50, 1, &machine_code(), &[]);
        let touch = Program::new().call(Kind::Call, empty, 0, 30_000, &[]);
        let pay = Program::new().call(Kind::Call, empty, 3, 30_000, &[]);
        let look = read_and_store(Kind::Balance, empty, 1).step(Kind::Gas, 0, 0);
        let txs = [
            Tx::call(signer(1), 0, empty),
            Tx::call(signer(2), 0, MACHINE).input(touch.bytes()),
            Tx::call(signer(3), 0, MACHINE).input(look.bytes()),
            Tx::call(signer(4), 0, MACHINE).input(pay.bytes()),
            Tx::call(signer(5), 0, MACHINE).input(look.step(Kind::Store, 2, u64::MAX).bytes()),
        ];
        Engines::check_valid(&case(fork, header(fork), &txs, state));
    }
}

/// A touched empty account takes its storage along, and code that runs there later finds none.
#[test]
fn an_empty_account_with_storage_is_wiped() {
    let fork = Fork::Prague;
    let mut state = funded(60);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    let empty = signer(99);
    put(&mut state, empty, 0, 0, &[], &[(1, 77)]);
    let mut txs = vec![
        Tx::call(signer(1), 0, empty),
        Tx::call(signer(2), 0, HEIR).delegating(vec![authorize(99, MACHINE, 0)]),
    ];
    for n in 3..=60 {
        let look = Program::new().step(Kind::Load, 1, 0).step(Kind::Mix, 1, 0);
        let look = look.step(Kind::Store, u64::from(n), u64::MAX);
        txs.push(Tx::call(signer(n), 0, empty).input(look.bytes()));
    }
    let output = Engines::check_valid(&case(fork, header(fork), &txs, state));
    assert_eq!(slot(&output, empty, 3), Some(U256::from(1)));
}

/// The beneficiary destroys itself between two fees: what it was paid before is gone, or, from
/// Cancun on, moved; what it is paid after is a new account's.
#[test]
fn the_beneficiary_destroys_itself() {
    for fork in ALL {
        let mut state = funded(4);
        put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
        put(&mut state, BENEFICIARY, 7, 1, &proxy_code(MACHINE, 60_000), &[(1, 1)]);
        let die = Program::new().step(Kind::SelfDestruct, HEIR, 0);
        let look = read_and_store(Kind::Balance, BENEFICIARY, 3).step(Kind::Mix, 1, 0);
        let txs = [
            Tx::call(signer(1), 0, MACHINE).input(look.bytes()),
            Tx::call(signer(2), 0, BENEFICIARY).input(die.bytes()).gas_price(11),
            Tx::call(signer(3), 0, MACHINE).input(look.bytes()),
            Tx::call(signer(4), 0, BENEFICIARY).value(5).input(look.bytes()),
        ];
        Engines::check_valid(&case(fork, header(fork), &txs, state));
    }
}

/// The beneficiary sends, is paid, runs and is looked at, all in one block.
#[test]
fn the_beneficiary_takes_part() {
    for fork in [Fork::Frontier, Fork::SpuriousDragon, Fork::London, Fork::Osaka] {
        let mut state = funded(4);
        put(&mut state, MACHINE, 100, 1, &machine_code(), &[]);
        let beneficiary = signer(1);
        let pay = Program::new()
            .step(Kind::Balance, beneficiary, 0)
            .step(Kind::Store, 1, u64::MAX)
            .call(Kind::Call, beneficiary, 7, 30_000, &[]);
        let txs = [
            Tx::call(signer(2), 0, beneficiary).value(1_000),
            Tx::call(beneficiary, 0, MACHINE).input(pay.bytes()).value(9),
            Tx::call(signer(3), 0, MACHINE).input(pay.bytes()),
            Tx::call(beneficiary, 1, beneficiary).value(10_u64.pow(17)),
            Tx::call(signer(4), 0, MACHINE).input(pay.bytes()),
            Tx::call(beneficiary, 2, signer(4)).value(10_u64.pow(17)),
        ];
        let header = alloy_consensus::Header { beneficiary, ..header(fork) };
        Engines::check_valid(&case(fork, header, &txs, state));
    }
}

/// An account that was delegated, re-delegated or un-delegated (EIP-7702) twice in one block kept
/// its first code.
#[test]
fn delegations_change_within_a_block() {
    let fork = Fork::Prague;
    let mut state = funded(8);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    put(&mut state, OTHER, 0, 1, &proxy_code(MACHINE, 60_000), &[]);
    let authority = signer(9);
    let look = read_and_store(Kind::CodeHash, authority, 1);
    let count =
        Program::new().step(Kind::Load, 0, 0).step(Kind::Mix, 1, 0).step(Kind::Store, 0, u64::MAX);
    let call = |n: u8| Tx::call(signer(n), 0, authority).input(count.bytes());
    let twice = vec![authorize(9, MACHINE, 2), authorize(9, OTHER, 3)];
    let txs = [
        call(1).delegating(vec![authorize(9, MACHINE, 0)]),
        call(2),
        Tx::call(signer(3), 0, MACHINE).input(look.bytes()),
        call(4).delegating(vec![authorize(9, Address::ZERO, 1)]),
        call(5),
        call(6).delegating(twice),
        Tx::call(signer(7), 0, MACHINE).input(look.step(Kind::Store, 2, u64::MAX).bytes()),
        call(8).delegating(vec![authorize(9, MACHINE, 0)]),
    ];
    let output = Engines::check_valid(&case(fork, header(fork), &txs, state));
    let account = output.bundle.account(&authority).and_then(|account| account.info.as_ref());
    assert_eq!(account.map(|info| info.nonce), Some(4), "four authorizations are valid");
}

/// Authorities were unknown before recovery: an authority's nonce moves without it sending, which
/// its own transactions in the block must notice.
#[test]
fn an_authority_sends_in_the_same_block() {
    let fork = Fork::Prague;
    let mut state = funded(4);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    let txs = [
        Tx::call(signer(1), 0, HEIR).delegating(vec![authorize(2, MACHINE, 0)]),
        Tx::call(signer(2), 1, signer(2)).value(5),
        Tx::call(signer(2), 2, HEIR).delegating(vec![authorize(2, Address::ZERO, 3)]),
        Tx::call(signer(2), 4, HEIR).value(1),
        Tx::call(signer(3), 0, HEIR).delegating(vec![authorize(2, MACHINE, 1)]),
        Tx::call(signer(2), 5, HEIR),
    ];
    Engines::check_valid(&case(fork, header(fork), &txs, state));
}

/// A delegation of an account to itself panicked a node.
#[test]
fn self_delegation_halts_and_does_not_panic() {
    let fork = Fork::Prague;
    let mut state = funded(3);
    put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
    let loops = Program::new().call(Kind::Call, signer(1), 1, 50_000, &[]);
    let txs = [
        Tx::call(signer(1), 0, signer(1)).delegating(vec![authorize(1, signer(1), 1)]),
        Tx::call(signer(2), 0, signer(1)).input(&[1]),
        Tx::call(signer(3), 0, MACHINE).input(loops.bytes()).value(2),
        Tx::call(signer(1), 2, signer(1)),
    ];
    Engines::check_valid(&case(fork, header(fork), &txs, state));
}

/// `has_storage` was a read nobody tracked (EIP-7610): a creation comes to an address that has
/// storage, put there before the block or in it. revm does not refuse the creation; what matters
/// here is that both ways of executing agree.
#[test]
fn creation_meets_storage() {
    for fork in [Fork::Istanbul, Fork::Shanghai, Fork::Osaka] {
        let mut state = funded(4);
        put(&mut state, MACHINE, 0, 1, &machine_code(), &[]);
        let init = init_code(MACHINE, &Program::new(), 0, &proxy_code(MACHINE, 60_000));
        let created = signer(1).create(0);
        put(&mut state, created, 1, 0, &[], &[(0, 5), (1, 6)]);
        let count = Program::new().step(Kind::Load, 0, 0).step(Kind::Store, 1, u64::MAX);
        let txs = [
            Tx::call(signer(2), 0, created).value(1),
            Tx::create(signer(1), 0, &init),
            Tx::call(signer(3), 0, created).input(count.bytes()),
            Tx::create(signer(1), 1, &init),
        ];
        Engines::check_valid(&case(fork, header(fork), &txs, state));
    }
}

/// Rules silently stopped at Cancun: CLZ (EIP-7939) is Osaka's.
#[test]
fn rules_go_on_past_cancun() {
    const CLZ: u8 = 0x1e;
    let run = |fork: Fork| {
        let mut state = funded(2);
        let code = Asm::new().push(1).op(CLZ).push(0).op(opcode::SSTORE).op(opcode::STOP).finish();
        put(&mut state, OTHER, 0, 1, &code, &[]);
        let txs = [Tx::call(signer(1), 0, OTHER), Tx::call(signer(2), 0, OTHER)];
        Engines::check_valid(&case(fork, header(fork), &txs, state))
    };
    assert_eq!(slot(&run(Fork::Osaka), OTHER, 0), Some(U256::from(255)));
    assert_eq!(slot(&run(Fork::Prague), OTHER, 0), None, "an invalid opcode before Osaka");
}

/// Write-set bookkeeping was quadratic in the writes of one transaction. The header says that no
/// gas is used, which nobody has checked when the memory is made: it must have room all the same.
/// Timings decide no test; that lists stay short is tested where they are, in the memory.
#[test]
fn one_transaction_writes_thousands_of_slots() {
    let fork = Fork::Shanghai;
    let mut state = funded(3);
    let mut asm = Asm::new();
    let again = asm.label();
    // Stores 12,000 times the counter in the slot of that number.
    asm.push(12_000).jumpdest(again).ops(&[opcode::DUP1, opcode::DUP1, opcode::SSTORE]).push(1);
    asm.ops(&[opcode::SWAP1, opcode::SUB, opcode::DUP1]).push_label(again).op(opcode::JUMPI);
    put(&mut state, OTHER, 0, 1, &asm.finish(), &[]);
    let header = alloy_consensus::Header { gas_limit: 1_000_000_000, ..header(fork) };
    let tx = |n| Tx::call(signer(n), 0, OTHER).gas_limit(300_000_000);
    let case = case(fork, header, &[tx(1), tx(2), tx(3)], state);
    // Without stalls, which 36,000 reads would make the most of the test.
    let output =
        Engines::new().compare(&case, 1).unwrap_or_else(|difference| panic!("{difference}"));
    let output = output.unwrap_or_else(|error| panic!("the block is valid, but: {error}"));
    let storage = &output.bundle.account(&OTHER).expect("it was written").storage;
    assert_eq!(storage.len(), 12_000);
}
