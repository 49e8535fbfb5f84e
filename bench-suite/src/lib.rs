//! The library behind the `pleach` command: inputs, workloads, runners and reports.

pub mod conformance;
