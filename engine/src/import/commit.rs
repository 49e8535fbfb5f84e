//! Commits, on a thread of their own.
//!
//! ```text
//! idle ── begin() ──▶ under way ── the store has answered ──▶ done ── poll(), wait() ──▶ idle
//! ```
//!
//! The thread that executes goes on while a batch is written. It holds what the batch changed in
//! memory until it is told that the batch is durable; only then is the batch said to be, and only
//! then does another begin. So at any moment the store is after the last batch that was done, or
//! after the one under way.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use pleach_state::{
    mpt::NodeChanges,
    store::{BlockCommit, Head, Store, StoreError},
};

use super::report::Clocks;

/// Blocks to write, and what they made of the tries.
struct Batch {
    blocks: Vec<BlockCommit>,
    nodes: NodeChanges,
}

/// Blocks that were written, or not.
pub(super) struct Done {
    pub(super) blocks: Vec<BlockCommit>,
    pub(super) head: Result<Head, StoreError>,
}

/// The side of who writes.
pub(super) struct Writer {
    batches: Receiver<Batch>,
    done: SyncSender<Done>,
}

/// The side of who executes: at most one commit is under way.
pub(super) struct Commits {
    batches: SyncSender<Batch>,
    done: Receiver<Done>,
    under_way: bool,
}

/// Both sides.
pub(super) fn commits() -> (Commits, Writer) {
    let (to_writer, batches) = sync_channel(1);
    let (to_executor, done) = sync_channel(1);
    let commits = Commits { batches: to_writer, done, under_way: false };
    (commits, Writer { batches, done: to_executor })
}

impl Writer {
    /// Commits batches until no more can come.
    pub(super) fn run(&self, store: &Store, clocks: &Clocks) {
        while let Ok(Batch { blocks, nodes }) = self.batches.recv() {
            let head = clocks.time(&clocks.commit, || store.commit(&blocks, &nodes));
            if self.done.send(Done { blocks, head }).is_err() {
                return;
            }
        }
    }
}

impl Commits {
    /// Begins a commit. None is under way.
    pub(super) fn begin(&mut self, blocks: Vec<BlockCommit>, nodes: NodeChanges) {
        assert!(!self.under_way, "a commit begins when the one before is done");
        self.batches.send(Batch { blocks, nodes }).expect("the writer stays until this is dropped");
        self.under_way = true;
    }

    /// Whether a commit is under way.
    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// The commit that was under way, if it is done.
    pub(super) fn poll(&mut self) -> Option<Done> {
        if !self.under_way {
            return None;
        }
        match self.done.try_recv() {
            Ok(done) => {
                self.under_way = false;
                Some(done)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the writer stays until this is dropped"),
        }
    }

    /// The commit that was under way, once it is done; none if there was none.
    pub(super) fn wait(&mut self) -> Option<Done> {
        let under_way = std::mem::take(&mut self.under_way);
        under_way.then(|| self.done.recv().expect("the writer stays until this is dropped"))
    }
}
