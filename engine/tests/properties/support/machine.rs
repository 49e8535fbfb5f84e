//! A contract that runs programs: its calldata is a list of steps, so that a generator can compose
//! any mix of reads, writes, calls and creations without compiling anything.
//!
//! A step is one byte, its kind, and four words a, b, c, d; some kinds are followed by d bytes of
//! data. All steps share an accumulator: what a step learns is mixed into it, and what later steps
//! store, log, send and branch on comes out of it. So whatever one step reads shows in the output.

use alloy_primitives::{Address, U256};
use revm::bytecode::opcode::*;

use super::asm::{Asm, Label};

/// What a step does. "Mixes in x" sets the accumulator to 31 times itself plus x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Mixes in the constant a.
    Mix = 1,
    /// Mixes in storage slot a.
    Load,
    /// Stores the accumulator, masked with b, in slot a.
    Store,
    /// Stores b in slot a.
    StoreConst,
    /// Mixes in the balance of a.
    Balance,
    /// Mixes in the own balance, through `SELFBALANCE`.
    SelfBalance,
    /// Mixes in the code hash of a.
    CodeHash,
    /// Mixes in the code size of a.
    CodeSize,
    /// Mixes in the first word of the code of a.
    CodeCopy,
    /// Mixes in the hash of the block a below this one.
    BlockHash,
    /// Mixes in transient slot a.
    TLoad,
    /// Stores the accumulator in transient slot a.
    TStore,
    /// Logs the accumulator under topic a.
    Log,
    /// Mixes in the gas that is left.
    Gas,
    /// Reverts if the accumulator shares a bit with a.
    RevertIf,
    /// Runs an invalid opcode if the accumulator shares a bit with a.
    FailIf,
    /// Skips the next step, which has no data, if the accumulator shares a bit with a.
    SkipIf,
    /// Destroys the running account; a inherits.
    SelfDestruct,
    /// Calls a with value b, gas c and the data; mixes in success and the first word returned.
    Call,
    /// The same with as many wei as the accumulator's bits under b.
    CallMasked,
    /// As `Call`, through `CALLCODE`.
    CallCode,
    /// As `Call`, through `DELEGATECALL`; no value.
    DelegateCall,
    /// As `Call`, through `STATICCALL`; no value.
    StaticCall,
    /// Creates with value b; the data is the init code. Mixes in the address.
    Create,
    /// The same through `CREATE2`, with salt a.
    Create2,
    /// Mixes in the hash of two words, as a mapping's entry is placed: where the next step begins,
    /// and the accumulator.
    Hash,
}

use Kind as K;

/// Writes the code that carries out one kind of step.
type Handler = fn(&mut Asm);

/// Kinds and what runs them, in the order in which the dispatcher compares.
const HANDLERS: [(Kind, Handler); 26] = [
    (K::Mix, |asm| mix(arg(asm, A))),
    (K::Load, |asm| mix(arg(asm, A).op(SLOAD))),
    (K::Store, |asm| store_masked(asm)),
    (K::StoreConst, |asm| {
        arg(arg(asm, B), A).op(SSTORE);
    }),
    (K::Balance, |asm| mix(arg(asm, A).op(BALANCE))),
    (K::SelfBalance, |asm| mix(asm.op(SELFBALANCE))),
    (K::CodeHash, |asm| mix(arg(asm, A).op(EXTCODEHASH))),
    (K::CodeSize, |asm| mix(arg(asm, A).op(EXTCODESIZE))),
    (K::CodeCopy, code_copy),
    (K::BlockHash, |asm| mix(arg(asm, A).op(NUMBER).op(SUB).op(BLOCKHASH))),
    (K::TLoad, |asm| mix(arg(asm, A).op(TLOAD))),
    (K::TStore, |asm| {
        arg(accumulator(asm), A).op(TSTORE);
    }),
    (K::Log, |asm| {
        arg(asm, A).push(32).push(ACC).op(LOG1);
    }),
    (K::Gas, |asm| mix(asm.op(GAS))),
    (K::RevertIf, |asm| stop_if(asm, &[PUSH1, 0, PUSH1, 0, REVERT])),
    (K::FailIf, |asm| stop_if(asm, &[INVALID])),
    (K::SkipIf, skip_if),
    (K::SelfDestruct, |asm| {
        arg(asm, A).op(SELFDESTRUCT);
    }),
    (K::Call, |asm| call(asm, CALL)),
    (K::CallMasked, call_masked),
    (K::CallCode, |asm| call(asm, CALLCODE)),
    (K::DelegateCall, |asm| call(asm, DELEGATECALL)),
    (K::StaticCall, |asm| call(asm, STATICCALL)),
    (K::Create, |asm| create(asm, CREATE)),
    (K::Create2, |asm| create(asm, CREATE2)),
    (K::Hash, |asm| mix(accumulator(asm).op(POP).push(ROOM).push(NEXT).op(KECCAK256))),
];

