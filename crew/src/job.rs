//! The desk where work is laid out, and the protocol by which helpers take part in it.
//!
//! ```text
//! no job ── share(): job laid out ──▶ open ── its owner has finished ──▶ taken in
//!    ▲                                 │ helpers enter: inside += 1          │ none enters
//!    └──────── inside is 0 ◀───────────┴───── helpers leave: inside −= 1 ◀───┘
//! ```
//!
//! A job borrows from its owner's stack. That is sound because `share` returns only when the job
//! has been taken in, so that no helper can enter any more, and `inside` is zero, so that none is
//! left. Both are only read and written under the desk's lock, which also orders the helpers'
//! writes before the owner's reads. `calls` beside it is a hint for those who look out for work.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::{Condvar, Mutex};

/// Rounds that a helper which has worked looks out for more: some tens of microseconds, about what
/// it takes to wake one.
const LOOK_OUT_ROUNDS: u32 = 3_000;
/// Rounds that an owner waits for helpers to finish their last pieces before it sleeps.
const WAIT_ROUNDS: u32 = 10_000;

/// Where work is laid out.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// Signals helpers that a job is laid out, or that the desk is closed.
    laid_out: Condvar,
    /// Signals the owner that the last helper has left.
    left: Condvar,
    /// Jobs laid out so far. Relaxed: who sees it change takes the lock, which orders the rest.
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    job: Option<Job>,
    /// Counts jobs, so that a helper enters each once.
    number: u64,
    /// How often helpers were roused.
    roused: u64,
    /// Helpers at work on the job.
    inside: usize,
    is_closed: bool,
}

impl State {
    /// The job on the desk, if it is one that this helper has not been in. Who gets one is inside.
    fn enter(&mut self, seen: &mut Seen) -> Option<Job> {
        let job = self.job.filter(|_| self.number > seen.number)?;
        seen.number = self.number;
        self.inside += 1;
        Some(job)
    }
}

/// What a helper has noticed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    number: u64,
    roused: u64,
}

/// What to call to take part, its lifetime forgotten.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn() + Sync));

// SAFETY: the pointer is dereferenced only while `share`, which made it from a reference, has not
// returned, and what it points to may be called from any thread because it is `Sync`.
#[expect(unsafe_code, reason = "a borrowed job is called by threads that outlive the borrow")]
unsafe impl Send for Job {}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl Desk {
    /// Calls a function here and, where helpers come in time, on their threads at once. It must
    /// not panic. If another's job is on the desk it is called here alone.
    pub(crate) fn share(&self, work: &(dyn Fn() + Sync)) {
        if !self.lay_out(work) {
            return work();
        }
        let taken_in = TakeIn(self);
        work();
        drop(taken_in);
    }

    fn lay_out(&self, work: &(dyn Fn() + Sync)) -> bool {
        let mut state = self.state.lock();
        if state.job.is_some() || state.inside > 0 || state.is_closed {
            return false;
        }
        // SAFETY: only the lifetime changes. `TakeIn` waits until the job is gone before the
        // reference ends, be it by return or by panic.
        #[expect(unsafe_code, reason = "a borrowed job is called by threads that outlive it")]
        let work = unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync)>(work)
        };
        state.job = Some(Job(work));
        state.number += 1;
        self.calls.store(state.number, Ordering::Relaxed);
        drop(state);
        self.laid_out.notify_all();
        true
    }

    /// A helper's life: enters every job that it sees in time.
    pub(crate) fn serve(&self) {
        let mut seen = Seen::default();
        while let Some(job) = self.enter(&mut seen) {
            self.take_part(job);
            self.look_out(seen.number);
        }
    }

    /// Enters the job on the desk, if there is one that this guest has not been in, and says
    /// whether there was.
    pub(crate) fn help(&self, seen: &mut Seen) -> bool {
        if self.calls.load(Ordering::Relaxed) == seen.number {
            return false;
        }
        let mut state = self.state.lock();
        let entered = state.enter(seen);
        seen.number = state.number;
        drop(state);
        if let Some(job) = entered {
            self.take_part(job);
        }
        entered.is_some()
    }

    /// Works on a job that was entered, and leaves it.
    fn take_part(&self, Job(work): Job) {
        let inside = Inside(self);
        // SAFETY: `inside` was counted under the lock while the job was on the desk, so that its
        // owner is still in `share`, and stays there until `inside` is dropped.
        #[expect(unsafe_code, reason = "the job's owner waits for those inside")]
        let work = unsafe { &*work };
        work();
        drop(inside);
    }

    /// Waits a while for the next job, awake.
    fn look_out(&self, seen: u64) {
        for _ in 0..LOOK_OUT_ROUNDS {
            if self.calls.load(Ordering::Relaxed) != seen {
                return;
            }
            spin_loop();
        }
    }

    /// Waits for a job that this helper has not been in; none when the desk is closed.
    fn enter(&self, seen: &mut Seen) -> Option<Job> {
        loop {
            let mut state = self.state.lock();
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.enter(seen) {
                return Some(job);
            }
            if state.roused > seen.roused {
                seen.roused = state.roused;
                let number = state.number;
                drop(state);
                self.look_out(number);
            } else {
                self.laid_out.wait(&mut state);
            }
        }
    }

    /// Wakes the helpers, to look out for a job.
    pub(crate) fn rouse(&self) {
        self.state.lock().roused += 1;
        self.laid_out.notify_all();
    }

    /// Lets helpers end.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.laid_out.notify_all();
    }
}

/// Takes the job in when dropped, and waits for those inside.
struct TakeIn<'a>(&'a Desk);

impl Drop for TakeIn<'_> {
    fn drop(&mut self) {
        let mut rounds = 0;
        loop {
            let mut state = self.0.state.lock();
            state.job = None;
            if state.inside == 0 {
                return;
            }
            if rounds >= WAIT_ROUNDS {
                self.0.left.wait(&mut state);
            }
            drop(state);
            for _ in 0..50 {
                spin_loop();
            }
            rounds += 50;
        }
    }
}

/// A helper in a job; leaves it when dropped.
struct Inside<'a>(&'a Desk);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.inside -= 1;
        if state.inside == 0 {
            self.0.left.notify_one();
        }
    }
}
