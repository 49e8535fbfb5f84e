//! `pleach replay --profile`: the page and the JSON say the same, and it is true.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, U256};
use pleach_bench_suite::{
    profile::{BlockProfile, Page, Profiler, Subject},
    workload::{Kind, artifact::mapping_slot, generate},
};
use pleach_engine::{Engine, EngineConfig, ExecuteOptions, RecoveredBlock, execute_serial};
use serde_json::Value;

use crate::support::{Folder, Sample, pleach, replay};

/// Gas of the workloads that are profiled here.
const GAS: u64 = 4_000_000;
/// Where the workloads' tokens keep their balances.
const BALANCES: U256 = U256::ONE;

fn profile(kind: Kind, threads: usize) -> BlockProfile {
    let workload = generate(kind, GAS, 1);
    let block = RecoveredBlock::with_senders(workload.block, workload.senders);
    let (chain, block) = (workload.chain, Arc::new(block.expect("each has its sender")));
    let prestate = Arc::new(workload.prestate);
    let expected = execute_serial(&chain, &block, &prestate, false).expect("the block is valid");
    let engine = Engine::new(EngineConfig { threads }).expect("threads start");
    let options = ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() };
    let profiler = Profiler::new(1).expect("one more thread starts");
    let (block, prestate) = (&block, &prestate);
    let subject = Subject { chain: &chain, block, prestate, expected: &expected };
    let profiled = profiler.profile(&engine, options, subject).expect("the block is valid");
    assert_eq!(profiled.difference, None);
    assert_eq!(profiled.profile.gas, expected.gas_used);
    profiled.profile
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn the_path_of_independent_transfers_is_the_longest_of_them() {
    let profile = profile(Kind::Transfers, 2);
    let longest = profile.transactions.iter().map(|tx| tx.ms).fold(0.0, f64::max);
    assert_eq!(profile.critical_path.steps.len(), 1);
    assert!(close(profile.critical_path.ms, longest));
    assert!(close(profile.limit.critical_path_ms, longest));
    assert_eq!(profile.critical_path_by_gas.gas, 21_000);
    assert_eq!((profile.locations.len(), profile.contracts.len()), (0, 0));
    assert_eq!(profile.wasted.aborts, 0);
    assert!(profile.summary.iter().any(|text| text.starts_with("Nothing held this block up")));
}

#[test]
fn the_path_of_a_hot_recipient_is_the_whole_block_and_its_slot_comes_first() {
    let workload = generate(Kind::HotErc20Recipient, GAS, 1);
    let profile = profile(Kind::HotErc20Recipient, 2);
    let all: f64 = profile.transactions.iter().map(|tx| tx.ms).sum();
    assert_eq!(profile.critical_path.steps.len(), profile.transactions.len());
    assert!(close(profile.critical_path.ms, all) && profile.limit.bound_by == "critical_path");
    assert_eq!(profile.critical_path.gas, profile.gas);
    assert_eq!(profile.critical_path_by_gas.gas, profile.gas);

    let first = &workload.block.body.transactions[0];
    let (token, input) = (alloy_consensus::Transaction::to(first), first_words(first));
    let (recipient, hot) = (Address::from_word(input[0]), &profile.locations[0]);
    assert_eq!((Some(hot.address), hot.kind), (token, "slot"));
    assert_eq!(hot.slot, Some(B256::from(mapping_slot(BALANCES, input[0]))));
    assert_eq!(hot.meaning, format!("the entry of {recipient} in the mapping at slot 1"));
    assert!(hot.advice.contains("the entry of one account"));
    assert_eq!(hot.dependents, profile.transactions.len() - 1);
    assert!(close(hot.path_share, 1.0));
    let longest = profile.transactions.iter().map(|tx| tx.ms).fold(0.0, f64::max);
    assert!(close(hot.path_ms_without, longest), "without it, nobody waits");
    assert_eq!(hot.callers.len(), 1);
    assert_eq!(hot.callers[0].signature, Some("transfer(address,uint256)"));
    assert_eq!(hot.callers[0].transactions, profile.transactions.len());
    let story = profile.summary.join(" ");
    assert!(story.contains(&hot.address.to_string()) && story.contains("held up"), "{story}");
}

fn first_words(tx: &alloy_consensus::TxEnvelope) -> Vec<B256> {
    let input = alloy_consensus::Transaction::input(tx);
    input[4..].chunks_exact(32).map(B256::from_slice).collect()
}

