//! Threads that help with a list of pieces of work.
//!
//! A block's stages are short: tens of microseconds for a small one. So the thread that has the
//! work does not wait for others to begin it. It opens a job, takes pieces itself, and whoever of
//! the helpers comes in time takes pieces as well; who comes late finds the job closed and has cost
//! nobody anything. A helper that has just worked looks out for more for a while before it sleeps,
//! for waking takes longer than the pause between two stages.

mod job;
mod placement;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use parking_lot::Mutex;

use job::{Desk, Seen};

pub use placement::Placement;

/// Threads that help the one that has work.
///
/// ```
/// let crew = pleach_crew::Crew::new(1)?;
/// let mut numbers = [1, 2, 3, 4];
/// crew.each(&mut numbers, |number| *number *= 10);
/// assert_eq!(numbers, [10, 20, 30, 40]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Crew {
    desk: Arc<Desk>,
    placement: Arc<Placement>,
    helpers: Vec<JoinHandle<()>>,
    guests: usize,
}

/// A thread of somebody else's that helps a crew while it has nothing else to do.
#[derive(Debug)]
pub struct Guest<'a> {
    desk: &'a Desk,
    seen: Seen,
}

impl Guest<'_> {
    /// Helps with the work that is there, if there is some that it has not helped with. Does not
    /// wait for any, and says whether there was some.
    pub fn help(&mut self) -> bool {
        self.desk.help(&mut self.seen)
    }
}

impl Crew {
    /// Starts so many helpers; with none, whoever has work does it alone.
    ///
    /// # Errors
    /// What the operating system says if it refuses to start a thread.
    pub fn new(helpers: usize) -> io::Result<Self> {
        // What was started by then ends with the crew if the system refuses one.
        let mut crew = Self::of_guests(0);
        crew.helpers.reserve(helpers);
        for number in 0..helpers {
            let desk = Arc::clone(&crew.desk);
            let builder = Builder::new().name(format!("pleach-crew-{number}"));
            let placement = Arc::clone(&crew.placement);
            crew.helpers.push(builder.spawn(move || {
                placement.join();
                desk.serve();
            })?);
        }
        Ok(crew)
    }

    /// A crew without threads of its own: so many are expected to come as [`Guest`]s. Without
    /// them whoever has work does it alone.
    pub fn of_guests(guests: usize) -> Self {
        let (desk, placement) = (Arc::default(), Arc::default());
        Self { desk, placement, helpers: Vec::new(), guests }
    }

    /// The calling thread as a guest.
    pub fn guest(&self) -> Guest<'_> {
        Guest { desk: &self.desk, seen: Seen::default() }
    }

    /// The threads that share work, the one that has it and guests included.
    pub fn threads(&self) -> usize {
        self.helpers.len() + self.guests + 1
    }

    /// Wakes the helpers, for there will soon be work. They look out for it for a while.
    pub fn rouse(&self) {
        if !self.helpers.is_empty() {
            self.placement.keep_off_caller();
            self.desk.rouse();
        }
    }

    /// Does something with each item, in no particular order, on all threads. Returns when all of
    /// it is done.
    ///
    /// While the helpers are at another's work, or are who asks, the calling thread does it alone.
    ///
    /// # Panics
    /// If the work does, on whichever thread. Some items are done then and some are not.
    pub fn each<T: Send>(&self, items: &mut [T], work: impl Fn(&mut T) + Sync) {
        if self.threads() == 1 || items.len() < 2 {
            return items.iter_mut().for_each(work);
        }
        if !self.helpers.is_empty() {
            self.placement.keep_off_caller();
        }
        let queue = Mutex::new(items.iter_mut());
        let panicked = Mutex::new(None);
        self.desk.share(&|| {
            // The lock is held no longer than it takes to get the next item.
            let next = || queue.lock().next();
            while let Some(item) = next() {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(item))) {
                    panicked.lock().get_or_insert(panic);
                }
            }
        });
        if let Some(panic) = panicked.into_inner() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.desk.close();
        for helper in self.helpers.drain(..) {
            // Work that panics is caught, so that a helper ends in no other way.
            let _ = helper.join();
        }
    }
}
