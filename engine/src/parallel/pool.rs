//! Worker threads that live as long as the engine and sleep between blocks.

use std::{
    io,
    sync::{Arc, Weak},
};

use crate::sync::{Builder, Condvar, JoinHandle, Mutex};

/// Something that several threads work on until it is done.
pub(super) trait Work: Send + Sync {
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

    /// Hands work to all workers.
    pub(super) fn submit(&self, work: Weak<dyn Work>) {
        let mut state = self.inbox.state.lock();
        state.work = Some(work);
        state.generation += 1;
        drop(state);
        self.inbox.changed.notify_all();
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
                Some(work) if state.generation > seen => {
                    return Some((work.clone(), state.generation));
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
