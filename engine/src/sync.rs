//! The one switch between the machine's threads and a model of them: shuttle, which decides under a
//! seed what runs when (`tests/shuttle`).
//!
//! `Arc` and `Weak` are the standard library's in both: what they decide, which thread drops
//! something last, no result depends on.

#[cfg(not(shuttle))]
pub(crate) use {
    foldhash::fast::RandomState,
    parking_lot::{Condvar, Mutex, RwLock},
    std::{
        hint::spin_loop,
        sync::{
            OnceLock,
            atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
        },
        thread::{Builder, JoinHandle, ThreadId, current},
    },
};

#[cfg(shuttle)]
mod model;
#[cfg(shuttle)]
pub(crate) use model::*;

/// Whether a model takes the place of the machine's threads. Constants shrink then, so that what
/// takes many rounds or long lists otherwise happens in blocks of a few transactions.
pub(crate) const MODEL: bool = cfg!(shuttle);
