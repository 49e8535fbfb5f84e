//! How threads share the making of a bundle.
//!
//! The committer opens the gathering with a plan. From then on every thread that has come takes one
//! partition after another, until none is left; the committer waits for those that others still
//! work on, and does over what failed. Who comes late finds nothing to do and goes; who comes early
//! waits, until the gathering begins or is called off.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Part, Plan};
use crate::{
    parallel::mv_memory::MvMemory,
    sync::{AtomicUsize, Condvar, MODEL, Mutex, OnceLock, Ordering, spin_loop},
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
    /// Whether there will be no plan. Those who sleep until there is one hold this.
    called_off: Mutex<bool>,
    decided: Condvar,
}

/// Rounds that a worker stays awake for the gathering to begin: what comes after a block's last
/// transaction takes some tens of microseconds, unless the block has very many.
const WAIT_ROUNDS: u32 = if MODEL { 3 } else { 4_000 };

impl Gathering {
    /// Opens the gathering. Only the committer does.
    pub(super) fn begin(&self, plan: Plan) -> &Plan {
        let plan = self.plan.get_or_init(|| plan);
        // Whoever saw no plan under the lock sleeps by now.
        drop(self.called_off.lock());
        self.decided.notify_all();
        plan
    }

    /// Sends away those who wait: the gathering will not begin, unless it has begun.
    pub(in crate::parallel) fn call_off(&self) {
        *self.called_off.lock() = true;
        self.decided.notify_all();
    }

    /// Waits for the gathering to begin; none if it is called off before.
    fn wait(&self) -> Option<&Plan> {
        for _ in 0..WAIT_ROUNDS {
            if let Some(plan) = self.plan.get() {
                return Some(plan);
            }
            spin_loop();
        }
        let mut called_off = self.called_off.lock();
        while self.plan.get().is_none() && !*called_off {
            self.decided.wait(&mut called_off);
        }
        self.plan.get()
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

    /// A worker's part: waits for the plan and works while there is work.
    pub(super) fn help(&self, work: impl Fn(&Plan, usize) -> Option<Part>) {
        let Some(plan) = self.wait() else { return };
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
    use std::{
        sync::atomic::AtomicU32,
        thread,
        time::{Duration, Instant},
    };

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

    /// Who has slept until the gathering begins makes parts like anybody else.
    #[test]
    fn who_comes_long_before_it_begins_helps() {
        let (gathering, helped) = (Gathering::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                gathering.help(|_, _| {
                    helped.fetch_add(1, Ordering::Relaxed);
                    Some(Part::default())
                });
            });
            thread::sleep(Duration::from_millis(50));
            gathering.begin(plan());
            let patience = Instant::now();
            let work = |_| {
                while helped.load(Ordering::Relaxed) == 0 {
                    assert!(patience.elapsed() < Duration::from_secs(30), "nobody helps");
                    thread::yield_now();
                }
                Ok::<_, ()>(Part::default())
            };
            assert_eq!(gathering.take_part(work, |_| ()), Ok(()));
        });
    }

    /// A block that fails has no bundle, and its workers are free for the next one.
    #[test]
    fn who_waits_is_sent_away_when_it_is_called_off() {
        let gathering = Gathering::default();
        thread::scope(|scope| {
            let early = scope.spawn(|| gathering.help(|_, _| panic!("there is no plan")));
            thread::sleep(Duration::from_millis(20));
            assert!(!early.is_finished(), "it does not wait");
            gathering.call_off();
        });
        gathering.help(|_, _| panic!("there is no plan"));
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
