//! Learning, within a block, which targets make transactions collide.

use std::sync::atomic::{AtomicBool, Ordering};

use alloy_primitives::Address;
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};

/// Targets whose transactions mostly rest on one another: running two at once is wasted work.
///
/// The committer learns; workers ask before they start. A target that is wrongly held to be hot, or
/// not, costs time and nothing else.
#[derive(Debug, Default)]
pub(super) struct HotTargets {
    any: AtomicBool,
    targets: RwLock<HashSet<Address, RandomState>>,
}

/// The committer's count of what became of a target's transactions.
#[derive(Debug, Default)]
pub(super) struct Record {
    all: Tally,
    by_target: HashMap<Address, Tally, RandomState>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    stood: u32,
    aborted: u32,
}

impl Tally {
    /// At least two aborts, and at least one for every two results that stood.
    const fn is_hot(self) -> bool {
        self.aborted >= 2 && self.aborted * 2 >= self.stood
    }
}

impl HotTargets {
    pub(super) fn contains(&self, target: &Address) -> bool {
        // Relaxed: missing a target that has just been added costs one run too many.
        self.any.load(Ordering::Relaxed) && self.targets.read().contains(target)
    }

    /// Targets that are known before the block begins.
    pub(super) fn known(targets: Vec<Address>) -> Self {
        let any = AtomicBool::new(!targets.is_empty());
        Self { any, targets: RwLock::new(targets.into_iter().collect()) }
    }

    pub(super) fn all(&self) -> Vec<Address> {
        self.targets.read().iter().copied().collect()
    }

    /// Whether the target is new among them.
    fn insert(&self, target: Address) -> bool {
        let new = self.targets.write().insert(target);
        self.any.store(true, Ordering::Relaxed);
        new
    }
}

/// Results after which a block is judged.
const SAMPLE: u32 = 24;

impl Record {
    /// Whether more than half of a fair number of results did not stand.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.all.aborted + self.all.stood >= SAMPLE && self.all.aborted > self.all.stood
    }

    pub(super) fn stood(&mut self, target: Option<Address>) {
        self.all.stood += 1;
        // Most targets never abort: only those that did are counted at all.
        if let Some(tally) = target.and_then(|target| self.by_target.get_mut(&target)) {
            tally.stood += 1;
        }
    }

    /// Counts an abort. Returns whether the target has just become hot.
    pub(super) fn aborted(&mut self, target: Option<Address>, hot: &HotTargets) -> bool {
        self.all.aborted += 1;
        let Some(target) = target else { return false };
        let tally = self.by_target.entry(target).or_default();
        tally.aborted += 1;
        tally.is_hot() && hot.insert(target)
    }
}
