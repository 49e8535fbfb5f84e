//! Recovery against k256, which shares no code with libsecp256k1: edge cases made here, thousands
//! of random signatures, and published vectors.

use alloy_primitives::{Address, B256, Signature, U256, hex, keccak256};
use k256::{
    ecdsa::{SigningKey, VerifyingKey},
    sha2::{Digest, Sha256},
};
use pleach_gpu_accel::{
    Accelerator, CpuPath, RECOVER_INLINE, RecoveryError, RecoveryRequest, recover_one,
};
use serde::Deserialize;

use crate::{
    common::{Rng, vectors},
    device,
    reference::{N, P, address_of, reference},
};

/// Compiles only if alloy's recovery is that of libsecp256k1: with k256 the key has another type.
const _: fn(secp256k1::PublicKey) -> Address =
    alloy_consensus::crypto::secp256k1::public_key_to_address;

fn request(r: U256, s: U256, odd: bool, hash: B256) -> RecoveryRequest {
    let signature = Signature::new(r, s, odd);
    RecoveryRequest { signature, message_hash: hash, require_low_s: false }
}

/// What every CPU path says of all, which must be what one by one gives.
fn check_paths(requests: &[RecoveryRequest]) {
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    for path in CpuPath::ALL {
        assert_eq!(path.recover(requests), expected, "{path}");
    }
}

/// A signature by a random key, and the key's address.
fn signed(rng: &mut Rng) -> (RecoveryRequest, Address) {
    let key = loop {
        if let Ok(key) = SigningKey::from_slice(&rng.b256()) {
            break key;
        }
    };
    let hash = B256::from(rng.b256());
    let (signature, id) =
        key.sign_prehash_recoverable(hash.as_slice()).expect("32 bytes can be signed");
    assert!(!id.is_x_reduced(), "no one finds a point with x above n by chance");
    let (r, s) = signature.split_bytes();
    let (r, s) = (U256::from_be_slice(&r), U256::from_be_slice(&s));
    (request(r, s, id.is_y_odd(), hash), address_of(key.verifying_key()))
}

fn mutate(rng: &mut Rng, request: &mut RecoveryRequest) {
    let (r, s, odd) = (request.signature.r(), request.signature.s(), request.signature.v());
    let noise = U256::from_be_bytes(rng.b256());
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
    request.require_low_s = rng.below(2) == 0;
}

#[test]
fn random_signatures_equal_k256_on_any_number_of_threads() {
    let mut rng = Rng::from_env();
    let mut requests = Vec::new();
    for index in 0..6_000 {
        let (mut request, address) = signed(&mut rng);
        if index % 10 == 0 {
            mutate(&mut rng, &mut request);
        } else {
            assert_eq!(recover_one(&request), Ok(address), "{request:?}");
        }
        requests.push(request);
    }
    let expected: Vec<_> = requests.iter().map(reference).collect();
    assert!(expected.iter().filter(|answer| answer.is_err()).count() > 100);
    for threads in [0, 1, 2, 3, 8] {
        let answers = Accelerator::cpu(threads).expect("threads start").recover(&requests);
        for ((request, answer), expected) in requests.iter().zip(&answers).zip(&expected) {
            assert_eq!(answer, expected, "{threads} threads, {request:?}");
        }
    }
}

#[test]
fn small_batches_keep_their_order() {
    let mut rng = Rng::from_env();
    let accelerator = Accelerator::cpu(3).expect("threads start");
    for count in 0..=2 * RECOVER_INLINE + 5 {
        let (requests, addresses): (Vec<_>, Vec<_>) = (0..count).map(|_| signed(&mut rng)).unzip();
        let addresses: Vec<_> = addresses.into_iter().map(Ok).collect();
        assert_eq!(accelerator.recover(&requests), addresses, "{count} signatures");
    }
}

