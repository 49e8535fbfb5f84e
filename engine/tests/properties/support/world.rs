//! The small world that generated blocks run in: few accounts, so that transactions collide.

use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, B256, U256, keccak256};
use pleach_state::FlatState;

use super::{
    blocks::{BENEFICIARY, BLOCK_NUMBER, signer},
    forks::Fork,
    machine::{Kind, Program, init_code, machine_code, proxy_code},
    prestate::put,
    rng::Rng,
};

/// Signers are numbered from 1.
pub(crate) const SIGNERS: u8 = 6;
pub(crate) const MACHINES: [Address; 4] = [
    Address::repeat_byte(0xc0),
    Address::repeat_byte(0xc1),
    Address::repeat_byte(0xc2),
    Address::repeat_byte(0xc3),
];
const PROXY: Address = Address::repeat_byte(0xa0);
/// In the prestate, with nothing in it.
pub(crate) const EMPTY: Address = Address::repeat_byte(0xe0);
/// Not in the prestate.
const NOBODY: Address = Address::repeat_byte(0xf0);
/// Only holds wei.
const RICH: Address = Address::repeat_byte(0xd0);

/// The accounts of one generated block.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) fork: Fork,
    pub(crate) signers: Vec<Address>,
    /// What calls may name: everything above, precompiles, system contracts, addresses where
    /// contracts may come to be.
    pub(crate) targets: Vec<Address>,
    /// Init codes that creations choose from; few, so that `CREATE2` addresses coincide.
    pub(crate) inits: Vec<Vec<u8>>,
    /// Most often a stranger; else it takes part in the block.
    pub(crate) beneficiary: Address,
    pub(crate) state: FlatState,
}

impl World {
    pub(crate) fn new(fork: Fork, rng: &mut Rng) -> Self {
        let signers: Vec<_> = (1..=SIGNERS).map(signer).collect();
        let inits = inits(fork);
        let mut targets = vec![PROXY, EMPTY, NOBODY, RICH, BENEFICIARY];
        targets.extend(MACHINES);
        targets.extend(&signers);
        targets.extend([1, 2, 3, 4, 6, 9].map(Address::with_last_byte));
        targets.extend(creations(&signers, &inits));
        targets.extend(system_contracts().map(|(address, _)| address));
        let beneficiary = match rng.below(4) {
            0 => rng.pick(&targets),
            1 => rng.pick(&MACHINES),
            _ => BENEFICIARY,
        };
        let state = prestate(fork, &signers, &inits, rng);
        Self { fork, signers, targets, inits, beneficiary, state }
    }
}

/// Gas that proxies and init codes pass on.
const PASSED_ON: u64 = 60_000;

fn inits(fork: Fork) -> Vec<Vec<u8>> {
    let machine = MACHINES[0];
    let proxy = proxy_code(machine, PASSED_ON);
    let init = |program: &Program, deployed: &[u8]| init_code(machine, program, 120_000, deployed);
    let stores = Program::new()
        .step(Kind::Load, 0, 0)
        .step(Kind::Mix, 5, 0)
        .step(Kind::Store, 0, 255)
        .step(Kind::Store, 1, 7);
    let learns = Program::new().step(Kind::Balance, BENEFICIARY, 0).step(Kind::Store, 2, u64::MAX);
    let mut inits = vec![
        init(&Program::new(), &proxy),
        init(&stores, &proxy),
        init(&learns, &proxy),
        init(&stores.clone().step(Kind::SelfDestruct, RICH, 0), &[]),
        init(&Program::new(), &[]),
        init(&Program::new(), &[0xef]),
        vec![0xfe],
    ];
    if fork >= Fork::Istanbul {
        let balance = Program::new().step(Kind::SelfBalance, 0, 0).step(Kind::Store, 3, u64::MAX);
        inits.push(init(&balance, &proxy));
    }
    inits
}

/// Where the world's creators will put the contracts that they create.
fn creations(signers: &[Address], inits: &[Vec<u8>]) -> Vec<Address> {
    let mut found = Vec::new();
    for machine in &MACHINES[..2] {
        found.extend((1..=2).map(|nonce| machine.create(nonce)));
        found.extend(inits.iter().map(|init| machine.create2(B256::ZERO, keccak256(init))));
    }
    found.extend(signers[..2].iter().flat_map(|signer| (0..2).map(|nonce| signer.create(nonce))));
    found
}

fn system_contracts() -> [(Address, alloy_primitives::Bytes); 4] {
    [
        (eip4788::BEACON_ROOTS_ADDRESS, eip4788::BEACON_ROOTS_CODE.clone()),
        (eip2935::HISTORY_STORAGE_ADDRESS, eip2935::HISTORY_STORAGE_CODE.clone()),
        (
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone(),
        ),
        (
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
            eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone(),
        ),
    ]
}

fn prestate(fork: Fork, signers: &[Address], inits: &[Vec<u8>], rng: &mut Rng) -> FlatState {
    let mut state = FlatState::new();
    for signer in signers {
        // Some can only just pay for a transaction or two.
        let balance = rng.pick(&[u128::from(u64::MAX), 1 << 90, 9_000_000, 5_000_000]);
        put(&mut state, *signer, U256::from(balance), 0, &[], &[]);
    }
    if rng.chance(20) {
        // It can be called and can delegate, but not pay; and it is empty but for its storage.
        let last = signers.last().expect("there are signers");
        put(&mut state, *last, 0, 0, &[], &[(0, 50), (1, 51)]);
    }
    let huge = [U256::MAX, U256::MAX - U256::from(5), U256::from(1) << 255, U256::from(1) << 252];
    for machine in MACHINES {
        let balance = match rng.below(8) {
            0 => rng.pick(&huge),
            1 | 2 => U256::ZERO,
            _ => U256::from(rng.below(1_000)),
        };
        put(&mut state, machine, balance, 1, &machine_code(), &[(0, 1), (1, 2), (2, 3)]);
    }
    put(&mut state, PROXY, 100, 1, &proxy_code(MACHINES[0], PASSED_ON), &[(1, 9)]);
    put(&mut state, RICH, 1 << 40, 0, &[], &[]);
    if rng.chance(50) {
        put(&mut state, EMPTY, 0, 0, &[], &[]);
    }
    // Most often the beneficiary is known: what runs ahead seldom stands where it is not.
    if rng.chance(80) {
        put(&mut state, BENEFICIARY, 1, 0, &[], &[]);
    }
    if rng.chance(30) {
        // Something is in the way of a creation: wei alone is not, a nonce or code is.
        let at = rng.pick(&creations(signers, inits));
        let code: &[u8] = if rng.chance(30) { &[0x00] } else { &[] };
        put(&mut state, at, rng.below(2), rng.below(2), code, &[(0, 77)]);
    }
    for (address, code) in system_contracts() {
        if fork >= Fork::Cancun {
            put(&mut state, address, 0, 1, &code, &[]);
        }
    }
    for number in BLOCK_NUMBER - 300..BLOCK_NUMBER {
        state.insert_block_hash(number, keccak256(number.to_be_bytes()));
    }
    state
}
