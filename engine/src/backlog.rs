//! How many signatures to recover at once, where blocks execute meanwhile.
//!
//! A large batch is recovered in less time for each signature, above all on a device; but nothing
//! of it can be executed before all of it is recovered. So a batch is large only while whoever
//! executes has enough to do: it has as many signatures as wait for him, for recovering one takes
//! less time than executing what it signs. Where he is slow, what waits doubles with each batch,
//! until there is no more room; where he has caught up, the next one is small.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Signatures of a batch that somebody waits for: as many as keep a few threads' vectors full.
const LEAST: usize = 64;

/// Signatures that are recovered and that nobody has taken yet.
///
/// All accesses are relaxed: it only says how large a batch should be.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicUsize);

impl Backlog {
    /// So many are recovered; said before anybody can take them.
    pub(crate) fn add(&self, signatures: usize) {
        self.0.fetch_add(signatures, Ordering::Relaxed);
    }

    /// So many are taken.
    pub(crate) fn take(&self, signatures: usize) {
        self.0.fetch_sub(signatures, Ordering::Relaxed);
    }

    /// After how many signatures the next batch takes no further block; never more than `most`.
    pub(crate) fn next_batch(&self, most: usize) -> usize {
        let waiting = self.0.load(Ordering::Relaxed);
        waiting.max(LEAST).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_others_wait_and_shrink_when_none_does() {
        let backlog = Backlog::default();
        assert_eq!(backlog.next_batch(4_096), LEAST);
        backlog.add(3 * LEAST);
        assert_eq!(backlog.next_batch(4_096), 3 * LEAST);
        backlog.add(10_000);
        assert_eq!(backlog.next_batch(4_096), 4_096);
        backlog.take(10_000 + 3 * LEAST);
        assert_eq!(backlog.next_batch(4_096), LEAST);
    }

    #[test]
    fn no_batch_is_larger_than_asked_for() {
        assert_eq!(Backlog::default().next_batch(1), 1);
        assert_eq!(Backlog::default().next_batch(0), 0);
    }
}
