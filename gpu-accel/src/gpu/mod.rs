//! Batches on any GPU, through wgpu, with kernels in WGSL.
//!
//! | part | what |
//! |---|---|
//! | `emit` | writes field and curve arithmetic, and proves that no limb overflows |
//! | `kernel` | the kernels' texts, the shapes of their buffers, and the seam for schemes |
//! | `device`, `batch`, `hashing` | an opened adapter, its kernels, one batch on it |
//! | `selftest`, `calibration` | known answers; which batch sizes pay |
//! | `worker`, `devices`, `split` | a thread per device; two ends of one batch; what goes wrong |
//! | `host`, `cases` | points by the textbook; crafted and random requests |
//!
//! # Numbers
//!
//! A number of 256 bits is 9 limbs of 29 bits where shaders have 64-bit integers, and 20 limbs of
//! 13 bits elsewhere ([`LimbForm`]): products fit the accumulator with room for lazy sums. The
//! generator keeps the largest value of every limb and carries only where the next product would
//! overflow; it stops rather than write a shader that could. All kernels exist in both forms from
//! the same lines of Rust.
//!
//! # Exceptional points
//!
//! Addition formulas are used that are wrong for equal, opposite and infinite points, and never
//! ask. Each such case makes Z zero, and a zero Z stays zero, so the last kernel sees it and gives
//! the request the status "recompute": the CPU decides. No one can gain time by crafting these: a
//! recomputation costs what the CPU alone would have cost.
//!
//! # Another scheme
//!
//! A scheme is a `kernel::Scheme` (texts and buffer sizes) and a twin on the CPU. P-256
//! verification (EIP-7951, [`Gpu::p256`]) is the second one: another prime, another curve
//! equation, another final check, and the same generator.
//!
//! # What a device can do to us
//!
//! Give wrong answers: the self-test at the start tries every crafted case, and at least one
//! answer a chunk, drawn where nobody can foresee it, is computed again ([`DeviceMetrics`] counts
//! them). A device that is wrong rarely can slip a wrong answer through, as with any sampling:
//! whoever cannot bear that uses the CPU. Hang: a batch has a deadline, and the driver is only
//! called on the device's own thread. Run out of memory, or vanish: the batch is done by the CPU.
//! In each case the device is not used again, the log says so at level error, and
//! [`DeviceMetrics::failure`] holds the reason.

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
pub use p256::{P256Request, P256Verifier, random_p256_requests, verify_p256_one};
pub use selftest::SelfTest;

#[cfg(test)]
mod tests;
