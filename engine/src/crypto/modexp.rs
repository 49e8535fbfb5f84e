//! Modular exponentiation (EIP-198) through AWS-LC's big numbers.
#![expect(unsafe_code, reason = "AWS-LC offers its big numbers through C alone")]

use std::ptr::{NonNull, null_mut};

use aws_lc_sys::{
    BIGNUM, BN_CTX, BN_CTX_free, BN_CTX_new, BN_bin2bn, BN_bn2bin_padded, BN_free, BN_mod_exp,
    BN_new, ERR_clear_error,
};
use revm::precompile::{Crypto, DefaultCrypto};

/// `base` to the power `exp`, modulo `modulus`, all big-endian; as long as `modulus` without its
/// leading zeros, and empty for modulus zero. 0 to the power 0 is 1.
///
/// AWS-LC is fast where the modulus is odd, and refuses moduli above 8 KiB; where it does not
/// serve, revm's default does.
pub(super) fn modexp(base: &[u8], exp: &[u8], modulus: &[u8]) -> Vec<u8> {
    let [base, exp, modulus] = [base, exp, modulus].map(without_leading_zeros);
    let result = match modulus.last() {
        None => Some(Vec::new()),
        Some(last) if last % 2 == 1 => odd_modexp(base, exp, modulus),
        Some(_) => even_modexp(base, exp, modulus),
    };
    result.unwrap_or_else(|| {
        let result = DefaultCrypto.modexp(base, exp, modulus);
        result.expect("revm's exponentiation has no failing case")
    })
}

/// The power modulo an even number that has at most 64 factors of two and an odd one besides; else
/// None.
///
/// With modulus = odd · 2^k, the power is found modulo both and joined by the Chinese remainder
/// theorem, x = x₁ + odd · ((x₂ - x₁) · odd⁻¹ mod 2^k), where all but x₁ is arithmetic on words.
fn even_modexp(base: &[u8], exp: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    let twos = trailing_zeros(modulus).filter(|twos| *twos <= 64)?;
    let odd = shifted_right(modulus, twos);
    let odd = without_leading_zeros(&odd);
    if odd == [1] {
        return None;
    }
    let of_odd = odd_modexp(base, exp, odd)?;
    let of_twos = word_power(low_word(base), exp);
    let mask = u64::MAX >> (64 - twos);
    let difference = of_twos.wrapping_sub(low_word(&of_odd));
    let factor = difference.wrapping_mul(word_inverse(low_word(odd))) & mask;
    Some(multiply_add(odd, factor, &of_odd, modulus.len()))
}

/// Zero bits at the low end; None for zero.
fn trailing_zeros(number: &[u8]) -> Option<usize> {
    let zeros = number.iter().rev().take_while(|byte| **byte == 0).count();
    let last = number.iter().rev().nth(zeros)?;
    Some(8 * zeros + last.trailing_zeros() as usize)
}

fn shifted_right(number: &[u8], bits: usize) -> Vec<u8> {
    let number = &number[..number.len() - bits / 8];
    let above = std::iter::once(&0).chain(number);
    let pairs = above.zip(number).map(|(above, byte)| u16::from_be_bytes([*above, *byte]));
    pairs.map(|pair| (pair >> (bits % 8)) as u8).collect()
}

/// The number modulo 2^64.
fn low_word(number: &[u8]) -> u64 {
    let low = &number[number.len().saturating_sub(8)..];
    low.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// `base` to the power `exp`, modulo 2^64.
fn word_power(base: u64, exp: &[u8]) -> u64 {
    let bits = exp.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.fold(1, |power: u64, bit| {
        let square = power.wrapping_mul(power);
        if bit == 1 { square.wrapping_mul(base) } else { square }
    })
}

/// The inverse of an odd word modulo 2^64, by Newton's method: an odd word is its own inverse
/// modulo 8, and each step doubles the bits that hold.
fn word_inverse(odd: u64) -> u64 {
    (0..5)
        .fold(odd, |inverse, _| inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse))))
}

/// `number` · `factor` + `addend` in `len` bytes, which must hold it; `addend` has the length of
/// `number`.
fn multiply_add(number: &[u8], factor: u64, addend: &[u8], len: usize) -> Vec<u8> {
    let (mut result, mut carry) = (vec![0; len], 0u128);
    let mut digits = number.iter().zip(addend).rev();
    for out in result.iter_mut().rev() {
        if let Some((digit, addend)) = digits.next() {
            carry += u128::from(*digit) * u128::from(factor) + u128::from(*addend);
        }
        *out = carry as u8;
        carry >>= 8;
    }
    result
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// None where AWS-LC refuses, for size or for want of memory.
fn odd_modexp(base: &[u8], exp: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    let [b, e, m] = [Number::read(base)?, Number::read(exp)?, Number::read(modulus)?];
    let (result, context) = (Number::new()?, Context::new()?);
    let raw = |number: &Number| number.0.as_ptr();
    // SAFETY: all five point to live objects that these variables own, and `result` is none of
    // the inputs.
    let done = unsafe { BN_mod_exp(raw(&result), raw(&b), raw(&e), raw(&m), context.0.as_ptr()) };
    if done != 1 {
        // SAFETY: it touches nothing but this thread's own error queue.
        unsafe { ERR_clear_error() };
        return None;
    }
    result.write(modulus.len())
}

/// A big number that AWS-LC allocated.
struct Number(NonNull<BIGNUM>);

impl Number {
    fn new() -> Option<Self> {
        // SAFETY: it takes nothing and gives a fresh number or null.
        NonNull::new(unsafe { BN_new() }).map(Self)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        // SAFETY: it reads `bytes.len()` bytes, and a null third argument asks for a fresh number.
        NonNull::new(unsafe { BN_bin2bn(bytes.as_ptr(), bytes.len(), null_mut()) }).map(Self)
    }

    /// The number in `len` bytes; None if it needs more.
    fn write(&self, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        // SAFETY: it writes `len` bytes, which `bytes` has, and reads a live number.
        let done = unsafe { BN_bn2bin_padded(bytes.as_mut_ptr(), len, self.0.as_ptr()) };
        (done == 1).then_some(bytes)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: the number is owned here and used no more.
        unsafe { BN_free(self.0.as_ptr()) };
    }
}

/// Scratch space for one computation.
struct Context(NonNull<BN_CTX>);

impl Context {
    fn new() -> Option<Self> {
        // SAFETY: it takes nothing and gives a fresh context or null.
        NonNull::new(unsafe { BN_CTX_new() }).map(Self)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is owned here and used no more.
        unsafe { BN_CTX_free(self.0.as_ptr()) };
    }
}
