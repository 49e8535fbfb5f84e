//! What earlier blocks tell of the next.
//!
//! A contract whose calls rested on one another in the last block mostly does the same in the next.
//! Knowing so from the start saves finding out by running transactions in vain. Hints only: what
//! they say wrongly costs time and changes no output.

use std::collections::HashMap;

use alloy_primitives::Address;

use crate::{
    parallel::{Heat, Hot},
    sync::{Mutex, RandomState},
};

/// Blocks for which a target is believed to be hot without being seen so again.
const BELIEVED_FOR: u32 = 16;
/// More targets than this are not remembered.
const MOST: usize = 4_096;

/// Targets that were hot in recent blocks.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<HashMap<Address, Belief, RandomState>>);

/// What is believed of a hot target.
#[derive(Debug)]
struct Belief {
    /// Blocks for which it is still believed.
    blocks: u32,
    /// The name of the target's group.
    group: Address,
    /// Whether a block was given up because most of it was one chain.
    chain: bool,
}

impl History {
    /// The targets among these that are believed to be hot, and how many calls that chain has which
    /// has most. Each belief wears off a little by being asked for.
    pub(crate) fn hot_among(&self, targets: impl Iterator<Item = Address>) -> (Vec<Hot>, usize) {
        let mut believed = self.0.lock();
        if believed.is_empty() {
            return (Vec::new(), 0);
        }
        let mut hot: HashMap<Address, Address, RandomState> = HashMap::default();
        let mut calls: HashMap<Address, usize, RandomState> = HashMap::default();
        for target in targets {
            let Some(belief) = believed.get(&target) else { continue };
            hot.insert(target, belief.group);
            *calls.entry(belief.group).or_default() += usize::from(belief.chain);
        }
        believed.retain(|target, belief| {
            belief.blocks -= u32::from(hot.contains_key(target));
            belief.blocks > 0
        });
        let calls = calls.into_values().max().unwrap_or_default();
        (hot.into_iter().collect(), calls)
    }

    /// Remembers what has been hot in a block, and forgets what was not.
    pub(crate) fn remember(&self, Heat { hot, cooled, chain }: &Heat) {
        if hot.is_empty() && cooled.is_empty() {
            return;
        }
        let mut believed = self.0.lock();
        for target in cooled {
            believed.remove(target);
        }
        for (target, group) in hot {
            if believed.len() < MOST || believed.contains_key(target) {
                let belief = Belief { blocks: BELIEVED_FOR, group: *group, chain: *chain };
                believed.insert(*target, belief);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(hot: &[Hot]) -> Heat {
        Heat { hot: hot.to_vec(), chain: true, ..Heat::default() }
    }

    #[test]
    fn beliefs_wear_off() {
        let (hot, cold) = (Address::with_last_byte(1), Address::with_last_byte(2));
        let history = History::default();
        history.remember(&chain(&[(hot, hot)]));
        for _ in 0..BELIEVED_FOR {
            assert_eq!(history.hot_among([hot, cold, hot].into_iter()), (vec![(hot, hot)], 2));
        }
        assert_eq!(history.hot_among([hot].into_iter()), (vec![], 0));
    }

    #[test]
    fn what_is_not_called_stays_believed() {
        let (hot, cold) = (Address::with_last_byte(1), Address::with_last_byte(2));
        let history = History::default();
        history.remember(&chain(&[(hot, hot)]));
        for _ in 0..100 {
            assert_eq!(history.hot_among([cold].into_iter()), (vec![], 0));
        }
        assert_eq!(history.hot_among([hot].into_iter()), (vec![(hot, hot)], 1));
    }

    #[test]
    fn calls_of_a_group_are_counted_together() {
        let [one, other, alone] = [1, 2, 3].map(Address::with_last_byte);
        let history = History::default();
        history.remember(&chain(&[(one, one), (other, one), (alone, alone)]));
        let calls = [one, other, alone, other, one, alone];
        assert_eq!(history.hot_among(calls.into_iter()).1, 4);
    }

    #[test]
    fn only_a_chain_counts_as_one_and_what_cooled_is_forgotten() {
        let hot = Address::with_last_byte(1);
        let history = History::default();
        history.remember(&Heat { hot: vec![(hot, hot)], ..Heat::default() });
        assert_eq!(history.hot_among([hot].into_iter()), (vec![(hot, hot)], 0));
        history.remember(&Heat { cooled: vec![hot], ..Heat::default() });
        assert_eq!(history.hot_among([hot].into_iter()), (vec![], 0));
    }
}
