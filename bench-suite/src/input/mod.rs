//! Blocks to execute: from files in two JSON formats, or built in.

mod builtin;
mod error;
mod files;
mod format;

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::{B256, Bytes};
use pleach_engine::ChainSpec;
use pleach_state::{FlatState, WitnessState};

pub use builtin::builtin;
pub use error::{InputError, InputErrorKind};
pub use files::{BlockFile, find};
pub use format::read;

/// A block, the rules it is executed under, and the state before it.
#[derive(Debug)]
pub struct BlockInput {
    /// The file that the block comes from; `built in` if there is none.
    pub origin: String,
    /// The name of the built-in workload, if it is one.
    pub workload: Option<&'static str>,
    /// The rules of the block's chain.
    pub chain: Arc<ChainSpec>,
    /// The block, decoded.
    pub block: Block<TxEnvelope>,
    /// The state before the block.
    pub prestate: InputState,
}

/// A prestate in the form in which it was given.
#[derive(Debug)]
pub enum InputState {
    /// Accounts and slots as a list. What is not listed does not exist.
    Flat(FlatState),
    /// Trie nodes. What they do not prove cannot be read.
    Witness {
        /// The nodes, under the root that the input names.
        state: WitnessState,
        /// The state root in the parent's header, if the input has that header.
        parent_state_root: Option<B256>,
        /// The ancestors' headers as RLP, by number.
        ancestors: BTreeMap<u64, Bytes>,
    },
}
