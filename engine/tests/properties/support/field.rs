//! What the hand-written tests share.

use alloy_primitives::{Address, U256};
use pleach_engine::BlockOutput;

/// Where tests put the machine's code, and something else.
pub(crate) const MACHINE: Address = Address::repeat_byte(0xc0);
pub(crate) const OTHER: Address = Address::repeat_byte(0xc1);

/// What a slot of an account holds after the block, if the block wrote it.
pub(crate) fn slot(output: &BlockOutput, address: Address, slot: u64) -> Option<U256> {
    output.bundle.account(&address)?.storage_slot(U256::from(slot))
}