#[test]
fn r_or_s_out_of_range() {
    let (valid, address) = signed(&mut Rng::from_env());
    let (r, s, hash) = (valid.signature.r(), valid.signature.s(), valid.message_hash);
    assert_eq!(recover_one(&valid), Ok(address));
    for bad in [U256::ZERO, N, N + U256::from(1), P, U256::MAX] {
        for odd in [false, true] {
            let answers = [request(bad, s, odd, hash), request(r, bad, odd, hash)];
            for request in answers {
                assert_eq!(recover_one(&request), Err(RecoveryError::Invalid), "{request:?}");
                assert_eq!(reference(&request), Err(RecoveryError::Invalid), "{request:?}");
            }
        }
    }
}

#[test]
fn a_high_s_is_refused_only_under_eip_2() {
    let (low, address) = signed(&mut Rng::from_env());
    let (r, s, odd) = (low.signature.r(), low.signature.s(), low.signature.v());
    let mut high = request(r, N - s, !odd, low.message_hash);
    assert_eq!(recover_one(&high), Ok(address), "both forms have one signer");
    high.require_low_s = true;
    assert_eq!(recover_one(&high), Err(RecoveryError::HighS));

    let half = N / U256::from(2);
    for (s, refused) in [(half, false), (half + U256::from(1), true), (N, true)] {
        let mut edge = request(r, s, odd, low.message_hash);
        edge.require_low_s = true;
        assert_eq!(recover_one(&edge) == Err(RecoveryError::HighS), refused, "s = {s}");
        assert_eq!(recover_one(&edge), reference(&edge), "s = {s}");
    }
}

/// Half of all r are no x of a point; r below p - n could stand for x = r + n as well, which only
/// recovery ids 2 and 3 say, and a transaction has no such id: r alone counts.
#[test]
fn r_off_the_curve_and_r_that_could_stand_for_r_plus_n() {
    let hash = keccak256("pleach");
    let s = U256::from(7);
    let edges =
        [U256::from(1), P - N - U256::from(1), P - N, P - N + U256::from(1), N / U256::from(2)];
    let starts = edges.into_iter().chain([N - U256::from(40)]);
    let (mut points, mut none, mut all) = (0, 0, Vec::new());
    for r in starts.flat_map(|start| (0..40).map(move |step| start + U256::from(step))) {
        for odd in [false, true] {
            let request = request(r, s, odd, hash);
            all.push(request);
            let answer = recover_one(&request);
            assert_eq!(answer, reference(&request), "{request:?}");
            if answer.is_ok() { points += 1 } else { none += 1 }
        }
    }
    check_paths(&all);
    assert!(points > 100 && none > 100, "{points} points, {none} none");
}

/// u1·G + u2·R at infinity, and R = ±G, where additions meet their exceptional cases.
#[test]
fn crafted_points() {
    let g = VerifyingKey::from(
        SigningKey::from_slice(U256::from(1).to_be_bytes::<32>().as_slice()).expect("1 is a key"),
    );
    let point = g.to_encoded_point(false);
    let gx = U256::from_be_slice(point.x().expect("G is finite"));
    let (mut infinite, mut all) = (0, Vec::new());
    for s in (1..50).map(U256::from) {
        for hash in [s, N - s, s + U256::from(1), U256::ZERO, N, N + s, U256::MAX] {
            for odd in [false, true] {
                let request = request(gx, s, odd, B256::from(hash));
                all.push(request);
                let answer = recover_one(&request);
                assert_eq!(answer, reference(&request), "{request:?}");
                infinite += usize::from(answer.is_err());
            }
        }
    }
    // s·R = z·G exactly where R = G with z = s (also as z = n + s), and R = -G with z = n - s.
    assert_eq!(infinite, 3 * 49);
    check_paths(&all);
}

#[derive(Deserialize)]
struct PrecompileCase {
    #[serde(rename = "Input")]
    input: String,
    #[serde(rename = "Expected")]
    expected: String,
    #[serde(rename = "Name")]
    name: String,
}

