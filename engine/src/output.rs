//! What executing a block gives.

use alloy_consensus::{ReceiptEnvelope, TxReceipt};
use alloy_eips::eip7685::Requests;
use alloy_primitives::Bloom;
use revm::{database::BundleState, state::bal::alloy::AlloyBal};

/// Everything that executing a block gives. Two executions of a block agree exactly when their
/// outputs are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockOutput {
    /// One receipt per transaction. Before Byzantium a receipt holds the state root after its
    /// transaction, which execution alone does not know: there, as everywhere, `status` is set.
    pub receipts: Vec<ReceiptEnvelope>,
    /// Gas used by the whole block, as the header counts it.
    pub gas_used: u64,
    /// Blob gas used by the whole block; zero before Cancun.
    pub blob_gas_used: u64,
    /// EIP-7685 requests; empty before Prague.
    pub requests: Requests,
    /// The block's state changes, with what is needed to revert them. The empty code is never among
    /// its contracts.
    pub bundle: BundleState,
    /// The EIP-7928 block access list, if it was asked for.
    pub access_list: Option<AlloyBal>,
}

impl BlockOutput {
    /// The union of all receipts' blooms.
    pub fn logs_bloom(&self) -> Bloom {
        self.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom())
    }

    /// The first field in which two outputs differ, for a report; `None` if they are equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let receipts = self.receipts.iter().zip(&other.receipts);
        if let Some(index) = receipts.into_iter().position(|(a, b)| a != b) {
            return Some(format!("receipt of transaction {index}"));
        }
        let fields = [
            ("receipts", self.receipts == other.receipts),
            ("gas_used", self.gas_used == other.gas_used),
            ("blob_gas_used", self.blob_gas_used == other.blob_gas_used),
            ("requests", self.requests == other.requests),
            ("bundle", self.bundle == other.bundle),
            ("access_list", self.access_list == other.access_list),
        ];
        fields.iter().find(|(_, equal)| !equal).map(|(name, _)| (*name).to_owned())
    }
}
