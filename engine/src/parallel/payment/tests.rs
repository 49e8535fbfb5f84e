//! Payments against revm: transactions of every kind that looks like one, between accounts of every
//! kind there is, on all forks. Where [`pay`] gives a result, revm gives the same one, and the
//! memory holds the same after either; where revm refuses a transaction, so does [`pay`].

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, atomic::AtomicBool},
};

use alloy_evm::{EthEvmFactory, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{B256, TxKind};
use pleach_scheduler::{Pen, Scheduler};
use pleach_state::{FlatAccount, FlatState};
use revm::{
    context::{BlockEnv, CfgEnv},
    context_interface::block::BlobExcessGasAndPrice,
    database_interface::WrapDatabaseRef,
    state::EvmState,
};

use super::*;
use crate::parallel::{
    bundle::Gathering,
    location::Writer,
    mv_memory::{After, MvMemory},
    observe::SpeculativeEvmFactory,
    parts::Known,
    read_set::ReadSet,
    view::Shared,
};

#[path = "../../../tests/properties/support/rng.rs"]
mod rng;

use rng::Rng;

/// Tried unless `PLEACH_CASES=N` says otherwise; `PLEACH_SEED=S` tries one.
const CASES: u64 = 40_000;

const SPECS: [SpecId; 15] = [
    SpecId::FRONTIER,
    SpecId::HOMESTEAD,
    SpecId::TANGERINE,
    SpecId::SPURIOUS_DRAGON,
    SpecId::BYZANTIUM,
    SpecId::PETERSBURG,
    SpecId::ISTANBUL,
    SpecId::BERLIN,
    SpecId::LONDON,
    SpecId::MERGE,
    SpecId::SHANGHAI,
    SpecId::CANCUN,
    SpecId::PRAGUE,
    SpecId::OSAKA,
    SpecId::AMSTERDAM,
];

const RICH: Address = Address::repeat_byte(0xa0);
/// Has about what the transaction may cost.
const SCANT: Address = Address::repeat_byte(0xa1);
/// Has nothing but a nonce.
const SPENT: Address = Address::repeat_byte(0xa2);
/// In the state, with nothing in it.
const EMPTY: Address = Address::repeat_byte(0xe0);
/// Not in the state.
const NOBODY: Address = Address::repeat_byte(0xf0);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const DELEGATED: Address = Address::repeat_byte(0xd0);
/// Has nearly 2^256 wei.
const HUGE: Address = Address::repeat_byte(0xb0);

const ACCOUNTS: [Address; 8] = [RICH, SCANT, SPENT, EMPTY, NOBODY, CONTRACT, DELEGATED, HUGE];

/// One transaction with all that executing it takes.
struct Case {
    spec: SpecId,
    block: BlockEnv,
    tx: TxEnv,
    state: Arc<FlatState>,
}

fn generate(seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let spec = rng.pick(&SPECS);
    let base_fee = if spec >= SpecId::LONDON { rng.below(9) } else { 0 };
    let block = BlockEnv {
        number: U256::from(1_000),
        beneficiary: rng.pick(&ACCOUNTS),
        gas_limit: 30_000_000,
        basefee: base_fee,
        prevrandao: (spec >= SpecId::MERGE).then_some(B256::ZERO),
        blob_excess_gas_and_price: (spec >= SpecId::CANCUN)
            .then(|| BlobExcessGasAndPrice::new(0, 3_338_477)),
        ..BlockEnv::default()
    };
    let tx = transaction(&mut rng);
    let state = Arc::new(state(&tx, &mut rng));
    Case { spec, block, tx, state }
}

fn transaction(rng: &mut Rng) -> TxEnv {
    let caller = if rng.chance(70) { rng.pick(&[RICH, SCANT]) } else { rng.pick(&ACCOUNTS) };
    let to = match rng.below(20) {
        0 => Address::with_last_byte(rng.between(1, 20) as u8),
        1 => caller,
        _ => rng.pick(&ACCOUNTS),
    };
    let gas_limit = match rng.below(8) {
        0 => rng.between(20_999, 21_001),
        1 => rng.between(53_000, (1 << 24) + 1),
        2 => 30_000_001,
        3..=5 => 21_000,
        _ => rng.between(21_000, 90_000),
    };
    let value = match rng.below(4) {
        0 => U256::ZERO,
        1 => U256::from(rng.next()) << rng.below(256),
        _ => U256::from(rng.below(1_000_000)),
    };
    let tx_type = rng.below(3) as u8;
    TxEnv {
        tx_type,
        caller,
        gas_limit,
        gas_price: rng.below(14).into(),
        kind: if rng.chance(2) { TxKind::Create } else { TxKind::Call(to) },
        value,
        data: if rng.chance(3) { Bytes::from_static(&[1]) } else { Bytes::new() },
        nonce: if rng.chance(4) { rng.below(3) } else { 1 },
        chain_id: if rng.chance(2) { Some(2) } else { Some(1) },
        gas_priority_fee: (tx_type == 2).then(|| rng.below(10).into()),
        ..TxEnv::default()
    }
}

/// All accounts, one of them with about what the transaction may cost.
fn state(tx: &TxEnv, rng: &mut Rng) -> FlatState {
    let fee = U256::from(u128::from(tx.gas_limit).saturating_mul(tx.gas_price));
    let price = tx.gas_price.saturating_sub(rng.below(4).into());
    let fees = [fee, U256::from(u128::from(tx.gas_limit) * price), U256::ZERO];
    let scant = rng.pick(&fees).saturating_add(tx.value);
    let scant = scant.saturating_add(U256::from(rng.below(3))).saturating_sub(U256::from(1));
    let ether = U256::from(10).pow(U256::from(18));
    let huge = U256::MAX - U256::from(rng.below(1_000_000));
    let delegation = [&[0xef, 0x01, 0x00][..], CONTRACT.as_slice()].concat();
    let accounts: [(Address, U256, u64, &[u8]); 7] = [
        (RICH, ether, 1, &[]),
        (SCANT, scant, 1, &[]),
        (SPENT, U256::ZERO, 1, &[]),
        (EMPTY, U256::ZERO, 0, &[]),
        (CONTRACT, ether, 1, &[0x00]),
        (DELEGATED, ether, 1, &delegation),
        (HUGE, huge, 1, &[]),
    ];
    let mut state = FlatState::new();
    for (address, balance, nonce, code) in accounts {
        let code_hash = state.insert_code(Bytes::copy_from_slice(code));
        let info = AccountInfo { balance, nonce, code_hash, ..AccountInfo::default() };
        state.insert_account(address, FlatAccount { info, ..FlatAccount::default() });
    }
    state
}

impl Case {
    fn env(&self) -> EvmEnv {
        let cfg_env = CfgEnv::new_with_spec(self.spec);
        EvmEnv { cfg_env, block_env: self.block.clone() }
    }

    /// What revm makes of the transaction, if it is valid.
    fn by_revm(&self) -> Option<(ExecutionResult<HaltReason>, EvmState)> {
        let db = WrapDatabaseRef(Arc::clone(&self.state));
        let mut evm = EthEvmFactory::default().create_evm(db, self.env());
        let ran = evm.transact_raw(self.tx.clone()).ok()?;
        Some((ran.result, ran.state))
    }

    /// The same without an interpreter, as workers do it.
    fn by_payment(&self) -> Option<Payment<HaltReason>> {
        if !EthEvmFactory::may_be_payment(&self.tx) {
            return None;
        }
        let shared = Shared {
            memory: Arc::new(self.memory()),
            scheduler: Scheduler::new(1, 1),
            prestate: self.state.clone(),
            ledger: None,
            gathering: Gathering::default(),
            follower: None,
            is_over: AtomicBool::new(false),
        };
        let view = View::new(Arc::new(shared));
        let mut evm = EthEvmFactory::default().create_speculative(view, self.env());
        // Without a sender to assume a nonce for, the nonce that is there counts.
        evm.db_mut().begin(0, None, ReadSet::default());
        EthEvmFactory::pay(&self.tx, &mut evm)
    }

    fn memory(&self) -> MvMemory {
        MvMemory::new(1, 1_000_000, self.block.beneficiary)
    }

    /// All that a memory tells of every account, and what its owner is told, after `publish`.
    fn published(
        &self,
        publish: impl FnOnce(&MvMemory, &mut dyn FnMut(&Address, After)),
    ) -> Vec<String> {
        let (memory, mut told) = (self.memory(), BTreeMap::new());
        publish(&memory, &mut |address, After { balance, nonce }| {
            let balance = balance.map(|new| (new.balance, new.bare, new.entry.is_some()));
            told.insert(*address, (balance, nonce));
        });
        let tell = |address: Address| {
            let hash = memory.account_hash(&address);
            let now = memory.account(hash, &address, Writer::LAST, Known::default());
            let told = told.get(&address).copied().unwrap_or_default();
            let code = now.code.map(|code| code.0);
            let (balance, nonce, exists) = (now.balance, now.nonce, now.exists);
            format!("{address}: {balance:?} {nonce:?} {exists:?} {code:?}, told {told:?}")
        };
        let others = [self.tx.caller, self.block.beneficiary].into_iter();
        ACCOUNTS.into_iter().chain(others).chain(self.tx.kind.to().copied()).map(tell).collect()
    }
}

/// Whether the case was paid. Panics where revm says otherwise.
fn check(seed: u64) -> bool {
    let case = generate(seed);
    let Some(Payment { result, parties }) = case.by_payment() else { return false };
    let tx = &case.tx;
    let Some((expected, state)) = case.by_revm() else {
        panic!("PLEACH_SEED={seed}: revm refuses what was paid: {tx:?}");
    };
    assert_eq!(result, expected, "PLEACH_SEED={seed}: {tx:?}");
    let writer = Writer::transaction(0);
    let ours = case.published(|memory, changed| {
        let names = (&mut Pen::default(), &mut Vec::new());
        memory.publish_payment(names, writer, &parties, changed);
    });
    let theirs = case.published(|memory, changed| {
        memory.publish((&mut Pen::default(), &mut Vec::new()), writer, &state, changed);
    });
    assert_eq!(ours, theirs, "PLEACH_SEED={seed}: {tx:?} on {:?}", case.spec);
    true
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

#[test]
fn payments_are_those_of_revm() {
    if let Some(seed) = number("PLEACH_SEED") {
        eprintln!("seed {seed}: paid: {}", check(seed));
        return;
    }
    let cases = number("PLEACH_CASES").unwrap_or(CASES);
    let paid = (0..cases).filter(|seed| check(*seed)).count() as u64;
    eprintln!("{cases} transactions, {paid} of them paid");
    assert!(paid * 20 >= cases, "what is left to the EVM tests little");
}
