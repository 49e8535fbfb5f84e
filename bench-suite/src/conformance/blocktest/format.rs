//! The files of blockchain tests, as far as they are needed.

use std::collections::BTreeMap;

use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::Deserialize;

use crate::conformance::{Network, NetworkError, WorldAccount};

/// One test: a chain of blocks, and what must become of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockTest {
    pub(super) network: String,
    #[serde(default)]
    pub(super) config: Config,
    pub(super) genesis_block_header: HeaderEntry,
    #[serde(rename = "genesisRLP")]
    pub(super) genesis_rlp: Bytes,
    pub(super) pre: BTreeMap<Address, WorldAccount>,
    pub(super) blocks: Vec<BlockEntry>,
    pub(super) lastblockhash: B256,
    pub(super) post_state: Option<BTreeMap<Address, WorldAccount>>,
    pub(super) post_state_hash: Option<B256>,
}

/// What is configured beside the network's name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    chainid: Option<U64>,
    #[serde(default)]
    blob_schedule: BTreeMap<String, BlobEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlobEntry {
    target: U64,
    max: U64,
    base_fee_update_fraction: U64,
}

/// The part of a header that its RLP does not hold.
#[derive(Debug, Deserialize)]
pub(super) struct HeaderEntry {
    pub(super) hash: B256,
}

/// One block.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockEntry {
    pub(super) rlp: Bytes,
    pub(super) expect_exception: Option<String>,
    pub(super) block_header: Option<HeaderEntry>,
}

impl BlockTest {
    /// The test's rules.
    pub(super) fn network(&self) -> Result<Network, NetworkError> {
        let chain_id = self.config.chainid.map_or(1, |id| id.to());
        let blobs = self.config.blob_schedule.iter();
        let blobs = blobs.map(|(fork, entry)| (fork.clone(), entry.params())).collect();
        Network::by_name(&self.network, chain_id, &blobs)
    }
}

impl BlobEntry {
    fn params(&self) -> BlobParams {
        let max_blob_count = self.max.to();
        BlobParams {
            target_blob_count: self.target.to(),
            max_blob_count,
            update_fraction: self.base_fee_update_fraction.to(),
            max_blobs_per_tx: max_blob_count,
            ..BlobParams::cancun()
        }
    }
}

impl<'de> Deserialize<'de> for WorldAccount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Account {
            balance: U256,
            nonce: U64,
            code: Bytes,
            storage: BTreeMap<U256, U256>,
        }
        let Account { balance, nonce, code, storage } = Account::deserialize(deserializer)?;
        let storage = storage.into_iter().collect();
        Ok(Self { balance, nonce: nonce.to(), code, storage })
    }
}
