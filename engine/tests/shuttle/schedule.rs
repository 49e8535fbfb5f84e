//! A scheduler that lets threads run for a while.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

use crate::support::rng::Rng;

/// Goes on with the running thread at most scheduling points, and passes to a random one else. How
/// often differs from execution to execution: one thread gets far ahead of the others, as it does
/// on a machine, and as it hardly ever does where every point is a coin toss.
#[derive(Debug)]
pub(crate) struct Bursts {
    rng: Rng,
    executions: usize,
    /// At one of so many points another thread may take over.
    length: u64,
}

impl Bursts {
    pub(crate) fn new(seed: u64, executions: usize) -> Self {
        Self { rng: Rng::new(seed), executions, length: 1 }
    }
}

impl Scheduler for Bursts {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.executions = self.executions.checked_sub(1)?;
        self.length = 1 << self.rng.between(2, 9);
        Some(Schedule::new(self.rng.next()))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        let stays = !yields && self.rng.below(self.length) > 0;
        let current = runnable.iter().map(|task| task.id()).find(|id| Some(*id) == current);
        let other = runnable[self.rng.below(runnable.len() as u64) as usize].id();
        current.filter(|_| stays).or(Some(other))
    }

    fn next_u64(&mut self) -> u64 {
        self.rng.next()
    }
}
