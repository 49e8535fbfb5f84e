//! Who did what when: threads over time, and transactions over time with the commit frontier.

use std::collections::BTreeSet;

use super::html::{self, Html, put};
use crate::profile::model::{BlockProfile, Incarnation, Schedule};

/// The drawing's width, in units of its own: it is stretched to the page's.
const WIDTH: f64 = 10_000.0;
/// Nothing is drawn thinner than this.
const THINNEST: f64 = 4.0;
/// Pixels of a thread's row, of the mark under it, and of the gap below both.
const ROW: usize = 20;
const MARK: usize = 4;
const GAP: usize = 8;
const LANE: usize = ROW + MARK + GAP;
/// Pixels of the picture of transactions over time.
const FRONTIER: usize = 300;

/// The picture and what it means.
pub(super) fn render(html: &mut Html, profile: &BlockProfile) {
    let schedule = &profile.schedule;
    put!(html, "<h3>What happened when</h3>");
    explain(html, profile);
    let lanes = schedule.workers * LANE;
    put!(
        html,
        "<div class=\"zoom\"><button type=\"button\" data-zoom=\"0.5\">−</button>\
         <button type=\"button\" data-zoom=\"2\">+</button>\
         <button type=\"button\" data-zoom=\"0\">fit</button></div>\
         <div class=\"picture\"><div class=\"names\"><div style=\"height:1.6em\"></div>"
    );
    for worker in 0..schedule.workers {
        let role = if worker == 0 { " (commits)" } else { "" };
        put!(html, "<div style=\"height:{LANE}px\">thread {}{role}</div>", worker + 1);
    }
    let last = profile.transactions.len().saturating_sub(1);
    put!(
        html,
        "<div class=\"range\" style=\"height:{FRONTIER}px\"><span>transaction {last}</span>\
         <span>transaction 0</span></div></div><div class=\"scroll\"><div class=\"plane\">"
    );
    axis(html, schedule.end_us);
    let path: BTreeSet<_> = profile.critical_path.steps.iter().map(|step| step.index).collect();
    threads(html, profile, &path, lanes);
    frontier(html, profile, &path);
    put!(html, "</div></div></div>");
}

fn explain(html: &mut Html, profile: &BlockProfile) {
    put!(
        html,
        "<p>Above, each thread over time: one box is one run of one transaction. Below, the same \
         runs by the transaction's place in the block, with the <b class=\"f\">commit \
         frontier</b>: all transactions under the line are final. A box above the line ran ahead; \
         how far above, so many transactions ahead. Point at a box to see whose it is.</p><p \
         class=\"legend\">"
    );
    let kinds = [
        ("s", "ran ahead, and its result counted"),
        ("s again", "the same, after an earlier run of it did not count"),
        ("t", "ran in its turn, on the committed state"),
        ("x", "thrown away: what it had read was stale"),
        ("w", "stopped to wait, or gave no result"),
        ("c", "committing: receipt and state changes"),
        ("k", "on the critical path"),
    ];
    for (class, text) in kinds {
        put!(html, "<span><i class=\"{class}\"></i>{text}</span> ");
    }
    put!(html, "</p>");
    if profile.decision == "gave_up" {
        put!(
            html,
            "<p>In the hatched part, running ahead was given up and one thread ran the rest.</p>"
        );
    }
}

