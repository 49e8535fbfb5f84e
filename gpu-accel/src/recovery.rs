//! Sender recovery: the definition for one signature, and batches of them.

use alloy_consensus::crypto::{SECP256K1N_HALF, secp256k1};
use alloy_primitives::{Address, B256, Signature};
use pleach_crew::Crew;

use crate::cpu::{CpuPath, RECOVER_BATCH};

/// Batches of at most this many signatures stay on the calling thread: waking another one costs
/// about as much as one recovery (`cargo bench -p pleach-bench-suite --bench recovery`).
pub const RECOVER_INLINE: usize = 3;

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
    secp256k1::recover_signer_unchecked(&request.signature, request.message_hash)
        .map_err(|_| RecoveryError::Invalid)
}

/// One address per request, in order, on all threads or the calling one.
pub(crate) fn recover_batch(
    crew: &Crew,
    requests: &[RecoveryRequest],
) -> Vec<Result<Address, RecoveryError>> {
    let path = CpuPath::best();
    if crew.threads() == 1 || requests.len() <= RECOVER_INLINE {
        return path.recover(requests);
    }
    let chunks = requests.chunks(chunk(requests.len(), crew.threads()));
    let mut chunks: Vec<_> = chunks.map(|chunk| (chunk, Vec::new())).collect();
    crew.each(&mut chunks, |(requests, answers)| *answers = path.recover(requests));
    chunks.into_iter().flat_map(|(_, answers)| answers).collect()
}

/// Signatures that a thread takes at once: whole vectors of them, and no more than share one batch.
/// Where there are many, two portions for each thread, so that one that is held up does not hold
/// up all.
fn chunk(requests: usize, threads: usize) -> usize {
    const LANES: usize = 8;
    const MANY: usize = 8;
    let vectors = requests.div_ceil(LANES);
    let portions = if vectors >= MANY * threads { 2 * threads } else { threads };
    (vectors.div_ceil(portions) * LANES).min(RECOVER_BATCH)
}
