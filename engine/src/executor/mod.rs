//! Parallel execution behind alloy-evm's own interfaces.
//!
//! A chain's [`BlockExecutorFactory`](alloy_evm::block::BlockExecutorFactory), made with an EVM
//! factory wrapped in [`PleachEvmFactory`](crate::PleachEvmFactory), becomes one whose executors
//! run in parallel:
//!
//! ```
//! use std::sync::Arc;
//! use alloy_evm::EthEvmFactory;
//! use alloy_evm::eth::{EthBlockExecutorFactory, receipt_builder::AlloyReceiptBuilder};
//! use pleach_engine::{ChainSpec, Engine, EngineConfig, PleachEvmFactory};
//!
//! let engine = Arc::new(Engine::new(EngineConfig { threads: 2 })?);
//! let chain = EthBlockExecutorFactory::new(
//!     AlloyReceiptBuilder::default(),
//!     ChainSpec::mainnet(),
//!     PleachEvmFactory::new(EthEvmFactory::default()),
//! );
//! let factory = engine.executor_factory(chain);
//! # let _ = factory;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Rules stay with the chain's executor, which is driven as ever; only the EVM inside it may answer
//! with results that were computed ahead of time. So whatever the caller does (leave a transaction
//! uncommitted, repeat one, leave the announced list) gives what the chain's executor alone gives.

mod block_executor;
mod factory;

pub use block_executor::ParallelBlockExecutor;
pub use factory::{ParallelBlockExecutorFactory, ParallelExecutionCtx, Speculation};
