//! Memory that many threads take entries from and that stays where it is.

// Nothing in the making of a chunk gives way to another thread: the models need not see it.
use std::sync::OnceLock;

use crate::sync::{AtomicU32, MODEL, Ordering};

/// Names an entry of an arena. Zero is nobody's name.
pub type EntryId = u32;

/// Entries that are handed out together, to one thread: threads do not write side by side in one
/// cache line.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = if MODEL { 1 } else { 6 };
/// Shelf `n` holds `2^n` chunks, so that the arena grows without moving anything.
const SHELVES: usize = 32 - CHUNK_BITS as usize;

type Chunk<T> = Box<[T]>;
type Shelf<T> = Box<[OnceLock<Chunk<T>>]>;

/// Entries of atomics, each filled in by the one thread that took it and then shared.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    shelves: [OnceLock<Shelf<T>>; SHELVES],
    chunks: AtomicU32,
}

/// One thread's place to take entries from in an arena.
#[derive(Debug, Default)]
pub struct Pen {
    /// The next entry's place, unless the chunk is used up or there is none yet.
    next: usize,
    end: usize,
}

impl<T: Default> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { shelves: [const { OnceLock::new() }; SHELVES], chunks: AtomicU32::new(0) }
    }

    /// Takes all entries back. They keep what they hold: whoever takes one fills in all of it.
    pub(crate) fn reset(&mut self) {
        self.chunks = AtomicU32::new(0);
    }

    /// An entry for the caller to fill in, and its name.
    pub(crate) fn take(&self, pen: &mut Pen) -> (EntryId, &T) {
        if pen.next == pen.end {
            // Relaxed: the number alone is handed out; what is in the chunk is published by
            // whoever links its entries.
            let chunk = self.chunks.fetch_add(1, Ordering::Relaxed) as usize;
            pen.next = chunk << CHUNK_BITS;
            pen.end = pen.next + CHUNK;
            self.provide(chunk);
        }
        let place = pen.next;
        pen.next += 1;
        let id = EntryId::try_from(place + 1).expect("a block's writes fit the machine's memory");
        (id, self.get(id))
    }

    #[cold]
    fn provide(&self, chunk: usize) {
        let (shelf, at) = shelf_of(chunk);
        let shelf =
            self.shelves[shelf].get_or_init(|| (0..1 << shelf).map(|_| OnceLock::new()).collect());
        shelf[at].get_or_init(|| (0..CHUNK).map(|_| T::default()).collect());
    }

    /// The entry of this name.
    pub(crate) fn get(&self, id: EntryId) -> &T {
        let place = id as usize - 1;
        let (shelf, at) = shelf_of(place >> CHUNK_BITS);
        let chunk = self.shelves[shelf].get().and_then(|shelf| shelf[at].get());
        &chunk.expect("whoever knows the name sees the entry")[place % CHUNK]
    }
}

/// The shelf of a chunk, and its place there.
const fn shelf_of(chunk: usize) -> (usize, usize) {
    let shelf = (chunk + 1).ilog2() as usize;
    (shelf, chunk + 1 - (1 << shelf))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_names_and_places() {
        let mut arena: Arena<AtomicU32> = Arena::new();
        for _ in 0..2 {
            let (mut here, mut there) = (Pen::default(), Pen::default());
            let mut names = Vec::new();
            for number in 0..1_000 {
                let pen = if number % 3 == 0 { &mut here } else { &mut there };
                let (name, entry) = arena.take(pen);
                entry.store(number, Ordering::Relaxed);
                names.push(name);
            }
            let holds = |(number, name): (usize, &EntryId)| {
                arena.get(*name).load(Ordering::Relaxed) as usize == number
            };
            assert!(names.iter().enumerate().all(holds));
            assert!(!names.contains(&0), "zero is nobody's name");
            arena.reset();
        }
    }
}
