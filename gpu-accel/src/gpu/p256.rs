//! P-256 verification (EIP-7951): the twin on the CPU, and batches on a device.

use alloy_primitives::{B256, U256};
use p256::{
    EncodedPoint, FieldBytes,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::hazmat::{PrehashSigner, PrehashVerifier},
    },
};

use super::{
    Gpu, GpuError, WarmUp,
    cases::Random,
    device::Program,
    kernel::{STATUS_OK, STATUS_RECOMPUTE, verify},
    packing::push_number,
};

/// A signature to verify, as the precompile takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P256Request {
    /// The hash that was signed.
    pub message_hash: B256,
    /// r.
    pub r: U256,
    /// s, both halves of which are allowed.
    pub s: U256,
    /// The key's x.
    pub key_x: U256,
    /// The key's y.
    pub key_y: U256,
}

/// Whether the signature holds, on the calling thread: the definition, and the kernels' twin.
pub fn verify_p256_one(request: &P256Request) -> bool {
    let bytes = |number: U256| FieldBytes::from(number.to_be_bytes::<32>());
    let (x, y) = (bytes(request.key_x), bytes(request.key_y));
    let point = EncodedPoint::from_affine_coordinates(&x, &y, false);
    let Ok(key) = VerifyingKey::from_encoded_point(&point) else { return false };
    let signature = Signature::from_scalars(bytes(request.r), bytes(request.s));
    signature.is_ok_and(|signature| {
        key.verify_prehash(request.message_hash.as_slice(), &signature).is_ok()
    })
}

/// P-256 on one device.
#[derive(Debug)]
pub struct P256Verifier<'a> {
    gpu: &'a Gpu,
    program: Program,
}

impl Gpu {
    /// Builds the kernels that verify P-256 signatures, telling `progress` of each.
    ///
    /// # Errors
    /// [`GpuError::Kernel`] if the driver will not.
    pub fn p256(&self, progress: &mut dyn FnMut(WarmUp)) -> Result<P256Verifier<'_>, GpuError> {
        let program = self.program(&verify::SCHEME, progress)?;
        Ok(P256Verifier { gpu: self, program })
    }
}

impl P256Verifier<'_> {
    /// Whether each signature holds, in order.
    ///
    /// # Errors
    /// The device's faults.
    pub fn verify(&self, requests: &[P256Request]) -> Result<Vec<bool>, GpuError> {
        let capacity = requests.len().clamp(1, 4096).min(self.gpu.limit(&self.program));
        let slot = self.gpu.slot(&self.program, capacity)?;
        let mut answers = Vec::with_capacity(requests.len());
        for requests in requests.chunks(capacity) {
            let words: Vec<u32> = requests.iter().flat_map(request_words).collect();
            let pending = self.gpu.start(&self.program, &slot, &words, None);
            let statuses = self.gpu.finish(&slot, pending)?;
            answers.extend(requests.iter().zip(statuses).map(|(request, status)| match status {
                STATUS_OK => true,
                STATUS_RECOMPUTE => verify_p256_one(request),
                _ => false,
            }));
        }
        Ok(answers)
    }
}

fn request_words(request: &P256Request) -> Vec<u32> {
    let mut words = Vec::with_capacity(verify::REQUEST_WORDS as usize);
    let message = U256::from_be_bytes(request.message_hash.0);
    for number in [request.r, request.s, request.key_x, request.key_y, message] {
        push_number(&mut words, &number);
    }
    words
}

