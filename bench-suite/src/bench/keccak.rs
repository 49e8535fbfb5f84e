//! `pleach bench keccak`.

use std::io;

use alloy_primitives::keccak256;
use clap::Args;
use pleach_gpu_accel::{
    Accelerator,
    gpu::{Gpu, GpuError},
};

use super::{
    curve::{CurveArgs, CurveReport, Point, Series},
    recover::cpu_path,
};

/// The path that the others are compared with.
pub(super) const ASM_KECCAK: &str = "asm-keccak, 1 thread, one at a time";

/// Arguments of `pleach bench keccak`.
#[derive(Debug, Args)]
pub(super) struct KeccakArgs {
    #[command(flatten)]
    pub(super) curve: CurveArgs,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64)]
    pub(super) bytes: usize,
}

/// Measures one hash at a time, the CPU's batch path on one and on all threads, and each device.
///
/// # Errors
/// If an answer is wrong, or the report cannot be written.
pub(super) fn run(args: &KeccakArgs) -> io::Result<()> {
    args.curve.tell(&report(args)?)
}

/// The measurements.
///
/// # Errors
/// If an answer is wrong.
pub(super) fn report(args: &KeccakArgs) -> io::Result<CurveReport> {
    let curve = &args.curve;
    let most = curve.batches().last().unwrap_or(1);
    let messages: Vec<Vec<u8>> = (0..most).map(|index| message(index, args.bytes)).collect();
    let expected: Vec<_> = messages.iter().take(4096).map(keccak256).collect();
    let one = |count: usize| -> Vec<_> { messages[..count].iter().map(keccak256).collect() };
    let mut series = vec![curve.measure(ASM_KECCAK, one)];
    let threads = curve.threads();
    for count in if threads > 1 { vec![1, threads] } else { vec![1] } {
        let accelerator = Accelerator::cpu(count).map_err(io::Error::other)?;
        if accelerator.keccak256(&messages[..expected.len()]) != expected {
            return Err(io::Error::other("the CPU's batch path gives a wrong hash"));
        }
        let path = cpu_path(count);
        series.push(curve.measure(path, |batch| accelerator.keccak256(&messages[..batch])));
    }
    for adapter in curve.device.adapters() {
        let gpu = curve.device.open(&adapter).map_err(io::Error::other)?;
        gpu.self_test(64).map_err(io::Error::other)?;
        series.extend(device(args, &gpu).map_err(io::Error::other)?);
    }
    let title = format!("Keccak-256 of {} bytes", args.bytes);
    Ok(curve.report("hashes", title, series))
}

fn message(index: usize, bytes: usize) -> Vec<u8> {
    index.to_le_bytes().into_iter().cycle().take(bytes).collect()
}

fn device(args: &KeccakArgs, gpu: &Gpu) -> Result<[Series; 2], GpuError> {
    let mut end_to_end = Vec::new();
    let mut kernels = Vec::new();
    for batch in args.curve.batches() {
        match gpu.sample_hash(batch, args.bytes, 5) {
            Ok(sample) => {
                end_to_end.push(Point::new(batch, sample.end_to_end));
                kernels.push(Point::new(batch, sample.kernels));
            }
            Err(GpuError::TooLong { .. } | GpuError::OutOfMemory { .. }) if batch > 1 => break,
            Err(error) => return Err(error),
        }
    }
    let name = format!("{} ({:?} limbs)", gpu.name(), gpu.form());
    Ok([
        Series { path: format!("{name}, end to end"), points: end_to_end },
        Series { path: format!("{name}, kernels alone"), points: kernels },
    ])
}
