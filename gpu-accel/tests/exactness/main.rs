//! Answers are exact and in order: against known answers and an independent implementation.

mod common;
mod device;
mod keccak;
mod recovery;
mod rng;
