//! Chains with precompiles and opcodes of their own.

use alloy_evm::{
    Database, EthEvm, EthEvmFactory, Evm, EvmEnv, EvmFactory,
    block::BlockExecutorFactory,
    eth::EthEvmContext,
    precompiles::{DynPrecompile, PrecompileInput, PrecompilesMap},
};
use alloy_primitives::{Address, Bytes, U256, hex};
use pleach_engine::{ChainSpec, Debits, Observed, Validation};
use revm::{
    Inspector,
    context::{
        BlockEnv, DBErrorMarker, TxEnv,
        result::{EVMError, HaltReason},
    },
    inspector::NoOpInspector,
    interpreter::{
        Host, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        interpreter::EthInterpreter,
    },
    precompile::{PrecompileId, PrecompileOutput, PrecompileResult},
    primitives::hardfork::SpecId,
};

use crate::{
    drive::{OneByOne, compare, parallel_factory},
    scenario::{BENEFICIARY, COUNTER, PAYER, TestBlock, block, header, insert, sender, tx, word},
};

/// Adds up the bytes of its input; knows nothing of the state.
const ADDER: Address = Address::repeat_byte(0xad);
/// Returns a balance and a slot, looked up in the journal, and mints a wei for whom it looked up.
const BANK: Address = Address::repeat_byte(0xbb);
/// Returns the sum of a balance and a slot, looked up in the database, past the journal.
const ORACLE: Address = Address::repeat_byte(0x0a);
/// The opcode that looks up the balance of the account on top of the stack, as `BALANCE` does.
const WEALTH: u8 = 0x0c;
/// A contract that returns what `WEALTH` gives for the account in its call data.
const WEALTH_READER: Address = Address::repeat_byte(0xea);

fn output(gas: u64, value: U256, reservoir: u64) -> PrecompileResult {
    Ok(PrecompileOutput::new(gas, value.to_be_bytes_vec().into(), reservoir))
}

fn named(input: &PrecompileInput<'_>) -> Address {
    let word = input.data.get(..32).unwrap_or(&[0; 32]);
    Address::from_slice(&word[12..])
}

fn adder(input: PrecompileInput<'_>) -> PrecompileResult {
    let sum = input.data.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    output(50, U256::from(sum), input.reservoir)
}

fn bank(mut input: PrecompileInput<'_>) -> PrecompileResult {
    let account = named(&input);
    let internals = input.internals_mut();
    let balance = internals.load_account(account).expect("the state can be read").info.balance;
    internals.balance_incr(account, U256::ONE).expect("the state can be read");
    let rate = internals.sload(BANK, U256::ZERO).expect("the state can be read").data;
    output(100, balance + rate, input.reservoir)
}

fn oracle(mut input: PrecompileInput<'_>) -> PrecompileResult {
    use revm::Database as _;
    let account = named(&input);
    let mut db = input.internals_mut().db_mut();
    let info = db.basic(account).expect("the state can be read").unwrap_or_default();
    let count = db.storage(COUNTER, U256::ZERO).expect("the state can be read");
    drop(db);
    output(100, info.balance + count, input.reservoir)
}

fn wealth<DB: Database>(
    context: InstructionContext<'_, EthEvmContext<DB>, EthInterpreter>,
) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let Some(([], top)) = interpreter.stack.popn_top() else {
        return Err(InstructionResult::StackUnderflow);
    };
    let balance = host.balance(Address::from_word((*top).into()));
    *top = balance.ok_or(InstructionResult::FatalExternalError)?.data;
    Ok(())
}

/// Ethereum, with the three precompiles and the opcode.
#[derive(Debug, Clone, Copy, Default)]
struct OwnEvmFactory;

