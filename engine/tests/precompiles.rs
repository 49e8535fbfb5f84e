//! The installed back-ends through revm's precompiles. A program of its own: a process has one
//! provider, and no other test may come first.

use std::io::Write as _;
use std::{collections::BTreeMap, path::PathBuf};

use alloy_primitives::hex;
use pleach_engine::crypto::{install, warm_up};
use revm::precompile::{EthPrecompileResult, bn254, kzg_point_evaluation, modexp, secp256r1};

#[test]
fn installing_and_warming_up_twice_changes_nothing() {
    assert!(install() && install(), "nothing else installs a provider in this process");
    warm_up();
    warm_up();
}

/// go-ethereum's vectors through revm's precompiles, after [`install`].
#[test]
fn geth_vectors_hold_after_install() {
    type Run = fn(&[u8], u64) -> EthPrecompileResult;
    let files: BTreeMap<&str, Run> = BTreeMap::from([
        ("modexp.json", modexp::byzantium_run as Run),
        ("modexp_eip2565.json", modexp::berlin_run),
        ("modexp_eip7883.json", modexp::osaka_run),
        ("bn256Add.json", |input, gas| bn254::run_add(input, 150, gas)),
        ("bn256ScalarMul.json", |input, gas| bn254::run_mul(input, 6_000, gas)),
        ("bn256Pairing.json", |input, gas| bn254::run_pair(input, 34_000, 45_000, gas)),
        ("p256Verify.json", secp256r1::p256_verify_osaka),
        ("pointEvaluation.json", kzg_point_evaluation::run),
    ]);
    let Some(root) = std::env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {} files of vectors (PLEACH_FIXTURES is not set)",
            files.len()
        );
        return;
    };
    assert!(install(), "nothing else installs a provider in this process");
    for (file, run) in files {
        let path = root.join("vectors/geth-precompiles").join(file);
        let text = std::fs::read_to_string(&path).expect("the fixtures have this file");
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("a list");
        assert!(!cases.is_empty(), "{file} has cases");
        for case in &cases {
            let field = |name: &str| hex::decode(case[name].as_str().expect("text")).expect("hex");
            let output = run(&field("Input"), u64::MAX).expect("a vector of a call that succeeds");
            assert_eq!(output.bytes, field("Expected"), "{file} {}", case["Name"]);
            assert_eq!(Some(output.gas_used), case["Gas"].as_u64(), "{file} {}", case["Name"]);
        }
    }
}
