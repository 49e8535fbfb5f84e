//! Every back-end against revm's default, bit for bit.

use std::hash::{BuildHasher, RandomState};

use ::p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use alloy_primitives::{U256, hex};
use revm::precompile::{Crypto, DefaultCrypto};

use super::PleachCrypto;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    /// From `PLEACH_SEED`, or from a fresh seed; either way the seed is printed.
    fn from_env() -> Self {
        let given = std::env::var("PLEACH_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("seed: PLEACH_SEED={seed} replays this run");
        Self(seed)
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.word() % from.len() as u64) as usize]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().expect("N bytes were asked for")
    }
}

#[test]
fn sha256_equals_the_default() {
    let mut rng = Rng::from_env();
    for len in (0..300).chain([1_000, 4_096, 100_000]) {
        let input = rng.bytes(len);
        assert_eq!(PleachCrypto.sha256(&input), DefaultCrypto.sha256(&input), "{len} bytes");
    }
}

/// The results padded to the modulus' length, as the precompile pads them.
fn assert_modexp(base: &[u8], exp: &[u8], modulus: &[u8]) {
    let padded = |crypto: &dyn Crypto| {
        let result = crypto.modexp(base, exp, modulus).expect("there is no failing case");
        let missing = modulus.len().checked_sub(result.len()).expect("no longer than the modulus");
        [vec![0; missing], result].concat()
    };
    let (found, expected) = (padded(&PleachCrypto), padded(&DefaultCrypto));
    let [base, exp, modulus] = [base, exp, modulus].map(hex::encode);
    assert_eq!(found, expected, "{base} ^ {exp} mod {modulus}");
}

#[test]
fn modexp_equals_the_default_on_edges() {
    let full = |len: usize| vec![0xff; len];
    let power = |len: usize| [vec![1], vec![0; len]].concat();
    let padded = |len: usize, low: u8| [vec![0; len], vec![low]].concat();
    let mut numbers = vec![vec![], vec![0], vec![0; 40], vec![1], vec![2], vec![3]];
    numbers.extend([1, 7, 8, 9, 31, 32, 33, 64, 65].into_iter().map(full));
    numbers.extend([1, 8, 16, 32].into_iter().map(power));
    numbers.extend([(8, 1), (31, 7), (32, 4)].map(|(len, low)| padded(len, low)));
    for base in &numbers {
        for exp in &numbers {
            for modulus in &numbers {
                assert_modexp(base, exp, modulus);
            }
        }
    }
}

#[test]
fn modexp_equals_the_default_on_random_numbers() {
    let mut rng = Rng::from_env();
    let lengths = [0, 1, 2, 7, 8, 9, 16, 24, 31, 32, 33, 48, 64, 65, 96, 128];
    for _ in 0..4_000 {
        let mut number = || {
            let (zeros, len) = (rng.pick(&[0, 0, 0, 1, 8, 30]), rng.pick(&lengths));
            [vec![0; zeros], rng.bytes(len)].concat()
        };
        let [base, exp, mut modulus] = [number(), number(), number()];
        // Half of all moduli end in zero bits, from one to whole words of them.
        let cut = (rng.word() % 16) as usize;
        if cut < 8 {
            let kept = modulus.len().saturating_sub(rng.pick(&[0, 1, 4, 7, 8, 9, 20]));
            modulus[kept..].fill(0);
            if let Some(last) = modulus[..kept].last_mut() {
                *last &= 0xff << cut;
            }
        }
        assert_modexp(&base, &exp, &modulus);
    }
}

/// Before Osaka no length is refused; AWS-LC refuses odd moduli above 8 KiB.
#[test]
fn modexp_equals_the_default_on_huge_numbers() {
    let mut rng = Rng::from_env();
    for (base, exp, modulus) in [(8_192, 1, 8_192), (8_300, 1, 8_300), (20_000, 1, 300)] {
        for low in [0, 1] {
            let mut modulus = rng.bytes(modulus);
            if let Some(last) = modulus.last_mut() {
                *last = *last & 0xfe | low;
            }
            assert_modexp(&rng.bytes(base), &rng.bytes(exp), &modulus);
        }
    }
}

#[test]
fn bn254_multiplication_equals_the_default() {
    let mut rng = Rng::from_env();
    let prime = hex!("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47");
    let order = hex!("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001");
    let near = |value: [u8; 32]| {
        let value = U256::from_be_bytes(value);
        [value - U256::ONE, value, value + U256::ONE].map(|value| value.to_be_bytes::<32>())
    };
    let small = |value: u64| U256::from(value).to_be_bytes::<32>();
    let generator: [u8; 64] = [small(1), small(2)].concat().try_into().expect("64 bytes");
    let coordinates = [near(prime), [small(0), small(1), small(2)]].concat();
    let mut points: Vec<[u8; 64]> = vec![generator, rng.array()];
    for x in &coordinates {
        points.extend(
            coordinates
                .iter()
                .map(|y| -> [u8; 64] { [*x, *y].concat().try_into().expect("64 bytes") }),
        );
    }
    points.extend((0..20).map(|_| {
        DefaultCrypto.bn254_g1_mul(&generator, &rng.array::<32>()).expect("on the curve")
    }));
    let mut scalars = [near(order), [small(0), small(1), [0xff; 32]]].concat();
    scalars.extend((0..30).map(|_| rng.array::<32>()));
    // Scalars of half the length, where the split of the scalar has its edges.
    scalars.extend(
        (0..10).map(|_| (U256::from_be_bytes(rng.array::<32>()) >> 128usize).to_be_bytes::<32>()),
    );
    for point in &points {
        for scalar in &scalars {
            assert_eq!(
                PleachCrypto.bn254_g1_mul(point, scalar),
                DefaultCrypto.bn254_g1_mul(point, scalar),
                "{} times {}",
                hex::encode(scalar),
                hex::encode(point),
            );
        }
    }
}

