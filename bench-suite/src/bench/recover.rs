//! `pleach bench recover`.

use std::{io, sync::Arc};

use clap::Args;
use pleach_crew::Crew;
use pleach_gpu_accel::{
    Accelerator, RecoveryRequest,
    gpu::{Gpu, GpuError, random_requests},
    recover_one,
};

use super::curve::{CurveArgs, CurveReport, Point, Series};

/// Arguments of `pleach bench recover`.
#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    pub(super) curve: CurveArgs,
    /// The seed of the signatures, a tenth of which are invalid.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

/// The path that the others are compared with.
pub(super) const LIBSECP256K1: &str = "libsecp256k1, 1 thread, one at a time";

/// The name of the CPU's batch path on so many threads.
pub(super) fn cpu_path(threads: usize) -> String {
    format!("CPU batch path, threads: {threads}")
}

/// Bytes of the messages that signatures are recovered from on devices: a plain transfer has about
/// 50, a call some hundred more.
const MESSAGE_BYTES: usize = 110;

/// Measures libsecp256k1, the CPU's batch path on one and on all threads, and each device.
///
/// # Errors
/// If the devices differ from the CPU, or the report cannot be written.
pub(super) fn run(args: &RecoverArgs) -> io::Result<()> {
    args.curve.tell(&report(args)?)
}

/// The measurements.
///
/// # Errors
/// If the devices differ from the CPU.
pub(super) fn report(args: &RecoverArgs) -> io::Result<CurveReport> {
    let curve = &args.curve;
    let most = curve.batches().last().unwrap_or(1);
    let requests = random_requests(most, args.seed);
    let threads = curve.threads();
    let one = |count: usize| -> Vec<_> { requests[..count].iter().map(recover_one).collect() };
    let mut series = vec![curve.measure(LIBSECP256K1, one)];
    for count in if threads > 1 { vec![1, threads] } else { vec![1] } {
        let accelerator = Accelerator::cpu(count).map_err(io::Error::other)?;
        check(&accelerator, &requests[..most.min(512)])?;
        let path = cpu_path(count);
        series.push(curve.measure(path, |batch| accelerator.recover(&requests[..batch])));
    }
    for adapter in curve.device.adapters() {
        let gpu = curve.device.open(&adapter).map_err(io::Error::other)?;
        gpu.self_test(1024).map_err(io::Error::other)?;
        series.extend(device(curve, &gpu).map_err(io::Error::other)?);
    }
    if curve.device.is_asked_for() {
        // Both ends of one queue, as the engine uses them.
        let accelerator =
            curve.device.accelerator(Arc::new(Crew::new(threads.saturating_sub(1))?))?;
        check(&accelerator, &requests[..most.min(1 << 14)])?;
        let path = format!("CPU batch path and devices together, threads: {threads}");
        series.push(curve.measure(path, |batch| accelerator.recover(&requests[..batch])));
    }
    let title = format!("Sender recovery, seed {}", args.seed);
    Ok(curve.report("recoveries", title, series))
}

/// Equality before speed.
fn check(accelerator: &Accelerator, requests: &[RecoveryRequest]) -> io::Result<()> {
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    if accelerator.recover(requests) == expected {
        return Ok(());
    }
    Err(io::Error::other("the CPU's batch path differs from libsecp256k1: nothing was timed"))
}

fn device(curve: &CurveArgs, gpu: &Gpu) -> Result<[Series; 3], GpuError> {
    let mut end_to_end = Vec::new();
    let mut kernels = Vec::new();
    let mut fused = Vec::new();
    for batch in curve.batches() {
        match gpu.sample(batch, 5) {
            Ok(sample) => {
                end_to_end.push(Point::new(batch, sample.end_to_end));
                kernels.push(Point::new(batch, sample.kernels));
                fused.push(Point::new(batch, gpu.sample_fused(batch, MESSAGE_BYTES, 5)?));
                if sample.end_to_end > std::time::Duration::from_millis(500) {
                    break;
                }
            }
            Err(GpuError::OutOfMemory { .. }) if !kernels.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let name = format!("{} ({:?} limbs)", gpu.name(), gpu.form());
    Ok([
        Series { path: format!("{name}, end to end"), points: end_to_end },
        Series { path: format!("{name}, kernels alone"), points: kernels },
        Series {
            path: format!("{name}, end to end from messages of {MESSAGE_BYTES} bytes"),
            points: fused,
        },
    ])
}
