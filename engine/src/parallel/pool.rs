//! Worker threads that live as long as the engine and sleep between blocks, unless they are lent.

use std::{
    io,
    sync::{Arc, Weak},
};

use pleach_crew::{Crew, Placement};

use crate::{
    follow::{NAP, help_until},
    sync::{AtomicU64, Builder, Condvar, JoinHandle, MODEL, Mutex, Ordering},
};

/// Something that several threads work on until it is done.
pub(crate) trait Work: Send + Sync {
    /// Takes part until there is nothing more to do.
    fn work(&self);
}

/// The engine's worker threads.
#[derive(Debug)]
pub(crate) struct Pool {
    inbox: Arc<Inbox>,
    placement: Arc<Placement>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
    /// Counts changes of the state, for those who look without the lock. Relaxed: who sees it move
    /// takes the lock, which orders the rest.
    changes: AtomicU64,
}

#[derive(Default)]
struct InboxState {
    /// Weak, so that a worker that wakes late does not keep a finished block alive.
    work: Option<Weak<dyn Work>>,
    /// Counts submissions, so that a worker takes each only once.
    generation: u64,
    /// How many more workers the work has a place for.
    places: usize,
    /// Whom to help while there is no work.
    lent: Option<Arc<Crew>>,
    closed: bool,
}

/// What a worker does next.
enum Next {
    /// Take part in work of this generation.
    Work(Weak<dyn Work>, u64),
    /// Help the crew until the state has changed so often.
    Help(Arc<Crew>, u64),
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
        let (placement, threads_of) = (Arc::default(), Vec::with_capacity(threads));
        let mut pool = Self { inbox, placement, threads: threads_of };
        for number in 0..threads {
            let inbox = Arc::clone(&pool.inbox);
            let builder = Builder::new().name(format!("pleach-{number}")).stack_size(STACK_BYTES);
            let placement = Arc::clone(&pool.placement);
            pool.threads.push(builder.spawn(move || {
                // A model's threads are none of the machine's.
                if !MODEL {
                    placement.join();
                }
                inbox.serve();
            })?);
        }
        Ok(pool)
    }

    /// Number of workers.
    pub(crate) fn len(&self) -> usize {
        self.threads.len()
    }

    /// Hands work to so many workers, all at most. The others sleep on.
    pub(crate) fn submit(&self, work: Weak<dyn Work>, workers: usize) {
        self.placement.keep_off_caller();
        self.inbox.change(|state| {
            state.work = Some(work);
            state.generation += 1;
            state.places = workers;
        });
        if workers >= self.len() {
            self.inbox.changed.notify_all();
            return;
        }
        for _ in 0..workers {
            // One that is not asleep looks for a place before it goes to sleep.
            self.inbox.changed.notify_one();
        }
    }

    /// Lets the workers help a crew while they have no work, and wakes them for it; or, with none,
    /// lets them sleep again.
    pub(crate) fn lend(&self, crew: Option<Arc<Crew>>) {
        self.placement.keep_off_caller();
        self.inbox.change(|state| state.lent = crew);
        self.inbox.changed.notify_all();
    }
}

/// Deep call stacks stay within revm's own frames; this is what the main thread has on Linux.
const STACK_BYTES: usize = 8 << 20;

impl Inbox {
    fn change(&self, change: impl FnOnce(&mut InboxState)) {
        let mut state = self.state.lock();
        change(&mut state);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn serve(&self) {
        let mut seen = 0;
        while let Some(next) = self.next(seen) {
            match next {
                Next::Work(work, generation) => {
                    seen = generation;
                    if let Some(work) = work.upgrade() {
                        work.work();
                    }
                }
                Next::Help(crew, changes) => self.help(&crew, changes),
            }
        }
    }

    /// What to do next; none if the pool is closed.
    fn next(&self, seen: u64) -> Option<Next> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match (&state.work, &state.lent) {
                (Some(work), _) if state.generation > seen && state.places > 0 => {
                    let taken = Next::Work(work.clone(), state.generation);
                    state.places -= 1;
                    return Some(taken);
                }
                (_, Some(crew)) => {
                    let changes = self.changes.load(Ordering::Relaxed);
                    return Some(Next::Help(Arc::clone(crew), changes));
                }
                _ => self.changed.wait(&mut state),
            }
        }
    }

    /// Helps a crew until the state changes.
    fn help(&self, crew: &Crew, changes: u64) {
        let mut guest = crew.guest();
        let has_changed = || self.changes.load(Ordering::Relaxed) != changes;
        // Who changes something wakes it.
        let nap = || {
            let mut state = self.state.lock();
            if !has_changed() {
                self.changed.wait_for(&mut state, NAP);
            }
        };
        help_until(has_changed, || guest.help(), nap);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.inbox.change(|state| state.closed = true);
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

    /// They help while they are lent, take work all the same, and no longer help afterwards.
    #[test]
    fn workers_that_are_lent_help_and_still_work() {
        let pool = Pool::new(2).unwrap();
        let crew = Arc::new(Crew::of_guests(2));
        for _ in 0..20 {
            pool.lend(Some(Arc::clone(&crew)));
            // Each piece ends when all three threads have one.
            let all = Barrier::new(3);
            crew.each(&mut [(); 3], |()| {
                all.wait();
            });
            let meeting = Arc::new(Meeting { came: AtomicUsize::new(0), all: Barrier::new(3) });
            let work: Arc<dyn Work> = meeting.clone();
            pool.submit(Arc::downgrade(&work), 2);
            meeting.all.wait();
            crew.each(&mut [(); 3], |()| {
                all.wait();
            });
            pool.lend(None);
        }
        drop(pool);
        let mut done = [false; 3];
        crew.each(&mut done, |done| *done = true);
        assert_eq!(done, [true; 3], "without guests the work is done all the same");
    }
}
