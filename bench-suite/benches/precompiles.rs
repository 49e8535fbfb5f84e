//! Every cryptographic precompile on its candidate back-ends, side by side.
//!
//! `cargo bench -p pleach-bench-suite --bench precompiles [-- FILTER]` prints the best time of
//! each candidate on each input, and how many times faster than revm's default it is. The
//! candidates' results are compared before they are timed. With `PLEACH_FIXTURES` set,
//! go-ethereum's vectors join the inputs made here. The figures that chose the engine's back-ends
//! are in `README.md` beside this file.

use std::{hint::black_box, path::PathBuf, time::Instant};

use alloy_primitives::{B256, B512, U256, hex, keccak256};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM, pairing::Pairing};
use ark_ff::{BigInteger, PrimeField};
use crypto_bigint::{
    BoxedUint, Odd, Resize,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use num_bigint::BigUint;
use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use pleach_engine::crypto::PleachCrypto;
use revm::precompile::{
    Crypto, DefaultCrypto, PrecompileHalt,
    bls12_381::{G1Point, G1PointScalar},
    kzg_point_evaluation, secp256k1,
};
use serde::Deserialize;

type Candidate<'a> = (&'a str, Box<dyn Fn() -> Vec<u8> + 'a>);

/// Prints a table, leaving out what the filter does not name.
struct Table {
    filter: String,
}

fn main() {
    let argument = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let table = Table { filter: argument.unwrap_or_default() };
    println!(
        "{:<14} {:<26} {:<16} {:>12} {:>7}",
        "precompile", "input", "candidate", "us", "ratio"
    );
    hashes(&table);
    recovery(&table);
    modexp(&table);
    bn254(&table);
    blake2(&table);
    bls12_381(&table);
    p256_verify(&table);
    kzg(&table);
}

impl Table {
    fn wants(&self, precompile: &str) -> bool {
        precompile.contains(&self.filter)
    }

    /// Checks that all candidates agree, then times each; the first is the base of the ratios.
    fn compare(&self, precompile: &str, input: &str, candidates: &[Candidate<'_>]) {
        if !self.wants(precompile) {
            return;
        }
        let expected = candidates[0].1();
        for (name, candidate) in candidates {
            let found = candidate();
            assert_eq!(hex::encode(&found), hex::encode(&expected), "{precompile} {input} {name}");
        }
        let times = fastest_micros(candidates);
        for ((name, _), time) in candidates.iter().zip(&times) {
            let ratio = times[0] / time;
            println!("{precompile:<14} {input:<26} {name:<16} {time:>12.2} {ratio:>7.2}");
        }
    }
}

/// Microseconds of each candidate's fastest sample. Samples are at least 20 us long and taken in
/// turns, so that what else the machine does meets all candidates alike.
fn fastest_micros(candidates: &[Candidate<'_>]) -> Vec<f64> {
    let sample = |call: &dyn Fn() -> Vec<u8>, calls: usize| {
        let begin = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        begin.elapsed().as_secs_f64() * 1e6 / calls as f64
    };
    let mut fastest: Vec<_> = candidates.iter().map(|(_, call)| sample(call, 1)).collect();
    let calls: Vec<_> = fastest.iter().map(|once| 1 + (20.0 / once) as usize).collect();
    let (start, mut rounds) = (Instant::now(), 0);
    while rounds < 20 || start.elapsed().as_millis() < 100 * candidates.len() as u128 {
        for (index, (_, call)) in candidates.iter().enumerate() {
            fastest[index] = fastest[index].min(sample(call, calls[index]));
        }
        rounds += 1;
    }
    fastest
}

/// That many bytes, the same in every run.
fn noise(label: &str, len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(32)).flat_map(|index| keccak256(format!("{label} {index}")).0);
    words.take(len).collect()
}

fn word(label: &str) -> [u8; 32] {
    keccak256(label).0
}

fn bytes<const N: usize>(result: Result<[u8; N], PrecompileHalt>) -> Vec<u8> {
    result.map_or_else(|halt| halt.to_string().into_bytes(), Vec::from)
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "Input")]
    input: String,
    #[serde(rename = "Name")]
    name: String,
}

