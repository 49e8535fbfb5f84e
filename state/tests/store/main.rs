//! Stores: the same histories on every backend against a model, and what happens when disks,
//! processes and files fail.
//!
//! `PLEACH_CASES=N` sets how many histories are tried; `PLEACH_SEED=S` replays one.

mod chain;
mod conformance;
mod refusals;
#[path = "../support/rng.rs"]
mod rng;

#[cfg(feature = "mdbx")]
mod child;
#[cfg(feature = "mdbx")]
mod damage;
#[cfg(feature = "mdbx")]
mod folder;
#[cfg(feature = "mdbx")]
mod full;
#[cfg(feature = "mdbx")]
mod kill;
