//! Recovery on every instruction set against libsecp256k1.

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_primitives::Signature;

use super::*;
use crate::cpu::{
    scalar::ORDER,
    testing::{Rng, each_lanes},
};

const N: U256 = U256::from_limbs(ORDER);

fn b256(rng: &mut Rng) -> B256 {
    B256::from(U256::from_limbs(std::array::from_fn(|_| rng.word())))
}

fn signed(rng: &mut Rng) -> RecoveryRequest {
    let message_hash = b256(rng);
    let signature = loop {
        if let Ok(signature) = sign_message(b256(rng), message_hash) {
            break signature;
        }
    };
    RecoveryRequest { signature, message_hash, require_low_s: rng.below(2) == 0 }
}

fn mutate(rng: &mut Rng, request: &mut RecoveryRequest) {
    let (r, s, odd) = (request.signature.r(), request.signature.s(), request.signature.v());
    let noise = U256::from_be_bytes(b256(rng).0);
    let (r, s, odd) = match rng.below(8) {
        0 => (noise, s, odd),
        1 => (r, noise, odd),
        2 => (r, s, !odd),
        3 => (U256::ZERO, s, odd),
        4 => (r, U256::ZERO, odd),
        5 => (N + (noise >> 160), s, odd),
        6 => (r, N + (noise >> 160), odd),
        _ => (r, N - s, odd),
    };
    request.signature = Signature::new(r, s, odd);
}

#[test]
fn random_requests_equal_libsecp256k1() {
    let mut rng = Rng::from_env();
    let requests: Vec<_> = (0..500)
        .map(|index| {
            let mut request = signed(&mut rng);
            if index % 10 == 0 {
                mutate(&mut rng, &mut request);
            }
            request
        })
        .collect();
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    each_lanes!(|lanes| assert_eq!(
        recover(lanes, CpuPath::best(), &requests),
        expected,
        "{lanes:?}"
    ));
}
