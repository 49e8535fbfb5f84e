//! A profile as a page: one HTML file that needs nothing else, a section for each block.

mod heat;
mod html;
mod path;
mod schedule;

use std::{fs::OpenOptions, io, path::Path};

use self::html::{Html, put};
use super::model::{BlockProfile, Limit};

/// The page, as it grows.
#[derive(Debug, Default)]
pub struct Page {
    sections: Vec<Section>,
}

/// A block on the page.
#[derive(Debug)]
struct Section {
    name: String,
    facts: String,
    profile: Option<Box<BlockProfile>>,
}

impl Page {
    /// Fails now if the page could not be written later: profiles take time. The file is created if
    /// there is none and else left as it is.
    ///
    /// # Errors
    /// What the operating system says, with the path and what to do about it.
    pub fn check_writable(path: &Path) -> io::Result<()> {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        opened.map(drop).map_err(|error| explain(path, &error))
    }

    /// Adds a block under a name. `facts` is a line on what it is, or why it has no profile.
    pub fn add(&mut self, name: String, facts: String, profile: Option<Box<BlockProfile>>) {
        self.sections.push(Section { name, facts, profile });
    }

    /// Writes the page.
    ///
    /// # Errors
    /// What the operating system says, with the path.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.render()).map_err(|error| explain(path, &error))
    }

    /// The page's HTML.
    pub fn render(&self) -> String {
        let mut html = Html::default();
        put!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <title>Pleach profile</title><style>{}</style></head><body><main>",
            include_str!("page.css")
        );
        put!(html, "<h1>Where the time went</h1>");
        self.overview(&mut html);
        how_to_read(&mut html);
        for (number, section) in self.sections.iter().enumerate() {
            section.render(&mut html, number);
        }
        put!(
            html,
            "</main><div id=\"tip\" role=\"status\"></div><script>{}</script></body></html>\n",
            include_str!("page.js")
        );
        html.finish()
    }

    fn overview(&self, html: &mut Html) {
        if self.sections.is_empty() {
            put!(html, "<p>There were no blocks.</p>");
            return;
        }
        put!(
            html,
            "<div class=\"wide\"><table class=\"overview\"><thead><tr><th>block</th>\
             <th class=\"n\">transactions</th><th class=\"n\">Mgas</th><th class=\"n\">serial ms\
             </th><th class=\"n\">parallel ms</th><th class=\"n\">limit ms</th>\
             <th class=\"w\">limited by</th><th class=\"n\">limit reached</th><th \
             class=\"n\">thrown away</th><th>hottest account</th></tr></thead><tbody>"
        );
        for (number, section) in self.sections.iter().enumerate() {
            section.overview_row(html, number);
        }
        put!(html, "</tbody></table></div>");
    }
}

fn explain(path: &Path, error: &io::Error) -> io::Error {
    let hint = "give --profile a file in a folder that exists and that you may write to";
    let text = format!("the profile cannot be written to {}: {error}; {hint}", path.display());
    io::Error::new(error.kind(), text)
}

fn how_to_read(html: &mut Html) {
    put!(
        html,
        "<details class=\"guide\"><summary>How to read this page</summary><p>Transactions of a \
         block run side by side, ahead of their turn, and are committed in block order. A \
         transaction that reads what a lower one writes <em>rests on</em> it: if it ran too early, \
         what it read is stale, its result is thrown away and it runs again. Each such run is an \
         <em>incarnation</em>. Paying into an account makes nobody wait, and neither do the nonces \
         of one sender's transactions: only storage slots, code, and balances that somebody looks \
         at.</p><p>The <em>critical path</em> is the chain of transactions, each resting on the \
         one before, that takes longest. No number of threads gets below it. With P threads, \
         nothing gets below all the work, T1, divided by P either. The larger of the two is the \
         <em>limit</em>: <code>max(T1/P, T∞)</code>. Where the critical path is the larger, the \
         contracts decide how fast the block can be, and the tables say which.</p></details>"
    );
}

impl Section {
    fn overview_row(&self, html: &mut Html, number: usize) {
        let name = html::escape(&self.name);
        let Some(profile) = &self.profile else {
            let facts = html::escape(&self.facts);
            put!(html, "<tr><td>{name}</td><td colspan=\"9\">{facts}</td></tr>");
            return;
        };
        let Limit { serial_ms, parallel_ms, limit_ms, reached, .. } = profile.limit;
        let hottest = profile
            .contracts
            .first()
            .filter(|contract| contract.path_transactions > 0 || contract.aborts > 0);
        let hottest = hottest.map_or_else(
            || "none".to_owned(),
            |contract| {
                let short = html::short_address(&contract.address);
                format!("<code title=\"{}\">{short}</code>", contract.address)
            },
        );
        put!(
            html,
            "<tr><td class=\"w\"><a href=\"#b{number}\">{name}</a></td><td class=\"n\">{}</td>\
             <td class=\"n\">{:.3}</td><td class=\"n\">{serial_ms:.3}</td>\
             <td class=\"n\">{parallel_ms:.3}</td><td class=\"n\">{limit_ms:.3}</td>\
             <td class=\"w\">{}</td>\
             <td class=\"n\">{:.0} %</td><td class=\"n\">{}</td><td>{hottest}</td></tr>",
            profile.transactions.len(),
            profile.gas as f64 / 1e6,
            bound_name(profile.limit.bound_by),
            reached * 100.0,
            profile.wasted.aborts,
        );
    }

    fn render(&self, html: &mut Html, number: usize) {
        let Some(profile) = &self.profile else { return };
        put!(
            html,
            "<section id=\"b{number}\"><h2>{}</h2><p class=\"facts\">{}</p>",
            html::escape(&self.name),
            html::escape(&self.facts)
        );
        for sentence in &profile.summary {
            put!(html, "<p>{}</p>", html::with_addresses(sentence));
        }
        bars(html, profile);
        schedule::render(html, profile);
        path::render(html, profile);
        heat::render(html, profile);
        put!(html, "</section>");
    }
}

fn bound_name(bound_by: &str) -> &'static str {
    if bound_by == "critical_path" { "critical path" } else { "shared work" }
}

/// Serial time, this run and the two limits, to scale.
fn bars(html: &mut Html, profile: &BlockProfile) {
    let Limit { serial_ms, parallel_ms, shared_work_ms, critical_path_ms, .. } = profile.limit;
    let longest = serial_ms.max(parallel_ms).max(critical_path_ms).max(f64::MIN_POSITIVE);
    let threads = profile.threads;
    let rows = [
        ("serial".to_owned(), "serial", serial_ms, "one thread"),
        ("this run".to_owned(), "run", parallel_ms, "in parallel"),
        (format!("T1 / {threads}"), "bound", shared_work_ms, "the work, evenly shared"),
        ("T∞".to_owned(), "chain", critical_path_ms, "the critical path"),
    ];
    put!(html, "<h3>How close to the limit</h3><div class=\"bars\">");
    for (name, class, ms, what) in rows {
        let width = ms / longest * 100.0;
        put!(
            html,
            "<div class=\"name\">{name}</div><div class=\"bar\"><div class=\"{class}\" \
             style=\"width:{width:.2}%\"></div></div><div class=\"value\">{ms:.3} ms \
             <span>{what}</span></div>"
        );
    }
    put!(html, "</div>");
}
