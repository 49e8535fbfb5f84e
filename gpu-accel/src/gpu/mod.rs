//! Batches on any GPU, through wgpu, with kernels in WGSL.

mod adapter;
mod batch;
mod cache;
mod device;
mod emit;
mod error;
pub mod host;
mod kernel;
mod packing;

pub use adapter::{AdapterChoice, GpuAdapter, adapters, first_adapter};
pub use device::{Gpu, GpuOptions, WarmUp};
pub use emit::word::LimbForm;
pub use error::GpuError;

#[cfg(test)]
mod tests;