/// Signatures by random keys; of every four, one with another message. The same seed gives the same
/// requests.
pub fn random_p256_requests(count: usize, seed: u64) -> Vec<P256Request> {
    let mut random = Random(seed);
    let mut number = || -> [u8; 32] { std::array::from_fn(|_| random.next() as u8) };
    let signed = |index: usize| {
        let (secret, hash) = (number(), number());
        let key = SigningKey::from_slice(&secret).expect("nearly all numbers are a key");
        let signature: Signature = key.sign_prehash(&hash).expect("a key signs 32 bytes");
        let point = key.verifying_key().to_encoded_point(false);
        let word = |bytes: Option<&FieldBytes>| {
            U256::from_be_slice(bytes.expect("a key is no point at infinity"))
        };
        let message_hash = if index % 4 == 3 { number() } else { hash };
        P256Request {
            message_hash: message_hash.into(),
            r: U256::from_be_slice(&signature.r().to_bytes()),
            s: U256::from_be_slice(&signature.s().to_bytes()),
            key_x: word(point.x()),
            key_y: word(point.y()),
        }
    };
    (0..count).map(signed).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gpu::host::{AffinePoint, P256, inverse};

    /// A signature with these scalars under this key, and the sum's x.
    fn with_scalars(u1: U256, u2: U256, key: AffinePoint, x: U256) -> P256Request {
        let order = P256.order;
        let r = x.reduce_mod(order);
        let s = r.mul_mod(inverse(u2, order), order);
        let message_hash = u1.mul_mod(s, order).into();
        P256Request { message_hash, r, s, key_x: key.x, key_y: key.y }
    }

    /// Sums that double or cancel at the end, messages that are zero, and an x at or above the
    /// order.
    pub(in crate::gpu) fn crafted() -> Vec<P256Request> {
        let order = P256.order;
        let (generator, one) = (P256.generator, U256::from(1));
        let mut cases = Vec::new();
        for k in [one, U256::from(2), U256::from(15), order - one, U256::MAX >> 3] {
            let key = P256.mul(k, generator).unwrap();
            for u2 in [one, U256::from(2), U256::from(16), order - one, U256::MAX >> 9] {
                let double = u2.mul_mod(k, order);
                for u1 in [U256::ZERO, one, double, order - double] {
                    let sum = P256.add(P256.mul(u1, generator), P256.mul(u2, key));
                    let x = sum.map_or(generator.x, |sum| sum.x);
                    cases.push(with_scalars(u1, u2, key, x));
                }
            }
        }
        cases.extend(above_the_order());
        cases.extend(edges(cases[3]));
        cases
    }

    /// Keys for which the sum's x is at or above the order, so that r is that less the order.
    fn above_the_order() -> Vec<P256Request> {
        let (prime, order) = (P256.prime, P256.order);
        let exponent = (prime + U256::from(1)) >> 2;
        let mut cases = Vec::new();
        for offset in 0..20u64 {
            let x = order + U256::from(offset);
            let square = x.mul_mod(x, prime).add_mod(P256.a, prime).mul_mod(x, prime);
            let square = square.add_mod(P256.b, prime);
            let y = square.pow_mod(exponent, prime);
            if y.mul_mod(y, prime) != square || offset == 0 {
                continue;
            }
            let (u1, u2) = (U256::from(77), U256::from(1234));
            let rest = P256.negate(P256.mul(u1, P256.generator).unwrap());
            let rest = P256.add(Some(AffinePoint { x, y }), Some(rest)).unwrap();
            let key = P256.mul(inverse(u2, order), rest).unwrap();
            cases.push(with_scalars(u1, u2, key, x));
        }
        cases
    }

    /// Each number of a signature at the ends of its range.
    fn edges(plain: P256Request) -> Vec<P256Request> {
        let (prime, order, one) = (P256.prime, P256.order, U256::from(1));
        let mut cases = Vec::new();
        for number in [U256::ZERO, one, order - one, order, order + one, prime, U256::MAX] {
            cases.extend([
                P256Request { r: number, ..plain },
                P256Request { s: number, ..plain },
                P256Request { key_x: number, ..plain },
                P256Request { key_y: number, ..plain },
                P256Request { message_hash: number.into(), ..plain },
            ]);
        }
        cases
    }

    #[test]
    fn crafted_signatures_hold_or_not_as_they_should() {
        let crafted = crafted();
        let valid = crafted.iter().filter(|case| verify_p256_one(case)).count();
        // Of the first hundred all hold but those whose sum cancels.
        assert!(crafted[..100].iter().filter(|case| verify_p256_one(case)).count() >= 70);
        let above = above_the_order();
        assert!(above.len() > 3 && above.iter().all(verify_p256_one), "{above:?}");
        assert!(valid < crafted.len() - 30, "{valid} of {}", crafted.len());
    }
}
