//! From requests to addresses: range checks and numbers modulo n before a batch, Keccak after it.

use alloy_consensus::crypto::SECP256K1N_HALF;
use alloy_primitives::{Address, B256, U256};

use super::{
    CpuPath,
    batch::{Key, Recover, Task},
    digits::{BaseDigits, split},
    lanes::Lanes,
    scalar::{Scalar, invert_all},
};
use crate::{RecoveryError, RecoveryRequest, recover_one};

/// One address per request, in order; for as many requests as one inversion is to be shared by.
pub(crate) fn recover<L: Lanes>(
    lanes: L,
    path: CpuPath,
    requests: &[RecoveryRequest],
) -> Vec<Result<Address, RecoveryError>> {
    let checked: Vec<_> = requests.iter().map(check).collect();
    let tasks = tasks(requests, &checked);
    let keys = lanes.run(Recover(&tasks));
    let mut addresses = addresses(path, &keys).into_iter();
    let mut keys = keys.into_iter();
    let each = requests.iter().zip(checked);
    each.map(|(request, checked)| {
        checked?;
        match keys.next().expect("each valid request has a key") {
            Key::Point(_) => Ok(addresses.next().expect("each point has an address")),
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
    let nonzero = |number: U256| Scalar::nonzero(number.into_limbs());
    Ok([nonzero(r).ok_or(RecoveryError::Invalid)?, nonzero(s).ok_or(RecoveryError::Invalid)?])
}

/// What the valid requests come to modulo n.
fn tasks(
    requests: &[RecoveryRequest],
    checked: &[Result<[Scalar; 2], RecoveryError>],
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
        let hash = U256::from_be_bytes(request.message_hash.0);
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

/// Of each point, the last 20 bytes of its coordinates' hash.
fn addresses(path: CpuPath, keys: &[Key]) -> Vec<Address> {
    let points = keys.iter().filter_map(|key| match key {
        Key::Point(point) => Some(bytes(point)),
        Key::NoPoint | Key::Exceptional => None,
    });
    let points: Vec<_> = points.collect();
    let mut hashes = vec![B256::ZERO; points.len()];
    path.keccak256(&points, &mut hashes);
    hashes.iter().map(|hash| Address::from_slice(&hash[12..])).collect()
}

fn bytes(point: &[[u64; 4]; 2]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let words = point.iter().flat_map(|coordinate| coordinate.iter().rev());
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
