//! Batches on any GPU, through wgpu, with kernels in WGSL.

mod adapter;
mod batch;
mod cache;
mod calibration;
mod cases;
mod device;
mod devices;
mod emit;
mod error;
mod faults;
mod hashing;
pub mod host;
mod kernel;
mod p256;
mod packing;
mod selftest;
mod split;
mod worker;

pub use adapter::{AdapterChoice, GpuAdapter, adapters, first_adapter};
pub use calibration::{Calibration, Sample};
pub use cases::{crafted_requests, random_requests};
pub(crate) use devices::Devices;
pub(crate) use hashing::PackedMessages;
pub(crate) use packing::{digest_words, request_words, signature_words};
pub(crate) use split::Work;
pub(crate) use worker::Batch;

pub use device::{Gpu, GpuOptions, WarmUp, WarmUpPhase};
pub use devices::{DeviceEvent, DeviceMetrics, DeviceOptions};
pub use emit::word::LimbForm;
pub use error::GpuError;
pub use faults::{FaultPlan, InjectedFault};
pub use p256::{P256Request, P256Verifier, verify_p256_one};
pub use selftest::SelfTest;

#[cfg(test)]
mod tests;
