//! Random blocks whose transactions get in each other's way.

use alloy_consensus::Header;
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip4895::{Withdrawal, Withdrawals},
    eip7702::SignedAuthorization,
};
use alloy_primitives::{Address, B256, TxKind, U256};
use pleach_engine::execute_serial;

use super::{
    blocks::{BLOCK_NUMBER, Style, Tx, authorize, full_case, header, recovered},
    compare::Case,
    forks::{ALL, Fork},
    machine::{Kind, Program},
    rng::Rng,
    world::{MACHINES, SIGNERS, World},
};

/// The block that a seed stands for.
pub(crate) fn generate(seed: u64) -> Case {
    generate_sized(seed, [2, 28])
}

/// The block that a seed stands for among those of so many transactions, both bounds included.
pub(crate) fn generate_sized(seed: u64, [fewest, most]: [u64; 2]) -> Case {
    let mut rng = Rng::new(seed);
    let fork = ALL[(seed % ALL.len() as u64) as usize];
    let world = World::new(fork, &mut rng);
    let mut header = header(fork);
    header.beneficiary = world.beneficiary;
    if rng.chance(10) {
        header.gas_limit = rng.between(1_000_000, 4_000_000);
    }
    let mut nonces = vec![0; usize::from(SIGNERS)];
    let count = rng.between(fewest, most);
    let txs: Vec<_> = (0..count).map(|_| transaction(&world, &mut nonces, &mut rng)).collect();
    let ommers = ommers(&world, &header, &mut rng);
    let withdrawals = withdrawals(&world, &mut rng);
    let case = full_case(fork, header, &txs, world.state, ommers, withdrawals);
    // Most blocks shall be valid up to their end; some keep what was invalid by chance.
    if rng.chance(15) { case } else { without_invalid(case, fork, txs) }
}

/// Drops transactions until none is invalid.
fn without_invalid(mut case: Case, fork: Fork, mut txs: Vec<Tx>) -> Case {
    loop {
        let error = match execute_serial(&case.chain, &case.block, &case.prestate, false) {
            Ok(_) => return case,
            Err(error) => error,
        };
        let Some(index) = error.index() else { return case };
        // What follows in the same sender's chain of nonces moves up.
        let dropped = txs.remove(index);
        let later = txs.iter_mut().skip(index).filter(|tx| tx.from == dropped.from);
        later.for_each(|tx| tx.nonce = tx.nonce.saturating_sub(1));
        let block = case.block.block();
        let (ommers, withdrawals) = (block.body.ommers.clone(), block.body.withdrawals.clone());
        case.block = recovered(fork, block.header.clone(), &txs, ommers, withdrawals);
    }
}

fn ommers(world: &World, header: &Header, rng: &mut Rng) -> Vec<Header> {
    if world.fork >= Fork::Paris {
        return Vec::new();
    }
    let ommer = |rng: &mut Rng| Header {
        number: BLOCK_NUMBER - rng.between(1, 6),
        beneficiary: rng.pick(&world.targets),
        ..header.clone()
    };
    (0..rng.below(3)).map(|_| ommer(rng)).collect()
}

fn withdrawals(world: &World, rng: &mut Rng) -> Option<Withdrawals> {
    if world.fork < Fork::Shanghai {
        return None;
    }
    let withdrawal = |index, rng: &mut Rng| Withdrawal {
        index,
        validator_index: index,
        address: rng.pick(&world.targets),
        amount: rng.below(3),
    };
    let count = rng.below(4);
    Some(Withdrawals::new((0..count).map(|index| withdrawal(index, rng)).collect()))
}

fn transaction(world: &World, nonces: &mut [u64], rng: &mut Rng) -> Tx {
    // Few senders make long chains of nonces.
    let senders = if rng.chance(30) { 2 } else { u64::from(SIGNERS) };
    let who = rng.below(senders) as usize;
    let from = world.signers[who];
    let nonce = nonces[who];
    nonces[who] += 1;
    let mut tx = body(world, from, nonce, rng);
    tx.style = style(world, &mut tx, rng);
    if let Style::Delegation { authorizations, .. } = &tx.style {
        for authority in authorizations.iter().filter_map(|signed| signed.recover_authority().ok())
        {
            let at = world.signers.iter().position(|signer| *signer == authority);
            at.into_iter().for_each(|at| nonces[at] += 1);
        }
    }
    if rng.chance(3) {
        spoil(world, &mut tx, rng);
    }
    tx
}

fn body(world: &World, from: Address, nonce: u64, rng: &mut Rng) -> Tx {
    let program = program(world, rng, 2);
    let tx = match rng.below(10) {
        0 | 1 => Tx::call(from, nonce, rng.pick(&world.targets)),
        2 => Tx::create(from, nonce, &world.inits[rng.below(world.inits.len() as u64) as usize]),
        3 => Tx::call(from, nonce, rng.pick(&world.targets)).input(program.bytes()),
        _ => Tx::call(from, nonce, rng.pick(&MACHINES)).input(program.bytes()),
    };
    let gas_limit = match rng.below(4) {
        0 => rng.between(40_000, 120_000),
        _ => 700_000,
    };
    let gas_price = if rng.chance(5) { 0 } else { rng.between(7, 12) };
    let gas_price = if world.fork >= Fork::London { gas_price.max(7) } else { gas_price };
    tx.value(amount(rng)).gas_limit(gas_limit).gas_price(gas_price.into())
}

fn amount(rng: &mut Rng) -> U256 {
    match rng.below(20) {
        0 => U256::from(1) << rng.between(20, 255),
        1 => U256::from(rng.below(9_000_000)),
        2..=9 => U256::from(rng.below(40)),
        _ => U256::ZERO,
    }
}

