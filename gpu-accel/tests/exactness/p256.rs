//! P-256 (EIP-7951) against geth's vectors, which are Wycheproof's, on the CPU and on a device.

use alloy_primitives::{B256, U256, hex};
use pleach_gpu_accel::{
    Accelerator,
    gpu::{P256Request, verify_p256_one},
};
use serde::Deserialize;

use crate::{common::vectors, device};

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "Input")]
    input: String,
    #[serde(rename = "Expected")]
    expected: String,
    #[serde(rename = "Name")]
    name: String,
}

#[test]
fn geth_p256_verify() {
    let Some(text) = vectors("geth-precompiles/p256Verify.json", 780) else { return };
    let cases: Vec<Case> = serde_json::from_str(&text).expect("a list of cases");
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for case in &cases {
        let input = hex::decode(&case.input).expect("Input is hex");
        // The precompile refuses any other length before it verifies.
        let Ok(input) = <[u8; 160]>::try_from(input) else { continue };
        let word = |index: usize| U256::from_be_slice(&input[32 * index..32 * (index + 1)]);
        let request = P256Request {
            message_hash: B256::from(word(0)),
            r: word(1),
            s: word(2),
            key_x: word(3),
            key_y: word(4),
        };
        let holds = !case.expected.is_empty();
        assert_eq!(verify_p256_one(&request), holds, "{}", case.name);
        requests.push(request);
        expected.push(holds);
    }
    assert!(expected.iter().filter(|holds| **holds).count() > 100, "of {}", cases.len());
    assert!(expected.iter().filter(|holds| !**holds).count() > 100, "of {}", cases.len());
    for threads in [1, 3] {
        let accelerator = Accelerator::cpu(threads).expect("threads start");
        assert_eq!(accelerator.verify_p256(&requests), expected, "{threads} threads");
    }
    device::check_p256(&requests, &expected);
}
