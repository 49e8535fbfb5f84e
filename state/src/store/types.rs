//! What goes into a store and comes out of it.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256};
use revm::database::BundleState;

use super::backend::BackendStats;

/// The block that a store's state is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The root of the state after it.
    pub state_root: B256,
    /// The difficulty of all blocks up to and with it.
    pub total_difficulty: U256,
}

/// A block that has run, with all that is kept of it.
#[derive(Debug, Clone)]
pub struct BlockCommit {
    /// Its header, which is trusted to be valid.
    pub header: Header,
    /// Keccak-256 of the header's RLP.
    pub hash: B256,
    /// The difficulty of all blocks up to and with it.
    pub total_difficulty: U256,
    /// Its body: any bytes; see [`encode_body`](super::encode_body) for Ethereum's.
    pub body: Bytes,
    /// Its receipts: any bytes; see [`encode_receipts`](super::encode_receipts) for Ethereum's.
    pub receipts: Bytes,
    /// What it changed, with what was there before: the changes of this block alone.
    pub bundle: BundleState,
}

/// How a store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreConfig {
    /// How many blocks can be taken back. What this needs is kept for so many blocks.
    pub unwindable: u64,
}

impl Default for StoreConfig {
    /// 1,024 blocks.
    fn default() -> Self {
        Self { unwindable: 1_024 }
    }
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// The version of the layout.
    pub schema: u32,
    /// Hash of the first block; none before there is one.
    pub genesis: Option<B256>,
    /// The last block; none before there is one.
    pub head: Option<Head>,
    /// The earliest block that can be unwound to; none before there is one.
    pub oldest_unwind: Option<u64>,
    /// Room taken.
    pub backend: BackendStats,
}
