//! Sender recovery: the definition for one signature, and batches of them.

use alloy_consensus::crypto::SECP256K1N_HALF;
use alloy_primitives::{Address, B256, Signature, keccak256};
use pleach_crew::Crew;
use secp256k1::{
    Message, PublicKey, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::{
    SignedMessage,
    cpu::{CpuPath, RECOVER_BATCH},
    provider::compact,
    share::share,
};

/// Batches of at most this many signatures stay on the calling thread: one vector recovers them.
pub const RECOVER_INLINE: usize = 8;

/// One signature to recover an address from: a transaction's, or an EIP-7702 authorization's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// The signature: r, s and the parity of R's y.
    pub signature: Signature,
    /// The hash that was signed.
    pub message_hash: B256,
    /// Whether s above half the group order is refused (EIP-2; every fork from Homestead on, and
    /// EIP-7702 authorities).
    pub require_low_s: bool,
}

/// Why a signature gives no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// EIP-2 forbids the upper half of s.
    #[error("the signature's s is above half the group order, which EIP-2 forbids")]
    HighS,
    /// r or s is zero or not below the group order, or r is the x of no point, or the key that
    /// it gives is the point at infinity.
    #[error("the signature is no point of secp256k1: no sender can be recovered")]
    Invalid,
}

/// Recovers one address on the calling thread, with libsecp256k1.
///
/// # Errors
/// [`RecoveryError`] says why the signature gives none.
pub fn recover_one(request: &RecoveryRequest) -> Result<Address, RecoveryError> {
    if request.require_low_s && request.signature.s() > SECP256K1N_HALF {
        return Err(RecoveryError::HighS);
    }
    recover_compact(&compact(&request.signature), &request.message_hash.0)
        .ok_or(RecoveryError::Invalid)
}

/// The same for r, s and recovery id in bytes, whatever s. It calls libsecp256k1 itself rather
/// than alloy, whose provider may be ours.
pub(crate) fn recover_compact(signature: &[u8; 65], message_hash: &[u8; 32]) -> Option<Address> {
    let id = RecoveryId::try_from(i32::from(signature[64])).ok()?;
    let signature = RecoverableSignature::from_compact(&signature[..64], id).ok()?;
    let key = SECP256K1.recover_ecdsa(&Message::from_digest(*message_hash), &signature).ok()?;
    Some(address_of(&key))
}

/// The account of a public key.
pub(crate) fn address_of(key: &PublicKey) -> Address {
    Address::from_slice(&keccak256(&key.serialize_uncompressed()[1..])[12..])
}

/// One address per request, in order.
pub(crate) fn recover_batch(
    crew: &Crew,
    requests: &[RecoveryRequest],
) -> Vec<Result<Address, RecoveryError>> {
    let path = CpuPath::best();
    shared(crew, requests, |portion| path.recover(portion))
}

/// The same from messages: each portion's are hashed by the thread that recovers them.
pub(crate) fn recover_message_batch(
    crew: &Crew,
    requests: &[SignedMessage<'_>],
) -> Vec<Result<Address, RecoveryError>> {
    let path = CpuPath::best();
    shared(crew, requests, |portion| path.recover_messages(portion))
}

fn shared<R: Sync>(
    crew: &Crew,
    requests: &[R],
    recover: impl Fn(&[R]) -> Vec<Result<Address, RecoveryError>> + Sync,
) -> Vec<Result<Address, RecoveryError>> {
    if requests.len() <= RECOVER_INLINE {
        return recover(requests);
    }
    let mut answers = vec![Err(RecoveryError::Invalid); requests.len()];
    let work = |requests: &[R], answers: &mut [_]| answers.copy_from_slice(&recover(requests));
    share_portions(crew, requests, &mut answers, work);
    answers
}

/// Works on items, each of which has a signature to recover, in portions that suit recovery.
pub(crate) fn share_portions<T: Sync, A: Send>(
    crew: &Crew,
    items: &[T],
    answers: &mut [A],
    work: impl Fn(&[T], &mut [A]) + Sync,
) {
    if items.len() <= RECOVER_INLINE {
        assert_eq!(items.len(), answers.len(), "each item has a place for its answer");
        return work(items, answers);
    }
    share(crew, items, answers, portion(items.len(), crew.threads()), work);
}

/// How many signatures of those left a thread takes next. Each portion costs some inversions, as
/// much time as two or three signatures: so every thread takes all of its share of a small batch
/// at once. Of a large one it takes half of its share of what is left: who is held up does not
/// hold up all. Whole vectors, and no more than share one batch.
fn portion(total: usize, threads: usize) -> impl Fn(usize) -> usize {
    const LANES: usize = 8;
    const SMALL: usize = 128;
    const LEAST: usize = 64;
    let fair = move |signatures: usize| signatures.div_ceil(LANES).div_ceil(threads) * LANES;
    move |left| match fair(total) {
        share if share <= SMALL => share,
        _ => (fair(left) / 2).next_multiple_of(LANES).clamp(LEAST, RECOVER_BATCH),
    }
}
