//! What held transactions up: accounts, locations, and the results that were thrown away.

use super::html::{self, Html, put};
use crate::profile::model::{BlockProfile, Caller, ContractHeat, LocationHeat};

/// More rows are left to the JSON.
const MAX_ROWS: usize = 20;

/// The three tables.
pub(super) fn render(html: &mut Html, profile: &BlockProfile) {
    if profile.locations.is_empty() {
        put!(
            html,
            "<h3>What held transactions up</h3><p>Nothing: no transaction reads what another one \
             of the block writes.</p>"
        );
    } else {
        contracts(html, profile);
        locations(html, profile);
    }
    thrown_away(html, profile);
}

fn contracts(html: &mut Html, profile: &BlockProfile) {
    put!(
        html,
        "<h3>What held transactions up: accounts</h3><p>Hottest first. <b>Waiting</b>: \
         transactions that read there what another one of the block writes. <b>On the critical \
         path</b>: those of them that are part of it, their time, and its share in the path. \
         <b>Path without</b>: how long the longest chain would be if calls that meet there did \
         not wait for each other, which is what a change to that contract could gain at most; the \
         path is {:.3} ms. <b>Aborts</b> and <b>gas run again</b>: results of this run that were \
         thrown away because of it.</p><div class=\"wide\"><table><thead><tr><th>account</th>\
         <th class=\"n\">waiting</th><th class=\"n\" colspan=\"3\">on the critical path</th>\
         <th class=\"n\">path without</th><th class=\"n\">aborts</th>\
         <th class=\"n\">gas run again</th></tr></thead><tbody>",
        profile.critical_path.ms
    );
    for contract in profile.contracts.iter().take(MAX_ROWS) {
        let ContractHeat { dependents, path_transactions, path_ms, path_share, .. } = contract;
        put!(
            html,
            "<tr><td>{}</td><td class=\"n\">{dependents}</td><td class=\"n\">\
             {path_transactions}</td><td class=\"n\">{path_ms:.3} ms</td><td class=\"n\">{}</td>\
             <td class=\"n\">{:.3} ms</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            html::address(&contract.address),
            share(*path_share),
            contract.path_ms_without,
            contract.aborts,
            html::thousands(contract.reexecuted_gas)
        );
    }
    put!(html, "</tbody></table></div>");
    more(html, profile.contracts.len());
}

fn locations(html: &mut Html, profile: &BlockProfile) {
    put!(
        html,
        "<h3>What held transactions up: locations</h3><p>The same by storage slot, balance, nonce, \
         code or existence, with the calls that met there and what can be done. Locations that are \
         used together each count in full, so that columns do not add up. An abort is <b>alone</b> \
         if nothing else that it had read was stale.</p><div class=\"wide\"><table \
         class=\"locations\"><thead><tr><th></th><th>location</th><th class=\"n\">waiting</th>\
         <th class=\"n\">on the critical path</th><th class=\"n\">path without</th>\
         <th class=\"n\">aborts (alone)</th><th class=\"n\">gas run again</th></tr></thead>"
    );
    let mut told = Vec::new();
    for (place, location) in profile.locations.iter().take(MAX_ROWS).enumerate() {
        // The same advice once is enough.
        let new = !told.contains(&location.advice.as_str());
        told.push(&location.advice);
        location_row(html, place + 1, location, new);
    }
    put!(html, "</table></div>");
    more(html, profile.locations.len());
}

fn location_row(html: &mut Html, place: usize, location: &LocationHeat, advise: bool) {
    let slot = location.slot.as_ref().map(html::slot).unwrap_or_default();
    put!(
        html,
        "<tbody><tr><td class=\"n\">{place}</td><td><b>{} {slot}</b> of {}<br>{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.3} ms\
         </td><td class=\"n\">{} ({})</td><td class=\"n\">{}</td></tr>",
        location.kind,
        html::address(&location.address),
        html::with_addresses(&location.meaning),
        location.dependents,
        on_path(location),
        location.path_ms_without,
        location.aborts,
        location.aborts_alone,
        html::thousands(location.reexecuted_gas)
    );
    put!(html, "<tr class=\"words\"><td></td><td colspan=\"6\">");
    if !location.callers.is_empty() {
        let callers: Vec<_> = location.callers.iter().map(caller).collect();
        put!(html, "<p>Called as {}.</p>", callers.join("; "));
    }
    if advise {
        put!(html, "<p class=\"advice\">{}</p>", html::escape(&location.advice));
    }
    put!(html, "</td></tr></tbody>");
}

fn on_path(location: &LocationHeat) -> String {
    let LocationHeat { path_transactions, path_ms, path_share, .. } = location;
    match path_transactions {
        0 => "–".to_owned(),
        count => format!("{count} · {path_ms:.3} ms · {}", share(*path_share)),
    }
}

fn caller(caller: &Caller) -> String {
    let Caller { to, selector, signature, transactions } = caller;
    let call = html::escape(&html::call(to.as_ref(), selector.as_ref(), *signature));
    let to = to.as_ref().map(|to| format!(" at {}", html::address(to))).unwrap_or_default();
    format!("{call}{to} ({transactions}×)")
}

fn thrown_away(html: &mut Html, profile: &BlockProfile) {
    let conflicts = &profile.schedule.conflicts;
    if conflicts.is_empty() {
        return;
    }
    put!(
        html,
        "<details><summary>Results thrown away in this run: {}</summary><div class=\"wide\">\
         <table><thead><tr><th class=\"n\">at ms</th><th class=\"n\">transaction</th>\
         <th class=\"n\">gas</th><th>had read too early</th></tr></thead><tbody>",
        conflicts.len()
    );
    for conflict in conflicts.iter().take(10 * MAX_ROWS) {
        let stale = conflict.stale.iter().take(6).map(|stale| {
            let writer = stale.writer.map(|writer| format!(" (written by {writer})"));
            html::short(&stale.location) + &writer.unwrap_or_default()
        });
        put!(
            html,
            "<tr><td class=\"n\">{:.3}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td></tr>",
            conflict.at_us / 1e3,
            conflict.index,
            html::thousands(conflict.gas),
            html::escape(&stale.collect::<Vec<_>>().join(", "))
        );
    }
    put!(html, "</tbody></table></div></details>");
}

fn more(html: &mut Html, rows: usize) {
    if rows > MAX_ROWS {
        put!(html, "<p>And {} more, which --json lists.</p>", rows - MAX_ROWS);
    }
}

fn share(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
