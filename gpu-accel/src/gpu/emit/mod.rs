//! The generator of the kernels' arithmetic.

pub(crate) mod curve;
pub(crate) mod endomorphism;
pub(crate) mod field;
pub(crate) mod hash;
mod reduce;
pub(crate) mod word;
pub(crate) mod words;
