//! Worker threads that live as long as the engine and sleep between blocks.

use std::{
    io,
    sync::{Arc, Weak},
};

use crate::sync::{Builder, Condvar, JoinHandle, Mutex};

/// Something that several threads work on until it is done.
pub(crate) trait Work: Send + Sync {
    /// Takes part until there is nothing more to do.
    fn work(&self);
}

/// The engine's worker threads.
#[derive(Debug)]
pub(crate) struct Pool {
    inbox: Arc<Inbox>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

#[derive(Default)]
struct InboxState {
    /// Weak, so that a worker that wakes late does not keep a finished block alive.
    work: Option<Weak<dyn Work>>,
    /// Counts submissions, so that a worker takes each only once.
    generation: u64,
    /// How many more workers the work has a place for.
    places: usize,
    closed: bool,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts `threads` workers.
    pub(crate) fn new(threads: usize) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let mut pool = Self { inbox, threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let inbox = Arc::clone(&pool.inbox);
            let builder = Builder::new().name(format!("pleach-{number}")).stack_size(STACK_BYTES);
            pool.threads.push(builder.spawn(move || inbox.serve())?);
        }
        Ok(pool)
    }

    /// Number of workers.
    pub(crate) fn len(&self) -> usize {
        self.threads.len()
    }

    /// Hands work to so many workers, all at most. The others sleep on.
    pub(crate) fn submit(&self, work: Weak<dyn Work>, workers: usize) {
        let mut state = self.inbox.state.lock();
        state.work = Some(work);
        state.generation += 1;
        state.places = workers;
        drop(state);
        if workers >= self.len() {
            self.inbox.changed.notify_all();
            return;
        }
        for _ in 0..workers {
            // One that is not asleep looks for a place before it goes to sleep.
            self.inbox.changed.notify_one();
        }
    }
}

/// Deep call stacks stay within revm's own frames; this is what the main thread has on Linux.
const STACK_BYTES: usize = 8 << 20;

impl Inbox {
    fn serve(&self) {
        let mut seen = 0;
        while let Some((work, generation)) = self.next(seen) {
            seen = generation;
            if let Some(work) = work.upgrade() {
                work.work();
            }
        }
    }

    fn next(&self, seen: u64) -> Option<(Weak<dyn Work>, u64)> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match &state.work {
                Some(work) if state.generation > seen && state.places > 0 => {
                    let taken = (work.clone(), state.generation);
                    state.places -= 1;
                    return Some(taken);
                }
                _ => self.changed.wait(&mut state),
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.inbox.state.lock().closed = true;
        self.inbox.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A worker that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Work that ends when all who are wanted have come.
    struct Meeting {
        came: AtomicUsize,
        all: Barrier,
    }

    impl Work for Meeting {
        fn work(&self) {
            self.came.fetch_add(1, Ordering::Relaxed);
            self.all.wait();
        }
    }

    #[test]
    fn as_many_workers_come_as_there_are_places() {
        let pool = Pool::new(4).unwrap();
        for workers in [1, 3, 4, 2, 9, 1] {
            let wanted = workers.min(pool.len());
            let meeting = Meeting { came: AtomicUsize::new(0), all: Barrier::new(wanted + 1) };
            let meeting = Arc::new(meeting);
            let work: Arc<dyn Work> = meeting.clone();
            pool.submit(Arc::downgrade(&work), workers);
            meeting.all.wait();
            assert_eq!(meeting.came.load(Ordering::Relaxed), wanted);
        }
    }
}
