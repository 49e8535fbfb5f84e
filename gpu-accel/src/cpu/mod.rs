//! The fast CPU paths: recovery and Keccak-256 on the widest instruction set that is there.
//!
//! All arithmetic is written once, over vectors of 64-bit lanes with a 52-bit multiply; an
//! instruction set is a small implementation of that, chosen when the program runs. What a
//! path cannot decide, such as an addition of equal points, goes to libsecp256k1.

mod base_table;
mod batch;
mod digits;
mod field;
mod inverse;
mod keccak;
mod lanes;
mod multiples;
mod multiply;
mod path;
mod point;
mod product;
mod recover;
mod scalar;
#[cfg(test)]
mod testing;

pub(crate) use keccak::ROUND_CONSTANTS;
pub use path::CpuPath;
pub(crate) use path::RECOVER_BATCH;
