//! Which transactions a follower has been told of before they commit.
//!
//! One long transaction holds up the commits of all that come after it, and these have mostly been
//! executed by then. Threads that find nothing to execute look for such, one after another.

use pleach_scheduler::{Scheduler, TxIdx};

use crate::sync::MODEL;

/// Transactions that are looked at in one go.
const LOOKED_AT: usize = 64;
/// Calls that come to nothing after all have been looked at: others are at work meanwhile, and to
/// look at what they are doing costs them time.
const RESTS: u32 = if MODEL { 1 } else { 32 };

/// Who was told of, of the transactions of one block.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    told: Vec<bool>,
    /// Where to look next.
    next: TxIdx,
    rests: u32,
}

impl Ahead {
    /// A transaction beyond the next to commit that has been executed and was not found before, if
    /// one is found soon.
    pub(super) fn find(&mut self, scheduler: &Scheduler) -> Option<TxIdx> {
        if let Some(rests) = self.rests.checked_sub(1) {
            self.rests = rests;
            return None;
        }
        let (start, end) = (scheduler.frontier() + 1, scheduler.len());
        self.told.resize(end, false);
        let first = self.next.max(start);
        let mut within = first..end.min(first + LOOKED_AT);
        let found = within.find(|&index| !self.told[index] && scheduler.has_executed(index));
        self.next = within.start;
        if let Some(found) = found {
            self.told[found] = true;
        } else if self.next >= end {
            (self.next, self.rests) = (0, RESTS);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found until nothing is, for as long as a thread might try.
    fn found(ahead: &mut Ahead, scheduler: &Scheduler) -> Vec<TxIdx> {
        (0..2 * RESTS + 10).filter_map(|_| ahead.find(scheduler)).collect()
    }

    #[test]
    fn each_that_waits_for_its_commit_is_found_once() {
        let scheduler = Scheduler::new(2 * LOOKED_AT, 3);
        let versions: Vec<_> = std::iter::from_fn(|| scheduler.claim()).collect();
        let mut ahead = Ahead::default();
        assert!(found(&mut ahead, &scheduler).is_empty());
        for index in [0, 3, 2, LOOKED_AT + 1] {
            scheduler.finish(versions[index]);
        }
        // The first one is next to commit.
        assert_eq!(found(&mut ahead, &scheduler), [2, 3, LOOKED_AT + 1]);
        scheduler.finish(versions[1]);
        scheduler.finish(versions[4]);
        assert!(scheduler.commit(0));
        assert_eq!(found(&mut ahead, &scheduler), [4]);
    }
}
