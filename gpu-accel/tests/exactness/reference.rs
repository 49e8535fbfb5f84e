//! Recovery by k256, which shares no code with libsecp256k1.

use alloy_primitives::{Address, U256, hex, keccak256};
use k256::ecdsa::{RecoveryId, Signature as K256Signature, VerifyingKey};
use pleach_gpu_accel::{RecoveryError, RecoveryRequest};

/// The group order n.
pub(crate) const N: U256 =
    U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
/// The field's prime p.
pub(crate) const P: U256 =
    U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"));

/// The account of a key.
pub(crate) fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_encoded_point(false);
    Address::from_slice(&keccak256(&point.as_bytes()[1..])[12..])
}

/// What k256 says. It refuses a high s, so (r, s, odd) is asked as (r, n - s, !odd), which gives
/// the same key.
pub(crate) fn reference(request: &RecoveryRequest) -> Result<Address, RecoveryError> {
    let (r, mut s) = (request.signature.r(), request.signature.s());
    let mut odd = request.signature.v();
    if s > N / U256::from(2) {
        if request.require_low_s {
            return Err(RecoveryError::HighS);
        }
        (s, odd) = (N.checked_sub(s).ok_or(RecoveryError::Invalid)?, !odd);
    }
    let recover = || {
        let signature =
            K256Signature::from_scalars(r.to_be_bytes::<32>(), s.to_be_bytes::<32>()).ok()?;
        let id = RecoveryId::new(odd, false);
        let hash = request.message_hash.as_slice();
        VerifyingKey::recover_from_prehash(hash, &signature, id).ok()
    };
    recover().map(|key| address_of(&key)).ok_or(RecoveryError::Invalid)
}
