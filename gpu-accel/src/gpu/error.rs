//! What can go wrong with a device.

use std::time::Duration;

/// Why a device cannot be used, or can be used no longer. The CPU can always take over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No adapter answers to the name that was asked for.
    #[error("no adapter is named `{name}`: `pleach gpu list --software` shows those there are")]
    NoAdapter {
        /// The name, or the part of one, that was looked for.
        name: String,
    },
    /// The driver refused to open the adapter.
    #[error("{adapter} could not be opened ({reason}): its driver may be too old")]
    Refused {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// A kernel could not be built.
    #[error("{adapter}: the kernel `{kernel}` could not be built ({reason}): report this driver")]
    Kernel {
        /// The adapter's name.
        adapter: String,
        /// The kernel's name.
        kernel: String,
        /// What the compiler said.
        reason: String,
    },
    /// The device has no memory left for a batch.
    #[error("{adapter} is out of memory for a batch of {batch}: free some, or use smaller batches")]
    OutOfMemory {
        /// The adapter's name.
        adapter: String,
        /// Elements of the batch.
        batch: usize,
    },
    /// The device did not answer in time.
    #[error("{adapter} did not answer within {deadline:?}: it hangs, or others keep it busy")]
    Timeout {
        /// The adapter's name.
        adapter: String,
        /// The time that it was given.
        deadline: Duration,
    },
    /// The device was lost or its driver failed.
    #[error("{adapter} was lost ({reason}): restart to use it again")]
    Lost {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// An answer differs from the CPU's.
    #[error("{adapter} gave a wrong answer ({what}): do not trust this device or driver")]
    WrongAnswer {
        /// The adapter's name.
        adapter: String,
        /// Which answer.
        what: String,
    },
    /// A message is too long for the device's buffers.
    #[error("{adapter}: {bytes} bytes of messages exceed the {limit} that one batch takes")]
    TooLong {
        /// The adapter's name.
        adapter: String,
        /// Bytes asked for.
        bytes: u64,
        /// Bytes that one batch takes.
        limit: u64,
    },
}
