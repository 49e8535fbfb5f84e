//! Memory that many threads write to and read from, each entry written once.

use std::sync::OnceLock;

use crate::sync::{AtomicU32, Ordering};

/// Names an entry of an arena. Zero is nobody's name.
pub type EntryId = u32;

/// Entries that are allocated together, for one thread: threads do not write side by side in one
/// cache line.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = if cfg!(loom) { 1 } else { 6 };
/// Shelf `n` holds `2^n` chunks, so that the arena grows without moving anything.
const SHELVES: usize = 32 - CHUNK_BITS as usize;

type Chunk<T> = Box<[OnceLock<T>]>;
type Shelf<T> = Box<[OnceLock<Chunk<T>>]>;

/// Entries that stay where they are, unchanged but for atomics inside them, until the arena is
/// dropped.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    shelves: [OnceLock<Shelf<T>>; SHELVES],
    chunks: AtomicU32,
}

/// One thread's place to write in an arena.
#[derive(Debug, Default)]
pub struct Pen {
    /// The next entry's place, unless the chunk is full or there is none yet.
    next: usize,
    end: usize,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { shelves: [const { OnceLock::new() }; SHELVES], chunks: AtomicU32::new(0) }
    }

    /// Writes an entry and names it.
    pub(crate) fn write(&self, pen: &mut Pen, entry: T) -> EntryId {
        if pen.next == pen.end {
            // Relaxed: the number alone is handed out; what the chunk holds is published by
            // whoever links its entries.
            let chunk = self.chunks.fetch_add(1, Ordering::Relaxed) as usize;
            pen.next = chunk << CHUNK_BITS;
            pen.end = pen.next + CHUNK;
        }
        let place = pen.next;
        pen.next += 1;
        let (shelf, chunk) = shelf_of(place >> CHUNK_BITS);
        let shelf = self.shelves[shelf].get_or_init(|| empty(1 << shelf));
        let chunk = shelf[chunk].get_or_init(|| empty(CHUNK));
        let written = chunk[place % CHUNK].set(entry);
        assert!(written.is_ok(), "a place is handed out once");
        EntryId::try_from(place + 1).expect("a block's writes fit the memory of the machine")
    }

    /// The entry of this name.
    pub(crate) fn get(&self, id: EntryId) -> &T {
        self.find(id as usize - 1).expect("whoever knows the name sees the entry")
    }

    /// The entries in writing order within each chunk.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let chunks = self.chunks.load(Ordering::Relaxed) as usize;
        (0..chunks << CHUNK_BITS).filter(|place| self.find(*place).is_some()).count()
    }

    fn find(&self, place: usize) -> Option<&T> {
        let (shelf, chunk) = shelf_of(place >> CHUNK_BITS);
        self.shelves[shelf].get()?[chunk].get()?[place % CHUNK].get()
    }
}

fn empty<T>(len: usize) -> Box<[OnceLock<T>]> {
    (0..len).map(|_| OnceLock::new()).collect()
}

/// The shelf of a chunk, and its place there.
const fn shelf_of(chunk: usize) -> (usize, usize) {
    let shelf = (chunk + 1).ilog2() as usize;
    (shelf, chunk + 1 - (1 << shelf))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_names() {
        let arena = Arena::new();
        let (mut here, mut there) = (Pen::default(), Pen::default());
        let mut names = Vec::new();
        for number in 0..1_000 {
            let pen = if number % 3 == 0 { &mut here } else { &mut there };
            names.push(arena.write(pen, number));
        }
        assert!(names.iter().enumerate().all(|(number, name)| *arena.get(*name) == number));
        assert_eq!(arena.len(), 1_000);
        assert!(!names.contains(&0), "zero is nobody's name");
    }
}
