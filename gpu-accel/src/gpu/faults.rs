//! Faults made on purpose, so that tests see what happens after real ones.

use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InjectedFault {
    /// The device is lost while the batch is computed.
    LostDevice,
    /// Every answer of the batch is wrong.
    WrongAnswer,
    /// The device does not answer for this long.
    Hang(Duration),
    /// The batch's memory cannot be had.
    OutOfMemory,
}

/// Which batch of a device goes wrong, and how; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultPlan {
    fault: Option<InjectedFault>,
    /// Batches that still go right.
    before: usize,
    current: Option<InjectedFault>,
}

impl FaultPlan {
    /// The first `before` batches go right, all others wrong.
    pub const fn after(before: usize, fault: InjectedFault) -> Self {
        Self { fault: Some(fault), before, current: None }
    }

    /// The fault of the batch that begins.
    pub(crate) fn next(&mut self) -> Option<InjectedFault> {
        match self.before.checked_sub(1) {
            Some(before) => self.before = before,
            None => self.current = self.fault,
        }
        self.current
    }

    /// The fault of the batch that began last.
    pub(crate) fn current(&self) -> Option<InjectedFault> {
        self.current
    }
}
