//! From requests to addresses: range checks and numbers modulo n before a batch, and Keccak after it.

use alloy_consensus::crypto::SECP256K1N_HALF;
use alloy_primitives::{Address, keccak256};

use super::{
    batch::{Key, Recover, Task},
    digits::{BaseDigits, split},
    lanes::Lanes,
    scalar::{Scalar, invert_all},
};
use crate::{RecoveryError, RecoveryRequest, recover_one};

/// One address per request, in order; for as many requests as one inversion is to be shared by.
pub(crate) fn recover<L: Lanes>(
    lanes: L,
    requests: &[RecoveryRequest],
) -> Vec<Result<Address, RecoveryError>> {
    let mut checked: Vec<_> = requests.iter().map(check).collect();
    let tasks = tasks(requests, &mut checked);
    let keys = lanes.run(Recover(&tasks));
    let mut keys = keys.into_iter();
    let each = requests.iter().zip(checked);
    each.map(|(request, checked)| {
        checked?;
        match keys.next().expect("each valid request has a key") {
            Key::Point(point) => Ok(address(point)),
            Key::NoPoint => Err(RecoveryError::Invalid),
            Key::Exceptional => recover_one(request),
        }
    })
    .collect()
}

/// r and s, if they are in range.
fn check(request: &RecoveryRequest) -> Result<[Scalar; 2], RecoveryError> {
    let (r, s) = (request.signature.r(), request.signature.s());
    if request.require_low_s && s > SECP256K1N_HALF {
        return Err(RecoveryError::HighS);
    }
    let nonzero = |number: alloy_primitives::U256| Scalar::nonzero(number.into_limbs());
    Ok([nonzero(r).ok_or(RecoveryError::Invalid)?, nonzero(s).ok_or(RecoveryError::Invalid)?])
}

/// What the valid requests come to modulo n.
fn tasks(
    requests: &[RecoveryRequest],
    checked: &mut [Result<[Scalar; 2], RecoveryError>],
) -> Vec<Task> {
    let valid = || {
        requests
            .iter()
            .zip(checked.iter())
            .filter_map(|(request, numbers)| numbers.ok().map(|numbers| (request, numbers)))
    };
    let mut inverses: Vec<_> = valid().map(|(_, [r, _])| r).collect();
    invert_all(&mut inverses);
    let task = |((request, [r, s]), inverse): ((&RecoveryRequest, [Scalar; 2]), &Scalar)| {
        let hash = alloy_primitives::U256::from_be_bytes(request.message_hash.0);
        let base = Scalar::reduced(hash.into_limbs()).mul(inverse);
        Task {
            x: r.0,
            odd: request.signature.v(),
            base: BaseDigits::new(&Scalar::reduced(base.negated())),
            halves: split(&s.mul(inverse)),
        }
    };
    valid().zip(&inverses).map(task).collect()
}

/// The last 20 bytes of the hash of a point's coordinates.
fn address(point: [[u64; 4]; 2]) -> Address {
    let mut bytes = [0; 64];
    let words = point.iter().flat_map(|coordinate| coordinate.iter().rev());
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Address::from_slice(&keccak256(bytes)[12..])
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