/// go-ethereum's inputs by name; none where `PLEACH_FIXTURES` is not set.
fn vectors(file: &str) -> Vec<(String, Vec<u8>)> {
    let Some(root) = std::env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        eprintln!("skipped: vectors of {file} (PLEACH_FIXTURES is not set)");
        return Vec::new();
    };
    let path = root.join("vectors/geth-precompiles").join(file);
    let text = std::fs::read_to_string(path).expect("the fixtures have this file");
    let vectors: Vec<Vector> = serde_json::from_str(&text).expect("a list of vectors");
    let decode = |input: &str| hex::decode(input).expect("Input is hex");
    vectors.into_iter().map(|vector| (vector.name, decode(&vector.input))).collect()
}

fn hashes(table: &Table) {
    for len in [32, 64, 256, 1024, 16_384] {
        let (input, label) = (&noise("hash", len), format!("{len} bytes"));
        table.compare(
            "sha256",
            &label,
            &[
                ("revm: sha2", Box::new(|| DefaultCrypto.sha256(input).to_vec())),
                ("pleach: aws-lc", Box::new(|| PleachCrypto.sha256(input).to_vec())),
            ],
        );
        table.compare(
            "ripemd160",
            &label,
            &[
                ("revm: ripemd", Box::new(|| DefaultCrypto.ripemd160(input).to_vec())),
                ("pleach: same", Box::new(|| PleachCrypto.ripemd160(input).to_vec())),
            ],
        );
    }
}

fn recovery(table: &Table) {
    let hash = word("message");
    let signature =
        alloy_consensus::crypto::secp256k1::sign_message(B256::from(word("key")), hash.into());
    let signature = signature.expect("a hash is a valid key").as_bytes();
    let (rs, odd) = (B512::from_slice(&signature[..64]), signature[64] - 27);
    let hash = &B256::from(hash);
    let k256 = || secp256k1::k256::ecrecover(&rs, odd, hash).expect("a valid signature").to_vec();
    table.compare(
        "ecrecover",
        "valid",
        &[
            (
                "revm: libsecp",
                Box::new(|| bytes(DefaultCrypto.secp256k1_ecrecover(&rs, odd, hash))),
            ),
            ("k256", Box::new(k256)),
        ],
    );
}

/// Base, exponent and modulus of a MODEXP call.
fn split_modexp(input: &[u8]) -> [Vec<u8>; 3] {
    let at = |from: usize, len: usize| -> Vec<u8> {
        (from..from + len).map(|index| input.get(index).copied().unwrap_or(0)).collect()
    };
    let len = |index: usize| U256::from_be_slice(&at(32 * index, 32)).to::<usize>();
    let (base, exp, modulus) = (len(0), len(1), len(2));
    [at(96, base), at(96 + base, exp), at(96 + base + exp, modulus)]
}

fn modexp(table: &Table) {
    let mut cases = Vec::new();
    for (size, exp) in [(32, 32), (64, 64), (128, 3), (128, 128), (256, 3), (256, 256), (512, 3)] {
        for (parity, low) in [("odd", 1), ("even", 0)] {
            let mut modulus = noise("modulus", size);
            modulus[0] |= 0x80;
            modulus[size - 1] = modulus[size - 1] & 0xfe | low;
            let input = [noise("base", size), noise("exponent", exp), modulus];
            cases.push((format!("{parity} {size} exp {exp}"), input));
        }
    }
    let files = ["modexp_eip2565.json"].into_iter().filter(|_| table.wants("modexp"));
    let geth = files.flat_map(vectors).map(|(name, input)| (name, split_modexp(&input)));
    cases.extend(geth);
    for (name, [base, exp, modulus]) in &cases {
        let padded = |result: Vec<u8>| [vec![0; modulus.len() - result.len()], result].concat();
        let with = |crypto: &dyn Crypto| padded(crypto.modexp(base, exp, modulus).expect("done"));
        let mut candidates: Vec<Candidate<'_>> = vec![
            ("revm: aurora", Box::new(move || with(&DefaultCrypto))),
            ("pleach", Box::new(move || with(&PleachCrypto))),
            ("num-bigint", Box::new(move || padded(num_modexp(base, exp, modulus)))),
        ];
        if modulus.last().is_some_and(|byte| byte % 2 == 1) {
            let call = move || padded(crypto_bigint_modexp(base, exp, modulus));
            candidates.push(("crypto-bigint", Box::new(call)));
        }
        table.compare("modexp", name, &candidates);
    }
}

