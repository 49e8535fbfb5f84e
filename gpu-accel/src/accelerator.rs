//! The type that owns the threads and the devices.

use std::{io, sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, Signature, keccak256};
use pleach_crew::Crew;

use crate::{
    CpuPath, RecoveryError, RecoveryRequest,
    gpu::{
        Batch, DeviceEvent, DeviceMetrics, DeviceOptions, Devices, P256Request, PackedMessages,
        Work, digest_words, random_requests, request_words, signature_words, verify_p256_one,
    },
    keccak, recover_one, recovery,
    share::share,
};

/// Requests that one CPU thread takes at once while devices take from the other end: a few
/// milliseconds of work, so that neither side waits long for the other's last chunk.
const CPU_CHUNK: usize = 64;

/// Recovers senders and hashes messages in batches, on all cores and devices given to it.
#[derive(Debug)]
pub struct Accelerator {
    crew: Arc<Crew>,
    devices: Devices,
    /// What the threads recover in a second; measured only where there are devices to compare.
    cpu_per_second: f64,
}

/// A signature and the message that was signed, not hashed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedMessage<'a> {
    /// The signature: r, s and the parity of R's y.
    pub signature: Signature,
    /// The bytes whose Keccak-256 was signed.
    pub message: &'a [u8],
    /// Whether s above half the group order is refused, as in [`RecoveryRequest`].
    pub require_low_s: bool,
}

impl SignedMessage<'_> {
    /// The same with the message's hash.
    pub(crate) const fn with_hash(&self, message_hash: B256) -> RecoveryRequest {
        let Self { signature, require_low_s, .. } = *self;
        RecoveryRequest { signature, message_hash, require_low_s }
    }

    /// The same with the message hashed.
    fn hashed(&self) -> RecoveryRequest {
        self.with_hash(keccak256(self.message))
    }
}

