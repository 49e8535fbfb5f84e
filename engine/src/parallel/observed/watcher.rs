//! The inspector that notes which balances a transaction may have learnt.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use revm::{
    Inspector,
    bytecode::opcode::{self, OPCODE_INFO},
    context::{ContextTr, JournalTr},
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter_types::{InputsTr, Jumps},
    },
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
    state::{Account, EvmState},
};

use super::Debits;
use crate::parallel::{read_set::HUGE_AMOUNT, view::View};

/// Notes which balances a transaction may have learnt. One watcher watches one transaction.
#[derive(Debug)]
pub struct BalanceWatcher {
    rules: Arc<WatchRules>,
    /// Frames that are open.
    depth: usize,
    /// Whether there was any frame: an EVM without is one that does not call its inspector.
    seen_frame: bool,
    observed: Vec<Address>,
    all_observed: bool,
    withdrawals: Vec<Withdrawal>,
}

/// `amount` (wei) was drawn on an account that held `balance`.
#[derive(Debug)]
struct Withdrawal {
    address: Address,
    balance: U256,
    amount: U256,
}

/// What an opcode makes known of balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learns {
    Nothing,
    /// The balance of the account on top of the stack.
    Top,
    /// The balance of the account that runs.
    Own,
    /// Perhaps anything.
    Unknown,
}

/// What the watchers of one block go by.
#[derive(Debug)]
pub(super) struct WatchRules {
    learns: [Learns; 256],
    debits: Debits,
    precompiles: &'static Precompiles,
    blind_precompiles: Box<[Address]>,
}

impl WatchRules {
    pub(super) fn new(
        spec: SpecId,
        debits: Debits,
        opaque_opcodes: &[u8],
        blind_precompiles: &[Address],
    ) -> Self {
        let mut learns = std::array::from_fn(|code| Self::ethereum(code as u8, spec));
        for code in opaque_opcodes {
            learns[usize::from(*code)] = Learns::Unknown;
        }
        let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(spec));
        Self { learns, debits, precompiles, blind_precompiles: blind_precompiles.into() }
    }

    /// What an opcode learns if it is Ethereum's at this fork; if it is not, it is the chain's.
    fn ethereum(code: u8, spec: SpecId) -> Learns {
        if OPCODE_INFO[usize::from(code)].is_none() || !spec.is_enabled_in(introduced(code)) {
            return Learns::Unknown;
        }
        match code {
            opcode::BALANCE => Learns::Top,
            opcode::SELFBALANCE | opcode::SELFDESTRUCT => Learns::Own,
            _ => Learns::Nothing,
        }
    }

    fn is_blind(&self, precompile: &Address) -> bool {
        self.precompiles.contains(precompile) || self.blind_precompiles.contains(precompile)
    }
}

/// The fork that brought an opcode; all that [`Observed`](super::Observed) tells apart begins with
/// Spurious Dragon, before which every balance counts as observed anyway.
const fn introduced(code: u8) -> SpecId {
    match code {
        opcode::RETURNDATASIZE | opcode::RETURNDATACOPY | opcode::STATICCALL | opcode::REVERT => {
            SpecId::BYZANTIUM
        }
        opcode::SHL | opcode::SHR | opcode::SAR | opcode::EXTCODEHASH | opcode::CREATE2 => {
            SpecId::PETERSBURG
        }
        opcode::CHAINID | opcode::SELFBALANCE => SpecId::ISTANBUL,
        opcode::BASEFEE => SpecId::LONDON,
        opcode::PUSH0 => SpecId::SHANGHAI,
        opcode::BLOBHASH | opcode::BLOBBASEFEE | opcode::TLOAD | opcode::TSTORE | opcode::MCOPY => {
            SpecId::CANCUN
        }
        opcode::CLZ => SpecId::OSAKA,
        opcode::SLOTNUM | opcode::DUPN | opcode::SWAPN | opcode::EXCHANGE => SpecId::AMSTERDAM,
        _ => SpecId::FRONTIER,
    }
}

