//! Keccak-256 against the submission's own known answers, one by one and in batches.

use alloy_primitives::{hex, keccak256};
use pleach_gpu_accel::{Accelerator, KECCAK_INLINE_BLOCKS};

use crate::common::{Rng, vectors};

/// Byte-aligned messages and their digests.
fn known_answers(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = text.lines().filter_map(|line| line.split_once(" = "));
    let mut answers = Vec::new();
    while let (Some(len), Some(msg), Some(md)) = (fields.next(), fields.next(), fields.next()) {
        assert_eq!((len.0, msg.0, md.0), ("Len", "Msg", "MD"));
        let bits: usize = len.1.trim().parse().expect("Len is a number");
        if !bits.is_multiple_of(8) {
            continue;
        }
        let mut message = hex::decode(msg.1.trim()).expect("Msg is hex");
        message.truncate(bits / 8);
        answers.push((message, hex::decode(md.1.trim()).expect("MD is hex")));
    }
    answers
}

#[test]
fn known_answers_in_batches() {
    let Some(text) = vectors("keccak/ShortMsgKAT_256.txt.gz", 256) else { return };
    let (messages, digests): (Vec<_>, Vec<_>) = known_answers(&text).into_iter().unzip();
    assert!(messages.len() > 200, "only {} known answers were found", messages.len());
    for threads in [1, 2, 3, 8] {
        let hashes = Accelerator::cpu(threads).expect("threads start").keccak256(&messages);
        for ((message, digest), hash) in messages.iter().zip(&digests).zip(&hashes) {
            assert_eq!(hash.as_slice(), digest, "message {}", hex::encode(message));
        }
    }
}

#[test]
fn the_empty_message() {
    let hashes = Accelerator::cpu(1).expect("no thread is started").keccak256(&[b""]);
    let empty = hex!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    assert_eq!(hashes[0], empty);
}

#[test]
fn order_holds_around_the_inline_limit() {
    let mut rng = Rng::from_env();
    let accelerator = Accelerator::cpu(3).expect("threads start");
    for count in [0, 1, KECCAK_INLINE_BLOCKS, KECCAK_INLINE_BLOCKS + 1, 5_000] {
        let mut message = || {
            let len = rng.below(300) as usize;
            rng.bytes(len)
        };
        let messages: Vec<_> = (0..count).map(|_| message()).collect();
        let expected: Vec<_> = messages.iter().map(keccak256).collect();
        assert_eq!(accelerator.keccak256(&messages), expected, "{count} messages");
    }
}
