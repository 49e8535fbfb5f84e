//! `pleach bench devices`: everything there is to measure about devices and the CPU beside them,
//! and the record of it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use pleach_gpu_accel::{
    Accelerator,
    gpu::{
        Calibration, Gpu, GpuAdapter, GpuError, GpuOptions, P256Request, P256Verifier,
        random_p256_requests, verify_p256_one,
    },
};
use serde::Serialize;

use super::{
    curve::{CurveArgs, CurveReport, Point, Series},
    keccak::{self, KeccakArgs},
    picture,
    recover::{self, RecoverArgs},
};

/// Arguments of `pleach bench devices`.
#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    #[command(flatten)]
    curve: CurveArgs,
    /// Random signatures, a tenth of them invalid, that each device is tested with first.
    #[arg(long, default_value_t = 100_000)]
    random: usize,
    /// The folder that the record is written to: `record.json` and a picture of each curve.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What is written to `record.json`.
#[derive(Debug, Serialize)]
struct Record {
    devices: Vec<DeviceRecord>,
    /// What is aimed at, and what was found.
    goals: Vec<Goal>,
    recover: CurveReport,
    keccak: CurveReport,
    p256: CurveReport,
}

/// One device.
#[derive(Debug, Serialize)]
struct DeviceRecord {
    device: String,
    kind: &'static str,
    backend: String,
    driver: String,
    form: String,
    /// Opening it without kept kernels. The driver may keep some of its own.
    cold_s: f64,
    /// Opening it with the kernels that the first opening left.
    warm_s: f64,
    /// Signatures and messages that it was compared on, without a difference.
    crafted: usize,
    random: usize,
    messages: usize,
    /// Signatures a batch; its speed; from how many on it is faster than all CPU threads.
    chunk: usize,
    per_second: f64,
    crossover: Option<usize>,
}

/// A figure that is aimed at.
#[derive(Debug, Serialize)]
struct Goal {
    goal: String,
    wanted: f64,
    found: Option<f64>,
    holds: bool,
}

/// Measures everything and writes the record. A goal that is missed is no error; a wrong answer is.
///
/// # Errors
/// If a device cannot be opened or errs, or the record cannot be written.
pub(super) fn run(args: &DevicesArgs) -> io::Result<()> {
    fs::create_dir_all(&args.out)?;
    let recover_args = RecoverArgs { curve: args.curve.clone(), seed: 1 };
    let recover = recover::report(&recover_args)?;
    let cpu_per_second =
        best(&recover, &recover::cpu_path(args.curve.threads())).unwrap_or_default();
    let mut devices = Vec::new();
    for adapter in args.curve.device.adapters() {
        devices.push(device(args, &adapter, cpu_per_second).map_err(io::Error::other)?);
    }
    let keccak = keccak::report(&KeccakArgs { curve: args.curve.clone(), bytes: 64 })?;
    let p256 = p256(&args.curve)?;
    let goals = goals(&devices, &recover, &keccak);
    let record = Record { devices, goals, recover, keccak, p256 };
    write(&args.out, &record)?;
    tell(args.curve.json, &record)
}

fn write(out: &Path, record: &Record) -> io::Result<()> {
    let reports =
        [("recover", &record.recover), ("keccak", &record.keccak), ("p256", &record.p256)];
    for (name, report) in reports {
        fs::write(out.join(name).with_extension("svg"), picture::draw(report))?;
    }
    fs::write(out.join("record.json"), serde_json::to_string_pretty(record)? + "\n")
}

fn tell(json: bool, record: &Record) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", serde_json::to_string(record)?);
    }
    for device in &record.devices {
        writeln!(
            out,
            "{} ({} limbs, {}): cold {:.1} s, warm {:.1} s; {} signatures without a difference; \
             batches of {}, {:.0}/s, crossover {}",
            device.device,
            device.form,
            device.driver,
            device.cold_s,
            device.warm_s,
            device.crafted + device.random,
            device.chunk,
            device.per_second,
            device.crossover.map_or("never".to_owned(), |batch| batch.to_string()),
        )?;
    }
    for goal in &record.goals {
        let found = goal.found.map_or("not measured".to_owned(), |found| format!("{found:.3}"));
        let holds = if goal.holds { "holds" } else { "missed" };
        writeln!(out, "{holds:<7} {}: {found}, wanted {}", goal.goal, goal.wanted)?;
    }
    Ok(())
}

fn device(
    args: &DevicesArgs,
    adapter: &GpuAdapter,
    cpu_per_second: f64,
) -> Result<DeviceRecord, GpuError> {
    // A folder of its own, so that what earlier runs kept does not count.
    let cache = args.out.join(format!("kernels-{}", std::process::id()));
    let options =
        GpuOptions { cache_directory: Some(cache.clone()), ..args.curve.device.options() };
    let open = || {
        let start = Instant::now();
        Gpu::open(adapter, &options, &mut |_| {}).map(|gpu| (gpu, start.elapsed()))
    };
    let (cold, opened_again) = (open(), open());
    // What is left of the folder is in nobody's way.
    let _ = fs::remove_dir_all(cache);
    let ((_, cold), (gpu, warm)) = (cold?, opened_again?);
    let test = gpu.self_test(args.random)?;
    let Calibration { chunk, per_second, crossover, .. } = gpu.calibrate(cpu_per_second)?;
    Ok(DeviceRecord {
        device: gpu.name().to_owned(),
        kind: adapter.kind(),
        backend: adapter.backend(),
        driver: adapter.driver(),
        form: format!("{:?}", gpu.form()),
        cold_s: cold.as_secs_f64(),
        warm_s: warm.as_secs_f64(),
        crafted: test.crafted,
        random: test.random,
        messages: test.messages,
        chunk,
        per_second,
        crossover,
    })
}

