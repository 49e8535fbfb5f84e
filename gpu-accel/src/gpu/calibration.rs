//! How large a device's batches should be, and from which size on it pays.

use std::time::{Duration, Instant};

use alloy_primitives::{B256, keccak256};

use super::{Gpu, GpuError, cases::random_requests, hashing::PackedMessages, packing};
use crate::{RecoveryRequest, recover_one};

/// The longest that one batch should take: long enough to hide what starting it costs, short
/// enough that nothing else on the device waits.
const LONGEST_BATCH: Duration = Duration::from_millis(50);

/// One measured batch size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Signatures of the batch.
    pub batch: usize,
    /// From host memory to host memory.
    pub end_to_end: Duration,
    /// All kernels over data that is on the device.
    pub kernels: Duration,
}

impl Sample {
    /// Signatures per second, from host memory to host memory.
    pub fn per_second(&self) -> f64 {
        self.batch as f64 / self.end_to_end.as_secs_f64().max(1e-9)
    }

    /// Signatures per second of the kernels alone.
    pub fn kernels_per_second(&self) -> f64 {
        self.batch as f64 / self.kernels.as_secs_f64().max(1e-9)
    }
}

/// What a device is good for.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The measured curve, small batches first.
    pub curve: Vec<Sample>,
    /// The batch size to use.
    pub chunk: usize,
    /// Signatures per second at that size.
    pub per_second: f64,
    /// From how many signatures on the device is faster than the CPU; none if it never is.
    pub crossover: Option<usize>,
}

impl Gpu {
    /// Measures batches of growing size until one takes 50 ms, or memory ends.
    ///
    /// `cpu_per_second` is what all threads of the CPU recover in a second.
    ///
    /// # Errors
    /// The device's faults.
    pub fn calibrate(&self, cpu_per_second: f64) -> Result<Calibration, GpuError> {
        let mut curve: Vec<Sample> = Vec::new();
        let mut batch = 64;
        while batch <= self.limit(&self.recover) {
            match self.sample(batch, 3) {
                Ok(sample) => curve.push(sample),
                // Smaller batches have worked.
                Err(GpuError::OutOfMemory { .. }) if !curve.is_empty() => break,
                Err(error) => return Err(error),
            }
            if curve.last().is_some_and(|sample| sample.end_to_end > LONGEST_BATCH) {
                break;
            }
            batch *= 2;
        }
        Ok(Calibration::from_curve(curve, cpu_per_second))
    }

    /// Measures one batch size, the best of `rounds`.
    ///
    /// # Errors
    /// The device's faults.
    pub fn sample(&self, batch: usize, rounds: usize) -> Result<Sample, GpuError> {
        let slot = self.slot(&self.recover, batch)?;
        let requests = random_requests(batch, batch as u64);
        let mut sample = Sample { batch, end_to_end: Duration::MAX, kernels: Duration::MAX };
        for _ in 0..rounds.max(1) {
            let start = Instant::now();
            let (words, digests) =
                (packing::request_words(&requests), packing::digest_words(&requests));
            let pending = self.start(&self.recover, &slot, &words, Some(&digests));
            let answers =
                packing::answers(&self.finish(&slot, pending)?, |i| recover_one(&requests[i]));
            sample.end_to_end = sample.end_to_end.min(start.elapsed());
            let last = requests.last().map(recover_one);
            if answers.last().copied() != last {
                return Err(self.wrong("the last of a measured batch".to_owned()));
            }
            let start = Instant::now();
            self.wait(self.dispatch_all(&self.recover, &slot, batch))?;
            sample.kernels = sample.kernels.min(start.elapsed());
        }
        Ok(sample)
    }

    /// Measures recovery from messages of `bytes` bytes each, hashed on the device, from host
    /// memory to host memory: the best of `rounds`.
    ///
    /// # Errors
    /// The device's faults.
    pub fn sample_fused(
        &self,
        batch: usize,
        bytes: usize,
        rounds: usize,
    ) -> Result<Duration, GpuError> {
        let messages: Vec<Vec<u8>> = (0..batch).map(|index| vec![index as u8; bytes]).collect();
        let requests = random_requests(batch, batch as u64);
        let decide = |i: usize| {
            let message_hash = keccak256(&messages[i]);
            recover_one(&RecoveryRequest { message_hash, ..requests[i] })
        };
        let mut keccak = None;
        self.keccak_slot_for(&mut keccak, &PackedMessages::new(&messages))?;
        let keccak = keccak.expect("it was just made");
        let slot = self.slot(&self.recover, batch)?;
        let mut best = Duration::MAX;
        for _ in 0..rounds.max(1) {
            let start = Instant::now();
            let packed = PackedMessages::new(&messages);
            let words = packing::request_words(&requests);
            let pending = self.start_fused(&keccak, &slot, &words, &packed);
            let answers = packing::answers(&self.finish(&slot, pending)?, decide);
            best = best.min(start.elapsed());
            if answers.last().copied() != batch.checked_sub(1).map(decide) {
                return Err(self.wrong("the last of a measured batch of messages".to_owned()));
            }
        }
        Ok(best)
    }

