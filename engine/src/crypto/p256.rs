//! P-256 signatures (EIP-7951), through AWS-LC.

use aws_lc_rs::{
    digest::{Digest, SHA256},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};

/// Whether `sig` (r, s) is a signature of the hash `msg` by the key `pk` (x, y).
///
/// r and s outside [1, n), coordinates that are no field elements, and points off the curve are no
/// signature; a high s is one.
pub(super) fn verify(msg: &[u8; 32], sig: &[u8; 64], pk: &[u8; 64]) -> bool {
    const UNCOMPRESSED: u8 = 4;
    let Ok(digest) = Digest::import_less_safe(msg, &SHA256) else { return false };
    let mut key = [UNCOMPRESSED; 65];
    key[1..].copy_from_slice(pk);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key).verify_digest(&digest, sig).is_ok()
}
