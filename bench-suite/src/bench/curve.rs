//! Throughput over the batch size: measured, printed, drawn.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::picture;
use crate::gpu::DeviceArgs;

/// A path stops at the batch that takes longer than this: its curve is flat by then.
const LONGEST_RUN: Duration = Duration::from_millis(500);

/// Arguments of every benchmark over batch sizes.
#[derive(Debug, Clone, Args)]
pub(super) struct CurveArgs {
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// CPU threads; by default as many as the machine runs at once.
    #[arg(long)]
    threads: Option<usize>,
    /// The largest batch.
    #[arg(long, default_value_t = 1 << 18)]
    max_batch: usize,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Also draw the curves, as SVG, into this file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// One measured batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Point {
    /// Elements of the batch.
    pub(super) batch: usize,
    /// Median seconds that it took.
    pub(super) seconds: f64,
    /// Elements a second.
    pub(super) per_second: f64,
}

/// One way of doing it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Series {
    /// Who computes, and what is counted.
    pub(super) path: String,
    /// The curve, small batches first.
    pub(super) points: Vec<Point>,
}

/// Everything that a run measured, and on what.
#[derive(Debug, Serialize)]
pub(super) struct CurveReport {
    /// What is counted, such as `recoveries`.
    pub(super) unit: &'static str,
    /// What was measured.
    pub(super) title: String,
    /// The processor's name.
    cpu: Option<String>,
    /// Threads of the paths that use several.
    pub(super) threads: usize,
    /// The devices, with their drivers.
    devices: Vec<String>,
    /// The commit that the working directory is at, if it is one.
    commit: Option<String>,
    /// The arguments.
    command: Vec<String>,
    /// The curves.
    pub(super) series: Vec<Series>,
}

impl Point {
    pub(super) fn new(batch: usize, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(1e-9);
        Self { batch, seconds, per_second: batch as f64 / seconds }
    }
}

impl CurveArgs {
    pub(super) fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(cores).max(1)
    }

    /// Batch sizes, each four times the one before.
    pub(super) fn batches(&self) -> impl Iterator<Item = usize> {
        let most = self.max_batch.max(1);
        (0..).map(|power| 1usize << (2 * power)).take_while(move |batch| *batch <= most)
    }

    /// Measures one path until a batch takes too long. What `run` gives is dropped untimed.
    pub(super) fn measure<T>(
        &self,
        path: impl Into<String>,
        mut run: impl FnMut(usize) -> T,
    ) -> Series {
        let mut points = Vec::new();
        for batch in self.batches() {
            let time = median_time(|| run(batch));
            points.push(Point::new(batch, time));
            if time > LONGEST_RUN {
                break;
            }
        }
        Series { path: path.into(), points }
    }

    /// Prints the report, and draws it where that is asked for.
    pub(super) fn tell(&self, report: &CurveReport) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        } else {
            table(&mut out, report)?;
        }
        self.picture.as_ref().map_or(Ok(()), |file| std::fs::write(file, picture::draw(report)))
    }

    pub(super) fn report(
        &self,
        unit: &'static str,
        title: String,
        series: Vec<Series>,
    ) -> CurveReport {
        let device = |adapter: &pleach_gpu_accel::gpu::GpuAdapter| {
            format!("{} ({}, {})", adapter.name(), adapter.backend(), adapter.driver())
        };
        CurveReport {
            unit,
            title,
            cpu: cpu_name(),
            threads: self.threads(),
            devices: self.device.adapters().iter().map(device).collect(),
            commit: commit(),
            command: std::env::args().collect(),
            series,
        }
    }
}

/// The median of at least three runs, and of more where they are short.
fn median_time<T>(mut run: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || (times.len() < 31 && start.elapsed() < LONGEST_RUN) {
        let begin = Instant::now();
        let result = run();
        times.push(begin.elapsed());
        drop(result);
        if times[0] > 2 * LONGEST_RUN {
            break;
        }
    }
    times.sort();
    times[times.len() / 2]
}

fn table(out: &mut impl Write, report: &CurveReport) -> io::Result<()> {
    writeln!(out, "{}", report.title)?;
    for series in &report.series {
        writeln!(out, "\n{}\n{:>9} {:>12} {:>14}", series.path, "batch", "ms", "per second")?;
        for point in &series.points {
            let ms = point.seconds * 1e3;
            writeln!(out, "{:>9} {ms:>12.4} {:>14.0}", point.batch, point.per_second)?;
        }
    }
    Ok(())
}

fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
