//! Receipts whose blooms were computed ahead of time.

use std::sync::Arc;

use alloy_consensus::{
    Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, TxEnvelope, TxReceipt, TxType,
};
use alloy_evm::{
    Evm,
    eth::receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
};
use alloy_primitives::Bloom;

use crate::sync::Mutex;

/// Where the committer leaves the bloom of the result it has just handed out.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandedBloom(Arc<Mutex<Option<Bloom>>>);

impl HandedBloom {
    pub(super) fn hand(&self, bloom: Option<Bloom>) {
        *self.0.lock() = bloom;
    }
}

/// alloy-evm's own receipt builder, save that it takes a bloom that is handed to it.
#[derive(Debug)]
pub(crate) struct HandedBloomReceipts {
    bloom: HandedBloom,
}

impl HandedBloomReceipts {
    pub(crate) const fn new(bloom: HandedBloom) -> Self {
        Self { bloom }
    }
}

impl ReceiptBuilder for HandedBloomReceipts {
    type Transaction = TxEnvelope;
    type Receipt = ReceiptEnvelope;

    fn build_receipt<E: Evm>(&self, ctx: ReceiptBuilderCtx<'_, TxType, E>) -> ReceiptEnvelope {
        let receipt = Receipt {
            status: Eip658Value::Eip658(ctx.result.is_success()),
            cumulative_gas_used: ctx.cumulative_gas_used,
            logs: ctx.result.into_logs(),
        };
        let handed = self.bloom.0.lock().take();
        let logs_bloom = handed.unwrap_or_else(|| receipt.bloom());
        let receipt = ReceiptWithBloom { receipt, logs_bloom };
        match ctx.tx_type {
            TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
            TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
            TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
            TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
            TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
        }
    }
}