/// The pool of the contended workload: a quarter of its transactions trade two tokens with one
/// another that nobody else trades.
#[test]
fn the_hot_pool_of_the_contended_block_comes_first() {
    let workload = generate(Kind::Contended, GAS, 1);
    let mut trades: BTreeMap<[Address; 2], usize> = BTreeMap::new();
    for tx in &workload.block.body.transactions {
        let words = if alloy_consensus::Transaction::input(tx).len() == 4 + 8 * 32 {
            first_words(tx)
        } else {
            continue;
        };
        let mut pair = [words[6], words[7]].map(Address::from_word);
        pair.sort_unstable();
        *trades.entry(pair).or_default() += 1;
    }
    let (hot, count) = trades.iter().max_by_key(|(_, count)| **count).expect("there are trades");
    let profile = profile(Kind::Contended, 2);
    let first = &profile.locations[0];
    assert_eq!(first.path_transactions, *count, "{first:?}");
    // A trade changes the pool's own entry in both tokens, and the pool's record of them.
    let together: Vec<_> = profile.locations.iter().take(3).map(|l| l.address).collect();
    assert!(hot.iter().all(|token| together.contains(token)), "{hot:?} in {together:?}");
    assert!(profile.locations[..3].iter().all(|l| l.path_transactions == *count));
    assert!(first.path_ms_without < profile.critical_path.ms);
}

/// The schedule of a run is complete: every transaction has one run that counts, and the frontier
/// passes each of them in order.
#[test]
fn schedules_are_complete() {
    for threads in [1, 2, 4] {
        let BlockProfile { schedule, transactions, wasted, locations, .. } =
            profile(Kind::HotPool, threads);
        let counted =
            schedule.incarnations.iter().filter(|run| matches!(run.outcome, "stood" | "in_turn"));
        let mut counted: Vec<_> = counted.map(|run| run.index).collect();
        counted.sort_unstable();
        assert!(counted.into_iter().eq(0..transactions.len()));
        assert!(schedule.commits.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us));
        assert!(schedule.commits.iter().all(|commit| commit.at_us <= schedule.end_us));
        let gas: u64 = schedule.conflicts.iter().map(|conflict| conflict.gas).sum();
        assert_eq!(
            (wasted.aborts as usize, wasted.reexecuted_gas),
            (schedule.conflicts.len(), gas)
        );
        let hottest = locations.iter().map(|location| location.reexecuted_gas).max();
        assert!(hottest.unwrap_or_default() <= gas);
    }
}

