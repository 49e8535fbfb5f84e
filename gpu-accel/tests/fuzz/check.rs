//! Bytes, read as requests, and the answers of every path compared.

use alloy_primitives::{B256, Signature, U256, keccak256};
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{ops::Reduce, point::AffineCoordinates},
};
use pleach_gpu_accel::{CpuPath, RecoveryRequest, recover_one};

use crate::reference::{N, P, reference};

/// Fewer requests are repeated, so that all of a vector's lanes are used.
const LEAST: usize = 9;

/// Recovers what the bytes ask for.
pub(crate) fn recover(bytes: &[u8]) {
    let mut source = Source(bytes);
    let mut asked = Vec::new();
    while !source.0.is_empty() && asked.len() < 64 {
        asked.push(request(&mut source));
    }
    if asked.is_empty() {
        return;
    }
    let requests: Vec<_> = asked.iter().copied().cycle().take(asked.len().max(LEAST)).collect();
    let expected: Vec<_> = requests.iter().map(reference).collect();
    let one_by_one: Vec<_> = requests.iter().map(recover_one).collect();
    assert_eq!(one_by_one, expected, "libsecp256k1: {asked:?}");
    for path in CpuPath::ALL.into_iter().filter(|path| path.is_available()) {
        assert_eq!(path.recover(&requests), expected, "{path}: {asked:?}");
    }
}

/// Hashes messages whose lengths the first bytes say.
pub(crate) fn keccak(bytes: &[u8]) {
    let mut source = Source(bytes);
    let mut messages = Vec::new();
    while !source.0.is_empty() {
        let length = usize::from(source.byte()) * if source.byte() < 32 { 7 } else { 1 };
        let (message, rest) = source.0.split_at(length.min(source.0.len()));
        messages.push(message);
        source.0 = rest;
    }
    let expected: Vec<_> = messages.iter().map(keccak256).collect();
    for path in CpuPath::ALL {
        let mut hashes = vec![B256::ZERO; messages.len()];
        path.keccak256(&messages, &mut hashes);
        assert_eq!(hashes, expected, "{path}: {messages:?}");
    }
}

/// Bytes that are used up; zeros after them.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> U256 {
        U256::from_be_bytes::<32>(std::array::from_fn(|_| self.byte()))
    }

    /// A number near one that matters.
    fn edge(&mut self) -> U256 {
        let edges = [U256::ZERO, N, P, N >> 1, P - N, U256::MAX, U256::from(1) << 128];
        let edge = edges[usize::from(self.byte()) % edges.len()];
        edge.wrapping_add(U256::from(self.byte())).wrapping_sub(U256::from(self.byte()))
    }
}

fn request(source: &mut Source<'_>) -> RecoveryRequest {
    let kind = source.byte();
    let mut request = match kind & 3 {
        0 => {
            let (r, s) = (source.number(), source.number());
            plain(r, s, source.number())
        }
        1 => {
            let (r, s) = (source.edge(), source.edge());
            plain(r, s, source.edge())
        }
        2 => {
            let (k, u1) = (source.number(), source.number());
            with_scalars(k, u1, source.number())
        }
        // u1·G = ±u2·R, or next to it.
        _ => {
            let (k, u2) = (U256::from(source.byte()) + U256::from(1), source.number() % N);
            let both = k.mul_mod(u2, N);
            let u1 = if source.byte() & 1 == 0 { both } else { N - both };
            with_scalars(k, u1.add_mod(U256::from(source.byte() & 3), N), u2)
        }
    };
    let odd = request.signature.v() ^ (kind & 4 != 0);
    request.signature = Signature::new(request.signature.r(), request.signature.s(), odd);
    request.require_low_s = kind & 8 != 0;
    request
}

fn plain(r: U256, s: U256, hash: U256) -> RecoveryRequest {
    let signature = Signature::new(r, s, false);
    RecoveryRequest { signature, message_hash: B256::from(hash), require_low_s: false }
}

/// The request with R = k·G whose key is u1·G + u2·R.
fn with_scalars(k: U256, u1: U256, u2: U256) -> RecoveryRequest {
    let scalar = <Scalar as Reduce<k256::U256>>::reduce_bytes(&k.to_be_bytes::<32>().into());
    let point = (ProjectivePoint::GENERATOR * scalar).to_affine();
    let r = U256::from_be_bytes::<32>(point.x().into()) % N;
    let hash = (N - (u1 % N).mul_mod(r, N)) % N;
    let mut request = plain(r, (u2 % N).mul_mod(r, N), hash);
    let odd = bool::from(point.y_is_odd());
    request.signature = Signature::new(r, request.signature.s(), odd);
    request
}
