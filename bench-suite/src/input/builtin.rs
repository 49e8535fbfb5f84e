//! Blocks that come with the command.

use super::BlockInput;

/// The built-in blocks, made from a seed: the same seed gives the same blocks.
pub fn builtin(_seed: u64) -> Vec<BlockInput> {
    Vec::new()
}
