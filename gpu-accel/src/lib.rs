//! The arithmetic that comes in batches, behind one type for CPU and GPU.
//!
//! Two things in block execution are large, uniform and free of order: recovering the senders of a
//! block's transactions (with the authorities that its EIP-7702 authorizations name), and
//! Keccak-256 of many messages. [`Accelerator`] takes both as whole batches and gives the answers
//! in order.
//!
//! # What holds
//!
//! - **Exact.** An answer is that of libsecp256k1, whatever computes it: an invalid signature is a
//!   [`RecoveryError`], never a guess. [`recover_one`] is the definition; every other path must
//!   equal it, and the tests compare it with an independent implementation.
//! - **In order.** Answer `i` belongs to request `i`, on any number of threads.
//! - **No thread where none pays.** With one thread none is started, and a batch too small to
//!   repay waking another thread stays on the calling one ([`RECOVER_INLINE`],
//!   [`KECCAK_INLINE_BLOCKS`]).
//! - **No global state.** An accelerator owns its threads and ends them when it is dropped.
//!
//! # For programs that use alloy
//!
//! [`AcceleratorProvider`] can be installed as the crypto provider of `alloy-consensus`: what was
//! recovered ahead in a batch is what alloy's own functions then answer.
//!
//! # Where devices come in
//!
//! Callers hand over [`RecoveryRequest`]s, which are plain data (a signature, a hash, one flag),
//! and know nothing of who computes. [`Accelerator::with_devices`] opens GPUs ([`gpu`]), which
//! take chunks from one end of a batch while the threads take from the other. Whatever a device
//! cannot decide goes through [`recover_one`], its twin, and so does a random share of what it
//! did decide: a device that errs, hangs or is lost is given up for good, and what it did of that
//! batch is done again.

mod accelerator;
mod cpu;
pub mod gpu;
mod keccak;
mod provider;
mod recovery;
mod share;

pub use accelerator::{Accelerator, AcceleratorError, SignedMessage};
pub use cpu::CpuPath;
pub use keccak::{KECCAK_INLINE_BLOCKS, keccak256_batch};
pub use provider::{AcceleratorProvider, ProviderMetrics};
pub use recovery::{RECOVER_INLINE, RecoveryError, RecoveryRequest, recover_one};
