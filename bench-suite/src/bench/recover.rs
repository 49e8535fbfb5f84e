//! `pleach bench recover`.

use std::io;

use clap::Args;
use pleach_gpu_accel::{
    Accelerator, RecoveryRequest,
    gpu::{Gpu, GpuError, random_requests},
    recover_one,
};

use super::curve::{CurveArgs, Point, Series};

/// Arguments of `pleach bench recover`.
#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    curve: CurveArgs,
    /// The seed of the signatures, a tenth of which are invalid.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Measures libsecp256k1, the CPU's batch path on one and on all threads, and each device.
///
/// # Errors
/// If the devices differ from the CPU, or the report cannot be written.
pub(super) fn run(args: &RecoverArgs) -> io::Result<()> {
    let curve = &args.curve;
    let most = curve.batches().last().unwrap_or(1);
    let requests = random_requests(most, args.seed);
    let threads = curve.threads();
    let one = |count: usize| -> Vec<_> { requests[..count].iter().map(recover_one).collect() };
    let mut series = vec![curve.measure("libsecp256k1, 1 thread, one at a time", one)];
    for count in if threads > 1 { vec![1, threads] } else { vec![1] } {
        let accelerator = Accelerator::cpu(count).map_err(io::Error::other)?;
        check(&accelerator, &requests[..most.min(512)])?;
        let path = format!("CPU batch path, threads: {count}");
        series.push(curve.measure(path, |batch| accelerator.recover(&requests[..batch])));
    }
    for adapter in curve.device.adapters() {
        let gpu = curve.device.open(&adapter).map_err(io::Error::other)?;
        gpu.self_test(1024).map_err(io::Error::other)?;
        series.extend(device(curve, &gpu).map_err(io::Error::other)?);
    }
    let title = format!("Sender recovery, seed {}", args.seed);
    curve.tell(&curve.report("recoveries", title, series))
}

/// Equality before speed.
fn check(accelerator: &Accelerator, requests: &[RecoveryRequest]) -> io::Result<()> {
    let expected: Vec<_> = requests.iter().map(recover_one).collect();
    if accelerator.recover(requests) == expected {
        return Ok(());
    }
    Err(io::Error::other("the CPU's batch path differs from libsecp256k1: nothing was timed"))
}

fn device(curve: &CurveArgs, gpu: &Gpu) -> Result<[Series; 2], GpuError> {
    let mut end_to_end = Vec::new();
    let mut kernels = Vec::new();
    for batch in curve.batches() {
        match gpu.sample(batch, 5) {
            Ok(sample) => {
                end_to_end.push(Point::new(batch, sample.end_to_end));
                kernels.push(Point::new(batch, sample.kernels));
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
    ])
}
