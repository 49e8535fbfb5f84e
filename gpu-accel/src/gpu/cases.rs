//! Requests that try every exceptional case, and random ones: what self-tests and tests ask.

use alloy_primitives::{B256, Signature, U256, uint};

use super::host::{AffinePoint, SECP256K1, inverse};
use crate::RecoveryRequest;

/// λ, the endomorphism's eigenvalue: λ·(x, y) = (β·x, y).
const LAMBDA: U256 = uint!(0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72_U256);

/// A request that does not refuse a high s.
fn request(r: U256, s: U256, odd: bool, message: U256) -> RecoveryRequest {
    RecoveryRequest {
        signature: Signature::new(r, s, odd),
        message_hash: B256::from(message),
        require_low_s: false,
    }
}

/// Every crafted case: ranges, R = ±G and small multiples of it, sums that double or cancel at
/// every step of the comb, and scalars at the recoding's edges.
pub fn crafted_requests() -> Vec<RecoveryRequest> {
    let mut cases = ranges();
    cases.extend(half_order());
    for k in known_discrete_logs() {
        cases.extend(edge_scalars(k));
        cases.extend(final_collisions(k));
        cases.extend(comb_collisions(k));
    }
    cases
}

/// r, s and the message at and around the ends of their ranges.
fn ranges() -> Vec<RecoveryRequest> {
    let (n, p, one) = (SECP256K1.order, SECP256K1.prime, U256::from(1));
    let numbers = [
        U256::ZERO,
        one,
        U256::from(2),
        U256::from(5),
        n - one,
        n,
        n + one,
        p - one,
        p,
        p + one,
        U256::MAX,
    ];
    let generator = SECP256K1.generator.x;
    let mut cases = Vec::new();
    for a in numbers {
        for b in numbers {
            for odd in [false, true] {
                cases.push(request(a, b, odd, n - U256::from(7)));
                cases.push(request(generator, a, odd, b));
            }
        }
    }
    cases
}

/// s at half the order, with and without EIP-2.
fn half_order() -> Vec<RecoveryRequest> {
    let half = SECP256K1.order >> 1;
    let mut cases = Vec::new();
    for s in [half - U256::from(1), half, half + U256::from(1), U256::MAX] {
        for r in [SECP256K1.generator.x, U256::ZERO, U256::from(5)] {
            for require_low_s in [false, true] {
                let case = request(r, s, true, U256::from(3));
                cases.push(RecoveryRequest { require_low_s, ..case });
            }
        }
    }
    cases
}

/// k with R = k·G: ±1 and what the tables hold, and one without any pattern.
fn known_discrete_logs() -> Vec<U256> {
    let order = SECP256K1.order;
    let small = [1u64, 2, 3, 15, 16, 255, 256].map(U256::from);
    let more = [order - U256::from(1), order - U256::from(2), LAMBDA, order - LAMBDA];
    let plain = uint!(0x9d3f1a2b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7_U256);
    small.into_iter().chain(more).chain([plain]).collect()
}

fn nonce_point(k: U256) -> AffinePoint {
    SECP256K1.mul(k, SECP256K1.generator).expect("k is not a multiple of the order")
}

/// A request with R = k·G whose scalars are these: the key is u₁·G + u₂·R.
fn with_scalars(k: U256, u1: U256, u2: U256) -> RecoveryRequest {
    let (order, point) = (SECP256K1.order, nonce_point(k));
    let r = point.x.reduce_mod(order);
    let message = (order - u1.reduce_mod(order)).mul_mod(r, order);
    request(r, u2.mul_mod(r, order), point.y.bit(0), message)
}

/// Scalars whose halves are zero, one, or at the windows' borders.
fn edge_scalars(k: U256) -> Vec<RecoveryRequest> {
    let order = SECP256K1.order;
    let one = U256::from(1);
    let mut scalars: Vec<U256> = [1u64, 2, 3, 7, 8, 15, 16, 17, 31, 255].map(U256::from).into();
    scalars.extend([order - one, order - U256::from(2), LAMBDA, order - LAMBDA, LAMBDA + one]);
    scalars.extend([64, 127, 128, 129, 255].map(|bit| one << bit));
    let mut cases = Vec::new();
    for u2 in &scalars {
        cases.extend([with_scalars(k, U256::ZERO, *u2), with_scalars(k, one, *u2)]);
        cases.push(with_scalars(k, *u2, order - *u2));
    }
    cases
}

/// u₁·G = ±u₂·R: the sum is a doubling, or infinity.
fn final_collisions(k: U256) -> Vec<RecoveryRequest> {
    let order = SECP256K1.order;
    let u2 = uint!(0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef_U256);
    let u1 = u2.mul_mod(k, order);
    vec![with_scalars(k, u1, u2), with_scalars(k, order - u1, u2)]
}

/// The sum so far equals, or cancels, the entry that the comb adds next.
fn comb_collisions(k: U256) -> Vec<RecoveryRequest> {
    let order = SECP256K1.order;
    let u1 = uint!(0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855_U256);
    let odd = if u1.bit(0) { u1 } else { order - u1 };
    let recoded = (odd >> 1) | (U256::from(1) << 255);
    let mut before = U256::ZERO;
    let mut cases = Vec::new();
    for window in 0..32usize {
        let digit: U256 = (recoded >> (8 * window)) & U256::from(255);
        let entry = (digit << 1usize).add_mod(order - U256::from(255), order);
        let weight: U256 = U256::from(1) << (8 * window);
        let entry = entry.mul_mod(weight.reduce_mod(order), order);
        for wanted in [entry, order - entry] {
            // The part before the comb is what is wanted less what the comb added so far.
            let part = wanted.add_mod(order - before, order);
            let u2 = part.mul_mod(inverse(k, order), order);
            cases.push(with_scalars(k, odd, u2));
            cases.push(with_scalars(k, order - odd, order - u2));
        }
        before = before.add_mod(entry, order);
    }
    cases
}

/// The splitmix64 generator (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn number(&mut self) -> U256 {
        U256::from_limbs(std::array::from_fn(|_| self.next()))
    }
}

/// Random requests, every tenth of them invalid in one of five ways. The same seed gives the same
/// requests.
pub fn random_requests(count: usize, seed: u64) -> Vec<RecoveryRequest> {
    let mut random = Random(seed);
    let mut point = nonce_point(random.number());
    let step = nonce_point(random.number());
    let mut points = Vec::new();
    for _ in 0..count.min(1024) {
        points.push(point);
        point = SECP256K1.add(Some(point), Some(step)).expect("the points are unrelated");
    }
    (0..count).map(|index| random_request(&mut random, &points, index)).collect()
}

fn random_request(random: &mut Random, points: &[AffinePoint], index: usize) -> RecoveryRequest {
    let order = SECP256K1.order;
    let r = points[index % points.len()].x.reduce_mod(order);
    let low = random.next() & 1 == 1;
    let s = (random.number() >> usize::from(low)).reduce_mod(order >> usize::from(low));
    let mut case = request(r, s, random.next() & 1 == 1, random.number());
    case.require_low_s = low;
    if index % 10 == 9 {
        let above = order + U256::from(random.next());
        let (r, s, odd) = (case.signature.r(), case.signature.s(), case.signature.v());
        let (r, s) = match (index / 10) % 5 {
            0 => (U256::ZERO, s),
            1 => (r, U256::ZERO),
            2 => (above, s),
            3 => (r, above),
            _ => (r, order - U256::from(random.next())),
        };
        case.signature = Signature::new(r, s, odd);
        case.require_low_s = true;
    }
    case
}
