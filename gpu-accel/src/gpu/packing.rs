//! Requests and answers as the kernels see them.

use alloy_primitives::{Address, B256, Signature, U256};

use super::kernel::{
    STATUS_HIGH_S, STATUS_INVALID, STATUS_OK,
    keccak::DIGEST_WORDS,
    recover::{ANSWER_WORDS, FLAG_LOW_S, FLAG_ODD, REQUEST_WORDS},
};
use crate::{RecoveryError, RecoveryRequest};

/// The signatures of the requests.
pub(crate) fn request_words(requests: &[RecoveryRequest]) -> Vec<u32> {
    let parts = requests.iter().map(|request| (&request.signature, request.require_low_s));
    signature_words(parts)
}

/// Signatures, each with whether a high s is refused.
pub(crate) fn signature_words<'a>(
    signatures: impl ExactSizeIterator<Item = (&'a Signature, bool)>,
) -> Vec<u32> {
    let mut words = Vec::with_capacity(signatures.len() * REQUEST_WORDS as usize);
    for (signature, require_low_s) in signatures {
        push_number(&mut words, &signature.r());
        push_number(&mut words, &signature.s());
        let odd = if signature.v() { FLAG_ODD } else { 0 };
        let low_s = if require_low_s { FLAG_LOW_S } else { 0 };
        words.push(odd | low_s);
    }
    words
}

/// The message hashes of the requests.
pub(crate) fn digest_words(requests: &[RecoveryRequest]) -> Vec<u32> {
    let words = |request: &RecoveryRequest| hash_words(&request.message_hash);
    requests.iter().flat_map(words).collect()
}

/// What the answers say; `decide` gives those that the device could not decide.
pub(crate) fn answers(
    words: &[u32],
    decide: impl Fn(usize) -> Result<Address, RecoveryError>,
) -> Vec<Result<Address, RecoveryError>> {
    let answers = words.chunks_exact(ANSWER_WORDS as usize).enumerate();
    answers.map(|(index, words)| answer(words).unwrap_or_else(|| decide(index))).collect()
}

/// The hashes that a device gave.
pub(crate) fn hashes(words: &[u32]) -> impl Iterator<Item = B256> {
    words.chunks_exact(DIGEST_WORDS as usize).map(|words| {
        let mut hash = [0; 32];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash.into()
    })
}

fn answer(words: &[u32]) -> Option<Result<Address, RecoveryError>> {
    match words[0] {
        STATUS_OK => {
            let mut address = [0; 20];
            for (bytes, word) in address.chunks_exact_mut(4).zip(&words[1..]) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            Some(Ok(address.into()))
        }
        STATUS_INVALID => Some(Err(RecoveryError::Invalid)),
        STATUS_HIGH_S => Some(Err(RecoveryError::HighS)),
        _ => None,
    }
}

pub(crate) fn push_number(words: &mut Vec<u32>, number: &U256) {
    let limbs = number.as_limbs();
    words.extend(limbs.iter().flat_map(|limb| [*limb as u32, (limb >> 32) as u32]));
}

fn hash_words(hash: &B256) -> [u32; 8] {
    let word = |i: usize| {
        u32::from_le_bytes([hash[4 * i], hash[4 * i + 1], hash[4 * i + 2], hash[4 * i + 3]])
    };
    std::array::from_fn(word)
}