/// Signatures that differ; larger batches repeat them.
const P256_REQUESTS: usize = 1024;

/// P-256: one at a time and on all threads of the CPU, and each device.
fn p256(curve: &CurveArgs) -> io::Result<CurveReport> {
    let most = curve.batches().last().unwrap_or(1).min(1 << 16);
    let different = random_p256_requests(most.min(P256_REQUESTS), 1);
    let expected: Vec<bool> = different.iter().map(verify_p256_one).collect();
    let requests: Vec<_> = different.into_iter().cycle().take(most).collect();
    let expected: Vec<_> = expected.into_iter().cycle().take(most).collect();
    let up_to = |count: usize| &requests[..count.min(most)];
    let one = |count: usize| up_to(count).iter().map(verify_p256_one).collect::<Vec<bool>>();
    let mut series = vec![curve.measure("p256 crate, 1 thread, one at a time", one)];
    let accelerator = Accelerator::cpu(curve.threads()).map_err(io::Error::other)?;
    let path = format!("p256 crate, threads: {}", curve.threads());
    series.push(curve.measure(path, |count| accelerator.verify_p256(up_to(count))));
    for adapter in curve.device.adapters() {
        let gpu = curve.device.open(&adapter).map_err(io::Error::other)?;
        let verifier = gpu.p256(&mut |_| {}).map_err(io::Error::other)?;
        let path = format!("{} ({:?} limbs), end to end", gpu.name(), gpu.form());
        let points = p256_points(curve, &verifier, &requests, &expected)?;
        series.push(Series { path, points });
    }
    Ok(curve.report("verifications", "P-256 verification".to_owned(), series))
}

/// Equality before speed, at each batch size.
fn p256_points(
    curve: &CurveArgs,
    verifier: &P256Verifier<'_>,
    requests: &[P256Request],
    expected: &[bool],
) -> io::Result<Vec<Point>> {
    let mut points = Vec::new();
    for batch in curve.batches().take_while(|batch| *batch <= requests.len()) {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            let answers = verifier.verify(&requests[..batch]).map_err(io::Error::other)?;
            best = best.min(start.elapsed());
            if answers != expected[..batch] {
                return Err(io::Error::other("a device verifies P-256 signatures wrongly"));
            }
        }
        points.push(Point::new(batch, best));
        if best > Duration::from_millis(500) {
            break;
        }
    }
    Ok(points)
}

/// The best speed of a path.
fn best(report: &CurveReport, path: &str) -> Option<f64> {
    let series = report.series.iter().filter(|series| series.path == path);
    series.flat_map(|series| &series.points).map(|point| point.per_second).reduce(f64::max)
}

/// The goals for the CPU, whatever it is, and for hardware devices, of which the best counts.
fn goals(devices: &[DeviceRecord], recover: &CurveReport, keccak: &CurveReport) -> Vec<Goal> {
    let at_least = |goal: &str, wanted: f64, found: Option<f64>| Goal {
        goal: goal.to_owned(),
        wanted,
        found,
        holds: found.is_some_and(|found| found >= wanted),
    };
    let at_most = |goal: &str, wanted: f64, found: Option<f64>| Goal {
        goal: goal.to_owned(),
        wanted,
        found,
        holds: found.is_some_and(|found| found <= wanted),
    };
    let times = |report: &CurveReport, one: &str, batched: &str| {
        best(report, batched).zip(best(report, one)).map(|(batched, one)| batched / one)
    };
    let on_one = recover::cpu_path(1);
    let mut goals = vec![
        at_least(
            "recovery on one thread, over libsecp256k1",
            4.0,
            times(recover, recover::LIBSECP256K1, &on_one),
        ),
        at_least(
            "Keccak-256 on one thread, over asm-keccak",
            3.0,
            times(keccak, keccak::ASM_KECCAK, &on_one),
        ),
    ];
    for device in devices.iter().filter(|device| device.kind != "software") {
        let path = |what: &str| format!("{} ({} limbs), {what}", device.device, device.form);
        let name = |what: &str| format!("{}: {what}", device.device);
        let end_to_end = path("end to end");
        let batch_of_1024 = recover.series.iter().find(|series| series.path == end_to_end);
        let batch_of_1024 =
            batch_of_1024.and_then(|series| series.points.iter().find(|point| point.batch == 1024));
        goals.extend([
            at_least(&name("recoveries a second, end to end"), 10e6, best(recover, &end_to_end)),
            at_most(
                &name("milliseconds for 1,024 signatures"),
                2.0,
                batch_of_1024.map(|point| point.seconds * 1e3),
            ),
            at_least(
                &name("Keccak-256 of 64 bytes a second, kernel alone"),
                2e9,
                best(keccak, &path("kernels alone")),
            ),
            at_most(&name("seconds to build all kernels, cold"), 60.0, Some(device.cold_s)),
        ]);
    }
    goals
}