/// An accelerator that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceleratorError {
    /// The operating system refused to start the threads.
    #[error(
        "{threads} threads for sender recovery could not be started ({source}): \
         ask for fewer, or raise the limit on threads"
    )]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Accelerator {
    /// An accelerator on this many CPU threads, the calling one included; 0 counts as 1, for
    /// which no thread is started.
    ///
    /// # Errors
    /// [`AcceleratorError::Threads`] if the operating system refuses to start them.
    pub fn cpu(threads: usize) -> Result<Self, AcceleratorError> {
        let crew = Crew::new(threads.saturating_sub(1));
        let crew = crew.map_err(|source| AcceleratorError::Threads { threads, source })?;
        Ok(Self::sharing(Arc::new(crew)))
    }

    /// An accelerator on threads that others use as well.
    pub fn sharing(crew: Arc<Crew>) -> Self {
        Self { crew, devices: Devices::default(), cpu_per_second: 0.0 }
    }

    /// An accelerator that does everything on the thread that calls it.
    pub fn calling_thread() -> Self {
        Self::sharing(Arc::new(Crew::new(0).expect("no thread is started that could fail to")))
    }

    /// An accelerator on this many CPU threads and every device that the options admit.
    ///
    /// Each device is opened, tested with known answers and calibrated, which takes seconds and,
    /// on a cold driver, up to a minute; `tell` hears of every step. A device that fails is left
    /// out; with none, this is [`Self::cpu`].
    ///
    /// # Errors
    /// As [`Self::cpu`].
    pub fn with_devices(
        threads: usize,
        options: &DeviceOptions,
        tell: &mut dyn FnMut(DeviceEvent),
    ) -> Result<Self, AcceleratorError> {
        Ok(Self::cpu(threads)?.and_devices(options, tell))
    }

    /// The same accelerator with every device that the options admit, as
    /// [`with_devices`](Self::with_devices) opens them.
    pub fn and_devices(
        mut self,
        options: &DeviceOptions,
        tell: &mut dyn FnMut(DeviceEvent),
    ) -> Self {
        self.cpu_per_second = self.measure_cpu();
        self.devices = Devices::open(options, self.cpu_per_second, tell);
        self
    }

    /// The CPU threads that share a batch, the calling one included.
    pub fn threads(&self) -> usize {
        self.crew.threads()
    }

    /// Makes the tables that the first batch would make, which takes a few milliseconds once in a
    /// process. For a thread that has the time before there is anything to recover.
    pub fn prepare(&self) {
        recovery::recover_batch(&self.crew, &random_requests(recovery::RECOVER_INLINE, 3));
    }

    /// Wakes the threads, for there will soon be a batch.
    pub fn rouse(&self) {
        self.crew.rouse();
    }

    /// What each device did so far, and whether it still serves.
    pub fn device_metrics(&self) -> Vec<DeviceMetrics> {
        self.devices.metrics()
    }

    /// Recovers one address per request, in order.
    ///
    /// The threads take from the front and the devices from the back; whatever a device fails
    /// at, the threads do.
    pub fn recover(&self, requests: &[RecoveryRequest]) -> Vec<Result<Address, RecoveryError>> {
        let devices = self.devices.for_batch(requests.len());
        if devices.is_empty() {
            return recovery::recover_batch(&self.crew, requests);
        }
        let work = Work {
            count: requests.len(),
            pack: &|range| Batch::Recover {
                requests: request_words(&requests[range.clone()]),
                digests: digest_words(&requests[range]),
            },
            on_cpu: &|range| recovery::recover_batch(&self.crew, &requests[range]),
            one: &|index| recover_one(&requests[index]),
            cpu_chunk: CPU_CHUNK * self.threads(),
        };
        work.run(&devices, self.cpu_per_second)
    }

    /// Hashes each message and recovers one address per request, in order. On a device the
    /// hashes never leave it.
    pub fn recover_messages(
        &self,
        requests: &[SignedMessage<'_>],
    ) -> Vec<Result<Address, RecoveryError>> {
        let on_cpu =
            |requests: &[SignedMessage<'_>]| recovery::recover_message_batch(&self.crew, requests);
        let devices = self.devices.for_batch(requests.len());
        if devices.is_empty() {
            return on_cpu(requests);
        }
        let work = Work {
            count: requests.len(),
            pack: &|range| fused_batch(&requests[range]),
            on_cpu: &|range| on_cpu(&requests[range]),
            one: &|index| recover_one(&requests[index].hashed()),
            cpu_chunk: CPU_CHUNK * self.threads(),
        };
        work.run(&devices, self.cpu_per_second)
    }

    /// Whether a batch of so many signatures is the threads' alone.
    pub fn is_for_threads(&self, signatures: usize) -> bool {
        self.devices.for_batch(signatures).is_empty()
    }

    /// Shares items between the threads as if each were a signature to recover, for who has more
    /// to do with one than that: `work` is called with a portion of the items and the places of
    /// their answers, and recovers with [`CpuPath::recover_messages`].
    ///
    /// # Panics
    /// If there are not as many places as items.
    pub fn share<T: Sync, A: Send>(
        &self,
        items: &[T],
        answers: &mut [A],
        work: impl Fn(&[T], &mut [A]) + Sync,
    ) {
        recovery::share_portions(&self.crew, items, answers, work);
    }

    /// Keccak-256 of each message, in order.
    ///
    /// On the CPU: a message's way to a device takes longer than hashing it here. Where messages
    /// go to a device anyway, [`Self::recover_messages`] hashes them there.
    pub fn keccak256<M: AsRef<[u8]> + Sync>(&self, messages: &[M]) -> Vec<B256> {
        keccak::keccak_batch(&self.crew, messages)
    }

    /// Whether each P-256 signature holds (EIP-7951), in order.
    ///
    /// On the CPU: no chain has them in numbers yet. [`Gpu::p256`](crate::gpu::Gpu::p256)
    /// verifies them on a device.
    pub fn verify_p256(&self, requests: &[P256Request]) -> Vec<bool> {
        // Some 100 microseconds each: worth a thread soon, and alike.
        const PORTION: usize = 4;
        let mut answers = vec![false; requests.len()];
        share(
            &self.crew,
            requests,
            &mut answers,
            |_| PORTION,
            |requests, answers| {
                for (request, answer) in requests.iter().zip(answers) {
                    *answer = verify_p256_one(request);
                }
            },
        );
        answers
    }

    /// Signatures that the threads recover in a second, by one short measurement.
    fn measure_cpu(&self) -> f64 {
        let requests = random_requests(4 * CPU_CHUNK * self.threads(), 3);
        let start = Instant::now();
        let answers = recovery::recover_batch(&self.crew, &requests);
        answers.len() as f64 / start.elapsed().as_secs_f64().max(1e-9)
    }
}

/// The messages' bytes that a device takes in one batch. Who signs chooses how many there are: it
/// must not be able to take a device's memory away.
const FUSED_BYTES: usize = 1 << 26;

fn fused_batch(requests: &[SignedMessage<'_>]) -> Batch {
    let signatures = requests.iter().map(|request| (&request.signature, request.require_low_s));
    let messages: Vec<&[u8]> = requests.iter().map(|request| request.message).collect();
    if messages.iter().map(|message| message.len()).sum::<usize>() > FUSED_BYTES {
        let mut hashes = vec![B256::ZERO; messages.len()];
        CpuPath::best().keccak256(&messages, &mut hashes);
        let hashed = |(request, hash): (&SignedMessage<'_>, B256)| request.with_hash(hash);
        let hashed: Vec<_> = requests.iter().zip(hashes).map(hashed).collect();
        return Batch::Recover { requests: request_words(&hashed), digests: digest_words(&hashed) };
    }
    Batch::Fused { requests: signature_words(signatures), messages: PackedMessages::new(&messages) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bytes_than_a_device_takes_are_hashed_here() {
        let long = vec![7; FUSED_BYTES / 2];
        let signed: Vec<_> = random_requests(3, 5)
            .iter()
            .map(|request| SignedMessage {
                signature: request.signature,
                message: &long,
                require_low_s: request.require_low_s,
            })
            .collect();
        assert!(matches!(fused_batch(&signed[..2]), Batch::Fused { .. }));
        let Batch::Recover { requests, digests } = fused_batch(&signed) else {
            panic!("three halves are too much")
        };
        let hashed: Vec<_> = signed.iter().map(SignedMessage::hashed).collect();
        assert_eq!((requests, digests), (request_words(&hashed), digest_words(&hashed)));
    }
}
