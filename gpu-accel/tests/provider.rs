//! The accelerator as alloy's crypto provider, which a process has one of.

use std::sync::Arc;

use alloy_consensus::{
    SignableTransaction, Signed, TxEip1559, TxEnvelope,
    crypto::secp256k1::{
        public_key_to_address, recover_signer, recover_signer_unchecked, sign_message,
        verify_and_compute_signer_unchecked,
    },
    transaction::SignerRecoverable,
};
use alloy_primitives::{Address, B256, Signature, U256, keccak256, uint};
use pleach_gpu_accel::{
    Accelerator, AcceleratorProvider, ProviderMetrics, RecoveryRequest, SignedMessage, recover_one,
};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

fn key(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

fn public(number: u64) -> PublicKey {
    let secret = SecretKey::from_slice(key(number).as_slice()).expect("a hash is a key");
    PublicKey::from_secret_key(SECP256K1, &secret)
}

fn account(number: u64) -> Address {
    public_key_to_address(public(number))
}

fn request(number: u64) -> RecoveryRequest {
    let message_hash = key(number + 1_000_000);
    let signature = sign_message(key(number), message_hash).expect("a key signs");
    RecoveryRequest { signature, message_hash, require_low_s: true }
}

fn metrics(known: u64, unknown: u64) -> ProviderMetrics {
    ProviderMetrics { known, unknown }
}

#[test]
fn alloy_answers_from_what_was_recovered_ahead() {
    let accelerator = Arc::new(Accelerator::cpu(2).expect("threads start"));
    let provider = Arc::new(AcceleratorProvider::new(accelerator, 1000));
    provider.install().expect("it is the first");
    assert!(provider.install().is_err(), "a process has one provider");
    recovers_hashes(&provider);
    recovers_transactions(&provider);
    refuses_what_libsecp256k1_refuses(&provider);
    forgets(&provider);
    verifies();
}

fn recovers_hashes(provider: &AcceleratorProvider) {
    let requests: Vec<_> = (0..100).map(request).collect();
    provider.recover_ahead(&requests[..60]);
    for (number, request) in requests.iter().enumerate() {
        let signer = recover_signer(&request.signature, request.message_hash);
        assert_eq!(signer.expect("a key signed"), account(number as u64));
        // The definition does not ask the provider, which asks the definition.
        assert_eq!(recover_one(request), Ok(account(number as u64)));
    }
    assert_eq!(provider.metrics(), metrics(60, 40));
}

fn recovers_transactions(provider: &AcceleratorProvider) {
    let tx = |nonce| TxEip1559 { chain_id: 1, nonce, ..TxEip1559::default() };
    let signed: Vec<Signed<TxEip1559>> = (0..50)
        .map(|nonce| {
            let tx = tx(nonce);
            let signature = sign_message(key(nonce), tx.signature_hash()).expect("a key signs");
            tx.into_signed(signature)
        })
        .collect();
    let messages: Vec<_> = signed.iter().map(|signed| signed.tx().encoded_for_signing()).collect();
    let requests = signed.iter().zip(&messages).map(|(signed, message)| SignedMessage {
        signature: *signed.signature(),
        message,
        require_low_s: true,
    });
    provider.recover_messages_ahead(&requests.collect::<Vec<_>>());
    for (nonce, signed) in signed.into_iter().enumerate() {
        let signer = TxEnvelope::from(signed).recover_signer();
        assert_eq!(signer.expect("a key signed"), account(nonce as u64));
    }
    assert_eq!(provider.metrics(), metrics(110, 40));
}

fn refuses_what_libsecp256k1_refuses(provider: &AcceleratorProvider) {
    let good = request(500);
    let (r, s, odd) = (good.signature.r(), good.signature.s(), good.signature.v());
    let bad: Vec<_> = [(U256::ZERO, s), (r, U256::ZERO), (ORDER, s), (r, ORDER), (U256::MAX, s)]
        .into_iter()
        .map(|(r, s)| RecoveryRequest { signature: Signature::new(r, s, odd), ..good })
        .collect();
    let high = Signature::new(r, ORDER - s, !odd);
    for ahead in [false, true] {
        if ahead {
            provider.recover_ahead(&bad);
            provider.recover_ahead(&[RecoveryRequest { signature: high, ..good }]);
        }
        for request in &bad {
            let answer = recover_signer_unchecked(&request.signature, request.message_hash);
            assert!(answer.is_err(), "{request:?}");
        }
        // Alloy itself refuses a high s where that is asked for.
        assert!(recover_signer(&high, good.message_hash).is_err());
        let unchecked = recover_signer_unchecked(&high, good.message_hash);
        assert_eq!(unchecked.expect("both forms have one signer"), account(500));
    }
    assert_eq!(provider.metrics(), metrics(116, 46));
}

/// Old answers go, new ones stay.
fn forgets(provider: &AcceleratorProvider) {
    let requests: Vec<_> = (10_000..15_000).map(request).collect();
    provider.recover_ahead(&requests);
    let before = provider.metrics();
    let ask = |request: &RecoveryRequest| {
        recover_signer(&request.signature, request.message_hash).expect("a key signed")
    };
    for (request, number) in requests[4990..].iter().zip(14_990..) {
        assert_eq!(ask(request), account(number));
    }
    assert_eq!(provider.metrics(), metrics(before.known + 10, before.unknown));
    for (request, number) in requests[..10].iter().zip(10_000..) {
        assert_eq!(ask(request), account(number));
    }
    assert_eq!(provider.metrics(), metrics(before.known + 10, before.unknown + 10));
}

fn verifies() {
    let good = request(7);
    let key = public(7).serialize_uncompressed();
    let verify = |key: &[u8; 65], signature: &Signature| {
        verify_and_compute_signer_unchecked(key, signature, good.message_hash)
    };
    assert_eq!(verify(&key, &good.signature).expect("the key signed"), account(7));
    assert!(verify(&public(8).serialize_uncompressed(), &good.signature).is_err());
    let other = Signature::new(good.signature.r(), good.signature.s() + U256::from(1), false);
    assert!(verify(&key, &other).is_err());
    assert!(verify(&[4; 65], &good.signature).is_err(), "no key");
}
