//! Properties of parallel execution, all of them one: it gives what serial execution gives.
//!
//! - `differential`: random blocks.
//! - `field_bugs`, `field_bugs_invalid`: one test for each bug known from other parallel engines.
//! - `balances`: where balances may be added up out of order, and where not.
//! - `followers`: who hears what commits hears of all of it.
//! - `taken_back`: what was written ahead and taken back no longer counts.
//! - `traces`: what is written down of an execution, and that writing changes nothing.
//!
//! One binary, since compiling the engine for one prestate type takes longer than running it.

mod balances;
mod differential;
mod field_bugs;
mod field_bugs_invalid;
mod followers;
mod listed;
mod support;
mod taken_back;
mod traces;
