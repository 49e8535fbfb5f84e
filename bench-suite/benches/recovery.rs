//! Sender recovery and Keccak-256 in batches: where a second thread begins to pay.
//!
//! `cargo bench -p pleach-bench-suite --bench recovery [-- THREADS]` prints, per batch size, the
//! median time on the calling thread and on the pool. The constants `RECOVER_INLINE` and
//! `KECCAK_INLINE_BLOCKS` come from here: this program sees the pool's own costs only above them.

use std::{hint::black_box, time::Instant};

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_primitives::{B256, keccak256};
use pleach_gpu_accel::{Accelerator, RecoveryRequest};

fn main() {
    let asked = std::env::args().filter_map(|argument| argument.parse().ok()).next_back();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = asked.unwrap_or(cores);
    let alone = Accelerator::cpu(1).expect("no thread is started");
    let pool = Accelerator::cpu(threads).expect("threads start");
    println!("{threads} threads; times in microseconds for a whole batch");
    println!("{:<18} {:>7} {:>10} {:>10} {:>7}", "work", "batch", "alone", "pool", "ratio");
    for size in [1, 2, 3, 4, 6, 8, 16, 64, 200, 1000] {
        let requests = signed(size);
        assert_eq!(alone.recover(&requests), pool.recover(&requests));
        let times = [&alone, &pool].map(|who| time(|| drop(black_box(who.recover(&requests)))));
        report("recover", size, times);
    }
    for size in [16, 64, 128, 256, 512, 4096] {
        let messages: Vec<[u8; 64]> = (0..size).map(|index| [index as u8; 64]).collect();
        assert_eq!(alone.keccak256(&messages), pool.keccak256(&messages));
        let times = [&alone, &pool].map(|who| time(|| drop(black_box(who.keccak256(&messages)))));
        report("keccak 64 bytes", size, times);
    }
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

/// Median seconds of one call, over half a second of calls.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < 5 || start.elapsed().as_millis() < 300 {
        let begin = Instant::now();
        call();
        samples.push(begin.elapsed().as_secs_f64());
    }
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn report(work: &str, batch: usize, [alone, pool]: [f64; 2]) {
    let (alone, pool) = (alone * 1e6, pool * 1e6);
    println!("{work:<18} {batch:>7} {alone:>10.1} {pool:>10.1} {:>7.2}", alone / pool);
}
