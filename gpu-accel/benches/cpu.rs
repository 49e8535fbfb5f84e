//! The CPU paths against each other, on one core: signatures and hashes per second.
//!
//! `cargo bench -p pleach-gpu-accel --bench cpu [-- FILTER]` prints a line of JSON for each path,
//! work and batch size. All answers are compared before any time is taken. The paths take turns,
//! so that other work on the machine meets all of them alike, and the median of each counts.

use std::{hint::black_box, time::Instant};

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_primitives::{B256, keccak256};
use pleach_gpu_accel::{CpuPath, RecoveryRequest};
use serde_json::json;

/// Turns that each path has.
const ROUNDS: usize = 31;
/// Nanoseconds that a turn takes at least.
const TURN: u128 = 5_000_000;

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |work: &str| filter.as_ref().is_none_or(|filter| work.contains(filter.as_str()));
    if wanted("recover") {
        for batch in [1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256, 1024] {
            recover(batch);
        }
    }
    if wanted("keccak") {
        for messages in [2, 4, 8, 12, 64] {
            keccak(64, messages);
            // Trie branches.
            keccak(532, messages);
        }
        for (bytes, messages) in [(32, 4096), (64, 4096), (110, 4096), (532, 4096), (24_576, 16)] {
            keccak(bytes, messages);
        }
    }
}

fn paths() -> Vec<CpuPath> {
    CpuPath::ALL.into_iter().filter(|path| path.is_available()).collect()
}

fn recover(batch: usize) {
    let requests = signed(batch);
    let expected = CpuPath::Portable.recover(&requests);
    let paths = paths();
    assert!(paths.iter().all(|path| path.recover(&requests) == expected), "the paths differ");
    let each = paths.iter().map(|path| {
        let requests = &requests;
        move || drop(black_box(path.recover(black_box(requests))))
    });
    report("recover", "batch", batch, batch, &paths, &turns(each.collect()));
}

fn keccak(bytes: usize, count: usize) {
    let messages: Vec<_> = (0..count).map(|index| vec![index as u8; bytes]).collect();
    let expected: Vec<_> = messages.iter().map(keccak256).collect();
    let hash = |path: &CpuPath, hashes: &mut [B256]| path.keccak256(&messages, hashes);
    let paths = paths();
    for path in &paths {
        let mut hashes = vec![B256::ZERO; count];
        hash(path, &mut hashes);
        assert_eq!(hashes, expected, "{path} hashes otherwise");
    }
    let each = paths.iter().map(|path| {
        let mut hashes = vec![B256::ZERO; count];
        move || hash(path, black_box(&mut hashes))
    });
    let times = turns(each.collect());
    report(&format!("keccak of {bytes} bytes"), "batch", count, count, &paths, &times);
}

/// Valid signatures by different keys.
fn signed(count: usize) -> Vec<RecoveryRequest> {
    let key = |index: usize| keccak256(index.to_be_bytes());
    let sign = |index| {
        let message_hash: B256 = key(index + 1_000_000);
        let signature = sign_message(key(index), message_hash).expect("a hash is a valid key");
        RecoveryRequest { signature, message_hash, require_low_s: true }
    };
    (0..count).map(sign).collect()
}

/// The median nanoseconds of a call of each, which take turns.
fn turns(mut each: Vec<impl FnMut()>) -> Vec<f64> {
    let mut samples = vec![Vec::new(); each.len()];
    for _ in 0..ROUNDS {
        for (call, samples) in each.iter_mut().zip(&mut samples) {
            let (start, mut calls) = (Instant::now(), 0);
            while start.elapsed().as_nanos() < TURN {
                call();
                calls += 1;
            }
            samples.push(start.elapsed().as_nanos() as f64 / f64::from(calls));
        }
    }
    samples.iter_mut().for_each(|samples| samples.sort_by(f64::total_cmp));
    samples.iter().map(|samples| samples[samples.len() / 2]).collect()
}

/// One line for each path; the last is the yardstick.
fn report(work: &str, size: &str, value: usize, items: usize, paths: &[CpuPath], times: &[f64]) {
    let portable = times.last().expect("every machine has the portable path");
    for (path, time) in paths.iter().zip(times) {
        let line = json!({
            "work": work,
            size: value,
            "path": path.to_string(),
            "nanoseconds_each": (time / items as f64).round(),
            "per_second": (items as f64 / time * 1e9).round(),
            "times_portable": (portable / time * 100.0).round() / 100.0,
        });
        println!("{line}");
    }
}