impl OwnEvmFactory {
    fn extend<DB: Database, I>(
        evm: EthEvm<DB, I, PrecompilesMap>,
        inspect: bool,
    ) -> EthEvm<DB, I, PrecompilesMap> {
        let mut evm = evm.into_inner();
        evm.instruction.insert_instruction(WEALTH, Instruction::new(wealth), 20);
        evm.precompiles.extend_precompiles([
            (ADDER, DynPrecompile::new(PrecompileId::custom("adder"), adder)),
            (BANK, DynPrecompile::new_stateful(PrecompileId::custom("bank"), bank)),
            (ORACLE, DynPrecompile::new_stateful(PrecompileId::custom("oracle"), oracle)),
        ]);
        EthEvm::new(evm, inspect)
    }
}

impl EvmFactory for OwnEvmFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = EthEvm<DB, I, PrecompilesMap>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> Self::Evm<DB, NoOpInspector> {
        Self::extend(EthEvmFactory::default().create_evm(db, env), false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let evm = EthEvmFactory::default().create_evm_with_inspector(db, env, inspector);
        Self::extend(evm, true)
    }
}

fn env() -> EvmEnv {
    ChainSpec::mainnet().evm_env(header())
}

fn with_wealth_reader(mut block: TestBlock) -> TestBlock {
    let mut state = (*block.state).clone();
    insert(&mut state, WEALTH_READER, 0, &hex!("6000350c60005260206000f3"));
    block.state = state.into();
    block
}

/// Runs blocks that call `callees`, observed in three ways.
fn check(callees: &[(Address, Bytes)]) {
    let observed = Observed::new(OwnEvmFactory);
    let kinds = [
        observed.clone(),
        observed.with_debits(Debits::Suffice).with_blind_precompiles([ADDER]),
        Observed::exact(OwnEvmFactory),
    ];
    for seed in 0..3 {
        let block = with_wealth_reader(block(seed, 60, callees));
        for evm in &kinds {
            let caller = (&OneByOne, &[Validation::Everything, Validation::Written][..]);
            let outcome = compare(&OwnEvmFactory, evm, &env(), &block, caller);
            let succeeded = outcome.receipts().iter().filter(|receipt| receipt.status()).count();
            assert!(succeeded > 50, "{succeeded} of 60 transactions did what they were meant to");
        }
    }
}

#[test]
fn a_precompile_without_state() {
    check(&[(ADDER, Bytes::from_static(b"plus"))]);
}

#[test]
fn a_precompile_that_reads_the_journal() {
    check(&[(BANK, word(sender(1))), (BANK, word(PAYER)), (BANK, word(BENEFICIARY))]);
}

#[test]
fn a_precompile_that_reads_the_database() {
    check(&[(ORACLE, word(sender(1))), (ORACLE, word(PAYER)), (ORACLE, word(BENEFICIARY))]);
}

#[test]
fn an_opcode() {
    check(&[(WEALTH_READER, word(sender(1))), (WEALTH_READER, word(BENEFICIARY))]);
}

/// Transfers between accounts that nobody else touches, and the number of them.
fn independent_transfers() -> TestBlock {
    let mut block = block(0, 0, &[]);
    let mut state = (*block.state).clone();
    for number in 0..200 {
        let (from, to) = (sender(1_000 + number), sender(2_000 + number));
        insert(&mut state, from, u64::MAX, &[]);
        insert(&mut state, to, 1, &[]);
        block.txs.push(tx(from, 0, to, 5, Bytes::new()));
    }
    block.state = state.into();
    block
}

#[test]
fn fees_to_one_beneficiary_commute() {
    let block = independent_transfers();
    let factory = parallel_factory(&Observed::new(OwnEvmFactory), 4);
    for _ in 0..10 {
        let metrics = crate::drive::metrics(&factory, env(), &block);
        assert_eq!(metrics.reexecuted_gas, 0, "no result was thrown away");
    }
}

#[test]
fn precompiles_lent_out_end_speculation() {
    let block = independent_transfers();
    let factory = parallel_factory(&Observed::new(OwnEvmFactory), 2);
    let evm = factory.evm_factory();
    let mut evm = evm.create_evm(crate::drive::database(&block), env());
    evm.precompiles_mut().extend_precompiles([(ADDER, DynPrecompile::from(bank))]);
    assert_eq!(crate::drive::metrics_of(&factory, evm, &block).executions, 0);
}