impl BalanceWatcher {
    pub(super) const fn new(rules: Arc<WatchRules>) -> Self {
        Self {
            rules,
            depth: 0,
            seen_frame: false,
            observed: Vec::new(),
            all_observed: false,
            withdrawals: Vec::new(),
        }
    }

    /// Tells the view what the transaction learnt, given what it changed.
    pub(super) fn report(&mut self, changes: &EvmState, view: &mut View) {
        #[expect(clippy::iter_over_hash_type, reason = "the accounts are noted one by one")]
        for (address, account) in changes {
            self.judge_change(*address, account);
        }
        if self.all_observed || !self.seen_frame {
            view.observe_all_balances();
            return;
        }
        for withdrawal in &self.withdrawals {
            view.withdraw(&withdrawal.address, withdrawal.balance, withdrawal.amount);
        }
        for address in &self.observed {
            view.observe_balance(address);
        }
    }

    /// An account that paid outside of frames shows in what the transaction changed.
    fn judge_change(&mut self, address: Address, account: &Account) {
        let (before, after) = (account.original_info(), &account.info);
        if after.balance.saturating_sub(before.balance) >= HUGE_AMOUNT {
            self.all_observed = true;
        }
        let fall = before.balance.saturating_sub(after.balance);
        let paid = !fall.is_zero();
        let tracked = self.withdrawals.iter().any(|withdrawal| withdrawal.address == address);
        if after.nonce != before.nonce || (paid && !tracked) {
            self.observed.push(address);
        } else if paid {
            self.withdrawals.push(Withdrawal { address, balance: before.balance, amount: fall });
        }
    }

    /// A frame begins. Outside of frames nobody watches: what has been loaded there may have been
    /// looked at there.
    fn enter(&mut self, state: &EvmState, callee: Option<&CallInputs>) {
        self.seen_frame = true;
        if self.depth == 0 {
            let only_called = |address: &Address, account: &Account| {
                let is_callee = callee.is_some_and(|inputs| {
                    inputs.target_address == *address && inputs.caller != *address
                });
                is_callee && account.info.balance == account.original_info().balance
            };
            let loaded = state.iter().filter(|(address, account)| !only_called(address, account));
            self.observed.extend(loaded.map(|(address, _)| *address));
        }
        self.depth += 1;
    }

    const fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn debit(&mut self, state: &EvmState, address: Address, amount: U256) {
        if amount.is_zero() {
            return;
        }
        if amount >= HUGE_AMOUNT {
            self.all_observed = true;
        }
        match self.rules.debits {
            Debits::Observe => self.observed.push(address),
            Debits::Suffice => {
                let balance = state.get(&address).map(|account| account.info.balance);
                let balance = balance.unwrap_or_default();
                self.withdrawals.push(Withdrawal { address, balance, amount });
            }
        }
    }

    /// The running account's balance is learnt. A self-destruct moves it as well.
    fn observe_own(&mut self, state: &EvmState, address: Address) {
        self.observed.push(address);
        let huge = |account: &Account| account.info.balance >= HUGE_AMOUNT;
        self.all_observed |= state.get(&address).is_some_and(huge);
    }
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX> for BalanceWatcher {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        match self.rules.learns[usize::from(interpreter.bytecode.opcode())] {
            Learns::Nothing => {}
            Learns::Top => {
                let top = interpreter.stack.data().last();
                self.observed.extend(top.map(|word| Address::from_word((*word).into())));
            }
            Learns::Own => {
                let own = interpreter.input.target_address();
                self.observe_own(context.journal().evm_state(), own);
            }
            Learns::Unknown => self.all_observed = true,
        }
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let state = context.journal().evm_state();
        self.enter(state, Some(inputs));
        self.debit(state, inputs.transfer_from(), inputs.transfer_value().unwrap_or_default());
        None
    }

    fn call_end(&mut self, _context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.leave();
        if outcome.was_precompile_called && !self.rules.is_blind(&inputs.bytecode_address) {
            self.all_observed = true;
        }
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let state = context.journal().evm_state();
        self.enter(state, None);
        self.debit(state, inputs.caller(), inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, _: &mut CreateOutcome) {
        self.leave();
    }
}
