//! What earlier blocks tell of the next.
//!
//! A contract whose calls rested on one another in the last block mostly does the same in the next.
//! Knowing so from the start saves finding out by running transactions in vain. Hints only: what
//! they say wrongly costs time and changes no output.

use std::collections::HashMap;

use alloy_primitives::Address;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Blocks for which a target is believed to be hot without being seen so again.
const BELIEVED_FOR: u32 = 16;
/// More targets than this are not remembered.
const MOST: usize = 4_096;

/// Targets that were hot in recent blocks, each with the number of blocks that it is still believed
/// for.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<HashMap<Address, u32, RandomState>>);

impl History {
    /// The targets among these that are believed to be hot, and how many calls the one has that is
    /// called most. Each belief wears off a little by being asked for.
    pub(crate) fn hot_among(
        &self,
        targets: impl Iterator<Item = Address>,
    ) -> (Vec<Address>, usize) {
        let mut believed = self.0.lock();
        if believed.is_empty() {
            return (Vec::new(), 0);
        }
        let mut hot: HashMap<Address, usize, RandomState> = HashMap::default();
        for target in targets.filter(|target| believed.contains_key(target)) {
            *hot.entry(target).or_default() += 1;
        }
        believed.retain(|target, blocks| {
            *blocks -= u32::from(hot.contains_key(target));
            *blocks > 0
        });
        let calls = hot.values().copied().max().unwrap_or_default();
        (hot.into_keys().collect(), calls)
    }

    /// Remembers what has been hot in a block.
    pub(crate) fn remember(&self, hot: &[Address]) {
        let mut believed = self.0.lock();
        for target in hot {
            if believed.len() < MOST || believed.contains_key(target) {
                believed.insert(*target, BELIEVED_FOR);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beliefs_wear_off() {
        let (hot, cold) = (Address::with_last_byte(1), Address::with_last_byte(2));
        let history = History::default();
        history.remember(&[hot]);
        for _ in 0..BELIEVED_FOR {
            assert_eq!(history.hot_among([hot, cold, hot].into_iter()), (vec![hot], 2));
        }
        assert_eq!(history.hot_among([hot].into_iter()), (vec![], 0));
    }

    #[test]
    fn what_is_not_called_stays_believed() {
        let (hot, cold) = (Address::with_last_byte(1), Address::with_last_byte(2));
        let history = History::default();
        history.remember(&[hot]);
        for _ in 0..100 {
            assert_eq!(history.hot_among([cold].into_iter()), (vec![], 0));
        }
        assert_eq!(history.hot_among([hot].into_iter()), (vec![hot], 1));
    }
}
