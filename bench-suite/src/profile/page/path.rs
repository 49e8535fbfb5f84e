//! The critical path: as a strip, and step by step.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;

use super::html::{self, Html, put};
use crate::profile::model::{BlockProfile, PathStep};

/// More steps are not listed.
const MAX_STEPS: usize = 200;
/// Accounts that get a colour of their own.
const COLOURS: usize = 5;

/// The strip, its legend and the steps.
pub(super) fn render(html: &mut Html, profile: &BlockProfile) {
    let path = &profile.critical_path;
    let by_gas = &profile.critical_path_by_gas;
    let share = path.gas as f64 / profile.gas.max(1) as f64 * 100.0;
    put!(
        html,
        "<h3>The critical path</h3><p>{}, {:.3} ms and {} gas, {share:.0} % of the \
         block's gas. Each of them could begin only when the one before had ended, as it reads \
         what that one writes. Counted in gas, the heaviest such chain has {} and {} \
         gas. One box is one transaction, as wide as it took; the colour says which account they \
         met in.</p>",
        html::count(path.steps.len(), "transaction"),
        path.ms,
        html::thousands(path.gas),
        html::count(by_gas.indices.len(), "transaction"),
        html::thousands(by_gas.gas),
    );
    let colours = colours(profile);
    put!(html, "<div class=\"strip\">");
    for step in &path.steps {
        let width = step.ms / path.ms.max(f64::MIN_POSITIVE) * 100.0;
        let class = class(step, &colours);
        let tip = html::escape(&tip(step));
        put!(html, "<div class=\"{class}\" style=\"flex:{width:.4} 1 0\" data-t=\"{tip}\"></div>");
    }
    put!(html, "</div><p class=\"legend\">");
    let mut legend: Vec<_> = colours.iter().collect();
    legend.sort_by_key(|(_, place)| **place);
    for (address, place) in legend {
        put!(html, "<span><i class=\"p{place}\"></i>{}</span> ", html::address(address));
    }
    put!(html, "<span><i class=\"p\"></i>another, or the first of the chain</span></p>");
    steps(html, profile);
}

/// The hottest accounts in which steps of the path met, each with a number.
fn colours(profile: &BlockProfile) -> BTreeMap<Address, usize> {
    let ranks = profile.contracts.iter().map(|contract| contract.address).zip(0..);
    let ranks: BTreeMap<Address, usize> = ranks.collect();
    let steps = profile.critical_path.steps.iter();
    let met: BTreeSet<_> = steps.filter_map(|step| account(step, &ranks)).collect();
    let mut met: Vec<_> = met.into_iter().collect();
    met.sort_by_key(|account| ranks[account]);
    met.into_iter().take(COLOURS).zip(0..).collect()
}

/// The account that a step is coloured by: of those in which it met the one before, the hottest.
fn account(step: &PathStep, ranks: &BTreeMap<Address, usize>) -> Option<Address> {
    let met = step.through.iter().map(|location| location.address);
    met.filter(|account| ranks.contains_key(account)).min_by_key(|account| ranks[account])
}

fn class(step: &PathStep, colours: &BTreeMap<Address, usize>) -> String {
    let colour = account(step, colours).map(|account| colours[&account]);
    colour.map_or_else(|| "p".to_owned(), |colour| format!("p{colour}"))
}

fn tip(step: &PathStep) -> String {
    let through: Vec<_> = step.through.iter().take(4).map(html::short).collect();
    let after = match through.is_empty() {
        true => "the first of the chain".to_owned(),
        false => format!("waits for the one before through {}", through.join(", ")),
    };
    let gas = html::thousands(step.gas);
    format!("transaction {}: {:.1} µs, {gas} gas\n{after}", step.index, step.ms * 1e3)
}

fn steps(html: &mut Html, profile: &BlockProfile) {
    let steps = &profile.critical_path.steps;
    put!(
        html,
        "<details><summary>Step by step</summary><div class=\"wide\"><table><thead><tr>\
         <th class=\"n\">transaction</th><th>calls</th><th>hash</th><th class=\"n\">gas</th>\
         <th class=\"n\">ms</th><th>waits for the one before through</th></tr></thead><tbody>"
    );
    for step in steps.iter().take(MAX_STEPS) {
        let tx = &profile.transactions[step.index];
        let call = html::call(tx.to.as_ref(), tx.selector.as_ref(), tx.signature);
        let to = tx.to.as_ref().map(html::address).unwrap_or_default();
        let through: Vec<_> = step.through.iter().take(6).map(html::short).collect();
        put!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}<br>{to}</td><td><code class=\"long\" \
             title=\"{}\">{}</code></td><td class=\"n\">{}</td><td class=\"n\">{:.4}</td>\
             <td>{}</td></tr>",
            step.index,
            html::escape(&call),
            tx.hash,
            tx.hash,
            html::thousands(step.gas),
            step.ms,
            html::escape(&through.join(", "))
        );
    }
    put!(html, "</tbody></table></div>");
    if steps.len() > MAX_STEPS {
        put!(html, "<p>And {} more, all of which --json lists.</p>", steps.len() - MAX_STEPS);
    }
    put!(html, "</details>");
}
