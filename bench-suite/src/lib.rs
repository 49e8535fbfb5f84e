//! The library behind the `pleach` command: inputs, workloads, runners and reports.

pub mod bench;
pub mod cli;
pub mod conformance;
pub mod gpu;
pub mod import;
pub mod input;
pub mod profile;
pub mod replay;
mod trie_workers;
pub mod workload;
