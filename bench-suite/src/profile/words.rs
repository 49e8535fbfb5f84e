//! What the numbers mean, in sentences for the author of a contract.

use pleach_engine::trace::Location;

use super::{
    model::{BlockProfile, ContractHeat, Limit},
    slots::Meaning,
};

/// What a location holds that is not a slot.
pub(super) fn meaning(location: &Location) -> String {
    let text = match location {
        Location::Balance(_) => "the account's ether",
        Location::Nonce(_) => "the account's nonce, which counts the contracts it creates",
        Location::Code(_) => "the account's code",
        Location::Existence(_) => "whether the account exists",
        Location::Slot(..) => "a storage slot",
    };
    text.to_owned()
}

/// What can be done about a hot location.
pub(super) const fn advice(location: &Location, slot: Option<Meaning>) -> &'static str {
    match (location, slot) {
        (Location::Balance(_), _) => {
            "Payments to an account wait for nobody; asking for its balance waits for all of them, \
             and paying out what came in the same block waits for that. Keep the amounts in \
             storage entries of their own instead of reading BALANCE or SELFBALANCE."
        }
        (Location::Nonce(_), _) => {
            "Each contract that this account creates raises its nonce, and whoever touches the \
             account sees it. Create from several factories, or create in fewer transactions."
        }
        (Location::Code(_), _) => {
            "The code was put there in this block, by a creation or a delegation (EIP-7702). Call \
             it from the next block on."
        }
        (Location::Existence(_), _) => {
            "The account did not exist before this block: the first to pay it brings it into \
             being, and the others wait for that one. One payment in an earlier block is enough."
        }
        (_, Some(Meaning::Variable(_))) => {
            "Whoever changes this variable waits for the one who changed it before. A counter or a \
             total can be kept per user or per group and summed up when it is read; what only \
             feeds logs or views can be left out; what changes often belongs in another slot than \
             what is only read."
        }
        (_, Some(Meaning::Entry(..))) => {
            "All of these change the entry of one account. If it only collects, give each payer an \
             entry and let the collector withdraw later; if it is a pool or a vault, several of \
             them can serve side by side."
        }
        (_, Some(Meaning::Element(..))) => {
            "Appending to an array changes its length and its end for everybody. A mapping by user \
             or by id lets independent users write side by side."
        }
        (_, Some(Meaning::Standard(_))) => {
            "An upgrade of the proxy in this block holds up all of its calls. Upgrade when few \
            call."
        }
        (_, Some(Meaning::Hashed) | None) => {
            "Transactions with the same key wait for each other, those with different keys do not. \
             Choose keys that independent users do not share."
        }
    }
}

/// The block's story: how fast it could be, what held it up, what was wasted.
pub(super) fn summary(profile: &BlockProfile) -> Vec<String> {
    let mut sentences = Vec::new();
    if profile.forced {
        sentences.push(format!(
            "The engine would execute this block serially ({}). What is shown is what running \
             ahead would have done.",
            decision(profile.decision)
        ));
    } else if profile.decision == "gave_up" {
        sentences.push(
            "The engine gave up running ahead within this block, because most results had not \
             stood or most of what was left rests on one another, and ran the rest serially."
                .to_owned(),
        );
    }
    sentences.push(speed(profile));
    sentences.push(bound(profile));
    sentences.push(waste(profile));
    sentences
}

fn decision(name: &str) -> &str {
    match name {
        "one_thread" => "there is only one thread",
        "too_little_work" => "there is too little work to share",
        "chain" => "nearly all of it rests on a few accounts or contracts",
        other => other,
    }
}

fn speed(profile: &BlockProfile) -> String {
    let Limit { serial_ms, parallel_ms, work_ms, limit_ms, reached, speedup, .. } = profile.limit;
    let threads = threads(profile.threads);
    format!(
        "Serially it took {serial_ms:.2} ms, this run on {threads} {parallel_ms:.2} ms \
         ({speedup:.2} times as fast). The block is {work_ms:.2} ms of work, and no schedule on \
         {threads} can take less than {limit_ms:.2} ms: this run reached {:.0} % of what is \
         possible.",
        reached * 100.0
    )
}

fn bound(profile: &BlockProfile) -> String {
    let limit = &profile.limit;
    let steps = profile.critical_path.steps.len();
    let path_ms = profile.critical_path.ms;
    let useful = (limit.work_ms / path_ms.max(f64::MIN_POSITIVE)).max(1.0);
    if steps <= 1 {
        return format!(
            "Nothing held this block up: no two transactions on the critical path rest on each \
             other. Its longest transaction, {path_ms:.2} ms, is the least it can take on any \
             number of threads; up to {useful:.1} threads could be put to use."
        );
    }
    let hottest = profile.contracts.first().filter(|contract| contract.path_ms > 0.0);
    let hottest = hottest.map(|contract| contract_sentence(profile, contract)).unwrap_or_default();
    if limit.bound_by == "critical_path" {
        format!(
            "The block is held up by a chain of {steps} transactions, each resting on the one \
             before, that takes {path_ms:.2} ms on any number of threads.{hottest}"
        )
    } else {
        format!(
            "There is enough independent work for {}: all of it evenly shared takes {:.2} ms, the \
             longest chain of transactions that rest on each other only {path_ms:.2} ms ({steps} \
             transactions). That chain would bound the block from about {useful:.1} threads \
             on.{hottest}",
            threads(profile.threads),
            limit.shared_work_ms
        )
    }
}

fn contract_sentence(profile: &BlockProfile, contract: &ContractHeat) -> String {
    let ContractHeat { address, path_transactions, path_share, path_ms_without, .. } = contract;
    let at = profile.locations.iter().find(|location| location.address == *address);
    let place = at.map(|location| format!(" at {}", location.meaning)).unwrap_or_default();
    let same = |other: &&ContractHeat| {
        other.path_transactions == *path_transactions && other.address != *address
    };
    let others: Vec<_> =
        profile.contracts.iter().filter(same).map(|other| other.address.to_string()).collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!(" They also meet in {}.", others.join(" and ")),
    };
    format!(
        " {path_transactions} of its transactions, {:.0} % of its time, meet in {address}, most of \
         all{place}.{others} If calls that meet there did not wait for each other, the longest \
         chain would take {path_ms_without:.2} ms.",
        path_share * 100.0
    )
}

fn waste(profile: &BlockProfile) -> String {
    let wasted = profile.wasted;
    if wasted.aborts == 0 {
        return "No result was thrown away in this run.".to_owned();
    }
    let results = if wasted.aborts == 1 { "1 result was" } else { "results were" };
    let count = if wasted.aborts == 1 { String::new() } else { format!("{} ", wasted.aborts) };
    let share = wasted.reexecuted_gas as f64 / profile.gas.max(1) as f64 * 100.0;
    format!(
        "{count}{results} thrown away and computed anew: {} gas, {share:.1} % of the block's, and \
         {:.2} ms of some thread's time.",
        wasted.reexecuted_gas, wasted.ms
    )
}

fn threads(count: usize) -> String {
    if count == 1 { "one thread".to_owned() } else { format!("{count} threads") }
}
