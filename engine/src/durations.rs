//! How long calls took in earlier blocks.
//!
//! Some work, such as the verification of a proof, takes far longer than its gas suggests. The same
//! function of the same contract mostly takes as long as last time. Hints only: what they say
//! wrongly costs time and changes no output.

use std::collections::HashMap;

use alloy_primitives::Address;
use revm::context::TxEnv;

use crate::{
    RecoveredBlock,
    sync::{Mutex, RandomState},
};

/// What a transaction calls: a contract and a function of it.
pub(crate) type Call = (Address, [u8; 4]);

/// Calls are remembered from this duration on, in nanoseconds.
const LONG_NANOS: u32 = 100_000;
/// More calls than this are not remembered.
const MOST: usize = 4_096;
/// Gas that takes a microsecond, about; only ratios of weights decide.
const GAS_PER_MICROSECOND: u64 = 2_500;

/// The durations of calls that took longer than their gas limits suggest, each with its last one.
#[derive(Debug, Default)]
pub(crate) struct Durations(Mutex<HashMap<Call, u32, RandomState>>);

/// What a transaction calls, given whom and with what data.
pub(crate) fn call_of(to: Address, data: &[u8]) -> Option<Call> {
    data.first_chunk().map(|selector| (to, *selector))
}

/// The gas that usually takes this long, if that is long, and more than the limit lets expect.
pub(crate) fn unexpected(nanos: u32, gas_limit: u64) -> Option<u64> {
    let weight = u64::from(nanos) * GAS_PER_MICROSECOND / 1_000;
    (nanos >= LONG_NANOS && weight > gas_limit).then_some(weight)
}

impl Durations {
    /// The weight of each transaction of a block, in gas: how much it is expected to hold up a
    /// thread.
    pub(crate) fn weigh(&self, block: &RecoveredBlock) -> Vec<u64> {
        let known = self.0.lock();
        // Senders ask for more gas than they need: about as much more as in the block as a whole.
        let limits = block.tx_envs().iter().map(|tx| u128::from(tx.gas_limit)).sum::<u128>();
        let used = u128::from(block.header().gas_used).min(limits);
        let share = |limit: u64| (u128::from(limit) * used / limits.max(1)) as u64;
        let weight = |tx: &TxEnv| {
            let call = || call_of(*tx.kind.to()?, &tx.data);
            let nanos = if known.is_empty() { None } else { call().and_then(|at| known.get(&at)) };
            let unexpected = nanos.and_then(|nanos| unexpected(*nanos, tx.gas_limit));
            unexpected.unwrap_or_else(|| share(tx.gas_limit))
        };
        block.tx_envs().iter().map(weight).collect()
    }

    /// Remembers how long calls took, in nanoseconds.
    pub(crate) fn remember(&self, calls: &[(Call, u32)]) {
        if calls.is_empty() {
            return;
        }
        let mut known = self.0.lock();
        for (call, nanos) in calls {
            if known.len() >= MOST && !known.contains_key(call) {
                // Contracts come and go: what is still in use is soon here again.
                known.clear();
            }
            known.insert(*call, *nanos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_new_calls() {
        let durations = Durations::default();
        for number in 0..3 * MOST as u64 {
            let call = (Address::left_padding_from(&number.to_be_bytes()), [0; 4]);
            durations.remember(&[(call, LONG_NANOS)]);
            let known = durations.0.lock();
            assert!(known.len() <= MOST && known.contains_key(&call), "call {number}");
        }
    }
}
