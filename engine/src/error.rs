//! Why a block could not be executed.

use alloy_evm::block::BlockExecutionError;

/// Execution of a block stopped.
///
/// Serial and parallel execution of the same block stop with the same error at the same place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The changes before the first transaction failed (system calls of EIP-2935 and EIP-4788).
    #[error("before the first transaction: {0}")]
    PreExecution(#[source] BlockExecutionError),
    /// A transaction may not be in the block, or the state it reads from failed.
    #[error("transaction {index}: {source}")]
    Transaction {
        /// The transaction's place in the block, from 0.
        index: usize,
        /// What alloy-evm says of it.
        source: BlockExecutionError,
    },
    /// The changes after the last transaction failed (requests, withdrawals, rewards).
    #[error("after the last transaction: {0}")]
    PostExecution(#[source] BlockExecutionError),
}

impl ExecuteError {
    /// The index of the transaction that stopped the block, if one did.
    pub const fn index(&self) -> Option<usize> {
        match self {
            Self::Transaction { index, .. } => Some(*index),
            Self::PreExecution(_) | Self::PostExecution(_) => None,
        }
    }

    /// Whether the block is at fault, rather than the state it was executed on.
    pub const fn is_invalid_block(&self) -> bool {
        match self {
            Self::PreExecution(source)
            | Self::PostExecution(source)
            | Self::Transaction { source, .. } => source.as_validation().is_some(),
        }
    }
}
