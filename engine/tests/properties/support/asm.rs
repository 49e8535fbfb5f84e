//! A tiny assembler: opcodes, constants, and labels that are filled in at the end.

use alloy_primitives::{Address, U256};
use revm::bytecode::opcode;

/// A place in the code, known once [`Asm::place`] has been called with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label(usize);

/// Bytecode in the making.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    code: Vec<u8>,
    labels: Vec<Option<usize>>,
    /// Where two bytes wait for a label's offset.
    fixups: Vec<(usize, Label)>,
}

impl Asm {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn op(&mut self, op: u8) -> &mut Self {
        self.code.push(op);
        self
    }

    pub(crate) fn ops(&mut self, ops: &[u8]) -> &mut Self {
        self.code.extend_from_slice(ops);
        self
    }

    /// Pushes a constant in as few bytes as it takes, one at least: `PUSH0` came with Shanghai.
    pub(crate) fn push(&mut self, value: impl TryInto<U256>) -> &mut Self {
        let value = value.try_into().unwrap_or_else(|_| panic!("a constant fits a word"));
        let bytes = value.to_be_bytes::<32>();
        let length = value.byte_len().max(1);
        self.code.push(opcode::PUSH1 + length as u8 - 1);
        self.ops(&bytes[32 - length..])
    }

    pub(crate) fn push_address(&mut self, address: Address) -> &mut Self {
        self.op(opcode::PUSH20).ops(address.as_slice())
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Pushes a label's offset.
    pub(crate) fn push_label(&mut self, label: Label) -> &mut Self {
        self.op(opcode::PUSH2);
        self.fixups.push((self.code.len(), label));
        self.ops(&[0, 0])
    }

    /// The label stands for the offset reached here.
    pub(crate) fn place(&mut self, label: Label) -> &mut Self {
        self.labels[label.0] = Some(self.code.len());
        self
    }

    /// As [`Self::place`], where jumps may land.
    pub(crate) fn jumpdest(&mut self, label: Label) -> &mut Self {
        self.place(label).op(opcode::JUMPDEST)
    }

    /// The finished code.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        for (at, label) in &self.fixups {
            let offset = self.labels[label.0].expect("every label is placed");
            let offset = u16::try_from(offset).expect("test code is short");
            self.code[*at..at + 2].copy_from_slice(&offset.to_be_bytes());
        }
        std::mem::take(&mut self.code)
    }
}
