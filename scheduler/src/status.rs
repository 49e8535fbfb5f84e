//! One transaction's status, packed in one atomic word.

use crate::sync::{AtomicU32, Ordering};

/// A transaction's place in the block, from 0.
pub type TxIdx = usize;

/// The n-th attempt at a transaction, from 0.
pub type Incarnation = u32;

/// One attempt at one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Which transaction.
    pub index: TxIdx,
    /// Which attempt.
    pub incarnation: Incarnation,
}

/// Where a transaction stands. Drawn in `PROTOCOL.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody runs it; any worker may claim it.
    Ready,
    /// One worker, or the committer, runs it.
    Executing,
    /// Its result waits for the committer.
    Executed,
    /// It waits for a lower transaction, and nobody may claim it.
    Blocked,
    /// Its last speculative incarnation is spent: only the committer may claim it.
    Reserved,
    /// It is part of the committed prefix.
    Committed,
}

const PHASE_BITS: u32 = 3;
const PHASE_MASK: u32 = (1 << PHASE_BITS) - 1;
/// Set while somebody waits for this transaction.
const AWAITED: u32 = 1 << PHASE_BITS;
const INCARNATION_SHIFT: u32 = PHASE_BITS + 1;

/// A status word's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) phase: Phase,
    pub(crate) incarnation: Incarnation,
    pub(crate) awaited: bool,
}

impl Status {
    pub(crate) const fn new(phase: Phase, incarnation: Incarnation) -> Self {
        Self { phase, incarnation, awaited: false }
    }

    const fn pack(self) -> u32 {
        let awaited = if self.awaited { AWAITED } else { 0 };
        (self.incarnation << INCARNATION_SHIFT) | awaited | self.phase as u32
    }

    const fn unpack(word: u32) -> Self {
        let phase = match word & PHASE_MASK {
            0 => Phase::Ready,
            1 => Phase::Executing,
            2 => Phase::Executed,
            3 => Phase::Blocked,
            4 => Phase::Reserved,
            5 => Phase::Committed,
            _ => unreachable!(),
        };
        Self { phase, incarnation: word >> INCARNATION_SHIFT, awaited: word & AWAITED != 0 }
    }
}

/// A transaction's status word. Index, incarnation and phase change in one step, so no reader ever
/// sees the phase of one incarnation with the number of another.
#[derive(Debug)]
pub(crate) struct StatusWord(AtomicU32);

impl StatusWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(Status::new(Phase::Ready, 0).pack()))
    }

    /// Reads the status. Acquire: pairs with the release of [`Self::exchange`], so whoever sees
    /// `Executed` sees the result that was stored before it.
    pub(crate) fn load(&self) -> Status {
        Status::unpack(self.0.load(Ordering::Acquire))
    }

    /// Moves from exactly `from` to `to`.
    pub(crate) fn exchange(&self, from: Status, to: Status) -> bool {
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(from.pack(), to.pack(), order.0, order.1).is_ok()
    }

    /// Moves out of a phase that the caller alone may leave, whatever the `awaited` bit says, and
    /// clears that bit. Returns whether it was set.
    pub(crate) fn leave(&self, from: Phase, to: Status) -> bool {
        let previous = Status::unpack(self.0.swap(to.pack(), Ordering::AcqRel));
        assert_eq!(previous.phase, from, "only the owner of a phase leaves it");
        previous.awaited
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Of two that have seen the same status, one gets to change it.
    #[test]
    fn an_exchange_of_what_is_no_more_fails() {
        let word = StatusWord::new();
        let seen = word.load();
        let running = Status::new(Phase::Executing, 0);
        assert!(word.exchange(seen, running));
        assert!(!word.exchange(seen, Status::new(Phase::Executing, 7)));
        assert!(!word.exchange(Status { awaited: true, ..running }, seen));
        assert_eq!(word.load(), running, "who failed has changed nothing");
    }
}
