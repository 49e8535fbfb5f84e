//! Recovery on every instruction set against libsecp256k1.

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_primitives::Signature;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use super::*;
use crate::cpu::{
    RECOVER_BATCH,
    lanes::Emulated,
    scalar::ORDER,
    testing::{Rng, each_lanes, hardware_lanes},
};

const N: U256 = U256::from_limbs(ORDER);
/// The endomorphism's multiplier.
const LAMBDA: U256 = U256::from_limbs([
    0xdf02_967c_1b23_bd72,
    0x122e_22ea_2081_6678,
    0xa526_1c02_8812_645a,
    0x5363_ad4c_c05c_30e0,
]);

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
    let (r, s, odd) = match rng.below(9) {
        0 => (noise, s, odd),
        1 => (r, noise, odd),
        2 => (r, s, !odd),
        3 => (U256::ZERO, s, odd),
        4 => (r, U256::ZERO, odd),
        5 => (N + (noise >> 160), s, odd),
        6 => (r, N + (noise >> 160), odd),
        7 => (noise >> 200, s, odd),
        _ => (r, N - s, odd),
    };
    request.signature = Signature::new(r, s, odd);
}

/// Compares batch by batch, so that a failure names its request.
fn check<L: Lanes>(lanes: L, requests: &[RecoveryRequest], expected: &[Answer]) {
    for (requests, expected) in requests.chunks(RECOVER_BATCH).zip(expected.chunks(RECOVER_BATCH)) {
        let answers = recover(lanes, CpuPath::best(), requests);
        for ((request, answer), expected) in requests.iter().zip(&answers).zip(expected) {
            assert_eq!(answer, expected, "{lanes:?}: {request:?}");
        }
        assert_eq!(answers.len(), requests.len());
    }
}

type Answer = Result<Address, RecoveryError>;

#[test]
fn random_requests_equal_libsecp256k1() {
    // Ten times as many where the code is optimised.
    let count = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    let mut rng = Rng::from_env();
    let requests: Vec<_> = (0..count)
        .map(|index| {
            let mut request = signed(&mut rng);
            if index % 10 == 0 {
                mutate(&mut rng, &mut request);
            }
            request
        })
        .collect();
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    let refused = expected.iter().filter(|answer| answer.is_err()).count();
    assert!(refused > count / 20, "only {refused} of {count} are invalid");
    hardware_lanes!(|lanes| check(lanes, &requests, &expected));
    // Slower than all others together: a share of them.
    let share = count / 5;
    check(Emulated::<2>, &requests[..share], &expected[..share]);
}

#[test]
fn batches_of_every_size() {
    let mut rng = Rng::from_env();
    let requests: Vec<_> = (0..40).map(|_| signed(&mut rng)).collect();
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    for count in 0..=requests.len() {
        each_lanes!(|lanes| check(lanes, &requests[..count], &expected[..count]));
        for path in CpuPath::ALL {
            assert_eq!(path.recover(&requests[..count]), expected[..count], "{path}");
        }
    }
}

#[test]
fn a_batch_without_a_valid_request() {
    let mut request = signed(&mut Rng::from_env());
    request.signature = Signature::new(U256::ZERO, U256::ZERO, false);
    each_lanes!(|lanes| check(lanes, &[request; 9], &[Err(RecoveryError::Invalid); 9]));
}

/// The request whose R is k·G, and whose multipliers of G and R are these; none where x is not
/// below n, or s would be 0.
fn crafted(k: U256, u1: U256, u2: U256) -> Option<RecoveryRequest> {
    let secret = SecretKey::from_byte_array(&k.to_be_bytes::<32>()).ok()?;
    let point = PublicKey::from_secret_key(SECP256K1, &secret).serialize();
    let r = U256::from_be_slice(&point[1..]);
    let s = u2.mul_mod(r, N);
    let hash = (N - u1.mul_mod(r, N)) % N;
    let signature = Signature::new(r, s, point[0] == 3);
    let message_hash = B256::from(hash);
    (r < N && !s.is_zero()).then_some(RecoveryRequest {
        signature,
        message_hash,
        require_low_s: false,
    })
}

/// Multipliers at which digits, halves and partial sums coincide.
fn edges(rng: &mut Rng) -> Vec<U256> {
    let power = |bit: usize| U256::from(1) << bit;
    let powers = [1, 4, 5, 12, 13, 65, 117, 125, 128, 129, 130, 143, 247, 255].map(power);
    let small = (0..6).chain([15, 16, 17, 30, 31, 32, 33]).map(U256::from);
    let half = (N + U256::from(1)) >> 1;
    let lambdas = [LAMBDA, LAMBDA.mul_mod(LAMBDA, N), half, power(130) + U256::from(1)];
    let random = [(); 4].map(|()| U256::from_limbs(std::array::from_fn(|_| rng.word())) % N);
    let each: Vec<_> = powers.into_iter().chain(small).chain(lambdas).chain(random).collect();
    each.iter().copied().chain(each.iter().map(|edge| (N - edge % N) % N)).collect()
}

#[test]
fn crafted_requests_equal_libsecp256k1() {
    let mut rng = Rng::from_env();
    let edges = edges(&mut rng);
    let mut requests = Vec::new();
    for &k in &edges {
        for &u2 in &edges {
            // u1·G = ±u2·R, next to it, and any other edge.
            let product = k.mul_mod(u2, N);
            let near = [product, N - product, product.add_mod(U256::from(1), N)];
            let other = edges[rng.below(edges.len() as u64) as usize];
            let each = near.into_iter().chain([other, U256::ZERO, U256::from(1)]);
            requests.extend(each.filter_map(|u1| crafted(k, u1 % N, u2)));
        }
    }
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    let infinite = expected.iter().filter(|answer| answer.is_err()).count();
    assert!(infinite * 10 > requests.len(), "{infinite} of {}", requests.len());
    each_lanes!(|lanes| check(lanes, &requests, &expected));
}

/// Additions of equal points are told apart, rather than guessed.
#[test]
fn equal_and_opposite_points_are_exceptional() {
    let u2 = U256::from(12_345);
    let k = U256::from(678_901);
    let product = k.mul_mod(u2, N);
    let requests = [crafted(k, N - product, u2), crafted(k, U256::from(77), u2)];
    let requests = requests.map(|request| request.expect("k·G has a small x"));
    let checked: Vec<_> = requests.iter().map(super::check).collect();
    let keys = Emulated::<2>.run(Recover(&tasks(&requests, &checked)));
    assert_eq!(keys[0], Key::Exceptional);
    assert!(matches!(keys[1], Key::Point(_)), "{:?}", keys[1]);
}
