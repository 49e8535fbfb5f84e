//! `pleach gpu`: which devices there are, whether they compute rightly, and how fast.

mod choice;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use pleach_gpu_accel::{
    Accelerator,
    gpu::{Calibration, Gpu, GpuAdapter, GpuError, random_requests},
};
use serde_json::json;

pub use choice::{DeviceArgs, DeviceReport, FormArg};

use crate::cli::EXIT_NOT_OK;

/// Arguments of `pleach gpu`.
#[derive(Debug, Args)]
pub struct GpuArgs {
    #[command(subcommand)]
    command: GpuCommand,
}

#[derive(Debug, Subcommand)]
enum GpuCommand {
    /// List the adapters that can be used.
    List(ListArgs),
    /// Compare each device with the CPU on crafted and random signatures and on messages.
    Selftest(SelftestArgs),
    /// Measure each device: batch sizes, and from which on it is faster than the CPU.
    Calibrate(CalibrateArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SelftestArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Random signatures, a tenth of them invalid, beside the crafted ones.
    #[arg(long, default_value_t = 10_000)]
    random: usize,
    /// Print JSON, one object a device.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CalibrateArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// CPU threads to compare with; by default as many as the machine runs at once.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON, one object a device.
    #[arg(long)]
    json: bool,
}

/// Does what the arguments ask for. Success only if every device that was asked did well.
pub fn run(args: &GpuArgs) -> ExitCode {
    let done = match &args.command {
        GpuCommand::List(args) => list(args),
        GpuCommand::Selftest(args) => selftest(args),
        GpuCommand::Calibrate(args) => calibrate(args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NOT_OK),
        Err(error) => {
            // If standard error is gone as well, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}

fn list(args: &ListArgs) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let adapters = args.device.adapters();
    for adapter in &adapters {
        let form = choice::form_name(adapter.best_form());
        let (name, kind) = (adapter.name(), adapter.kind());
        let (backend, driver) = (adapter.backend(), adapter.driver());
        if args.json {
            let line = json!({ "name": name, "kind": kind, "backend": backend, "driver": driver,
                "form": form });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{name}: {kind}, {backend}, {form} limbs, {driver}")?;
        }
    }
    if adapters.is_empty() && !args.json {
        writeln!(out, "no adapter: everything runs on the CPU (--software lists software ones)")?;
    }
    Ok(true)
}

fn selftest(args: &SelftestArgs) -> io::Result<bool> {
    each_device(&args.device, |gpu, adapter| {
        let test = gpu.self_test(args.random)?;
        if args.json {
            let report = json!({ "device": gpu.name(), "driver": adapter.driver(),
                "form": choice::form_name(gpu.form()), "crafted": test.crafted,
                "random": test.random, "messages": test.messages,
                "seconds": test.took.as_secs_f64() });
            return Ok(report.to_string());
        }
        Ok(format!(
            "{} ({} limbs): right on {} crafted and {} random signatures and {} messages, \
             in {:.1} s",
            gpu.name(),
            choice::form_name(gpu.form()),
            test.crafted,
            test.random,
            test.messages,
            test.took.as_secs_f64()
        ))
    })
}

fn calibrate(args: &CalibrateArgs) -> io::Result<bool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let accelerator = Accelerator::cpu(args.threads.unwrap_or(cores)).map_err(io::Error::other)?;
    let requests = random_requests(256 * accelerator.threads(), 3);
    let start = std::time::Instant::now();
    let answers = accelerator.recover(&requests);
    let cpu_per_second = answers.len() as f64 / start.elapsed().as_secs_f64();
    let threads = accelerator.threads();
    each_device(&args.device, |gpu, adapter| {
        gpu.self_test(1024)?;
        let calibration = gpu.calibrate(cpu_per_second)?;
        Ok(if args.json {
            calibration_json(gpu, adapter, &calibration, threads, cpu_per_second)
        } else {
            calibration_text(gpu, &calibration, threads, cpu_per_second)
        })
    })
}

fn calibration_text(
    gpu: &Gpu,
    calibration: &Calibration,
    threads: usize,
    cpu_per_second: f64,
) -> String {
    let mut text = format!("{} ({} limbs)\n", gpu.name(), choice::form_name(gpu.form()));
    text += "   batch   end to end ms    kernels ms   recoveries/s   kernels alone/s\n";
    for sample in &calibration.curve {
        text += &format!(
            "{:>8} {:>15.3} {:>13.3} {:>14.0} {:>17.0}\n",
            sample.batch,
            sample.end_to_end.as_secs_f64() * 1e3,
            sample.kernels.as_secs_f64() * 1e3,
            sample.per_second(),
            sample.kernels_per_second()
        );
    }
    let crossover = calibration.crossover.map_or("never".to_owned(), |n| format!("from {n} on"));
    text + &format!(
        "batches of {}; faster than {threads} CPU threads ({cpu_per_second:.0}/s) {crossover}",
        calibration.chunk
    )
}

fn calibration_json(
    gpu: &Gpu,
    adapter: &GpuAdapter,
    calibration: &Calibration,
    threads: usize,
    cpu_per_second: f64,
) -> String {
    let curve: Vec<_> = calibration
        .curve
        .iter()
        .map(|sample| {
            json!({ "batch": sample.batch,
                "end_to_end_ms": sample.end_to_end.as_secs_f64() * 1e3,
                "kernels_ms": sample.kernels.as_secs_f64() * 1e3 })
        })
        .collect();
    json!({ "device": gpu.name(), "driver": adapter.driver(),
        "form": choice::form_name(gpu.form()), "chunk": calibration.chunk,
        "crossover": calibration.crossover, "threads": threads,
        "cpu_per_second": cpu_per_second, "curve": curve })
    .to_string()
}

/// Opens each device and prints what `ask` makes of it. Whether all of them did well; no device
/// at all is not well.
fn each_device(
    args: &DeviceArgs,
    ask: impl Fn(&Gpu, &GpuAdapter) -> Result<String, GpuError>,
) -> io::Result<bool> {
    let adapters = args.adapters();
    if adapters.is_empty() {
        writeln!(io::stderr(), "no adapter: `pleach gpu list --software` lists software ones")?;
    }
    let mut well = !adapters.is_empty();
    for adapter in &adapters {
        match args.open(adapter).and_then(|gpu| ask(&gpu, adapter)) {
            Ok(text) => writeln!(io::stdout(), "{text}")?,
            Err(error) => {
                writeln!(io::stderr(), "error: {error}")?;
                well = false;
            }
        }
    }
    Ok(well)
}
