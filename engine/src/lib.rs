//! Pleach's block execution engine: blocks of Ethereum, and of chains like it, on many threads,
//! with the output that execution on one thread gives.
//!
//! ```
//! use std::sync::Arc;
//! use alloy_consensus::{Block, BlockBody, Header};
//! use pleach_engine::{ChainSpec, Engine, EngineConfig, ExecuteOptions, RecoveredBlock};
//! use pleach_state::FlatState;
//!
//! // Once: the rules, and threads that sleep between blocks.
//! let chain = Arc::new(ChainSpec::mainnet());
//! let engine = Engine::new(EngineConfig { threads: 4 })?;
//!
//! // Per block: the block, its senders known, and the state before it.
//! let header = Header { number: 15_000_000, gas_limit: 30_000_000, ..Header::default() };
//! let block = Block { header, body: BlockBody::default() };
//! let block = Arc::new(RecoveredBlock::with_senders(block, Vec::new())?);
//! let prestate = Arc::new(FlatState::new());
//!
//! let (output, _) = engine.execute(&chain, &block, &prestate, ExecuteOptions::default())?;
//! assert_eq!((output.receipts.len(), output.gas_used), (0, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There are two ways in:
//!
//! - [`Engine::execute`] takes an Ethereum block ([`RecoveredBlock`]), the rules ([`ChainSpec`])
//!   and anything that revm can read a state from ([`Prestate`]), and gives a [`BlockOutput`].
//!   [`execute_serial`] does the same on one thread.
//! - [`Engine::executor_factory`] takes a chain's own alloy-evm `BlockExecutorFactory` and gives
//!   one whose executors run in parallel ([`ParallelBlockExecutorFactory`]). The chain's EVM
//!   factory is wrapped in [`PleachEvmFactory`]; if it is not Ethereum's, in [`Observed`] before
//!   that, or it implements [`SpeculativeEvmFactory`] itself.
//!
//! `examples/` shows both, and a chain with a precompile of its own.
//!
//! # The code
//!
//! | module | what is in it |
//! |---|---|
//! | `ahead`, `backlog`, `signing` | senders: recovered beside execution; what was signed |
//! | `block`, `chain` | what comes in: blocks with their senders, the rules of a chain |
//! | `prestate` | what is asked of a state |
//! | `serial` | one thread: the oracle, and the driver that both ways share |
//! | `engine` | [`Engine`]: threads, and the first way in |
//! | `executor` | the second way in: alloy-evm's traits |
//! | `parallel` | running ahead: workers, multi-version memory, validation, ordered commit |
//! | `output`, `error` | what comes out |
//! | [`import`] | chains of blocks into a store |
//! | `intermediate` | state roots between transactions, for receipts before Byzantium |
//! | `follow` | hearing what commits while the block runs |
//! | [`trace`] | what happened when, if asked |

mod ahead;
mod backlog;
mod block;
mod chain;
mod controller;
pub mod crypto;
mod durations;
mod engine;
mod error;
mod executor;
mod follow;
mod genesis;
mod history;
pub mod import;
mod intermediate;
mod output;
mod parallel;
mod prestate;
mod serial;
mod signing;
mod sync;
pub mod trace;
pub mod validate;

pub use ahead::{AheadMetrics, AheadOptions, RecoverAhead};
pub use block::{BlockError, RecoveredBlock, SignedBlock};
pub use chain::{ChainError, ChainSpec};
pub use controller::Decision;
pub use engine::{AfterBlock, Engine, EngineConfig, ExecuteOptions, Lent, Listed, Metrics};
pub use error::ExecuteError;
pub use executor::{
    ParallelBlockExecutor, ParallelBlockExecutorFactory, ParallelExecutionCtx, Speculation,
};
pub use follow::Follower;
pub use genesis::{genesis_header, genesis_state, genesis_state_root};
pub use intermediate::{IntermediateRootError, intermediate_roots, receipts_root_with};
pub use output::BlockOutput;
pub use parallel::{
    AccessList, BalanceWatcher, Debits, ListFault, ListedPart, Observed, ObservedEvm, Party,
    Payment, PleachEvm, PleachEvmFactory, SharedPrestate, SpeculativeEvmFactory, Validation, View,
    ViewError,
};
pub use prestate::Prestate;
pub use serial::execute_serial;
