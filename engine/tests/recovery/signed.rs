//! Signed transactions of every type, by keys that are known.

use alloy_consensus::{
    Block, BlockBody, Header, SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844,
    TxEip4844Variant, TxEip7702, TxEnvelope, TxLegacy,
    crypto::secp256k1::{public_key_to_address, sign_message},
};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256, uint};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// The group order.
pub(crate) const ORDER: U256 =
    uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
pub(crate) const TARGET: Address = Address::repeat_byte(0x77);

/// The private key with a number.
pub(crate) fn key(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

/// The account of that key.
pub(crate) fn account(number: u64) -> Address {
    let secret = SecretKey::from_slice(key(number).as_slice()).expect("a hash is a key");
    public_key_to_address(PublicKey::from_secret_key(SECP256K1, &secret))
}

fn sign<T: SignableTransaction<Signature>>(tx: T, number: u64) -> Signed<T> {
    let signature = sign_message(key(number), tx.signature_hash()).expect("a key signs");
    tx.into_signed(signature)
}

/// A legacy transaction, with a chain's id (EIP-155) or as before.
pub(crate) fn legacy(number: u64, chain_id: Option<u64>) -> TxEnvelope {
    TxEnvelope::Legacy(sign(plain(chain_id), number))
}

fn plain(chain_id: Option<u64>) -> TxLegacy {
    TxLegacy {
        chain_id,
        gas_price: 2_000_000_000,
        gas_limit: 21_000,
        to: TxKind::Call(TARGET),
        value: U256::from(1),
        ..TxLegacy::default()
    }
}

/// The same signature with the other s, which the same key gives.
pub(crate) fn high_s(number: u64) -> TxEnvelope {
    let signed = sign(plain(None), number);
    let signature = signed.signature();
    let other = Signature::new(signature.r(), ORDER - signature.s(), !signature.v());
    TxEnvelope::Legacy(Signed::new_unhashed(signed.tx().clone(), other))
}

/// A legacy transaction with this signature.
pub(crate) fn with_signature(r: U256, s: U256) -> TxEnvelope {
    TxEnvelope::Legacy(Signed::new_unhashed(plain(None), Signature::new(r, s, false)))
}

/// One transaction of each type, the n-th by key n.
pub(crate) fn every_type() -> Vec<TxEnvelope> {
    let to = TxKind::Call(TARGET);
    let input = Bytes::from(vec![0x5a; 300]);
    let fees = (2_000_000_000, 1_000_000_000);
    let eip2930 = TxEip2930 { chain_id: 1, gas_limit: 50_000, to, ..TxEip2930::default() };
    let eip1559 = TxEip1559 {
        chain_id: 1,
        max_fee_per_gas: fees.0,
        max_priority_fee_per_gas: fees.1,
        to,
        input,
        ..TxEip1559::default()
    };
    let eip4844 = TxEip4844 {
        chain_id: 1,
        to: TARGET,
        blob_versioned_hashes: vec![B256::repeat_byte(1)],
        ..TxEip4844::default()
    };
    let eip7702 = TxEip7702 {
        chain_id: 1,
        to: TARGET,
        authorization_list: vec![authorization(9, 1, 0), authorization(10, 0, 7)],
        ..TxEip7702::default()
    };
    vec![
        legacy(0, None),
        legacy(1, Some(1)),
        TxEnvelope::Eip2930(sign(eip2930, 2)),
        TxEnvelope::Eip1559(sign(eip1559, 3)),
        TxEnvelope::Eip4844(sign(TxEip4844Variant::TxEip4844(eip4844), 4)),
        TxEnvelope::Eip7702(sign(eip7702, 5)),
    ]
}

/// What the account of key `number` signs to delegate to [`TARGET`].
pub(crate) fn authorization(number: u64, chain_id: u64, nonce: u64) -> SignedAuthorization {
    let inner = Authorization { chain_id: U256::from(chain_id), address: TARGET, nonce };
    let signature = sign_message(key(number), inner.signature_hash()).expect("a key signs");
    inner.into_signed(signature)
}

/// An EIP-7702 transaction by key `number` with these authorizations.
pub(crate) fn delegating(number: u64, list: Vec<SignedAuthorization>) -> TxEnvelope {
    let tx =
        TxEip7702 { chain_id: 1, to: TARGET, authorization_list: list, ..TxEip7702::default() };
    TxEnvelope::Eip7702(sign(tx, number))
}

/// A block of these.
pub(crate) fn block(number: u64, transactions: Vec<TxEnvelope>) -> Block<TxEnvelope> {
    let header = Header { number, ..Header::default() };
    Block { header, body: BlockBody { transactions, ..BlockBody::default() } }
}
