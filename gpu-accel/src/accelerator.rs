//! The type that owns the threads and the devices.

use std::{io, sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, Signature, keccak256};
use pleach_crew::Crew;

use crate::{
    RecoveryError, RecoveryRequest,
    gpu::{
        Batch, DeviceEvent, DeviceMetrics, DeviceOptions, Devices, PackedMessages, Work,
        digest_words, random_requests, request_words, signature_words,
    },
    keccak, recover_one, recovery,
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
    /// The same with the message hashed.
    fn hashed(&self) -> RecoveryRequest {
        let Self { signature, message, require_low_s } = *self;
        RecoveryRequest { signature, message_hash: keccak256(message), require_low_s }
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
    /// An accelerator on this many CPU threads; 0 counts as 1. With 1 no thread is started.
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
        let mut accelerator = Self::cpu(threads)?;
        accelerator.cpu_per_second = accelerator.measure_cpu();
        accelerator.devices = Devices::open(options, accelerator.cpu_per_second, tell);
        Ok(accelerator)
    }

    /// The CPU threads that share a batch.
    pub fn threads(&self) -> usize {
        self.crew.threads()
    }

    /// What each device did so far, and whether it still serves.
    pub fn device_metrics(&self) -> Vec<DeviceMetrics> {
        self.devices.metrics()
    }

    /// Wakes the threads, for there will soon be a batch.
    pub fn rouse(&self) {
        self.crew.rouse();
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
        let hashed = |requests: &[SignedMessage<'_>]| -> Vec<RecoveryRequest> {
            let messages: Vec<&[u8]> = requests.iter().map(|request| request.message).collect();
            let hashes = self.keccak256(&messages);
            let request = |(signed, message_hash): (&SignedMessage<'_>, B256)| RecoveryRequest {
                signature: signed.signature,
                message_hash,
                require_low_s: signed.require_low_s,
            };
            requests.iter().zip(hashes).map(request).collect()
        };
        let on_cpu =
            |requests: &[SignedMessage<'_>]| recovery::recover_batch(&self.crew, &hashed(requests));
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

    /// Keccak-256 of each message, in order.
    ///
    /// On the CPU: a message's way to a device takes longer than hashing it here. Where messages
    /// go to a device anyway, [`Self::recover_messages`] hashes them there.
    pub fn keccak256<M: AsRef<[u8]> + Sync>(&self, messages: &[M]) -> Vec<B256> {
        keccak::keccak_batch(&self.crew, messages)
    }

    /// Signatures that the threads recover in a second, by one short measurement.
    fn measure_cpu(&self) -> f64 {
        let requests = random_requests(4 * CPU_CHUNK * self.threads(), 3);
        let start = Instant::now();
        let answers = recovery::recover_batch(&self.crew, &requests);
        answers.len() as f64 / start.elapsed().as_secs_f64().max(1e-9)
    }
}

fn fused_batch(requests: &[SignedMessage<'_>]) -> Batch {
    let signatures = requests.iter().map(|request| (&request.signature, request.require_low_s));
    let messages: Vec<&[u8]> = requests.iter().map(|request| request.message).collect();
    Batch::Fused { requests: signature_words(signatures), messages: PackedMessages::new(&messages) }
}
