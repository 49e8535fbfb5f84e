//! How a thread that finds nothing to do goes to sleep, and is woken without being missed.

use std::time::Duration;

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, fence, lock};

/// Threads that wait for something to change.
///
/// The race prevented: a sleeper checks, finds nothing, and is put to sleep after the change it
/// waits for has been announced. Sleeper: count up, fence, check, sleep. Announcer: change, fence,
/// look at the count. The two fences are sequentially consistent, so at least one of the two sees
/// the other: either the sleeper's check sees the change, or the announcer sees the count and
/// takes the lock, which the sleeper holds from its check until it sleeps.
#[derive(Debug)]
pub(crate) struct Idle {
    sleepers: AtomicUsize,
    gate: Mutex<()>,
    changed: Condvar,
}

impl Idle {
    pub(crate) fn new() -> Self {
        Self { sleepers: AtomicUsize::new(0), gate: Mutex::new(()), changed: Condvar::new() }
    }

    /// Sleeps until an announcement, or until so much time has passed, unless `has_work` already
    /// holds. May also wake for nothing.
    pub(crate) fn sleep_unless(&self, at_most: Option<Duration>, has_work: impl Fn() -> bool) {
        let guard = lock(&self.gate);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            match at_most {
                None => drop(self.changed.wait(guard)),
                Some(at_most) => drop(self.changed.wait_timeout(guard, at_most)),
            }
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wakes all sleepers, after a change that the caller has made visible.
    pub(crate) fn announce(&self) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            drop(lock(&self.gate));
            self.changed.notify_all();
        }
    }
}
