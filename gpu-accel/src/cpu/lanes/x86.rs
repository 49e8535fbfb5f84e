//! The instruction sets of x86-64.
#![expect(
    unsafe_code,
    reason = "intrinsics need the CPU's features, of which each value here is the proof"
)]

mod avx2;
mod avx512;

pub(crate) use avx2::Avx2;
pub(crate) use avx512::{Avx512, Avx512Ifma};

/// Calls an intrinsic of a feature that the `self` in scope proves to be there.
macro_rules! proven {
    ($call:expr) => {{
        // SAFETY: values of this type are only made after the CPU was seen to have the features
        // that it names, and the intrinsic needs no others and touches no memory.
        unsafe { $call }
    }};
}

/// The methods that call functions compiled with the features enabled. Whether these go in line is
/// left to the compiler: always and never were both measured to be slower.
macro_rules! enabled {
    ($features:literal) => {
        #[inline(always)]
        fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
            #[target_feature(enable = $features)]
            fn enabled<L: Lanes, K: Kernel<L>>(lanes: L, kernel: K) -> K::Output {
                kernel.run(lanes)
            }
            proven!(enabled(self, kernel))
        }

        #[inline(always)]
        fn product(self, a: &Factors<Self>, b: &Factors<Self>) -> Columns<Self> {
            #[target_feature(enable = $features)]
            fn enabled<L: Lanes>(lanes: L, a: &Factors<L>, b: &Factors<L>) -> Columns<L> {
                product::product(lanes, a, b)
            }
            proven!(enabled(self, a, b))
        }

        #[inline(always)]
        fn square(self, a: &Factors<Self>) -> Columns<Self> {
            #[target_feature(enable = $features)]
            fn enabled<L: Lanes>(lanes: L, a: &Factors<L>) -> Columns<L> {
                product::square(lanes, a)
            }
            proven!(enabled(self, a))
        }
    };
}

use {enabled, proven};
