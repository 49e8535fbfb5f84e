//! Senders and their signatures.

use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy,
    crypto::secp256k1::{public_key_to_address, sign_message},
};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, TxKind, keccak256};
use rayon::prelude::*;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use super::{BASE_FEE, CHAIN_ID, call::Draft, seed::Numbers};

const GWEI: u64 = 1_000_000_000;

/// An account whose key is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender {
    pub(super) address: Address,
    /// The nonce of the account's next transaction.
    pub(super) nonce: u64,
    key: B256,
}

/// Fees that a sender offers, in wei.
struct Fees {
    max_fee: u64,
    priority_fee: u64,
}

impl Sender {
    /// The account of a private key.
    pub(super) fn from_key(key: B256) -> Self {
        let secret = SecretKey::from_slice(key.as_slice())
            .expect("all but one in 2^127 hashes are a private key");
        let address = public_key_to_address(PublicKey::from_secret_key(SECP256K1, &secret));
        Self { address, nonce: 0, key }
    }

    /// Signs a draft. Type and fees depend on sender and nonce alone, so that a block's other
    /// transactions do not change them.
    fn sign(&self, draft: &Draft, nonce: u64) -> TxEnvelope {
        let mut numbers = Numbers::new(keccak256([&self.key.0[..], &nonce.to_be_bytes()].concat()));
        let priority_fee = numbers.within(GWEI / 100, 2 * GWEI);
        let fees = Fees { max_fee: BASE_FEE + numbers.within(2, 20) * GWEI, priority_fee };
        match numbers.below(20) {
            0..2 => self.seal(legacy(draft, nonce, &fees)),
            2 => self.seal(eip2930(draft, nonce, &fees)),
            _ => self.seal(eip1559(draft, nonce, &fees)),
        }
    }

    fn seal<T>(&self, tx: T) -> TxEnvelope
    where
        T: SignableTransaction<alloy_primitives::Signature>,
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = sign_message(self.key, tx.signature_hash())
            .expect("a key that has an address can sign");
        tx.into_signed(signature).into()
    }
}

/// Gives each draft its sender's next nonce and signs it, on all threads of the current pool.
pub(super) fn sign_all(senders: &mut [Sender], drafts: &[Draft]) -> Vec<TxEnvelope> {
    let take_nonce = |draft: &Draft| {
        let sender = &mut senders[draft.sender];
        sender.nonce += 1;
        sender.nonce - 1
    };
    let nonces: Vec<u64> = drafts.iter().map(take_nonce).collect();
    let senders = &*senders;
    let numbered = drafts.par_iter().zip(nonces).with_min_len(16);
    numbered.map(|(draft, nonce)| senders[draft.sender].sign(draft, nonce)).collect()
}

/// Signs a draft with a nonce that comes one too early.
pub(super) fn sign_too_early(senders: &[Sender], draft: &Draft) -> TxEnvelope {
    let sender = &senders[draft.sender];
    sender.sign(draft, sender.nonce + 1)
}

fn legacy(draft: &Draft, nonce: u64, fees: &Fees) -> TxLegacy {
    TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price: (BASE_FEE + fees.priority_fee).into(),
        gas_limit: draft.gas_limit,
        to: TxKind::Call(draft.to),
        value: draft.value,
        input: draft.input.clone(),
    }
}

fn eip2930(draft: &Draft, nonce: u64, fees: &Fees) -> TxEip2930 {
    // A plain transfer has no gas left to pay for an entry.
    let called = AccessListItem { address: draft.to, storage_keys: Vec::new() };
    let entries = if draft.input.is_empty() { Vec::new() } else { vec![called] };
    TxEip2930 {
        chain_id: CHAIN_ID,
        nonce,
        gas_price: (BASE_FEE + fees.priority_fee).into(),
        gas_limit: draft.gas_limit,
        to: TxKind::Call(draft.to),
        value: draft.value,
        access_list: AccessList(entries),
        input: draft.input.clone(),
    }
}

fn eip1559(draft: &Draft, nonce: u64, fees: &Fees) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: draft.gas_limit,
        max_fee_per_gas: fees.max_fee.into(),
        max_priority_fee_per_gas: fees.priority_fee.into(),
        to: TxKind::Call(draft.to),
        value: draft.value,
        access_list: AccessList::default(),
        input: draft.input.clone(),
    }
}
