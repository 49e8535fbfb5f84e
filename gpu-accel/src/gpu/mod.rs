//! Batches on any GPU, through wgpu, with kernels in WGSL.

mod adapter;
mod batch;
mod cache;
mod cases;
mod device;
mod emit;
mod error;
mod hashing;
pub mod host;
mod kernel;
mod packing;
mod selftest;

pub use adapter::{AdapterChoice, GpuAdapter, adapters, first_adapter};
pub use cases::{crafted_requests, random_requests};
pub use device::{Gpu, GpuOptions, WarmUp};
pub use emit::word::LimbForm;
pub use error::GpuError;
pub use selftest::SelfTest;

#[cfg(test)]
mod tests;