fn num_modexp(base: &[u8], exp: &[u8], modulus: &[u8]) -> Vec<u8> {
    let [base, exp, modulus] = [base, exp, modulus].map(BigUint::from_bytes_be);
    let result = base.modpow(&exp, &modulus).to_bytes_be();
    if result == [0] { Vec::new() } else { result }
}

fn crypto_bigint_modexp(base: &[u8], exp: &[u8], modulus: &[u8]) -> Vec<u8> {
    let read = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
    let modulus_number = read(modulus);
    let nonzero = modulus_number.clone().to_nz().expect("an odd modulus is not zero");
    let reduced = read(base).rem_vartime(&nonzero);
    let reduced = reduced.resize(modulus_number.bits_precision());
    let odd = Odd::new(modulus_number).expect("the modulus is odd");
    let params = BoxedMontyParams::new_vartime(odd);
    let power = BoxedMontyForm::new(reduced, &params).pow(&read(exp)).retrieve();
    let encoded = power.to_be_bytes();
    let zeros = encoded.len().saturating_sub(modulus.len());
    encoded[zeros..].to_vec()
}

fn big_endian(number: impl PrimeField) -> Vec<u8> {
    number.into_bigint().to_bytes_be()
}

fn bn254(table: &Table) {
    let mut generator = [0; 64];
    (generator[31], generator[63]) = (1, 2);
    let multiple = |label| DefaultCrypto.bn254_g1_mul(&generator, &word(label)).expect("on curve");
    let (p, q, scalar) = (&multiple("p"), &multiple("q"), &word("scalar"));
    table.compare(
        "bn254 add",
        "random",
        &[
            ("revm: arkworks", Box::new(|| bytes(DefaultCrypto.bn254_g1_add(p, q)))),
            ("pleach: same", Box::new(|| bytes(PleachCrypto.bn254_g1_add(p, q)))),
            ("substrate-bn", Box::new(|| substrate_write(substrate_g1(p) + substrate_g1(q)))),
        ],
    );
    table.compare(
        "bn254 mul",
        "random",
        &[
            ("revm: arkworks", Box::new(|| bytes(DefaultCrypto.bn254_g1_mul(p, scalar)))),
            ("pleach: GLV", Box::new(|| bytes(PleachCrypto.bn254_g1_mul(p, scalar)))),
            (
                "substrate-bn",
                Box::new(|| {
                    let scalar = substrate_bn::Fr::from_slice(scalar).expect("32 bytes");
                    substrate_write(substrate_g1(p) * scalar)
                }),
            ),
        ],
    );
    for pairs in [1, 2, 4] {
        bn254_pairing(table, pairs);
    }
}

fn bn254_pairing(table: &Table, count: usize) {
    let g1 = |index: usize| {
        let mut generator = [0; 64];
        (generator[31], generator[63]) = (1, 2);
        let scalar = word(&format!("g1 {index}"));
        DefaultCrypto.bn254_g1_mul(&generator, &scalar).expect("on the curve")
    };
    let g2 = |index: usize| {
        let scalar = ark_bn254::Fr::from_be_bytes_mod_order(&word(&format!("g2 {index}")));
        let point = (ark_bn254::G2Affine::generator() * scalar).into_affine();
        [point.x.c1, point.x.c0, point.y.c1, point.y.c0].map(big_endian).concat()
    };
    let points: Vec<_> = (0..count).map(|index| (g1(index), g2(index))).collect();
    let pairs: Vec<_> = points.iter().map(|(g1, g2)| (&g1[..], &g2[..])).collect();
    let check =
        |crypto: &dyn Crypto| vec![u8::from(crypto.bn254_pairing_check(&pairs).expect("points"))];
    let substrate = || {
        let pairs: Vec<_> =
            pairs.iter().map(|(g1, g2)| (substrate_g1(g1), substrate_g2(g2))).collect();
        vec![u8::from(substrate_bn::pairing_batch(&pairs) == substrate_bn::Gt::one())]
    };
    table.compare(
        "bn254 pairing",
        &format!("{count} pairs"),
        &[
            ("revm: arkworks", Box::new(|| check(&DefaultCrypto))),
            ("pleach: same", Box::new(|| check(&PleachCrypto))),
            ("substrate-bn", Box::new(substrate)),
        ],
    );
}

