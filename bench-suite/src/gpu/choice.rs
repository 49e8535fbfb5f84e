//! Which devices a command uses, and how it opens them.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use pleach_gpu_accel::gpu::{
    AdapterChoice, Gpu, GpuAdapter, GpuError, GpuOptions, LimbForm, WarmUpPhase, adapters,
};

/// Arguments of every command that uses devices.
#[derive(Debug, Clone, Default, Args)]
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

    /// Opens an adapter, and tells of each kernel on standard error as it is built.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open(&self, adapter: &GpuAdapter) -> Result<Gpu, GpuError> {
        let form = self.form.map(|form| match form {
            FormArg::Wide => LimbForm::Wide,
            FormArg::Narrow => LimbForm::Narrow,
        });
        let cache_directory = self.kernel_cache.clone().or_else(user_cache);
        let options = GpuOptions { form, cache_directory, ..GpuOptions::default() };
        Gpu::open(adapter, &options, &mut |step| {
            // Progress that cannot be shown is no reason to stop.
            let _ = writeln!(
                io::stderr(),
                "{}: {} {} of {}, {}, {:.1} s",
                adapter.name(),
                match step.phase {
                    WarmUpPhase::Build => "built",
                    WarmUpPhase::FirstRun => "ran",
                },
                step.done,
                step.total,
                step.kernel,
                step.took.as_secs_f64()
            );
        })
    }
}

/// `pleach` in the directory for caches of this user, if there is one.
fn user_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".cache"));
    set("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).map(|cache| cache.join("pleach"))
}
