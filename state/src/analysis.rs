//! From raw bytes to bytecode that the interpreter can run.

use alloy_primitives::Bytes;
use revm::bytecode::Bytecode;

/// Analyses bytecode, so that executing it never has to.
///
/// Bytes that begin like an EIP-7702 delegation without being one are kept as legacy code: such
/// contracts could be created before EIP-3541.
pub(crate) fn analyse(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}