fn substrate_fq(bytes: &[u8]) -> substrate_bn::Fq {
    substrate_bn::Fq::from_slice(bytes).expect("a coordinate")
}

fn substrate_g1(bytes: &[u8]) -> substrate_bn::G1 {
    let point = substrate_bn::AffineG1::new(substrate_fq(&bytes[..32]), substrate_fq(&bytes[32..]));
    point.expect("a point").into()
}

fn substrate_g2(bytes: &[u8]) -> substrate_bn::G2 {
    let fq = |index: usize| substrate_fq(&bytes[32 * index..32 * (index + 1)]);
    let (x, y) = (substrate_bn::Fq2::new(fq(1), fq(0)), substrate_bn::Fq2::new(fq(3), fq(2)));
    substrate_bn::AffineG2::new(x, y).expect("a point").into()
}

fn substrate_write(point: substrate_bn::G1) -> Vec<u8> {
    let point = substrate_bn::AffineG1::from_jacobian(point).expect("a finite point");
    let mut bytes = vec![0; 64];
    point.x().to_big_endian(&mut bytes[..32]).expect("32 bytes");
    point.y().to_big_endian(&mut bytes[32..]).expect("32 bytes");
    bytes
}

fn blake2(table: &Table) {
    for rounds in [12, 1_000] {
        let run = move |crypto: &dyn Crypto| {
            let mut h = [7; 8];
            crypto.blake2_compress(rounds, &mut h, &[9; 16], &[3, 0], true);
            h.iter().flat_map(|word: &u64| word.to_le_bytes()).collect()
        };
        table.compare(
            "blake2f",
            &format!("{rounds} rounds"),
            &[
                ("revm: avx2", Box::new(move || run(&DefaultCrypto))),
                ("pleach: same", Box::new(move || run(&PleachCrypto))),
            ],
        );
    }
}

/// Points of BLS12-381's G1 and the scalars beside them.
fn bls_pairs(count: usize) -> Vec<G1PointScalar> {
    let point = |index: usize| -> G1Point {
        let mut fp: [u8; 48] = noise(&format!("fp {index}"), 48).try_into().expect("48 bytes");
        fp[0] = 0;
        let point = DefaultCrypto.bls12_381_fp_to_g1(&fp).expect("a field element");
        let (x, y) = point.split_at(48);
        (x.try_into().expect("48 bytes"), y.try_into().expect("48 bytes"))
    };
    (0..count).map(|index| (point(index), word(&format!("scalar {index}")))).collect()
}

