//! Keeps threads off the processor of whoever calls them.
//!
//! A thread that was asleep is woken where it last ran unless the kernel looks for a better place,
//! and on a machine of few processors under load Linux does not look. If that is where its caller
//! runs, the two take turns on one processor until the kernel notices, which takes longer than a
//! block does: then the other processor has stood idle. So before threads are woken, the processor
//! that the caller runs on is taken out of those that they may use.

#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(target_os = "linux")]
use parking_lot::Mutex;
#[cfg(target_os = "linux")]
use rustix::{
    process::Pid,
    thread::{CpuSet, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity},
};

/// Where a group of threads may run: anywhere but on the processor of who calls them, if there are
/// enough others. Elsewhere than on Linux it does nothing.
#[derive(Debug)]
pub struct Placement {
    /// The processors that this process may use, as it began.
    #[cfg(target_os = "linux")]
    allowed: CpuSet,
    #[cfg(target_os = "linux")]
    threads: Mutex<Vec<Pid>>,
    /// The processor that the threads keep off, or [`NONE`]. Relaxed: changed under the lock, and
    /// read without it only to see that nothing has to be done.
    #[cfg(target_os = "linux")]
    kept_off: AtomicUsize,
}

#[cfg(target_os = "linux")]
const NONE: usize = usize::MAX;

impl Default for Placement {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_os = "linux")]
impl Placement {
    /// For threads that have yet to [`join`](Self::join).
    pub fn new() -> Self {
        // What cannot be told is left alone.
        let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        Self { allowed, threads: Mutex::default(), kept_off: AtomicUsize::new(NONE) }
    }

    /// The calling thread is one of the group, as long as it lives.
    pub fn join(&self) {
        let mut threads = self.threads.lock();
        threads.push(gettid());
        let kept_off = self.kept_off.load(Ordering::Relaxed);
        if kept_off != NONE {
            self.keep_off(kept_off, &threads);
        }
    }

    /// Keeps the threads off the processor that the calling thread runs on. Costs next to nothing
    /// where that is the same as last time.
    pub fn keep_off_caller(&self) {
        let here = sched_getcpu();
        if self.kept_off.load(Ordering::Relaxed) != here {
            let threads = self.threads.lock();
            self.keep_off(here, &threads);
            self.kept_off.store(here, Ordering::Relaxed);
        }
    }

    fn keep_off(&self, processor: usize, threads: &[Pid]) {
        let known = processor < CpuSet::MAX_CPU && self.allowed.is_set(processor);
        if !known || (self.allowed.count() as usize) <= threads.len() {
            return;
        }
        let mut others = self.allowed;
        others.unset(processor);
        for thread in threads {
            // Where it runs is a matter of speed alone.
            let _ = sched_setaffinity(Some(*thread), &others);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Placement {
    /// For threads that have yet to [`join`](Self::join).
    pub const fn new() -> Self {
        Self {}
    }

    /// The calling thread is one of the group, as long as it lives.
    pub const fn join(&self) {}

    /// Keeps the threads off the processor that the calling thread runs on.
    pub const fn keep_off_caller(&self) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What a thread of a group may use after its caller has called.
    fn mask_after_a_call(threads: usize) -> Vec<(CpuSet, usize)> {
        let placement = Placement::new();
        std::thread::scope(|scope| {
            let (joined, all_joined) = mpsc::channel();
            let calls: Vec<_> = (0..threads)
                .map(|_| {
                    let (call, called) = mpsc::channel();
                    let (joined, placement) = (joined.clone(), &placement);
                    let thread = scope.spawn(move || {
                        placement.join();
                        joined.send(()).unwrap();
                        called.recv().unwrap();
                        sched_getaffinity(None).unwrap()
                    });
                    (call, thread)
                })
                .collect();
            (0..threads).for_each(|_| all_joined.recv().unwrap());
            placement.keep_off_caller();
            let kept_off = placement.kept_off.load(Ordering::Relaxed);
            let answers = calls.into_iter().map(|(call, thread)| {
                call.send(()).unwrap();
                (thread.join().unwrap(), kept_off)
            });
            answers.collect()
        })
    }

    #[test]
    fn threads_keep_off_their_caller_where_there_is_room() {
        let allowed = sched_getaffinity(None).unwrap();
        let count = allowed.count() as usize;
        for threads in [1, count.saturating_sub(1), count, count + 1] {
            for (mask, kept_off) in mask_after_a_call(threads) {
                let off = threads < count;
                assert_eq!(mask.count() as usize, count - usize::from(off), "{threads} threads");
                assert_eq!(mask.is_set(kept_off), !off, "{threads} threads");
            }
        }
    }
}
