//! What the tests of this module share.

#[path = "../../tests/exactness/rng.rs"]
mod rng;

pub(crate) use rng::Rng;

/// Runs an expression with every instruction set that this machine has.
macro_rules! hardware_lanes {
    (|$lanes:ident| $run:expr) => {{
        #[cfg(target_arch = "x86_64")]
        {
            use $crate::cpu::lanes;
            if let Some($lanes) = lanes::Avx512Ifma::detect() {
                $run;
            }
            if let Some($lanes) = lanes::Avx512::detect() {
                $run;
            }
            if let Some($lanes) = lanes::Avx2::detect() {
                $run;
            }
        }
    }};
}

/// The same, and with the emulated one, which is that of AVX-512 IFMA in plain integers.
macro_rules! each_lanes {
    (|$lanes:ident| $run:expr) => {{
        {
            let $lanes = $crate::cpu::lanes::Emulated::<2>;
            $run;
        }
        $crate::cpu::testing::hardware_lanes!(|$lanes| $run);
    }};
}

pub(crate) use {each_lanes, hardware_lanes};
