//! Which devices a command uses, and how it opens them.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use pleach_crew::Crew;
use pleach_gpu_accel::{
    Accelerator,
    gpu::{
        AdapterChoice, DeviceEvent, DeviceMetrics, DeviceOptions, Gpu, GpuAdapter, GpuError,
        GpuOptions, LimbForm, WarmUp, WarmUpPhase, adapters, first_adapter,
    },
};
use serde::Serialize;

/// Arguments of every command that uses devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DeviceArgs {
    /// Only devices whose name contains this; `cpu` for none.
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Also adapters that compute on the CPU.
    #[arg(long)]
    pub software: bool,
    /// The limb form; by default the best one of each device.
    #[arg(long, value_enum)]
    pub form: Option<FormArg>,
    /// Where compiled kernels are kept; by default `pleach` in the user's cache.
    #[arg(long, value_name = "DIR")]
    pub kernel_cache: Option<PathBuf>,
}

/// The names of the limb forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// 9 limbs of 29 bits: 64-bit integers.
    Wide,
    /// 20 limbs of 13 bits: any device.
    Narrow,
}

/// The name of a limb form.
pub(super) const fn form_name(form: LimbForm) -> &'static str {
    match form {
        LimbForm::Wide => "wide",
        LimbForm::Narrow => "narrow",
    }
}

impl DeviceArgs {
    /// The adapters that are asked for.
    pub fn adapters(&self) -> Vec<GpuAdapter> {
        if self.device.as_deref() == Some("cpu") {
            return Vec::new();
        }
        adapters(&AdapterChoice { software: self.software, name: self.device.clone() })
    }

    /// Opens an adapter, and tells a terminal of each kernel as it is built.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open(&self, adapter: &GpuAdapter) -> Result<Gpu, GpuError> {
        Gpu::open(adapter, &self.options(), &mut |step| tell_step(adapter.name(), &step))
    }

    /// Whether these arguments name devices or admit software ones.
    pub fn is_asked_for(&self) -> bool {
        match self.device.as_deref() {
            Some("cpu") => false,
            Some(_) => true,
            None => self.software,
        }
    }

    /// An accelerator on these threads and, if these arguments name devices or admit software
    /// ones, on these. A device that is left out is told of on standard error.
    ///
    /// # Errors
    /// If no adapter has the name.
    pub fn accelerator(&self, crew: Arc<Crew>) -> io::Result<Accelerator> {
        let threads = Accelerator::sharing(crew);
        if !self.is_asked_for() {
            return Ok(threads);
        }
        let choice = AdapterChoice { software: self.software, name: self.device.clone() };
        first_adapter(&choice).map_err(io::Error::other)?;
        let options = DeviceOptions { choice, gpu: self.options(), ..DeviceOptions::default() };
        Ok(threads.and_devices(&options, &mut tell))
    }

    /// How adapters are opened.
    pub(crate) fn options(&self) -> GpuOptions {
        let form = self.form.map(|form| match form {
            FormArg::Wide => LimbForm::Wide,
            FormArg::Narrow => LimbForm::Narrow,
        });
        let cache_directory = self.kernel_cache.clone().or_else(user_cache);
        GpuOptions { form, cache_directory, ..GpuOptions::default() }
    }
}

fn tell(event: DeviceEvent) {
    match event {
        DeviceEvent::WarmUp { device, step } => tell_step(&device, &step),
        DeviceEvent::LeftOut { device, error } => {
            // What cannot be told is no reason to stop.
            let _ = writeln!(io::stderr(), "{device} is left out: {error}");
        }
        _ => {}
    }
}

/// Progress, where a terminal watches.
fn tell_step(device: &str, step: &WarmUp) {
    if !io::stderr().is_terminal() {
        return;
    }
    // What cannot be told is no reason to stop.
    let _ = writeln!(
        io::stderr(),
        "{device}: {} {} of {}, {}, {:.1} s",
        match step.phase {
            WarmUpPhase::Build => "built",
            WarmUpPhase::FirstRun => "ran",
        },
        step.done,
        step.total,
        step.kernel,
        step.took.as_secs_f64()
    );
}

/// What one device did so far, as JSON tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// The device's name.
    pub name: String,
    /// Answers that it gave.
    pub recovered: u64,
    /// Answers that were computed again on the CPU, to see whether they are right.
    pub rechecked: u64,
    /// Why it was given up, if it was.
    pub failure: Option<String>,
}

impl From<DeviceMetrics> for DeviceReport {
    fn from(metrics: DeviceMetrics) -> Self {
        let DeviceMetrics { name, recovered, rechecked, failure, .. } = metrics;
        Self { name, recovered, rechecked, failure: failure.map(|error| error.to_string()) }
    }
}

/// `pleach` in the directory for caches of this user, if there is one.
fn user_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".cache"));
    set("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|cache| cache.join("pleach"))
}
