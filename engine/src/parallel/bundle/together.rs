//! How threads share the making of a bundle.
//!
//! The committer opens the gathering with a plan. From then on every thread that has come takes one
//! partition after another, until none is left; the committer waits for those that others still
//! work on, and does over what failed. Who comes late finds nothing to do and goes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Part, Plan};
use crate::{
    parallel::mv_memory::MvMemory,
    sync::{AtomicUsize, MODEL, Mutex, OnceLock, Ordering, spin_loop},
};

/// The making of one block's bundle.
#[derive(Debug, Default)]
pub(in crate::parallel) struct Gathering {
    plan: OnceLock<Plan>,
    /// The next partition that nobody has taken.
    next: AtomicUsize,
    /// Partitions that are done, or given up, by others than the committer.
    helped: AtomicUsize,
    parts: Mutex<Vec<(usize, Part)>>,
}

/// Rounds that a worker waits for the gathering to begin: what comes after a block's last
/// transaction takes some tens of microseconds.
const WAIT_ROUNDS: u32 = if MODEL { 3 } else { 4_000 };

impl Gathering {
    /// Opens the gathering. Only the committer does.
    pub(super) fn begin(&self, plan: Plan) -> &Plan {
        self.plan.get_or_init(|| plan)
    }

    fn next(&self) -> Option<usize> {
        // Relaxed: the ticket alone counts; the plan was acquired before.
        let partition = self.next.fetch_add(1, Ordering::Relaxed);
        (partition < MvMemory::PARTITIONS).then_some(partition)
    }

    /// The committer's part: works until all parts are there, and puts them together while others
    /// still make some.
    pub(super) fn take_part<E>(
        &self,
        mut work: impl FnMut(usize) -> Result<Part, E>,
        mut add: impl FnMut(Part),
    ) -> Result<(), E> {
        let mut missing = [true; MvMemory::PARTITIONS];
        let mut own = 0;
        loop {
            // Acquire: pairs with the release in `help`. Loaded before the look at the parts: if
            // all have been helped with, all that was made is there.
            let helped = self.helped.load(Ordering::Acquire);
            let ready = std::mem::take(&mut *self.parts.lock());
            if !ready.is_empty() {
                for (partition, part) in ready {
                    missing[partition] = false;
                    add(part);
                }
            } else if let Some(partition) = self.next() {
                missing[partition] = false;
                add(work(partition)?);
                own += 1;
            } else if own + helped >= MvMemory::PARTITIONS {
                break;
            } else {
                spin_loop();
            }
        }
        for partition in (0..MvMemory::PARTITIONS).filter(|partition| missing[*partition]) {
            add(work(partition)?);
        }
        Ok(())
    }

    /// A worker's part: waits a while for the plan and works while there is work.
    pub(super) fn help(&self, work: impl Fn(&Plan, usize) -> Option<Part>) {
        let mut rounds = 0;
        while self.plan.get().is_none() && rounds < WAIT_ROUNDS {
            rounds += 1;
            spin_loop();
        }
        let Some(plan) = self.plan.get() else { return };
        while let Some(partition) = self.next() {
            // The committer does over what a worker fails or panics at.
            let part = catch_unwind(AssertUnwindSafe(|| work(plan, partition)));
            if let Ok(Some(part)) = part {
                self.parts.lock().push((partition, part));
            }
            self.helped.fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU32, thread, time::Duration};

    use super::*;

    fn plan() -> Plan {
        Plan { ledger: <_>::default(), odd: <_>::default() }
    }

    /// Who says that a part is done before it is makes the committer do it over.
    #[test]
    fn every_part_is_made_once_however_long_it_takes() {
        for round in 0..20 {
            let gathering = Gathering::default();
            let (made, added) = (AtomicU32::new(0), AtomicU32::new(0));
            let make = || made.fetch_add(1, Ordering::Relaxed);
            let plan = gathering.begin(plan());
            thread::scope(|scope| {
                scope.spawn(|| {
                    gathering.help(|_, _| {
                        thread::sleep(Duration::from_millis(1 + round % 3));
                        make();
                        Some(Part::default())
                    });
                });
                let work = |_| {
                    thread::sleep(Duration::from_micros(100));
                    make();
                    Ok::<_, ()>(Part::default())
                };
                let add = |_| {
                    added.fetch_add(1, Ordering::Relaxed);
                };
                assert_eq!(gathering.take_part(work, add), Ok(()));
            });
            assert!(plan.odd.is_empty());
            let counts = [&made, &added].map(|count| count.load(Ordering::Relaxed) as usize);
            assert_eq!(counts, [MvMemory::PARTITIONS; 2], "round {round}: made, added");
        }
    }

    /// What a worker fails or panics at, the committer does over.
    #[test]
    fn what_fails_with_a_worker_is_done_over() {
        let gathering = Gathering::default();
        gathering.begin(plan());
        gathering.help(|_, partition| match partition % 3 {
            0 => None,
            1 => panic!("a worker panics at partition {partition}, on purpose"),
            _ => Some(Part::default()),
        });
        let (mut over, mut added) = (Vec::new(), 0);
        let work = |partition| {
            over.push(partition);
            Ok::<_, ()>(Part::default())
        };
        assert_eq!(gathering.take_part(work, |_| added += 1), Ok(()));
        assert!(over.iter().all(|partition| partition % 3 != 2), "{over:?}");
        assert_eq!(added, MvMemory::PARTITIONS);
    }
}