#[test]
fn geth_ecrecover() {
    let Some(text) = vectors("geth-precompiles/ecRecover.json", 8) else { return };
    let cases: Vec<PrecompileCase> = serde_json::from_str(&text).expect("a list of cases");
    let mut asked = Vec::new();
    for case in &cases {
        let input = hex::decode(&case.input).expect("Input is hex");
        let word = |index: usize| U256::from_be_slice(&input[32 * index..32 * (index + 1)]);
        let odd = match u8::try_from(word(1)) {
            Ok(v @ (27 | 28)) => v == 28,
            // The precompile refuses any other v before it recovers.
            _ => continue,
        };
        let request = request(word(2), word(3), odd, B256::from(word(0)));
        let answer = recover_one(&request);
        let expected = hex::decode(&case.expected).expect("Expected is hex");
        let answer = answer.map(|address| address.into_word().to_vec()).unwrap_or_default();
        assert_eq!(answer, expected, "{}", case.name);
        asked.push(request);
    }
    assert!(!asked.is_empty(), "no case has v = 27 or 28");
    device::check("cases of geth", &asked);
}

#[derive(Deserialize)]
struct Wycheproof {
    #[serde(rename = "testGroups")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "publicKey")]
    key: Key,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Key {
    uncompressed: String,
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "tcId")]
    id: u32,
    msg: String,
    sig: String,
    result: String,
}

/// r and s of a strictly encoded DER signature whose numbers fit 256 bits.
fn parse_der(sig: &[u8]) -> Option<(U256, U256)> {
    fn integer(bytes: &[u8]) -> Option<(U256, &[u8])> {
        let [0x02, len, rest @ ..] = bytes else { return None };
        let (number, rest) = rest.split_at_checked(usize::from(*len))?;
        let negative = *number.first()? >= 0x80;
        (!negative).then(|| U256::try_from_be_slice(number)).flatten().map(|n| (n, rest))
    }
    let [0x30, len, body @ ..] = sig else { return None };
    let (r, rest) = integer(body)?;
    let (s, rest) = integer(rest)?;
    (usize::from(*len) == body.len() && rest.is_empty()).then_some((r, s))
}

/// A valid signature gives its key by one of the two parities, unless R's x is above n; any other
/// gives what k256 gives.
fn check_wycheproof(path: &str, cases: usize) {
    let Some(text) = vectors(path, cases) else { return };
    let suite: Wycheproof = serde_json::from_str(&text).expect("a Wycheproof file");
    let (mut valid, mut all) = (0, Vec::new());
    for group in &suite.groups {
        let key = hex::decode(&group.key.uncompressed).expect("the key is hex");
        let address = Address::from_slice(&keccak256(&key[1..])[12..]);
        for case in &group.tests {
            let Some((r, s)) = parse_der(&hex::decode(&case.sig).expect("sig is hex")) else {
                continue;
            };
            let hash = Sha256::digest(hex::decode(&case.msg).expect("msg is hex"));
            let both = [false, true].map(|odd| request(r, s, odd, B256::from_slice(&hash)));
            all.extend(both);
            let answers = both.map(|request| {
                assert_eq!(recover_one(&request), reference(&request), "case {}", case.id);
                recover_one(&request)
            });
            if case.result == "valid" && r >= P - N {
                assert!(answers.contains(&Ok(address)), "case {}: {answers:?}", case.id);
                valid += 1;
            }
        }
    }
    check_paths(&all);
    assert!(valid > 50, "only {valid} valid signatures were found in {path}");
    device::check("cases of Wycheproof", &all);
}

#[test]
fn wycheproof() {
    check_wycheproof("wycheproof/ecdsa_secp256k1_sha256_test.json.gz", 476);
    check_wycheproof("wycheproof/ecdsa_secp256k1_sha256_bitcoin_test.json.gz", 463);
}
