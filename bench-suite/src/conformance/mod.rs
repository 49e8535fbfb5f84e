//! Runners for Ethereum's official test suites: state tests and blockchain tests.
//!
//! Every case is executed twice, in parallel and serially; the two must agree in every
//! field of the output, or refuse with the same error at the same place, and the result must be
//! what the test expects. Files come from folders, from single `.json` files, and from `.tar.zst`
//! archives, which are read as a stream and never unpacked to disk.

mod both;
mod expected;
mod network;
mod report;
mod runner;
mod source;
mod world;

pub mod blocktest;
pub mod statetest;

pub use both::{BothPaths, PathDifference};
pub use expected::{ExpectedFailure, ExpectedFailures, ExpectedFailuresError};
pub use network::{Network, NetworkError};
pub use report::{CaseReport, Outcome, SourceTally, Summary};
pub use runner::{FileError, RunError, SuiteArgs};
pub use source::{Selection, Source, SourceError};
pub use world::{World, WorldAccount};
