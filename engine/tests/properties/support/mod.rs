//! What the engine's property tests are made of: an assembler, a contract that runs programs,
//! chains, blocks, a prestate that stalls, and the comparison with serial execution.

pub(crate) mod asm;
pub(crate) mod blocks;
pub(crate) mod compare;
pub(crate) mod field;
pub(crate) mod forks;
pub(crate) mod generate;
pub(crate) mod machine;
pub(crate) mod prestate;
pub(crate) mod rng;
pub(crate) mod world;
