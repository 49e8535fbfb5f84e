//! The devices of one accelerator: opened, tested, calibrated, watched.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    AdapterChoice, Calibration, Gpu, GpuAdapter, GpuError, GpuOptions, SelfTest, WarmUp, adapters,
    cases::Random,
    faults::FaultPlan,
    worker::{Batch, Ticket, Worker},
};

/// One answer in this many is computed again on the CPU.
const RECHECKED: u64 = 256;

/// Which devices an accelerator uses, and how.
#[derive(Debug, Clone)]
pub struct DeviceOptions {
    /// Which adapters.
    pub choice: AdapterChoice,
    /// How they are opened.
    pub gpu: GpuOptions,
    /// Random signatures in the self-test, beside the crafted ones.
    pub self_test: usize,
    /// Signatures of a batch on a device, in place of the calibrated number, and in place of the
    /// calibration: the device then serves every batch that is larger. For tests.
    pub chunk: Option<usize>,
    /// Faults made on purpose. For tests.
    pub faults: FaultPlan,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            choice: AdapterChoice::default(),
            gpu: GpuOptions::default(),
            self_test: 1024,
            chunk: None,
            faults: FaultPlan::default(),
        }
    }
}

/// What happens while devices are opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// A kernel was built.
    WarmUp {
        /// The device's name.
        device: String,
        /// Which kernel.
        step: WarmUp,
    },
    /// The device gave the right answers.
    Tested {
        /// The device's name.
        device: String,
        /// What it was asked.
        test: SelfTest,
    },
    /// The device was measured.
    Calibrated {
        /// The device's name.
        device: String,
        /// What it is good for.
        calibration: Calibration,
    },
    /// The device is not used.
    LeftOut {
        /// The device's name.
        device: String,
        /// Why.
        error: GpuError,
    },
}

/// What one device did so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMetrics {
    /// The device's name.
    pub name: String,
    /// Answers that it gave.
    pub recovered: u64,
    /// Answers that were computed again on the CPU.
    pub rechecked: u64,
    /// Why it is not used any more.
    pub failure: Option<GpuError>,
}

/// All devices.
#[derive(Debug, Default)]
pub(crate) struct Devices(Vec<Device>);

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    name: String,
    worker: Worker,
    calibration: Calibration,
    /// Whether it serves whatever it is given.
    always: bool,
    failure: Mutex<Option<GpuError>>,
    // Counters that nothing depends on: their order with other memory does not matter.
    recovered: AtomicU64,
    rechecked: AtomicU64,
}

impl Devices {
    /// Opens every adapter that the options admit; those that fail are logged and left out.
    pub(crate) fn open(
        options: &DeviceOptions,
        cpu_per_second: f64,
        tell: &mut dyn FnMut(DeviceEvent),
    ) -> Self {
        let mut devices = Vec::new();
        for adapter in adapters(&options.choice) {
            match Device::open(&adapter, options, cpu_per_second, tell) {
                Ok(device) => devices.push(device),
                Err(error) => {
                    log::error!("{error}: recovery goes on without it");
                    tell(DeviceEvent::LeftOut { device: adapter.name().to_owned(), error });
                }
            }
        }
        Self(devices)
    }

    /// The devices that gain something for a batch of this size.
    pub(crate) fn for_batch(&self, count: usize) -> Vec<&Device> {
        self.0.iter().filter(|device| device.serves(count)).collect()
    }

    pub(crate) fn metrics(&self) -> Vec<DeviceMetrics> {
        self.0.iter().map(Device::metrics).collect()
    }
}

impl Device {
    fn open(
        adapter: &GpuAdapter,
        options: &DeviceOptions,
        cpu_per_second: f64,
        tell: &mut dyn FnMut(DeviceEvent),
    ) -> Result<Self, GpuError> {
        let name = adapter.name().to_owned();
        let mut gpu = Gpu::open(adapter, &options.gpu, &mut |step| {
            tell(DeviceEvent::WarmUp { device: name.clone(), step });
        })?;
        let test = gpu.self_test(options.self_test)?;
        tell(DeviceEvent::Tested { device: name.clone(), test });
        let calibration = match options.chunk {
            Some(chunk) => Calibration::assumed(chunk, cpu_per_second),
            None => gpu.calibrate(cpu_per_second)?,
        };
        gpu.deadline = calibration.deadline(gpu.deadline);
        let told = calibration.clone();
        tell(DeviceEvent::Calibrated { device: name.clone(), calibration: told });
        Ok(Self {
            name,
            worker: Worker::start(gpu, calibration.chunk, options.faults)?,
            calibration,
            always: options.chunk.is_some(),
            failure: Mutex::new(None),
            recovered: AtomicU64::new(0),
            rechecked: AtomicU64::new(0),
        })
    }

    fn serves(&self, count: usize) -> bool {
        let least = if self.always { Some(1) } else { self.calibration.crossover };
        self.failure().is_none() && least.is_some_and(|least| count >= least)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.calibration.per_second
    }

    /// How many of those left it takes next: a full batch, or its share of the rest, so that both
    /// ends are reached at the same time. What is too little for it is left to the CPU.
    pub(crate) fn next_chunk(&self, left: usize, share: f64) -> usize {
        if self.always {
            return self.calibration.chunk;
        }
        let least = self.calibration.smallest_share();
        let fair = (left as f64 * share / 2.0) as usize;
        if left < least { 0 } else { fair.clamp(least, self.calibration.chunk.max(least)) }
    }

    pub(crate) fn submit(&self, batch: Batch) -> Ticket {
        self.worker.submit(batch)
    }

    /// Which of `count` answers are computed again: at least one, about one in [`RECHECKED`].
    pub(crate) fn samples(&self, count: usize) -> Vec<usize> {
        // Keyed anew each time, so that nobody can foresee them.
        let mut random = Random(RandomState::new().hash_one(count));
        let certain = random.next() as usize % count.max(1);
        let mut drawn: Vec<usize> =
            (0..count).filter(|_| random.next().is_multiple_of(RECHECKED)).collect();
        if count > 0 {
            drawn.push(certain);
        }
        self.rechecked.fetch_add(drawn.len() as u64, Ordering::Relaxed);
        drawn
    }

    pub(crate) fn count(&self, answers: usize) {
        self.recovered.fetch_add(answers as u64, Ordering::Relaxed);
    }

    /// Gives the device up for good.
    pub(crate) fn fail(&self, error: GpuError) {
        log::error!("{error}: recovery goes on without it");
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }

    pub(crate) fn wrong(&self, what: String) -> GpuError {
        GpuError::WrongAnswer { adapter: self.name.clone(), what }
    }

    fn failure(&self) -> Option<GpuError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn metrics(&self) -> DeviceMetrics {
        DeviceMetrics {
            name: self.name.clone(),
            recovered: self.recovered.load(Ordering::Relaxed),
            rechecked: self.rechecked.load(Ordering::Relaxed),
            failure: self.failure(),
        }
    }
}