    /// Measures the hashing of `batch` messages of `bytes` bytes each, the best of `rounds`.
    ///
    /// # Errors
    /// The device's faults.
    pub fn sample_hash(
        &self,
        batch: usize,
        bytes: usize,
        rounds: usize,
    ) -> Result<Sample, GpuError> {
        let messages: Vec<Vec<u8>> = (0..batch).map(|index| vec![index as u8; bytes]).collect();
        let packed = PackedMessages::new(&messages);
        let mut slot = None;
        self.keccak_slot_for(&mut slot, &packed)?;
        let slot = slot.expect("it was just made");
        let mut sample = Sample { batch, end_to_end: Duration::MAX, kernels: Duration::MAX };
        for _ in 0..rounds.max(1) {
            let start = Instant::now();
            let words = self.hash(&slot, &PackedMessages::new(&messages))?;
            let hashes: Vec<B256> = packing::hashes(&words).collect();
            sample.end_to_end = sample.end_to_end.min(start.elapsed());
            if hashes.last().copied() != messages.last().map(keccak256) {
                return Err(self.wrong(format!("hash of {bytes} bytes")));
            }
            let start = Instant::now();
            self.hash_resident(&slot, batch)?;
            sample.kernels = sample.kernels.min(start.elapsed());
        }
        Ok(sample)
    }
}

impl Calibration {
    /// Chooses from a measured curve: of the batches that are short enough, the smallest within a
    /// tenth of the best speed.
    fn from_curve(curve: Vec<Sample>, cpu_per_second: f64) -> Self {
        let short = || {
            let is_short = |(index, sample): &(usize, &Sample)| {
                *index == 0 || sample.end_to_end <= LONGEST_BATCH
            };
            curve.iter().enumerate().filter(is_short).map(|(_, sample)| sample)
        };
        let best = short().map(Sample::per_second).fold(0.0, f64::max);
        let good = short().find(|sample| sample.per_second() >= 0.9 * best);
        let (chunk, per_second) = good.map_or((1, 0.0), |s| (s.batch, s.per_second()));
        let faster = |sample: &&Sample| sample.per_second() > cpu_per_second;
        let crossover = curve.iter().find(faster).map(|sample| sample.batch);
        Self { curve, chunk, per_second, crossover }
    }

    /// A device that is taken to be as fast as the CPU, unmeasured.
    pub(crate) fn assumed(chunk: usize, per_second: f64) -> Self {
        Self { curve: Vec::new(), chunk, per_second, crossover: None }
    }

    /// How long a batch may take before the device counts as hung: far longer than it was seen
    /// to take, and no longer than `most`.
    pub(crate) fn deadline(&self, most: Duration) -> Duration {
        let seen = self.curve.iter().map(|sample| sample.end_to_end).max();
        seen.map_or(most, |seen| (50 * seen).max(Duration::from_secs(1)).min(most))
    }

    /// The smallest share of a batch that is worth a device's while: what takes it twice the time
    /// of its smallest batch.
    pub fn smallest_share(&self) -> usize {
        let start = self.curve.first().map_or(0.0, |sample| sample.end_to_end.as_secs_f64());
        ((2.0 * start * self.per_second) as usize).clamp(64, self.chunk.max(64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(batch: usize, micros: u64) -> Sample {
        let time = Duration::from_micros(micros);
        Sample { batch, end_to_end: time, kernels: time }
    }

    #[test]
    fn the_smallest_good_batch_is_chosen() {
        let curve =
            vec![sample(64, 1000), sample(1024, 1100), sample(2048, 2000), sample(4096, 4000)];
        let chosen = Calibration::from_curve(curve, 500_000.0);
        assert_eq!(chosen.chunk, 1024);
        assert_eq!(chosen.crossover, Some(1024));
    }

    #[test]
    fn a_batch_that_takes_too_long_is_not_chosen() {
        let curve = vec![sample(64, 10_000), sample(128, 15_000), sample(1024, 60_000)];
        assert_eq!(Calibration::from_curve(curve, 1.0).chunk, 128);
    }

    #[test]
    fn a_slow_device_never_crosses_over() {
        let chosen = Calibration::from_curve(vec![sample(64, 1000)], 1e9);
        assert_eq!(chosen.crossover, None);
    }
}
