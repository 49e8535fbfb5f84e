//! What a block's signatures signed: the bytes that go to the accelerator, not hashed yet.

use std::ops::Range;

use alloy_consensus::{SignableTransaction, Transaction, TxEnvelope};
use alloy_eips::eip7702::{SignedAuthorization, constants::MAGIC};
use alloy_primitives::{Address, Signature, U256};
use alloy_rlp::Encodable;
use pleach_gpu_accel::{Accelerator, CpuPath, RecoveryError, SignedMessage};

/// What a signature gave.
pub(crate) type Recovery = Result<Address, RecoveryError>;

/// Signed messages of any number of blocks, one after another.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    bytes: Vec<u8>,
    signed: Vec<Signed>,
}

/// One signature, and where its message lies.
#[derive(Debug)]
struct Signed {
    message: Range<usize>,
    signature: Signature,
    require_low_s: bool,
}

impl Signing {
    /// Adds all transactions, and after them all their EIP-7702 authorizations, each in block
    /// order.
    ///
    /// `homestead` says whether EIP-2 holds for the transactions; for authorizations it always
    /// does.
    pub(crate) fn add_block(&mut self, txs: &[TxEnvelope], homestead: bool) {
        for tx in txs {
            self.add(*tx.signature(), homestead, |bytes| encode_for_signing(tx, bytes));
        }
        self.add_authorizations(txs);
    }

    /// Adds the EIP-7702 authorizations of all transactions, in block order.
    pub(crate) fn add_authorizations(&mut self, txs: &[TxEnvelope]) {
        for authorization in txs.iter().filter_map(|tx| tx.authorization_list()).flatten() {
            let signature = signature(authorization);
            self.add(signature, true, |bytes| {
                bytes.push(MAGIC);
                authorization.inner().encode(bytes);
            });
        }
    }

    fn add(&mut self, signature: Signature, low_s: bool, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        let message = start..self.bytes.len();
        self.signed.push(Signed { message, signature, require_low_s: low_s });
    }

    pub(crate) fn len(&self) -> usize {
        self.signed.len()
    }

    /// Recovers all in one batch, in order.
    pub(crate) fn recover(&self, accelerator: &Accelerator) -> Vec<Recovery> {
        accelerator.recover_messages(&self.messages())
    }

    /// The same on the calling thread.
    pub(crate) fn recover_here(&self) -> Vec<Recovery> {
        CpuPath::best().recover_messages(&self.messages())
    }

    fn messages(&self) -> Vec<SignedMessage<'_>> {
        let request = |signed: &Signed| SignedMessage {
            signature: signed.signature,
            message: &self.bytes[signed.message.clone()],
            require_low_s: signed.require_low_s,
        };
        self.signed.iter().map(request).collect()
    }
}

/// The signature of an authorization. One that is malformed asks with r = 0, which nothing
/// recovers.
fn signature(authorization: &SignedAuthorization) -> Signature {
    authorization.signature().unwrap_or_else(|_| Signature::new(U256::ZERO, U256::ZERO, false))
}

fn encode_for_signing(tx: &TxEnvelope, bytes: &mut Vec<u8>) {
    match tx {
        TxEnvelope::Legacy(tx) => tx.tx().encode_for_signing(bytes),
        TxEnvelope::Eip2930(tx) => tx.tx().encode_for_signing(bytes),
        TxEnvelope::Eip1559(tx) => tx.tx().encode_for_signing(bytes),
        TxEnvelope::Eip4844(tx) => tx.tx().encode_for_signing(bytes),
        TxEnvelope::Eip7702(tx) => tx.tx().encode_for_signing(bytes),
    }
}
