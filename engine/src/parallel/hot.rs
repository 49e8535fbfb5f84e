//! Learning, within a block, which targets make transactions collide.

use std::collections::HashMap;

use alloy_primitives::Address;

use crate::sync::{AtomicBool, MODEL, Ordering, RandomState, RwLock};

/// A target whose transactions mostly rest on one another, and the name of its group: targets of
/// one group rest on each other as well, as contracts do that trade in the same pools.
pub(crate) type Hot = (Address, Address);

/// What a block has taught about targets.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    /// Those whose transactions rest on one another.
    pub(crate) hot: Vec<Hot>,
    /// Those that were believed to be hot and turned out not to be.
    pub(crate) cooled: Vec<Address>,
    /// Whether the block was given up because most of it was one chain.
    pub(crate) chain: bool,
}

/// Targets whose transactions mostly rest on one another: running two at once is wasted work.
///
/// The committer learns; workers ask before they start. A target that is wrongly held to be hot, or
/// not, costs time and nothing else.
#[derive(Debug, Default)]
pub(super) struct HotTargets {
    any: AtomicBool,
    /// Target to group.
    targets: RwLock<HashMap<Address, Address, RandomState>>,
}

/// The committer's count of what became of a target's transactions.
#[derive(Debug, Default)]
pub(super) struct Record {
    all: Tally,
    by_target: HashMap<Address, Tally, RandomState>,
    cooled: Vec<Address>,
}

/// Of a hot target's transactions, one in so many runs without waiting for the others, to see
/// whether the target is still hot.
pub(super) const EXPLORED: u32 = if MODEL { 2 } else { 8 };

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    stood: u32,
    aborted: u32,
}

impl Tally {
    /// Two aborts: as little as makes a target hot. What is believed of earlier blocks begins here.
    const SUSPECT: Self = Self { stood: 0, aborted: 2 };

    /// At least two aborts, and at least one for every two results that stood.
    const fn is_hot(self) -> bool {
        self.aborted >= Self::SUSPECT.aborted && self.aborted * 2 >= self.stood
    }
}

impl HotTargets {
    /// The first of these targets, if the given one is hot, that belongs to the same group; a
    /// predicate says which of them count.
    pub(super) fn find_kin<T>(
        &self,
        target: &Address,
        mut others: impl Iterator<Item = (T, Address)>,
        counts: impl Fn(&T) -> bool,
    ) -> Option<T> {
        // Relaxed: missing a target that has just been added costs one run too many.
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let targets = self.targets.read();
        let group = *targets.get(target)?;
        let is_kin = |other: Address| other == *target || targets.get(&other) == Some(&group);
        others.find(|(at, other)| is_kin(*other) && counts(at)).map(|(at, _)| at)
    }

    /// Targets that are known before the block begins.
    pub(super) fn known(targets: Vec<Hot>) -> Self {
        let any = AtomicBool::new(!targets.is_empty());
        Self { any, targets: RwLock::new(targets.into_iter().collect()) }
    }

    pub(super) fn all(&self) -> Vec<Hot> {
        self.targets.read().iter().map(|(target, group)| (*target, *group)).collect()
    }

    pub(super) fn contains(&self, target: &Address) -> bool {
        self.any.load(Ordering::Relaxed) && self.targets.read().contains_key(target)
    }

    /// Whether the target is new among them. It begins as a group of its own.
    fn insert(&self, target: Address) -> bool {
        let mut targets = self.targets.write();
        let new = !targets.contains_key(&target);
        targets.entry(target).or_insert(target);
        self.any.store(true, Ordering::Relaxed);
        new
    }

    fn remove(&self, target: &Address) {
        self.targets.write().remove(target);
    }

    /// Makes one group of two targets' groups, if both are hot.
    fn unite(&self, one: &Address, other: &Address) {
        let mut targets = self.targets.write();
        let (Some(kept), Some(given_up)) = (targets.get(one), targets.get(other)) else { return };
        let (kept, given_up) = (*kept, *given_up);
        for group in targets.values_mut().filter(|group| **group == given_up) {
            *group = kept;
        }
    }
}

/// Results after which a block is judged.
const SAMPLE: u32 = 24;