/// Whether the signature holds, after a check that both implementations say the same.
fn p256_holds(hash: &[u8; 32], signature: &[u8; 64], key: &[u8; 64]) -> bool {
    let found = PleachCrypto.secp256r1_verify_signature(hash, signature, key);
    let expected = DefaultCrypto.secp256r1_verify_signature(hash, signature, key);
    let [hash, signature, key] = [&hash[..], signature, key].map(hex::encode);
    assert_eq!(found, expected, "hash {hash}, signature {signature}, key {key}");
    found
}

#[test]
fn p256_equals_the_default() {
    let mut rng = Rng::from_env();
    let order = hex!("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let prime = hex!("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    let above = (U256::from_be_bytes(order) + U256::ONE).to_be_bytes::<32>();
    let edges = [[0; 32], U256::ONE.to_be_bytes(), order, above, prime, [0xff; 32]];
    for round in 0..60 {
        let signer = SigningKey::from_slice(&rng.array::<32>()).expect("almost every word is one");
        let point = signer.verifying_key().to_encoded_point(false);
        let key: [u8; 64] = point.as_bytes()[1..].try_into().expect("x and y");
        let hash = if round < 6 { edges[round] } else { rng.array() };
        let signature: Signature = signer.sign_prehash(&hash).expect("32 bytes can be signed");
        let signature: [u8; 64] = signature.to_bytes().into();
        assert!(p256_holds(&hash, &signature, &key));

        let s = U256::from_be_slice(&signature[32..]);
        let other = (U256::from_be_bytes(order) - s).to_be_bytes::<32>();
        let mirrored = [&signature[..32], &other].concat().try_into().expect("64 bytes");
        assert!(p256_holds(&hash, &mirrored, &key), "EIP-7951 allows both s");

        let mut flipped = signature;
        flipped[(rng.word() % 64) as usize] ^= 1 << (rng.word() % 8);
        assert!(!p256_holds(&hash, &flipped, &key));
        for edge in edges {
            for half in [0..32, 32..64] {
                let (mut signature, mut key) = (signature, key);
                signature[half.clone()].copy_from_slice(&edge);
                p256_holds(&hash, &signature, &key);
                key[half].copy_from_slice(&edge);
                p256_holds(&hash, &flipped, &key);
            }
        }
        assert!(!p256_holds(&hash, &signature, &[0; 64]), "infinity is no key");
    }
}

/// A point evaluation: z, y, commitment, proof.
type Evaluation = ([u8; 32], [u8; 32], [u8; 48], [u8; 48]);

/// Whether the proof holds, after a check that both implementations say the same.
fn kzg_holds((z, y, commitment, proof): &Evaluation) -> bool {
    let found = PleachCrypto.verify_kzg_proof(z, y, commitment, proof);
    let expected = DefaultCrypto.verify_kzg_proof(z, y, commitment, proof);
    assert_eq!(found, expected, "{z:x?} {y:x?} {commitment:x?} {proof:x?}");
    found.is_ok()
}

/// An evaluation of a random polynomial; z and all coefficients below the field's order.
fn evaluation(rng: &mut Rng) -> Evaluation {
    // What revm's default loads, so that it is loaded once.
    let settings = c_kzg::ethereum_kzg_settings(8);
    let mut blob = vec![0; c_kzg::BYTES_PER_BLOB];
    for element in blob.chunks_mut(32) {
        element[1..].copy_from_slice(&rng.bytes(31));
    }
    let blob = c_kzg::Blob::from_bytes(&blob).expect("a blob's length");
    let mut z = rng.array::<32>();
    z[0] = 0;
    let commitment = settings.blob_to_kzg_commitment(&blob).expect("field elements");
    let (proof, y) = settings.compute_kzg_proof(&blob, &z.into()).expect("field elements");
    (z, *y, *commitment.to_bytes(), *proof.to_bytes())
}

#[test]
fn kzg_equals_the_default() {
    let mut rng = Rng::from_env();
    let order = hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    assert!(kzg_holds(&([5; 32], [0; 32], infinity, infinity)), "the zero polynomial");
    for _ in 0..3 {
        let valid = evaluation(&mut rng);
        let (z, y, commitment, proof) = valid;
        assert!(kzg_holds(&valid));
        let plus_order =
            (U256::from_be_bytes(y).wrapping_add(U256::from_be_bytes(order))).to_be_bytes();
        let invalid = [
            (y, z, commitment, proof),
            (z, plus_order, commitment, proof),
            (order, y, commitment, proof),
            ([0xff; 32], y, commitment, proof),
            (z, y, proof, commitment),
            (z, y, infinity, proof),
            (z, y, commitment, infinity),
            (z, y, [0; 48], proof),
            (z, y, commitment, [0xff; 48]),
        ];
        for evaluation in &invalid {
            assert!(!kzg_holds(evaluation), "{evaluation:x?}");
        }
        for _ in 0..60 {
            let mut mutated = valid;
            let bit = 1 << (rng.word() % 8);
            let at = rng.word() as usize;
            match rng.word() % 4 {
                0 => mutated.0[at % 32] ^= bit,
                1 => mutated.1[at % 32] ^= bit,
                2 => mutated.2[at % 48] ^= bit,
                _ => mutated.3[at % 48] ^= bit,
            }
            assert!(!kzg_holds(&mutated), "{mutated:x?}");
        }
    }
}
