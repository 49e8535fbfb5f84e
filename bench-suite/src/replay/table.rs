//! The table that people read.

use std::fmt::Write;

use super::{
    report::{BlockReport, Status},
    summary::{Summary, Tally},
};

/// The table's head, which gives the columns their widths.
pub(super) fn header() -> String {
    format!(
        "{:<24} {:<14} {:>5} {:>8} {:>10} {:>11} {:>8} {:>8} {:>13}  {}",
        "block",
        "fork",
        "txs",
        "Mgas",
        "serial ms",
        "parallel ms",
        "speed-up",
        "machine",
        "exec/aborts",
        "status"
    )
}

/// A block's row and, if something is wrong, a line for each thing.
pub(super) fn row(report: &BlockReport) -> String {
    let dash = || "-".to_owned();
    let executions = report.executions.zip(report.aborts);
    let mut text = format!(
        "{:<24} {:<14} {:>5} {:>8} {:>10} {:>11} {:>8} {:>8} {:>13}  {}",
        name(report),
        report.fork.unwrap_or("-"),
        report.txs.map_or_else(dash, |txs| txs.to_string()),
        report.gas_used.map_or_else(dash, |gas| format!("{:.3}", gas as f64 / 1e6)),
        number(report.serial_ms, 3, ""),
        number(report.parallel_ms, 3, ""),
        number(report.speedup, 2, "x"),
        number(report.machine_scaling, 2, "x"),
        executions.map_or_else(dash, |(executions, aborts)| format!("{executions}/{aborts}")),
        report.status.name(),
    );
    for wrong in &report.mismatches {
        let (what, expected, got) = (wrong.what, &wrong.expected, &wrong.got);
        append(&mut text, &format!("    {what}: expected {expected}, got {got}"));
    }
    if report.status == Status::Error {
        append(&mut text, &format!("    error: {}", report.error.as_deref().unwrap_or_default()));
    }
    if report.status != Status::Ok && report.network.is_some() {
        append(&mut text, &format!("    in {}", report.origin));
    }
    text
}

/// Totals, medians, means and what was left unchecked.
pub(super) fn summary(summary: &Summary, tally: &Tally) -> String {
    let mut text = format!(
        "\n{} blocks: {} ok, {} mismatch, {} error; {:.1} Mgas",
        summary.blocks,
        summary.ok,
        summary.mismatch,
        summary.error,
        summary.gas_used as f64 / 1e6
    );
    if summary.passed_over > 0 {
        append(&mut text, &format!("{} JSON files are no blocks", summary.passed_over));
    }
    let kinds = [
        ("serial", summary.serial_ms, summary.serial_ms_median, summary.serial_mgas_per_s),
        ("parallel", summary.parallel_ms, summary.parallel_ms_median, summary.parallel_mgas_per_s),
    ];
    for (kind, total, median, rate) in kinds.into_iter().filter(|(_, total, ..)| total.is_some()) {
        let [total, median, rate] =
            [number(total, 1, ""), number(median, 3, ""), number(rate, 1, "")];
        let line = format!("{kind:<9} {total} ms in all, {median} ms median, {rate} Mgas/s");
        append(&mut text, &line);
    }
    append_speedups(&mut text, summary);
    if summary.whole_blocks > 0 {
        let line = format!(
            "whole     {} geometric mean of the {} blocks of at least 1 Mgas, signatures to root",
            number(summary.whole_speedup_geomean, 3, "x"),
            summary.whole_blocks,
        );
        append(&mut text, &line);
    }
    append_stream(&mut text, summary);
    for ((what, why), blocks) in &tally.not_checked {
        append(&mut text, &format!("not checked in {blocks} blocks: {what} ({why})"));
    }
    text
}

fn append_stream(text: &mut String, summary: &Summary) {
    if let Some(stream) = &summary.stream {
        let line = format!(
            "stream    {:.1} ms, senders recovered ahead ({:.1} ms, {:.0} % of it hidden); \
             {:.1} ms one after the other, of which recovery {:.1} ms: {:.3}x",
            stream.stream_ms,
            stream.recover_ms,
            stream.hidden * 100.0,
            stream.apart_ms,
            stream.apart_recover_ms,
            stream.speedup,
        );
        append(text, &line);
        if stream.mismatches > 0 {
            let line = format!("error: {} blocks gave another output there", stream.mismatches);
            append(text, &line);
        }
    }
    for device in &summary.devices {
        let failure = device.failure.as_ref().map_or(String::new(), |why| format!("; {why}"));
        let line = format!(
            "device    {}: {} signatures recovered, {} of them again{failure}",
            device.name, device.recovered, device.rechecked
        );
        append(text, &line);
    }
}

fn append_speedups(text: &mut String, summary: &Summary) {
    if summary.speedup_total.is_none() {
        return;
    }
    let line = format!(
        "speed-up  {} geometric mean, {} least, {} in all, on {} threads; machine_scaling {}",
        number(summary.speedup_geomean, 3, "x"),
        number(summary.speedup_min, 3, "x"),
        number(summary.speedup_total, 3, "x"),
        summary.threads,
        number(summary.machine_scaling, 2, "x"),
    );
    append(text, &line);
    if summary.large_blocks > 0 {
        let line = format!(
            "          {} geometric mean, {} least of the {} blocks of at least 4 Mgas",
            number(summary.large_speedup_geomean, 3, "x"),
            number(summary.large_speedup_min, 3, "x"),
            summary.large_blocks,
        );
        append(text, &line);
    }
}

/// A word on a machine that could not show a speed-up if there were one.
pub(super) fn warning(summary: &Summary) -> Option<String> {
    let scaling = summary.machine_scaling.filter(|_| summary.trusted == Some(false))?;
    Some(format!(
        "warning: machine_scaling is {scaling:.2} on {} threads, below 0.9 of them: the machine is \
         busy or has fewer cores, and this run's speed-ups are not to be trusted",
        summary.threads
    ))
}

/// What a block is called.
pub(super) fn name(report: &BlockReport) -> String {
    if let Some(workload) = report.workload {
        return workload.to_owned();
    }
    match (&report.network, report.number) {
        (Some(network), Some(number)) => format!("{network} {number}"),
        _ => report.origin.clone(),
    }
}

fn number(value: Option<f64>, decimals: usize, unit: &str) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}{unit}"))
}

fn append(text: &mut String, line: &str) {
    write!(text, "\n{line}").expect("writing to a string does not fail");
}