/// Memory: where the next step begins in the calldata, the accumulator, and room for call data.
const NEXT: u64 = 0;
const ACC: u64 = 32;
const ROOM: u64 = 64;
/// How far before the next step the arguments of the current one lie.
const A: u64 = 128;
const B: u64 = 96;
const C: u64 = 64;
const D: u64 = 32;
const STEP_BYTES: u64 = 129;

/// The machine's bytecode.
pub(crate) fn machine_code() -> Vec<u8> {
    let mut asm = Asm::new();
    let next_step = asm.label();
    let done = asm.label();
    let handlers: Vec<Label> = HANDLERS.iter().map(|_| asm.label()).collect();
    asm.jumpdest(next_step).ops(&[CALLDATASIZE]).push(NEXT).op(MLOAD).op(LT).op(ISZERO);
    asm.push_label(done).op(JUMPI);
    // The kind stays on the stack while the pointer moves on to the next step.
    asm.push(NEXT).op(MLOAD).op(DUP1).op(CALLDATALOAD).push(0).op(BYTE).op(SWAP1);
    asm.push(STEP_BYTES).op(ADD).push(NEXT).op(MSTORE);
    for ((kind, _), label) in HANDLERS.iter().zip(&handlers) {
        asm.op(DUP1).push(*kind as u64).op(EQ).push_label(*label).op(JUMPI);
    }
    asm.op(INVALID);
    for ((_, write), label) in HANDLERS.iter().zip(&handlers) {
        asm.jumpdest(*label).op(POP);
        write(&mut asm);
        asm.push_label(next_step).op(JUMP);
    }
    asm.jumpdest(done).push(32).push(ACC).op(RETURN);
    asm.finish()
}

fn arg(asm: &mut Asm, offset: u64) -> &mut Asm {
    asm.push(offset).push(NEXT).op(MLOAD).op(SUB).op(CALLDATALOAD)
}

fn accumulator(asm: &mut Asm) -> &mut Asm {
    asm.push(ACC).op(MLOAD)
}

/// Mixes the word on the stack into the accumulator.
fn mix(asm: &mut Asm) {
    accumulator(asm).push(31).op(MUL).op(ADD).push(ACC).op(MSTORE);
}

fn store_masked(asm: &mut Asm) {
    arg(arg(accumulator(asm), B).op(AND), A).op(SSTORE);
}

fn code_copy(asm: &mut Asm) {
    arg(asm.push(32).push(0).push(ROOM), A).op(EXTCODECOPY);
    mix(asm.push(ROOM).op(MLOAD));
}

fn stop_if(asm: &mut Asm, stop: &[u8]) {
    let go_on = asm.label();
    arg(accumulator(asm), A).op(AND).op(ISZERO).push_label(go_on).op(JUMPI);
    asm.ops(stop).jumpdest(go_on);
}

fn skip_if(asm: &mut Asm) {
    let go_on = asm.label();
    arg(accumulator(asm), A).op(AND).op(ISZERO).push_label(go_on).op(JUMPI);
    asm.push(NEXT).op(MLOAD).push(STEP_BYTES).op(ADD).push(NEXT).op(MSTORE).jumpdest(go_on);
}

/// Copies the step's data to memory.
fn take_data(asm: &mut Asm) {
    arg(asm, D).push(NEXT).op(MLOAD).push(ROOM).op(CALLDATACOPY);
}

/// Moves the pointer past the step's data, whose length the pointer itself finds.
fn pass_data(asm: &mut Asm) {
    arg(asm, D).push(NEXT).op(MLOAD).op(ADD).push(NEXT).op(MSTORE);
}

