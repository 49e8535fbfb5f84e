//! How an incarnation's use of balances is noticed.
//!
//! To a database, every touch of an account looks the same: the EVM asks for the whole of it. Most
//! touches only add to a balance, or draw on it and are content if there is enough. Telling those
//! from the ones that learn the balance is what lets fees, payments and deposits of one block
//! commute. A chain says how by implementing [`SpeculativeEvmFactory`].

use alloy_evm::precompiles::PrecompilesMap;
use alloy_evm::{EthEvm, EthEvmFactory, Evm, EvmEnv, EvmFactory, eth::EthEvmContext};
use alloy_primitives::{Address, U256};
use revm::{
    Context, MainBuilder, MainContext,
    bytecode::opcode,
    context::{TxEnv, transaction::Transaction},
    handler::instructions::EthInstructions,
    inspector::NoOpInspector,
    interpreter::{
        Host as _, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        Interpreter, instruction_table, instructions::gas_table_spec, interpreter::EthInterpreter,
        interpreter_types::InputsTr,
    },
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
    state::EvmState,
};

use super::{
    memo::keccak256_of_64,
    payment::{self, Payment},
    read_set::HUGE_AMOUNT,
    view::View,
};

/// An [`EvmFactory`] whose EVMs can run ahead of the committed state.
///
/// `create_speculative` builds the same EVM as `create_evm`, over a [`View`]; beside running, it
/// tells the view when a balance is *observed*. Missing an observation would be a wrong result;
/// reporting one too many only costs time, so whoever is in doubt calls
/// [`View::observe_all_balances`].
pub trait SpeculativeEvmFactory:
    EvmFactory<
        Tx: Clone + PartialEq + Send + Sync + 'static,
        BlockEnv: Send + Sync + 'static,
        HaltReason: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    /// The EVM that runs ahead.
    type Speculative: Evm<DB = View, Tx = Self::Tx, HaltReason = Self::HaltReason>;

    /// Creates the EVM that runs ahead.
    fn create_speculative(
        &self,
        view: View,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
    ) -> Self::Speculative;

    /// A transaction's sender and nonce, if it has them. The nonce is the one that the sender
    /// must have for the transaction to be valid, which lets one sender's transactions run side by
    /// side.
    fn sender(tx: &Self::Tx) -> Option<(Address, u64)>;

    /// The account that a transaction calls, a hint on what it collides with.
    fn target(tx: &Self::Tx) -> Option<Address>;

    /// The function that a transaction calls, by the first four bytes of its data, a hint on how
    /// long it takes.
    fn selector(_tx: &Self::Tx) -> Option<[u8; 4]> {
        None
    }

    /// A transaction's gas limit, a hint on how long it takes.
    fn gas_limit(_tx: &Self::Tx) -> u64 {
        0
    }

    /// Whether a transaction looks as if it took next to no time, a hint on how many to hand to a
    /// thread at once.
    fn looks_cheap(_tx: &Self::Tx) -> bool {
        false
    }

    /// Whether a transaction may turn out to need no interpreter, for [`Self::pay`] to see.
    fn may_be_payment(_tx: &Self::Tx) -> bool {
        false
    }

    /// Carries out a transaction that calls no code, without the EVM's frames and journal, reading
    /// accounts from the view. The result, and each account's numbers, must be those that the EVM
    /// gives. `None` leaves the transaction to the EVM, which starts over.
    fn pay(_tx: &Self::Tx, _evm: &mut Self::Speculative) -> Option<Payment<Self::HaltReason>> {
        None
    }

    /// Called after each incarnation, to report withdrawals that happen outside of frames, such as
    /// the fee.
    fn after_transaction(tx: &Self::Tx, evm: &mut Self::Speculative);

    /// Gives a result's state back once it is not needed any more, so that the EVM may use its
    /// memory again.
    fn recycle(_evm: &mut Self::Speculative, _state: EvmState) {}
}

impl SpeculativeEvmFactory for EthEvmFactory {
    type Speculative = EthEvm<View, NoOpInspector, PrecompilesMap>;

    fn create_speculative(&self, view: View, env: EvmEnv) -> Self::Speculative {
        let spec = env.cfg_env.spec;
        let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(spec));
        let mut evm = Context::mainnet()
            .with_block(env.block_env)
            .with_cfg(env.cfg_env)
            .with_db(view)
            .build_mainnet_with_inspector(NoOpInspector {})
            .with_precompiles(PrecompilesMap::from_static(precompiles));
        evm.instruction = observing_instructions(spec);
        EthEvm::new(evm, false)
    }

    fn sender(tx: &TxEnv) -> Option<(Address, u64)> {
        Some((tx.caller, tx.nonce))
    }

    fn target(tx: &TxEnv) -> Option<Address> {
        tx.kind.to().copied()
    }

    fn selector(tx: &TxEnv) -> Option<[u8; 4]> {
        tx.data.first_chunk().copied()
    }

    fn gas_limit(tx: &TxEnv) -> u64 {
        tx.gas_limit
    }

    fn looks_cheap(tx: &TxEnv) -> bool {
        tx.data.is_empty() || tx.gas_limit <= 30_000
    }

    fn may_be_payment(tx: &TxEnv) -> bool {
        payment::may_be_payment(tx)
    }

    fn pay(tx: &TxEnv, evm: &mut Self::Speculative) -> Option<Payment<Self::HaltReason>> {
        let context = evm.ctx_mut();
        context.tx = tx.clone();
        payment::pay(context)
    }

    fn after_transaction(tx: &TxEnv, evm: &mut Self::Speculative) {
        // The sender must be able to pay the highest fee and the value (EIP-1559, EIP-4844); what
        // is left then is what its balance could be lower.
        let view = evm.db_mut();
        let balance = view.read_balance(&tx.caller).unwrap_or_default();
        match tx.max_balance_spending() {
            Ok(spending) => view.withdraw(&tx.caller, balance, spending),
            Err(_) => view.observe_all_balances(),
        }
    }

    fn recycle(evm: &mut Self::Speculative, mut state: EvmState) {
        state.clear();
        evm.ctx_mut().journaled_state.inner.state = state;
    }
}

