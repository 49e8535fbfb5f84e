//! Lists of what was written to a location, latest transaction first, that grow without locks.
//!
//! ```text
//! Head ──▶ rank 9 ──▶ rank 7 (buried) ──▶ rank 7 ──▶ rank 2 ──▶ nobody
//! ```
//!
//! A link is written once and never taken out, so a pointer that was read stays good, and the only
//! race is that of two threads that want to insert after the same link: one exchange succeeds, the
//! other looks again. Links are in descending order of rank; of two with one rank the later comes
//! first. Who withdraws a link *buries* it, and readers step over it.
//!
//! A reader that has been told that a link is there finds it: the exchange that made it reachable
//! releases, and readers acquire every pointer that they follow.

use crate::{
    arena::{Arena, EntryId, Pen},
    sync::{AtomicBool, AtomicU32, Ordering},
};

/// Where a list begins. All zero bytes: empty.
#[derive(Debug, Default)]
pub struct Head(AtomicU32);

impl Head {
    /// Empties the list. Its links' memory goes back with [`Chains::reset`].
    pub fn reset(&mut self) {
        self.0 = AtomicU32::new(0);
    }

    /// Whether nothing was ever inserted here.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

/// All atomics, so that the memory of one block can serve the next.
#[derive(Debug, Default)]
struct Link<T> {
    next: AtomicU32,
    rank: AtomicU32,
    buried: AtomicBool,
    value: T,
}

impl<T> Link<T> {
    /// Relaxed: set before the link could be reached, and published with it.
    fn rank(&self) -> u32 {
        self.rank.load(Ordering::Relaxed)
    }
}

/// The lists of one block. They share their memory.
///
/// Values are made of atomics: each is filled in through a shared reference before it is linked.
#[derive(Debug)]
pub struct Chains<T> {
    links: Arena<Link<T>>,
}

impl<T: Default> Default for Chains<T> {
    fn default() -> Self {
        Self { links: Arena::new() }
    }
}

impl<T: Default> Chains<T> {
    /// Forgets all lists and keeps the memory. The caller forgets all heads, pens and names.
    pub fn reset(&mut self) {
        self.links.reset();
    }

    /// Inserts a value at its rank, before those of the same rank, and names it. `fill` sets all of
    /// the value: it may hold what an earlier block left there.
    pub fn insert(&self, pen: &mut Pen, head: &Head, rank: u32, fill: impl FnOnce(&T)) -> EntryId {
        let (id, link) = self.links.take(pen);
        link.rank.store(rank, Ordering::Relaxed);
        link.buried.store(false, Ordering::Relaxed);
        fill(&link.value);
        loop {
            let (place, next) = self.place(head, rank);
            // Relaxed, like all above: published by the exchange below.
            link.next.store(next, Ordering::Relaxed);
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            if place.compare_exchange(next, id, order.0, order.1).is_ok() {
                return id;
            }
        }
    }

    /// The pointer after which a rank belongs, and where it points.
    fn place<'a>(&'a self, head: &'a Head, rank: u32) -> (&'a AtomicU32, EntryId) {
        let mut pointer = &head.0;
        loop {
            let next = pointer.load(Ordering::Acquire);
            if next == 0 {
                return (pointer, next);
            }
            let link = self.links.get(next);
            if link.rank() <= rank {
                return (pointer, next);
            }
            pointer = &link.next;
        }
    }

    /// The value of this name, buried or not.
    pub fn get(&self, id: EntryId) -> &T {
        &self.links.get(id).value
    }

    /// Withdraws a value. Release: whoever sees it buried, or sees what the caller does next,
    /// sees all that the caller did before.
    pub fn bury(&self, id: EntryId) {
        self.links.get(id).buried.store(true, Ordering::Release);
    }

    /// What stands in a list, with its rank, from the highest rank down.
    pub fn iter<'a>(&'a self, head: &'a Head) -> impl Iterator<Item = (u32, &'a T)> {
        let mut next = head.0.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            while next != 0 {
                let link = self.links.get(next);
                next = link.next.load(Ordering::Acquire);
                if !link.buried.load(Ordering::Acquire) {
                    return Some((link.rank(), &link.value));
                }
            }
            None
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn content(chains: &Chains<AtomicU32>, head: &Head) -> Vec<(u32, u32)> {
        let values = chains.iter(head);
        values.map(|(rank, value)| (rank, value.load(Ordering::Relaxed))).collect()
    }

    fn set(value: u32) -> impl Fn(&AtomicU32) {
        move |entry| entry.store(value, Ordering::Relaxed)
    }

    #[test]
    fn the_latest_transaction_comes_first() {
        let (chains, head, mut pen) = (Chains::default(), Head::default(), Pen::default());
        assert!(head.is_empty());
        for rank in [5, 9, 1, 7] {
            chains.insert(&mut pen, &head, rank, set(rank * 10));
        }
        assert_eq!(content(&chains, &head), [(9, 90), (7, 70), (5, 50), (1, 10)]);
    }

    #[test]
    fn a_new_value_comes_before_the_old_one_of_its_rank() {
        let (chains, head, mut pen) = (Chains::default(), Head::default(), Pen::default());
        let old = chains.insert(&mut pen, &head, 3, set(1));
        chains.insert(&mut pen, &head, 8, set(0));
        chains.insert(&mut pen, &head, 3, set(2));
        assert_eq!(content(&chains, &head), [(8, 0), (3, 2), (3, 1)]);
        chains.bury(old);
        assert_eq!(content(&chains, &head), [(8, 0), (3, 2)]);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let (chains, head) = (Chains::<AtomicU32>::default(), Head::default());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (chains, head) = (&chains, &head);
                scope.spawn(move || {
                    let mut pen = Pen::default();
                    for number in 0..500 {
                        let rank = number * 4 + thread;
                        chains.insert(&mut pen, head, rank, set(rank));
                    }
                });
            }
        });
        let ranks: Vec<_> = chains.iter(&head).map(|(rank, _)| rank).collect();
        assert_eq!(ranks, (0..2_000).rev().collect::<Vec<_>>());
    }
}
