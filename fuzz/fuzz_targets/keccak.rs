//! Messages of lengths that the fuzzer chooses, on every path of this CPU and one by one.
#![no_main]

#[path = "../../gpu-accel/tests/fuzz/check.rs"]
mod check;
#[path = "../../gpu-accel/tests/exactness/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::keccak(bytes));
