//! Properties of parallel execution, all of them one: it gives what serial execution gives.
//!
//! - `differential`: random blocks.
//! - `field_bugs`: one test for each bug that is known from other parallel engines.
//!
//! One binary, since compiling the engine for one prestate type takes longer than running it.

mod differential;
mod field_bugs;
mod support;
