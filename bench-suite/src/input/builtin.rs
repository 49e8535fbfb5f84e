//! Blocks that come with the command.

use super::{BlockInput, InputState};
use crate::workload::{self, Workload};

/// The built-in blocks, made from a seed: the same seed gives the same blocks.
pub fn builtin(seed: u64) -> Vec<BlockInput> {
    workload::builtin(seed).into_iter().map(from_workload).collect()
}

fn from_workload(workload: Workload) -> BlockInput {
    BlockInput {
        origin: "built in".to_owned(),
        workload: Some(workload.name),
        chain: workload.chain,
        block: workload.block,
        prestate: InputState::Flat(workload.prestate),
    }
}