fn bls12_381(table: &Table) {
    use ark_bls12_381::{Bls12_381, Fq, Fr, G1Affine, G1Projective, G2Affine};
    let read = |(x, y): &G1Point| {
        G1Affine::new(Fq::from_be_bytes_mod_order(x), Fq::from_be_bytes_mod_order(y))
    };
    let write = |point: G1Affine| [point.x, point.y].map(big_endian).concat();
    for count in [1, 2, 16, 128] {
        let pairs = &bls_pairs(count);
        let blst = || bytes(DefaultCrypto.bls12_381_g1_msm(&mut pairs.iter().copied().map(Ok)));
        let arkworks = move || {
            let points: Vec<_> = pairs.iter().map(|(point, _)| read(point)).collect();
            let scalars = pairs.iter().map(|(_, scalar)| Fr::from_be_bytes_mod_order(scalar));
            let scalars: Vec<_> = scalars.collect();
            write(G1Projective::msm(&points, &scalars).expect("as many").into_affine())
        };
        let candidates: [Candidate<'_>; 2] =
            [("revm: blst", Box::new(blst)), ("arkworks", Box::new(arkworks))];
        table.compare("bls g1 msm", &format!("{count} points"), &candidates);
    }
    let pairs = &bls_pairs(2);
    let g2 = G2Affine::generator();
    let g2_bytes = [g2.x.c0, g2.x.c1, g2.y.c0, g2.y.c1]
        .map(|part| <[u8; 48]>::try_from(big_endian(part)).expect("48 bytes"));
    let [x0, x1, y0, y1] = g2_bytes;
    let blst = || {
        let pairs: Vec<_> = pairs.iter().map(|(g1, _)| (*g1, (x0, x1, y0, y1))).collect();
        vec![u8::from(DefaultCrypto.bls12_381_pairing_check(&pairs).expect("points"))]
    };
    let arkworks = || {
        let g1: Vec<_> = pairs.iter().map(|(point, _)| read(point)).collect();
        assert!(g2.is_on_curve() && g2.is_in_correct_subgroup_assuming_on_curve());
        vec![u8::from(Bls12_381::multi_pairing(g1, [g2, g2]).0 == ark_ff::One::one())]
    };
    table.compare(
        "bls pairing",
        "2 pairs",
        &[("revm: blst", Box::new(blst)), ("arkworks", Box::new(arkworks))],
    );
}

fn p256_verify(table: &Table) {
    let key = SigningKey::from_slice(&word("key")).expect("a hash is a valid key");
    let point = key.verifying_key().to_encoded_point(false);
    let key_bytes: &[u8; 64] = &point.as_bytes()[1..].try_into().expect("x and y");
    let hash = &word("message");
    let signature: Signature = key.sign_prehash(hash).expect("32 bytes can be signed");
    let valid: [u8; 64] = signature.to_bytes().into();
    let mut invalid = valid;
    invalid[63] ^= 1;
    for (name, signature) in [("valid", valid), ("invalid", invalid)] {
        let verify = move |crypto: &dyn Crypto| {
            vec![u8::from(crypto.secp256r1_verify_signature(hash, &signature, key_bytes))]
        };
        table.compare(
            "p256verify",
            name,
            &[
                ("revm: p256", Box::new(move || verify(&DefaultCrypto))),
                ("pleach: aws-lc", Box::new(move || verify(&PleachCrypto))),
            ],
        );
    }
}

fn kzg(table: &Table) {
    if !table.wants("kzg") {
        return;
    }
    println!("kzg            first use, milliseconds:");
    let load = |name: &str, load: &dyn Fn()| {
        let start = Instant::now();
        load();
        println!("kzg            {name:<43} {:>12.2}", start.elapsed().as_secs_f64() * 1e3);
    };
    load("pleach: warm_up", &pleach_engine::crypto::warm_up);
    for precompute in [0, 4, 8] {
        let name = format!("c-kzg, precompute {precompute}");
        load(&name, &|| _ = black_box(c_kzg::ethereum_kzg_settings(precompute)));
    }
    let settings = c_kzg::ethereum_kzg_settings(0);
    let mut blob = Box::new([0; c_kzg::BYTES_PER_BLOB]);
    blob.chunks_mut(32).enumerate().for_each(|(index, element)| {
        element[1..].copy_from_slice(&noise(&format!("blob {index}"), 31));
    });
    let blob = c_kzg::Blob::from(*blob);
    let mut z = word("z");
    z[0] = 0;
    let commitment = settings.blob_to_kzg_commitment(&blob).expect("field elements").to_bytes();
    let (proof, y) = settings.compute_kzg_proof(&blob, &z.into()).expect("field elements");
    let (commitment, proof) = (*commitment, *proof.to_bytes());
    for (name, y) in [("valid", *y), ("invalid", z)] {
        let verify = move |crypto: &dyn Crypto| {
            vec![u8::from(crypto.verify_kzg_proof(&z, &y, &commitment, &proof).is_ok())]
        };
        let arkworks = move || {
            vec![u8::from(kzg_point_evaluation::arkworks::verify_kzg_proof(
                &commitment,
                &z,
                &y,
                &proof,
            ))]
        };
        table.compare(
            "kzg",
            name,
            &[
                ("revm: c-kzg", Box::new(move || verify(&DefaultCrypto))),
                ("pleach: blst", Box::new(move || verify(&PleachCrypto))),
                ("arkworks", Box::new(arkworks)),
            ],
        );
    }
}
