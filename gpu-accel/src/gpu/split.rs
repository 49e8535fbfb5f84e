//! One batch shared by the CPU and the devices: they take chunks from its two ends.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use alloy_primitives::Address;

use super::{
    devices::Device,
    packing,
    worker::{Batch, IN_FLIGHT, Ticket},
};
use crate::RecoveryError;

/// What recovery answers.
pub(crate) type Answer = Result<Address, RecoveryError>;

/// A batch, as both sides see it.
pub(crate) struct Work<'a> {
    /// Requests.
    pub(crate) count: usize,
    /// Packs some of them for a device.
    pub(crate) pack: &'a (dyn Fn(Range<usize>) -> Batch + Sync),
    /// Answers some of them on the CPU's threads.
    pub(crate) on_cpu: &'a (dyn Fn(Range<usize>) -> Vec<Answer> + Sync),
    /// Answers one of them on the calling thread, by libsecp256k1.
    pub(crate) one: &'a (dyn Fn(usize) -> Answer + Sync),
    /// Requests that the CPU takes at once.
    pub(crate) cpu_chunk: usize,
}

/// What nobody has taken yet.
#[derive(Debug)]
struct TwoEnds(Mutex<Range<usize>>);

/// Answers for consecutive requests.
type Part = (Range<usize>, Vec<Answer>);

/// What one device did of a batch.
#[derive(Debug, Default)]
struct Share {
    done: Vec<Part>,
    /// Taken, and not to be trusted or not answered.
    left: Vec<Range<usize>>,
}

impl TwoEnds {
    fn front(&self, most: usize) -> Option<Range<usize>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = left.start..left.end.min(left.start + most);
        left.start = taken.end;
        (!taken.is_empty()).then_some(taken)
    }

    /// Takes as many as `size` says of what is left; none for 0.
    fn back(&self, size: impl Fn(usize) -> usize) -> Option<Range<usize>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = left.end - size(left.len()).min(left.len())..left.end;
        left.end = taken.start;
        (!taken.is_empty()).then_some(taken)
    }
}

impl Work<'_> {
    /// Answers all requests in order. What a device fails at, the CPU does again.
    pub(crate) fn run(&self, devices: &[&Device], cpu_per_second: f64) -> Vec<Answer> {
        let queue = TwoEnds(Mutex::new(0..self.count));
        let all: f64 = cpu_per_second + devices.iter().map(|d| d.per_second()).sum::<f64>();
        let mut parts: Vec<Part> = Vec::new();
        let shares: Vec<Share> = std::thread::scope(|scope| {
            let drive = |device| {
                let queue = &queue;
                let share = device_share(device, all);
                scope.spawn(move || self.drive(device, queue, share))
            };
            let drivers: Vec<_> = devices.iter().map(|device| drive(*device)).collect();
            while let Some(range) = queue.front(self.cpu_chunk) {
                parts.push((range.clone(), (self.on_cpu)(range)));
            }
            drivers.into_iter().map(|driver| driver.join().expect("a driver panics")).collect()
        });
        for share in shares {
            parts.extend(share.done);
            let again = share.left.into_iter().map(|range| (range.clone(), (self.on_cpu)(range)));
            parts.extend(again);
        }
        in_order(parts, self.count)
    }

    /// Feeds one device from the back until nothing is left for it, or it fails.
    fn drive(&self, device: &Device, queue: &TwoEnds, share: f64) -> Share {
        let mut result = Share::default();
        let mut flying: VecDeque<(Range<usize>, Ticket)> = VecDeque::new();
        loop {
            while flying.len() < IN_FLIGHT {
                let Some(range) = queue.back(|left| device.next_chunk(left, share)) else { break };
                let ticket = device.submit((self.pack)(range.clone()));
                flying.push_back((range, ticket));
            }
            let Some((range, ticket)) = flying.pop_front() else { return result };
            let words = ticket.wait();
            match words.and_then(|words| self.accept(device, &range, &words)) {
                Ok(answers) => result.done.push((range, answers)),
                Err(error) => {
                    device.fail(error);
                    // One wrong answer makes all of them doubtful.
                    result.left = result.done.drain(..).map(|(range, _)| range).collect();
                    result.left.push(range);
                    result.left.extend(flying.into_iter().map(|(range, _)| range));
                    return result;
                }
            }
        }
    }

    /// The device's answers, after a random share of them was compared with the CPU's.
    fn accept(
        &self,
        device: &Device,
        range: &Range<usize>,
        words: &[u32],
    ) -> Result<Vec<Answer>, super::GpuError> {
        let answers = packing::answers(words, |index| (self.one)(range.start + index));
        if answers.len() != range.len() {
            return Err(device.wrong(format!("{} answers to {}", answers.len(), range.len())));
        }
        for index in device.samples(range.len()) {
            let expected = (self.one)(range.start + index);
            if answers[index] != expected {
                let found = answers[index];
                return Err(device.wrong(format!("{found:?} where {expected:?} is right")));
            }
        }
        device.count(answers.len());
        Ok(answers)
    }
}

fn device_share(device: &Device, all: f64) -> f64 {
    device.per_second() / all.max(1.0)
}

/// The answers of all parts; together they cover every request once.
fn in_order(mut parts: Vec<Part>, count: usize) -> Vec<Answer> {
    parts.sort_by_key(|(range, _)| range.start);
    let mut answers = Vec::with_capacity(count);
    for (range, part) in parts {
        assert_eq!((range.start, range.len()), (answers.len(), part.len()), "parts fit together");
        answers.extend(part);
    }
    assert_eq!(answers.len(), count, "one answer for each request");
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_meet() {
        let queue = TwoEnds(Mutex::new(0..10));
        assert_eq!(queue.front(3), Some(0..3));
        assert_eq!(queue.back(|left| left / 2), Some(7..10));
        assert_eq!(queue.back(|_| 0), None);
        assert_eq!(queue.back(|_| 100), Some(3..7));
        assert_eq!(queue.front(3), None);
    }
}
