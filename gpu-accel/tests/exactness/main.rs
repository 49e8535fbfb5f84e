//! Answers are exact and in order: against known answers and an independent implementation.

mod common;
mod device;
mod keccak;
mod p256;
mod recovery;
mod reference;
mod rng;
