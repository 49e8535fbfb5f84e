//! The engine behind alloy-evm's block executor traits, on Ethereum's and on other chains' EVMs,
//! each time compared with the chain's own block executor under the same calls.

mod drive;
mod monad;
mod odd_callers;
mod own_evms;
mod rollup;
mod scenario;
mod watched;
