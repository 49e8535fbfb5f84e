//! Kernels against the CPU, on whatever adapter there is.

use std::time::Instant;

use alloy_primitives::{B256, Signature, U256, keccak256};

use super::{packing, *};
use crate::{RecoveryRequest, recover_one};

fn request(seed: u64) -> RecoveryRequest {
    let bytes = |tag: u8| keccak256([&seed.to_le_bytes()[..], &[tag]].concat());
    let number = |tag: u8| U256::from_be_bytes(bytes(tag).0);
    RecoveryRequest {
        signature: Signature::new(number(0), number(1), bytes(2)[0] & 1 == 1),
        message_hash: B256::from(bytes(3)),
        require_low_s: bytes(4)[0] & 1 == 1,
    }
}

#[test]
fn random_signatures() {
    let choice = AdapterChoice { software: true, name: None };
    let Ok(adapter) = first_adapter(&choice) else {
        eprintln!("skipped: no adapter");
        return;
    };
    for form in [LimbForm::Wide, LimbForm::Narrow] {
        let options = GpuOptions { form: Some(form), ..Default::default() };
        let gpu = Gpu::open(&adapter, &options, &mut |step| eprintln!("{form:?} {step:?}")).unwrap();
        let requests: Vec<_> = (0..4096).map(request).collect();
        let slot = gpu.recover_slot(requests.len()).unwrap();
        for _ in 0..2 {
        let start = Instant::now();
        let pending = gpu.start_recover(
            &slot,
            &packing::request_words(&requests),
            Some(&packing::digest_words(&requests)),
        );
        let words = gpu.finish_recover(&slot, pending).unwrap();
        eprintln!("{form:?} {:?}", start.elapsed());
        if true { let _ = &words; }
        let found = packing::answers(&requests, &words);
        let statuses: Vec<u32> = words.chunks(6).map(|w| w[0]).collect();
        let count = |s: u32| statuses.iter().filter(|x| **x == s).count();
        eprintln!("{} {} {} {}", count(0), count(1), count(2), count(3));
        let wrong =
            requests.iter().zip(&found).filter(|(r, found)| recover_one(r) != **found).count();
        eprintln!("{wrong} wrong");
        assert_eq!(wrong, 0);
        }
    }
}
