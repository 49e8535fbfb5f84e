//! `pleach import`: files of blocks into a database, each block validated in every respect.

mod network;
pub mod source;

pub use network::{Network, NetworkError};
