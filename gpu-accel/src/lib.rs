//! Batches of sender recovery and hashing, behind the type that a GPU stands behind later.

use alloy_consensus::crypto::{SECP256K1N_HALF, secp256k1};
use alloy_primitives::{Address, B256, Signature, keccak256};
use rayon::prelude::*;

/// One signature to recover an address from.
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
    /// r or s is out of range, or no curve point has this r.
    #[error("the signature is no point of secp256k1: no sender can be recovered")]
    Invalid,
}

/// Recovers senders and hashes messages in batches, on all cores given to it.
#[derive(Debug)]
pub struct Accelerator {
    pool: rayon::ThreadPool,
}

impl Accelerator {
    /// An accelerator on this many CPU threads (at least one).
    ///
    /// # Panics
    /// If the operating system refuses to start the threads.
    pub fn cpu(threads: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        Self { pool: pool.expect("the operating system starts worker threads") }
    }

    /// Recovers one address per request, in order.
    pub fn recover(&self, requests: &[RecoveryRequest]) -> Vec<Result<Address, RecoveryError>> {
        self.pool.install(|| requests.par_iter().with_min_len(8).map(recover_one).collect())
    }

    /// Keccak-256 of each message, in order.
    pub fn keccak256<M: AsRef<[u8]> + Sync>(&self, messages: &[M]) -> Vec<B256> {
        self.pool.install(|| messages.par_iter().with_min_len(64).map(keccak256).collect())
    }
}

/// Recovers one address on the calling thread.
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