type Host = EthEvmContext<View>;
type Instructions = EthInstructions<EthInterpreter, Host>;
type InstructionFn = fn(InstructionContext<'_, Host, EthInterpreter>) -> InstructionExecResult;

/// Ethereum's instructions, those that use balances wrapped, and hashing with a memory.
fn observing_instructions(spec: SpecId) -> Instructions {
    let mut table = instruction_table::<EthInterpreter, Host>();
    let wrapped: [(u8, InstructionFn); 8] = [
        (opcode::KECCAK256, hash),
        (opcode::BALANCE, balance),
        (opcode::SELFBALANCE, self_balance),
        (opcode::SELFDESTRUCT, self_destruct),
        (opcode::CALL, value_third::<{ opcode::CALL }>),
        (opcode::CALLCODE, value_third::<{ opcode::CALLCODE }>),
        (opcode::CREATE, value_first::<{ opcode::CREATE }>),
        (opcode::CREATE2, value_first::<{ opcode::CREATE2 }>),
    ];
    for (code, function) in wrapped {
        table[code as usize] = Instruction::new(function);
    }
    EthInstructions::new(table, gas_table_spec(spec), spec)
}

type Wrapped<'a> = InstructionContext<'a, Host, EthInterpreter>;

fn original(code: u8, context: Wrapped<'_>) -> InstructionExecResult {
    const TABLE: [Instruction<EthInterpreter, Host>; 256] = instruction_table();
    TABLE[code as usize].execute(context)
}

fn view(host: &mut Host) -> &mut View {
    &mut host.journaled_state.database
}

fn running_balance(host: &Host, address: &Address) -> U256 {
    let account = host.journaled_state.inner.state.get(address);
    account.map(|account| account.info.balance).unwrap_or_default()
}

fn stack_item(interpreter: &Interpreter, depth: usize) -> Option<U256> {
    let stack = interpreter.stack.data();
    stack.len().checked_sub(depth + 1).map(|at| stack[at])
}

/// KECCAK256. Of the two words that place a mapping's entry it is remembered; memory that has to
/// grow first, and all other lengths, are the original's.
fn hash(context: Wrapped<'_>) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let short = stack_item(interpreter, 1) == Some(U256::from(64));
    let offset = stack_item(interpreter, 0).and_then(|offset| usize::try_from(offset).ok());
    let end = offset.and_then(|offset| offset.checked_add(64));
    let (true, Some(offset)) =
        (short, offset.filter(|_| end.is_some_and(|end| end <= interpreter.memory.len())))
    else {
        return original(opcode::KECCAK256, InstructionContext { interpreter, host });
    };
    if !interpreter.gas.record_regular_cost(host.gas_params().keccak256_cost(64)) {
        return Err(InstructionResult::OutOfGas);
    }
    let mut input = [0; 64];
    input.copy_from_slice(&interpreter.memory.slice_len(offset, 64));
    let Some(([_], top)) = interpreter.stack.popn_top() else {
        return Err(InstructionResult::StackUnderflow);
    };
    *top = keccak256_of_64(&input).into();
    Ok(())
}

fn balance(context: Wrapped<'_>) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let address = stack_item(interpreter, 0).map(|word| Address::from_word(word.into()));
    let result = original(opcode::BALANCE, InstructionContext { interpreter, host });
    if let Some(address) = address {
        view(host).observe_balance(&address);
    }
    result
}

fn self_balance(context: Wrapped<'_>) -> InstructionExecResult {
    let address = context.interpreter.input.target_address();
    view(context.host).observe_balance(&address);
    original(opcode::SELFBALANCE, context)
}

fn self_destruct(context: Wrapped<'_>) -> InstructionExecResult {
    // The heir is only credited; what it is credited is the running account's whole balance.
    let InstructionContext { interpreter, host } = context;
    let address = interpreter.input.target_address();
    let huge = running_balance(host, &address) >= HUGE_AMOUNT;
    view(host).observe_balance(&address);
    if huge {
        view(host).observe_all_balances();
    }
    original(opcode::SELFDESTRUCT, InstructionContext { interpreter, host })
}

fn value_third<const CODE: u8>(context: Wrapped<'_>) -> InstructionExecResult {
    withdrawal(context, CODE, 2)
}

fn value_first<const CODE: u8>(context: Wrapped<'_>) -> InstructionExecResult {
    withdrawal(context, CODE, 0)
}

/// An instruction that may move the value at this stack depth out of the running account.
fn withdrawal(context: Wrapped<'_>, code: u8, depth: usize) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    if let Some(value) = stack_item(interpreter, depth).filter(|value| !value.is_zero()) {
        let address = interpreter.input.target_address();
        let balance = running_balance(host, &address);
        view(host).withdraw(&address, balance, value);
    }
    original(code, InstructionContext { interpreter, host })
}