fn style(world: &World, tx: &mut Tx, rng: &mut Rng) -> Style {
    let tip = u128::from(rng.below(3));
    let creates = tx.to == TxKind::Create;
    match rng.below(6) {
        0 if world.fork >= Fork::Berlin => Style::AccessList(access_list(world, rng)),
        1 if world.fork >= Fork::London => Style::DynamicFee { tip },
        2 if world.fork >= Fork::Cancun && !creates => {
            // The first byte is the version of EIP-4844's hashes.
            Style::Blob {
                tip,
                hashes: vec![B256::repeat_byte(1)],
                max_blob_fee: rng.between(1, 3).into(),
            }
        }
        3 | 4 if world.fork >= Fork::Prague && !creates => {
            let count = rng.between(1, 3);
            let authorizations = (0..count).map(|_| authorization(world, tx, rng)).collect();
            Style::Delegation { tip, authorizations }
        }
        _ => Style::Legacy,
    }
}

fn access_list(world: &World, rng: &mut Rng) -> AccessList {
    let item = |rng: &mut Rng| AccessListItem {
        address: rng.pick(&world.targets),
        storage_keys: (0..rng.below(3)).map(|slot| B256::with_last_byte(slot as u8)).collect(),
    };
    AccessList((0..rng.below(3)).map(|_| item(rng)).collect())
}

/// Most are valid if the signer has not been busy otherwise; some never are.
fn authorization(world: &World, tx: &Tx, rng: &mut Rng) -> SignedAuthorization {
    let number = rng.between(1, SIGNERS.into()) as u8;
    let authority = world.signers[usize::from(number) - 1];
    let delegate = match rng.below(6) {
        0 => Address::ZERO,
        1 => authority,
        2 => rng.pick(&world.signers),
        3 => rng.pick(&world.targets),
        _ => rng.pick(&MACHINES),
    };
    let sent = u64::from(authority == tx.from);
    let nonce = if rng.chance(70) { tx.nonce + sent } else { rng.below(6) };
    authorize(number, delegate, nonce)
}

/// Makes the transaction invalid in one of the ways that there are.
fn spoil(world: &World, tx: &mut Tx, rng: &mut Rng) {
    match rng.below(6) {
        0 => tx.nonce += rng.between(1, 3),
        1 => tx.nonce = tx.nonce.saturating_sub(rng.between(1, 3)),
        2 => tx.value = U256::from(1) << 200,
        3 => tx.gas_limit = 31_000_000,
        4 => tx.gas_price = 1,
        // A sender with code (EIP-3607).
        _ => tx.from = rng.pick(&world.targets),
    }
}

/// A program of a few steps, with calls nested at most `depth` deep.
fn program(world: &World, rng: &mut Rng, depth: u64) -> Program {
    let mut program = Program::new();
    for _ in 0..rng.between(1, 6) {
        program = match rng.below(8) {
            0..=2 if depth > 0 => call(world, rng, program, depth),
            3 if depth > 0 && rng.chance(60) => create(world, rng, program),
            _ => simple_step(world, rng, program),
        };
    }
    program
}

fn simple_step(world: &World, rng: &mut Rng, program: Program) -> Program {
    use Kind::*;
    let account = rng.pick(&world.targets);
    let slot = rng.below(4);
    match rng.below(21) {
        0..=2 => program.step(Load, slot, 0),
        3..=5 => program.step(Store, slot, rng.pick(&[1, 3, u64::MAX])),
        6 => program.step(StoreConst, slot, rng.below(3)),
        7 | 8 => program.step(Balance, account, 0),
        9 if world.fork >= Fork::Istanbul => program.step(SelfBalance, 0, 0),
        10 if world.fork >= Fork::Istanbul => program.step(CodeHash, account, 0),
        11 => program.step(CodeSize, account, 0),
        12 => program.step(CodeCopy, account, 0),
        13 => program.step(BlockHash, rng.between(0, 258), 0),
        14 if world.fork >= Fork::Cancun => program.step(TStore, slot, 0).step(TLoad, slot, 0),
        15 => program.step(Log, slot, 0),
        16 if world.fork >= Fork::Byzantium => program.step(RevertIf, 1 << rng.below(4), 0),
        17 => program.step(FailIf, 1 << rng.below(4), 0),
        18 => program.step(SkipIf, 1, 0).step(StoreConst, slot, 9),
        19 if rng.chance(50) => program.step(SelfDestruct, account, 0),
        20 => program.step(Hash, 0, 0),
        _ => program.step(Gas, 0, 0),
    }
}

fn call(world: &World, rng: &mut Rng, outer: Program, depth: u64) -> Program {
    let kind = match rng.below(10) {
        0 => Kind::CallCode,
        1 | 2 if world.fork >= Fork::Homestead => Kind::DelegateCall,
        3 if world.fork >= Fork::Byzantium => Kind::StaticCall,
        4 => Kind::CallMasked,
        _ => Kind::Call,
    };
    let to = if rng.chance(50) { rng.pick(&MACHINES) } else { rng.pick(&world.targets) };
    let value = if rng.chance(50) { amount(rng) } else { U256::from(rng.below(8)) };
    let gas = match rng.below(4) {
        0 => rng.between(0, 30_000),
        1 => 100_000,
        _ => 60_000,
    };
    let inner = if rng.chance(80) { program(world, rng, depth - 1) } else { Program::new() };
    outer.call(kind, to, value, gas, inner.bytes())
}

fn create(world: &World, rng: &mut Rng, outer: Program) -> Program {
    let init = &world.inits[rng.below(world.inits.len() as u64) as usize];
    let value = if rng.chance(70) { U256::ZERO } else { amount(rng) };
    match world.fork >= Fork::Istanbul && rng.chance(70) {
        true => outer.create2(0, value, init),
        false => outer.create(value, init),
    }
}