impl Record {
    /// Whether more than half of a fair number of results did not stand.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.all.aborted + self.all.stood >= SAMPLE && self.all.aborted > self.all.stood
    }

    /// A record of a block in which some targets are held to be hot from the start.
    pub(super) fn of(hot: &HotTargets) -> Self {
        let suspects = hot.all().into_iter().map(|(target, _)| (target, Tally::SUSPECT));
        Self { by_target: suspects.collect(), ..Self::default() }
    }

    /// Counts a result that stood. Of a hot target it tells something only if it was `explored`,
    /// which is to run without waiting for others.
    pub(super) fn stood(&mut self, target: Option<Address>, explored: bool, hot: &HotTargets) {
        self.all.stood += 1;
        let Some(target) = target else { return };
        let is_hot = hot.contains(&target);
        if is_hot && !explored {
            return;
        }
        let tally = self.by_target.entry(target).or_default();
        tally.stood += 1;
        if is_hot && !tally.is_hot() {
            hot.remove(&target);
            self.cooled.push(target);
        }
    }

    /// What has been learnt up to here.
    pub(super) fn heat(&self, hot: &HotTargets, chain: bool) -> Heat {
        Heat { hot: hot.all(), cooled: self.cooled.clone(), chain }
    }

    /// Counts a result that was there at its turn and did not stand.
    pub(super) const fn fell(&mut self) {
        self.all.aborted += 1;
    }

    /// Counts an abort for what a transaction that called `culprit` wrote, if that is known.
    /// Returns whether the target has just become hot.
    pub(super) fn aborted(
        &mut self,
        target: Option<Address>,
        culprit: Option<Address>,
        hot: &HotTargets,
    ) -> bool {
        let Some(target) = target else { return false };
        let tally = self.by_target.entry(target).or_default();
        tally.aborted += 1;
        let newly_hot = tally.is_hot() && hot.insert(target);
        if let Some(culprit) = culprit.filter(|culprit| *culprit != target) {
            hot.unite(&target, &culprit);
        }
        newly_hot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Address {
        Address::with_last_byte(number)
    }

    #[test]
    fn a_target_that_is_not_hot_any_more_cools() {
        let target = address(1);
        let hot = HotTargets::known(vec![(target, target)]);
        let mut record = Record::of(&hot);
        for _ in 0..100 {
            record.stood(Some(target), false, &hot);
        }
        assert!(hot.contains(&target), "having waited tells nothing");
        for _ in 0..5 {
            record.stood(Some(target), true, &hot);
        }
        assert!(!hot.contains(&target));
        let heat = record.heat(&hot, false);
        assert_eq!((heat.hot, heat.cooled), (vec![], vec![target]));
    }

    #[test]
    fn a_target_whose_results_mostly_stood_is_not_hot() {
        let (hot, mut record) = (HotTargets::default(), Record::default());
        for _ in 0..10 {
            record.stood(Some(address(1)), false, &hot);
        }
        for _ in 0..4 {
            assert!(!record.aborted(Some(address(1)), None, &hot));
        }
        assert!(record.aborted(Some(address(1)), None, &hot));
    }

    #[test]
    fn targets_that_abort_for_each_other_become_one_group() {
        let (hot, mut record) = (HotTargets::default(), Record::default());
        let kin = |of: u8| {
            let others = [1, 2, 3, 4].map(|number| (number, address(number)));
            hot.find_kin(&address(of), others.into_iter(), |other| *other != of)
        };
        for target in [1, 2, 3] {
            assert!(!record.aborted(Some(address(target)), Some(address(4)), &hot));
            assert!(record.aborted(Some(address(target)), None, &hot));
            assert_eq!(kin(target), None);
        }
        record.aborted(Some(address(1)), Some(address(3)), &hot);
        assert_eq!([kin(1), kin(2), kin(3), kin(4)], [Some(3), None, Some(1), None]);
        record.aborted(Some(address(2)), Some(address(3)), &hot);
        assert_eq!([kin(1), kin(2), kin(3), kin(4)], [Some(2), Some(1), Some(1), None]);
        let groups: Vec<Address> = hot.all().into_iter().map(|(_, group)| group).collect();
        assert!(groups.iter().all(|group| *group == groups[0]));
    }
}