#[test]
fn the_page_is_whole_and_says_what_the_json_says() {
    let folder = Folder::new("profile");
    let file = folder.path().join("page.html");
    let path = file.to_str().expect("temporary folders have plain names");
    let output = pleach(&["--repeat", "1", "--threads", "2", "--profile", path, "--json"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let blocks: Vec<_> = lines.iter().filter_map(|line| line.get("block")).collect();
    let page = fs::read_to_string(&file).unwrap();
    check_self_contained(&page);
    check_well_formed(&page);
    let sections: Vec<_> = page.split("<section ").collect();
    assert_eq!((blocks.len(), sections.len()), (5, 6));
    for (block, section) in blocks.into_iter().zip(&sections[1..]) {
        compare(block, section, sections[0]);
    }
}

/// What a section and the overview show of a block, against its JSON.
fn compare(block: &Value, section: &str, overview: &str) {
    let (name, profile) = (block["workload"].as_str().unwrap(), &block["profile"]);
    assert!(section.contains(&format!("<h2>{name}</h2>")));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{name}: {value}"));
    let limit = &profile["limit"];
    for field in ["serial_ms", "parallel_ms", "limit_ms"] {
        let shown = format!(">{:.3}<", number(&limit[field]));
        assert!(overview.contains(&shown), "{name}: {field} {shown}");
    }
    for field in ["serial_ms", "parallel_ms", "shared_work_ms", "critical_path_ms"] {
        let shown = format!(">{:.3} ms <", number(&limit[field]));
        assert!(section.contains(&shown), "{name}: {field} {shown}");
    }
    let works = number(&limit["shared_work_ms"]).max(number(&limit["critical_path_ms"]));
    assert_eq!(number(&limit["limit_ms"]), works);
    assert!(close(number(&limit["shared_work_ms"]), number(&limit["work_ms"]) / 2.0), "{name}");
    assert!(number(&limit["work_ms"]) <= number(&limit["serial_ms"]), "{name}");
    assert!(number(&limit["critical_path_ms"]) <= number(&limit["work_ms"]) * 1.1, "{name}");
    let count = |list: &Value| list.as_array().unwrap().len();
    let schedule = &profile["schedule"];
    let frontier = section.split("<svg class=\"frontier\"").nth(1).unwrap();
    let frontier = frontier.split("</svg>").next().unwrap();
    assert_eq!(frontier.matches("<rect ").count(), count(&schedule["incarnations"]), "{name}");
    assert_eq!(frontier.matches('H').count(), count(&schedule["commits"]), "{name}");
    let strip = section.split("<div class=\"strip\">").nth(1).unwrap();
    let strip = strip.split("<p class=\"legend\">").next().unwrap();
    assert_eq!(strip.matches("data-t=").count(), count(&profile["critical_path"]["steps"]));
    for sentence in profile["summary"].as_array().unwrap() {
        let start = sentence.as_str().unwrap().split(" 0x").next().unwrap();
        let start = start.replace('\'', "&#39;");
        assert!(section.contains(&start), "{name}: {start}");
    }
    if let Some(location) = profile["locations"].get(0) {
        let row = section.split("table class=\"locations\"").nth(1).unwrap();
        let row = row.split("</tbody>").next().unwrap().to_lowercase();
        for field in ["address", "kind"] {
            assert!(row.contains(location[field].as_str().unwrap()), "{name}: {field} in {row}");
        }
        let slot: U256 = location["slot"].as_str().unwrap().parse().unwrap();
        assert!(row.contains(&format!("{slot:#x}")), "{name}: {row}");
    }
}

/// Nothing is fetched: no address of another place, no resource at all.
fn check_self_contained(page: &str) {
    for mark in
        ["http:", "https:", "src=", "url(", "@import", "<link", "<iframe", "<img", "import("]
    {
        assert!(!page.contains(mark), "{mark}");
    }
    for target in page.split("href=\"").skip(1) {
        assert!(target.starts_with('#'), "{}", &target[..40]);
    }
}

/// Every element is closed in order, every attribute quoted, every sign that means something
/// escaped.
fn check_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(!text.contains('>'), "a bare > in {text:?}");
        assert!(text.split('&').skip(1).all(|entity| entity.contains(';')), "{text:?}");
        let (tag, after) = rest[at + 1..].split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {}", &rest[..rest.len().min(80)]);
            continue;
        }
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "<{tag}>");
        assert!(tag.matches('"').count() % 2 == 0 && !tag.contains('<'), "<{tag}>");
        if ["style", "script"].contains(&name) {
            let end = format!("</{name}>");
            rest = rest.split_once(&end).expect("it is closed").1;
        } else if !tag.ends_with('/') && !["meta", "br"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}, {rest:?}");
}

#[test]
fn names_from_outside_cannot_become_markup() {
    let mut page = Page::default();
    page.add("<script>x</script>".to_owned(), "a \"b\" & <i>".to_owned(), None);
    let html = page.render();
    check_well_formed(&html);
    assert!(html.contains("&lt;script&gt;x&lt;/script&gt;"));
    assert!(html.contains("a &quot;b&quot; &amp; &lt;i&gt;"));
    check_well_formed(&Page::default().render());
}

#[test]
fn a_page_that_cannot_be_written_is_refused_before_the_work() {
    let folder = Folder::new("unwritable");
    for file in [folder.path().join("none/page.html"), folder.path().to_path_buf()] {
        let path = file.to_str().unwrap();
        let start = Instant::now();
        let output = pleach(&["--repeat", "100000", "--profile", path], &[]);
        assert!(start.elapsed().as_secs() < 60, "the work was begun");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(path) && text.contains("--profile"), "{text}");
    }
}

#[test]
fn without_parallel_execution_there_is_no_profile() {
    let output = pleach(&["--mode", "serial", "--profile", "unused.html"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--mode serial"));
    assert!(!Path::new("unused.html").exists());
}

#[test]
fn a_block_that_cannot_be_executed_is_named_on_the_page() {
    let folder = Folder::new("profile-error");
    let good = folder.write("good.json", Sample::new().witness().to_string());
    let bad = folder.write("bad.json", "{\"block\": 7, \"network\": \"mainnet\"}");
    let file = folder.path().join("page.html");
    let path = file.to_str().unwrap();
    let output = pleach(&["--repeat", "1", "--profile", path], &[&bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    let page = fs::read_to_string(&file).unwrap();
    check_well_formed(&page);
    assert!(page.contains("bad.json") && page.contains("<h2>mainnet 15600000</h2>"));
}

#[test]
fn without_the_option_the_profile_is_null() {
    let folder = Folder::new("no-profile");
    let file = folder.write("block.json", Sample::new().flat().to_string());
    let replayed = replay(&["--repeat", "1"], &file);
    assert_eq!(replayed.blocks[0]["profile"], Value::Null);
}
