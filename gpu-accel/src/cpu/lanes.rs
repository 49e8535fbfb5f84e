//! The seam between arithmetic and instruction sets: vectors of 64-bit lanes that multiply 52 bits.
//!
//! All of secp256k1 here is written once over [`Lanes`]. An implementation is a value that exists
//! only where the CPU has the instructions, so holding one is the proof that they may run.

mod emulated;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt::Debug;

pub(crate) use emulated::Emulated;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, Avx512Ifma};

/// Limbs of a field element.
pub(crate) const LIMBS: usize = 5;

/// Lanes of the widest instruction set here.
pub(crate) const MAX_LANES: usize = 8;

/// Multiplicands of a field element.
pub(crate) type Factors<L> = [<L as Lanes>::Factor; LIMBS];

/// What a product folds to: five columns of weight 2^(52·i), and one of weight 2^260.
pub(crate) type Columns<L> = [<L as Lanes>::Word; LIMBS + 1];

/// Work that runs with an instruction set's features enabled.
///
/// Implementations mark `run` as `#[inline(always)]`, so that it is compiled inside the function
/// that enables the features.
pub(crate) trait Kernel<L: Lanes> {
    /// What the work gives.
    type Output;
    /// Does the work.
    fn run(self, lanes: L) -> Self::Output;
}

/// An instruction set that works on [`Self::COUNT`] numbers at a time.
pub(crate) trait Lanes: Copy + Debug + Send + Sync + 'static {
    /// Numbers in one vector.
    const COUNT: usize;
    /// Whether a factor's bits are the number's.
    const INTEGER_FACTORS: bool;
    /// What [`Self::mul_add`] adds to the low accumulator besides the product's low half.
    const LOW_BIAS: u64;
    /// What [`Self::mul_add`] adds to the high accumulator besides the product's high half.
    const HIGH_BIAS: u64;
    /// A vector of 64-bit numbers.
    type Word: Copy + Debug + Send + Sync;
    /// A vector of numbers below 2^52, in the form that multiplies.
    type Factor: Copy + Debug + Send + Sync;

    /// Runs work with the features of this instruction set enabled.
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output;
    /// The folded product of two field elements; see [`super::product::product`].
    fn product(self, a: &Factors<Self>, b: &Factors<Self>) -> Columns<Self>;
    /// The folded square of a field element; see [`super::product::square`].
    fn square(self, a: &Factors<Self>) -> Columns<Self>;

    /// One number in all lanes.
    fn splat(self, value: u64) -> Self::Word;
    /// The first [`Self::COUNT`] numbers of a slice.
    fn load(self, values: &[u64]) -> Self::Word;
    /// Writes [`Self::COUNT`] numbers.
    fn store(self, word: Self::Word, values: &mut [u64]);
    /// For each lane and each k below N, `table[start + k * stride]`, all within the table.
    fn gather<const N: usize>(
        self,
        table: &[u64],
        start: Self::Word,
        stride: usize,
    ) -> [Self::Word; N];

    /// Sums modulo 2^64.
    fn add(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Differences modulo 2^64.
    fn sub(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Bitwise and.
    fn and(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Bitwise or.
    fn or(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Bitwise exclusive or.
    fn xor(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Shifts zeros in from the left.
    fn shr<const BY: u32>(self, a: Self::Word) -> Self::Word;
    /// Shifts zeros in from the right.
    fn shl<const BY: u32>(self, a: Self::Word) -> Self::Word;
    /// Shifts zeros in from the left, by less than 64.
    fn shr_by(self, a: Self::Word, by: u32) -> Self::Word;
    /// Shifts zeros in from the right, by less than 64.
    fn shl_by(self, a: Self::Word, by: u32) -> Self::Word;
    /// All ones in the lanes that are zero, else zero.
    fn is_zero(self, a: Self::Word) -> Self::Word;

    /// Numbers below 2^52, ready to be multiplied.
    fn factor(self, a: Self::Word) -> Self::Factor;
    /// A factor's bits, for tables.
    fn factor_bits(self, a: Self::Factor) -> Self::Word;
    /// The factor of these bits.
    fn factor_from_bits(self, bits: Self::Word) -> Self::Factor;
    /// Adds a·b mod 2^52 and [`Self::LOW_BIAS`] to `low`, the rest of a·b shifted right by 52 and
    /// [`Self::HIGH_BIAS`] to `high`. An implementation may round to nearest, so that the low half
    /// is signed.
    fn mul_add(
        self,
        low: Self::Word,
        high: Self::Word,
        a: Self::Factor,
        b: Self::Factor,
    ) -> (Self::Word, Self::Word);

    /// `a` where the mask is all ones, `b` where it is zero.
    #[inline(always)]
    fn select(self, mask: Self::Word, a: Self::Word, b: Self::Word) -> Self::Word {
        self.xor(b, self.and(mask, self.xor(a, b)))
    }
}