fn call(asm: &mut Asm, op: u8) {
    take_data(asm);
    arg(asm.push(32).push(ROOM), D).push(ROOM);
    if matches!(op, CALL | CALLCODE) {
        arg(asm, B);
    }
    arg(arg(asm, A), C).op(op);
    finish_call(asm);
}

fn call_masked(asm: &mut Asm) {
    take_data(asm);
    arg(asm.push(32).push(ROOM), D).push(ROOM);
    arg(accumulator(asm), B).op(AND);
    arg(arg(asm, A), C).op(CALL);
    finish_call(asm);
}

fn finish_call(asm: &mut Asm) {
    mix(asm);
    mix(asm.push(ROOM).op(MLOAD));
    pass_data(asm);
}

fn create(asm: &mut Asm, op: u8) {
    take_data(asm);
    if op == CREATE2 {
        arg(asm, A);
    }
    arg(arg(asm, D).push(ROOM), B).op(op);
    mix(asm);
    pass_data(asm);
}

/// A program for the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program(Vec<u8>);

impl Program {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn step(self, kind: Kind, a: impl Word, b: impl Word) -> Self {
        self.full_step(kind, [a.word(), b.word(), U256::ZERO], &[])
    }

    /// A call of the given kind: target, value (or its mask), gas, data.
    pub(crate) fn call(
        self,
        kind: Kind,
        to: Address,
        value: impl Word,
        gas: u64,
        data: &[u8],
    ) -> Self {
        self.full_step(kind, [to.word(), value.word(), gas.word()], data)
    }

    pub(crate) fn create(self, value: impl Word, init: &[u8]) -> Self {
        self.full_step(Kind::Create, [U256::ZERO, value.word(), U256::ZERO], init)
    }

    pub(crate) fn create2(self, salt: u64, value: impl Word, init: &[u8]) -> Self {
        self.full_step(Kind::Create2, [salt.word(), value.word(), U256::ZERO], init)
    }

    /// This program, and then another.
    pub(crate) fn then(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    fn full_step(mut self, kind: Kind, args: [U256; 3], data: &[u8]) -> Self {
        self.0.push(kind as u8);
        for word in args.into_iter().chain([U256::from(data.len())]) {
            self.0.extend_from_slice(&word.to_be_bytes::<32>());
        }
        self.0.extend_from_slice(data);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What can stand in a step's argument.
pub(crate) trait Word {
    fn word(&self) -> U256;
}

impl Word for U256 {
    fn word(&self) -> U256 {
        *self
    }
}

impl Word for u64 {
    fn word(&self) -> U256 {
        U256::from(*self)
    }
}

impl Word for Address {
    fn word(&self) -> U256 {
        U256::from_be_slice(self.as_slice())
    }
}

/// Code that runs what it is called with on the machine's code, as itself. `CALLCODE` does that
/// on every fork; `gas` is what it passes on, which before EIP-150 it must have.
pub(crate) fn proxy_code(machine: Address, gas: u64) -> Vec<u8> {
    let mut asm = Asm::new();
    asm.op(CALLDATASIZE).push(0).push(0).op(CALLDATACOPY);
    asm.push(0).push(0).op(CALLDATASIZE).push(0).push(0).push_address(machine);
    asm.push(gas).op(CALLCODE).op(STOP).finish()
}

/// Init code that runs a program on the machine, as the account in creation, and then leaves
/// `deployed` as its code.
pub(crate) fn init_code(machine: Address, program: &Program, gas: u64, deployed: &[u8]) -> Vec<u8> {
    let mut asm = Asm::new();
    let (program_at, deployed_at) = (asm.label(), asm.label());
    let length = program.bytes().len();
    if length > 0 {
        asm.push(length).push_label(program_at).push(0).op(CODECOPY);
        asm.push(0).push(0).push(length).push(0).push(0).push_address(machine);
        asm.push(gas).op(CALLCODE).op(POP);
    }
    asm.push(deployed.len()).push_label(deployed_at).push(0).op(CODECOPY);
    asm.push(deployed.len()).push(0).op(RETURN);
    asm.place(program_at).ops(program.bytes());
    asm.place(deployed_at).ops(deployed).finish()
}