/// Ticks at round times.
fn axis(html: &mut Html, end_us: f64) {
    put!(html, "<div class=\"axis\" data-end=\"{end_us:.3}\">");
    let rough = (end_us / 8.0).max(0.001);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough);
    let step = step.unwrap_or(power * 10.0);
    let mut at = 0.0;
    while at < end_us {
        let left = at / end_us * 100.0;
        put!(html, "<span style=\"left:{left:.3}%\">{} ms</span>", trimmed(at / 1e3));
        at += step;
    }
    put!(html, "</div>");
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn threads(html: &mut Html, profile: &BlockProfile, path: &BTreeSet<usize>, height: usize) {
    let schedule = &profile.schedule;
    put!(
        html,
        "<svg class=\"lanes\" style=\"height:{height}px\" viewBox=\"0 0 {WIDTH} {height}\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{} threads over {:.3} ms: {} runs \
         of {} transactions\">",
        schedule.workers,
        schedule.end_us / 1e3,
        schedule.incarnations.len(),
        profile.transactions.len()
    );
    if schedule.end_us > schedule.stopped_us && profile.decision == "gave_up" {
        let (x, width) = place(schedule, schedule.stopped_us, schedule.end_us);
        put!(
            html,
            "<rect class=\"h\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{ROW}\" \
             data-t=\"running ahead was given up\"/>"
        );
    }
    for commit in &schedule.commits {
        let (x, width) = place(schedule, commit.at_us, commit.until_us);
        put!(
            html,
            "<rect class=\"c\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{ROW}\" \
             data-t=\"commit of transaction {}, {:.1} µs\"/>",
            commit.index,
            commit.until_us - commit.at_us
        );
    }
    for run in &schedule.incarnations {
        let (x, width) = place(schedule, run.start_us, run.end_us);
        let y = run.worker * LANE;
        let (class, tip) = (class(run), tip(profile, run));
        put!(
            html,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{ROW}\" data-t=\"{tip}\"/>"
        );
        if path.contains(&run.index) && counted(run) {
            let y = y + ROW;
            put!(
                html,
                "<rect class=\"k\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{MARK}\"/>"
            );
        }
    }
    put!(html, "</svg>");
}

fn frontier(html: &mut Html, profile: &BlockProfile, path: &BTreeSet<usize>) {
    let schedule = &profile.schedule;
    let count = profile.transactions.len().max(1);
    put!(
        html,
        "<svg class=\"frontier\" style=\"height:{FRONTIER}px\" viewBox=\"0 0 {WIDTH} {count}\" \
         preserveAspectRatio=\"none\" role=\"img\" aria-label=\"the commit frontier over time\">"
    );
    // Two pixels high at least, however many there are, and three on the critical path.
    let pixel = count as f64 / FRONTIER as f64;
    for run in &schedule.incarnations {
        let (x, width) = place(schedule, run.start_us, run.end_us);
        let y = (count - 1 - run.index) as f64;
        let on_path = path.contains(&run.index) && counted(run);
        let (class, pixels) = if on_path { ("k", 3.0) } else { (class(run), 2.0) };
        let (width, height) = (width.max(3.0 * THINNEST), (pixels * pixel).max(0.9));
        let tip = tip(profile, run);
        put!(
            html,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{height:.2}\" data-t=\"{tip}\"/>"
        );
    }
    put!(html, "<path class=\"line\" d=\"M0 {count}");
    for commit in &schedule.commits {
        let (x, _) = place(schedule, commit.at_us, commit.at_us);
        put!(html, "H{x:.1}V{}", count - 1 - commit.index);
    }
    put!(html, "\"/></svg>");
}

/// Where a span of time begins in the drawing, and how wide it is.
fn place(schedule: &Schedule, start_us: f64, end_us: f64) -> (f64, f64) {
    let scale = WIDTH / schedule.end_us.max(f64::MIN_POSITIVE);
    (start_us * scale, ((end_us - start_us) * scale).max(THINNEST))
}

/// Whether it is the run whose result was committed.
fn counted(run: &Incarnation) -> bool {
    matches!(run.outcome, "stood" | "in_turn")
}

fn class(run: &Incarnation) -> &'static str {
    match (run.outcome, run.incarnation) {
        ("stood", 0) => "s",
        ("stood", _) => "s again",
        ("in_turn", _) => "t",
        ("did_not_stand" | "overtaken", _) => "x",
        _ => "w",
    }
}

fn tip(profile: &BlockProfile, run: &Incarnation) -> String {
    let tx = &profile.transactions[run.index];
    let call = html::call(tx.to.as_ref(), tx.selector.as_ref(), tx.signature);
    let to = tx.to.as_ref().map(html::short_address).unwrap_or_default();
    let outcome = match run.outcome {
        "stood" => "ran ahead, result counted",
        "in_turn" => "ran in its turn",
        "did_not_stand" => "thrown away at its turn: it had read stale state",
        "overtaken" => "thrown away at its end: overtaken by a lower transaction",
        "waited" => "stopped to wait for a lower transaction",
        "void" => "gave no result",
        _ => "not finished",
    };
    let text = format!(
        "transaction {}, run {}: {outcome}\n{:.1} µs from {:.3} ms on, {} gas\n{call} {to}",
        run.index,
        run.incarnation + 1,
        run.end_us - run.start_us,
        run.start_us / 1e3,
        html::thousands(tx.gas),
    );
    html::escape(&text)
}
