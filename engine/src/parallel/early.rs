//! Which transactions had better start before their turn to start.
//!
//! Transactions start in block order: what lower ones write is then mostly there to be read. But a
//! long one that starts late keeps one thread busy while the others have run out of work, and so
//! does a chain of transactions that rest on one another. How long one will take is guessed from
//! its gas limit, and who rests on whom from earlier blocks; a wrong guess costs time and nothing
//! else.

use std::collections::HashMap;

use alloy_primitives::Address;
use pleach_scheduler::{EarlyStart, TxIdx};

use super::hot::Hot;
use crate::sync::RandomState;

/// A transaction is long if it may take this share of what each thread has to do.
const LONG: u64 = 8;
/// The rest of a chain is, if it may take this share. It has to be larger: what its links rest on
/// beside each other is less likely to be there when they start early.
const LONG_CHAIN: u64 = 3;

/// A transaction as far as its start is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// How long it may take, in gas.
    pub(super) weight: u64,
    /// The group of its target, if that is held to be hot.
    pub(super) group: Option<Address>,
}

impl Expected {
    /// What is expected of transactions, given the weight and target of each.
    pub(super) fn of(
        hot: &[Hot],
        txs: impl Iterator<Item = (u64, Option<Address>)>,
    ) -> impl Iterator<Item = Self> {
        let groups: HashMap<Address, Address, RandomState> = hot.iter().copied().collect();
        txs.map(move |(weight, target)| {
            let group = target.and_then(|target| groups.get(&target).copied());
            Self { weight, group }
        })
    }
}

/// What has to be known of a transaction to tell when it should start.
struct Place {
    /// Work that starts before it does.
    ahead: u64,
    /// The weight of what cannot end before it has: itself, and the rest of its chain.
    tail: u64,
    /// The link of the chain before it.
    after: Option<TxIdx>,
    /// Whether it is a link of a chain.
    linked: bool,
}

/// The early starts of a block, in order. `gas` is what the block uses, as far as is known;
/// `threads` share the work.
pub(super) fn early_starts(
    txs: impl Iterator<Item = Expected>,
    gas: u64,
    threads: usize,
) -> Vec<EarlyStart> {
    if threads < 2 {
        return Vec::new();
    }
    let threads = threads as u64;
    let (places, sum) = places(txs, gas);
    let mut starts: Vec<EarlyStart> = Vec::new();
    for (index, Place { ahead, tail, after, linked }) in places.iter().enumerate() {
        let share = if *linked { LONG_CHAIN } else { LONG };
        let long = tail.saturating_mul(threads * share) > sum;
        // Threads share what is ahead, so a transaction in its order ends at ahead / threads +
        // tail, and all should end at sum / threads.
        let last_start = sum.saturating_sub(tail.saturating_mul(threads));
        if long && *ahead > last_start {
            let before = places.partition_point(|place| place.ahead < last_start);
            starts.push(EarlyStart { before, index, after: *after });
        }
    }
    starts.retain(|start| start.before < start.index);
    starts.sort();
    starts
}

/// Each transaction's place, and the weight of all.
fn places(txs: impl Iterator<Item = Expected>, gas: u64) -> (Vec<Place>, u64) {
    let mut sum: u64 = 0;
    let mut last: HashMap<Address, TxIdx, RandomState> = HashMap::default();
    let mut places: Vec<Place> = Vec::new();
    for (index, Expected { weight, group }) in txs.enumerate() {
        let tail = weight.min(gas);
        let after = group.and_then(|group| last.insert(group, index));
        places.push(Place { ahead: sum, tail, after, linked: after.is_some() });
        sum = sum.saturating_add(tail);
    }
    for index in (0..places.len()).rev() {
        let Place { tail, after, .. } = places[index];
        if let Some(after) = after {
            places[after].tail = places[after].tail.saturating_add(tail);
            places[after].linked = true;
        }
    }
    (places, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(limits: &[u64], threads: usize) -> Vec<(usize, usize)> {
        let txs = limits.iter().map(|weight| Expected { weight: *weight, group: None });
        let starts = early_starts(txs, u64::MAX, threads);
        assert!(starts.iter().all(|start| start.after.is_none()));
        starts.into_iter().map(|start| (start.before, start.index)).collect()
    }

    #[test]
    fn a_chain_at_the_end_starts_in_time() {
        let [hot, kin, cold] = [1, 2, 3].map(Address::with_last_byte);
        // Work of 100 of no chain, then two contracts of one group in turns.
        let links = [hot, kin, hot, kin].map(|target| (25, Some(target)));
        let txs = (0..10).map(|_| (10, Some(cold))).chain(links);
        let known = [(hot, hot), (kin, hot)];
        let starts = |hot: &[Hot]| {
            let starts = early_starts(Expected::of(hot, txs.clone()), u64::MAX, 2);
            starts
                .into_iter()
                .map(|start| (start.before, start.index, start.after))
                .collect::<Vec<_>>()
        };
        // With 200 for two threads the chain of 100 begins with the block; its second link is due
        // when as much as the first has been done by the other thread as well, and so on. The last
        // alone is nothing long.
        let expected: Vec<_> = vec![(0, 10, None), (5, 11, Some(10)), (10, 12, Some(11))];
        assert_eq!(starts(&known), expected);
        // Where nothing is known of the chain, the last link is long for a single transaction.
        assert_eq!(starts(&[]), [(12, 13, None)]);
    }

    #[test]
    fn equal_transactions_stay_in_order() {
        assert_eq!(starts(&[21_000; 100], 4), []);
    }

    #[test]
    fn a_long_one_at_the_end_starts_in_time() {
        let mut limits = [10; 21];
        limits[20] = 60;
        // 260 for two threads: it has to start when 140 are left of the other 200.
        assert_eq!(starts(&limits, 2), [(14, 20)]);
        limits[20] = 200;
        assert_eq!(starts(&limits, 2), [(0, 20)]);
    }

    #[test]
    fn a_long_one_at_the_start_stays_there() {
        let mut limits = [10; 21];
        limits[0] = 60;
        assert_eq!(starts(&limits, 2), []);
    }

    #[test]
    fn one_thread_has_its_order() {
        assert_eq!(starts(&[10, 10, 100], 1), []);
    }
}
