//! What an execution writes down of itself: it changes nothing, it is consistent, and it tells
//! truly which transactions rest on which.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, Log, U256};
use pleach_engine::{
    BlockOutput, Decision, Engine, EngineConfig, ExecuteOptions, execute_serial,
    trace::{Dependencies, Location, Outcome, Trace, Traced},
};

use crate::support::{
    blocks::{BENEFICIARY, Tx, case, funded, header, signer},
    compare::{Case, Engines, execute},
    field::{MACHINE, OTHER},
    forks::Fork,
    generate::generate,
    machine::{Kind, Program, machine_code},
    prestate::put,
    rng::Rng,
};

const FORK: Fork = Fork::Osaka;

fn engine(threads: usize) -> Engine {
    Engine::new(EngineConfig { threads }).expect("threads start")
}

/// Where the block's changes are collected: with an access list in revm's `State`, else in the
/// engine's own memory.
const COLLECTED: [bool; 2] = [true, false];

fn traced(engine: &Engine, case: &Case, access_list: bool) -> Traced {
    let rehearse = engine.threads() == 1;
    let options = ExecuteOptions { access_list, force_parallel: true, rehearse };
    let traced = engine.execute_traced(&case.chain, &case.block, &case.prestate, options);
    traced.unwrap_or_else(|error| panic!("the block is valid, but: {error}"))
}

/// The dependencies of a block, as (reader, writer, location).
fn edges(case: &Case) -> BTreeSet<(usize, usize, Location)> {
    let [found, without_list] = COLLECTED.map(|access_list| {
        let trace = traced(&engine(1), case, access_list).trace.expect("a rehearsal runs ahead");
        trace.dependencies.expect("it is a rehearsal on one thread")
    });
    assert_eq!(found.edges.len(), without_list.edges.len());
    let found = edges_of(&found);
    assert_eq!(found, edges_of(&without_list), "where changes are collected makes no difference");
    found
}

fn edges_of(found: &Dependencies) -> BTreeSet<(usize, usize, Location)> {
    let location = |place: u32| found.locations[place as usize];
    found
        .edges
        .iter()
        .map(|e| (e.reader as usize, e.writer as usize, location(e.location)))
        .collect()
}

#[test]
fn tracing_changes_no_output_and_agrees_with_the_metrics() {
    let engines = [engine(1), engine(2), engine(3)];
    let (mut blocks, mut fallen) = (0, 0);
    for seed in 0..300 {
        let case = generate(seed);
        let access_list = COLLECTED[seed as usize / 3 % 2];
        let serial = execute_serial(&case.chain, &case.block, &case.prestate, access_list);
        let Ok(serial) = serial else {
            continue;
        };
        case.prestate.set_stalls([0, 5, 25][seed as usize % 3]);
        blocks += 1;
        for engine in &engines {
            let Traced { output, metrics, trace } = traced(engine, &case, access_list);
            assert_eq!(serial.difference(&output), None, "seed {seed}");
            let trace = trace.expect("running ahead was insisted on");
            let gas: u64 = trace.conflicts.iter().map(|conflict| conflict.gas).sum();
            assert_eq!(metrics.reexecuted_gas, gas, "seed {seed}");
            assert_eq!(metrics.executions, trace.incarnations.len() as u64, "seed {seed}");
            check_consistency(&trace, case.block.transactions().len(), engine.threads());
            fallen += trace.conflicts.len();
        }
        case.prestate.set_stalls(0);
    }
    assert!(blocks > 200 && fallen > 50, "{blocks} blocks with {fallen} conflicts show little");
}

fn check_consistency(trace: &Trace, transactions: usize, threads: usize) {
    assert!(trace.workers <= threads && trace.left_out == 0);
    assert!(trace.commits.iter().map(|commit| commit.index).eq(0..transactions));
    for commit in &trace.commits {
        assert!(commit.asked_ns <= commit.at_ns && commit.at_ns <= commit.until_ns);
        assert!(commit.until_ns <= trace.stopped_ns && trace.stopped_ns <= trace.end_ns);
        let runs: Vec<_> = trace.incarnations.iter().filter(|r| r.index == commit.index).collect();
        let kept = if commit.ran_ahead { Outcome::Stood } else { Outcome::InTurn };
        let kept: Vec<_> = runs.iter().filter(|run| run.outcome == kept).collect();
        assert_eq!(kept.len(), 1, "one run of transaction {} counts: {runs:?}", commit.index);
        assert_eq!(kept[0].incarnation as usize, runs.len() - 1, "and it is the last");
        assert!(kept[0].end_ns <= commit.at_ns);
    }
    for pair in trace.incarnations.windows(2).filter(|pair| pair[0].worker == pair[1].worker) {
        assert!(pair[0].end_ns <= pair[1].start_ns, "a thread does one thing at a time: {pair:?}");
    }
    for conflict in &trace.conflicts {
        assert!(!conflict.stale.is_empty(), "a result falls for a reason: {conflict:?}");
        let lower = |writer: Option<usize>| writer.is_none_or(|writer| writer < conflict.index);
        assert!(conflict.stale.iter().all(|read| lower(read.writer)));
    }
}

#[test]
fn a_serial_execution_has_no_trace() {
    let case = case(FORK, header(FORK), &[Tx::call(signer(1), 0, OTHER)], funded(1));
    let traced = engine(2)
        .execute_traced(&case.chain, &case.block, &case.prestate, ExecuteOptions::default())
        .unwrap();
    assert_eq!(traced.metrics.decision, Decision::TooLittleWork);
    assert!(traced.trace.is_none());
}

/// Machines, their slots in use, and a sender for each transaction.
fn world(transactions: u8) -> pleach_state::FlatState {
    let mut state = funded(transactions);
    for machine in [MACHINE, OTHER] {
        let slots: Vec<_> = (0..6).map(|slot| (slot, 1_000 + slot)).collect();
        put(&mut state, machine, 10, 1, &machine_code(), &slots);
    }
    state
}

fn run(sender: u8, machine: Address, program: &Program) -> Tx {
    Tx::call(signer(sender), 0, machine).input(program.bytes())
}

#[test]
fn a_conflict_names_the_slot_that_caused_it() {
    let count = Program::new().step(Kind::Load, 3, 0).step(Kind::Mix, 1, 0);
    let count = count.step(Kind::Store, 3, 0xffff);
    let txs: Vec<_> = (1..=24).map(|n| run(n, MACHINE, &count)).collect();
    let case = case(FORK, header(FORK), &txs, world(24));
    let engine = engine(4);
    case.prestate.set_stalls(30);
    let mut seen = 0;
    for round in 0..200 {
        let trace = traced(&engine, &case, round % 2 == 0).trace.expect("insisted on");
        for conflict in trace.conflicts {
            let slot = Location::Slot(MACHINE, U256::from(3));
            let stale: Vec<_> = conflict.stale.iter().map(|read| read.location).collect();
            assert_eq!(stale, [slot], "{conflict:?}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no conflict came up");
}

/// Reads and writes of slots by transactions that do nothing else: what they rest on is known
/// without executing them.
#[test]
fn slot_dependencies_are_those_of_a_model() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let (mut txs, mut expected) = (Vec::new(), BTreeSet::new());
        let mut last: BTreeMap<(Address, u64), usize> = BTreeMap::new();
        for index in 0..20 {
            let machine = rng.pick(&[MACHINE, OTHER]);
            let (read, written) = (rng.below(6), rng.below(6));
            let program = Program::new().step(Kind::Load, read, 0).step(
                Kind::StoreConst,
                written,
                5_000 + index as u64,
            );
            txs.push(run(index as u8 + 1, machine, &program));
            for slot in [read, written] {
                let writer = last.get(&(machine, slot));
                let location = Location::Slot(machine, U256::from(slot));
                expected.extend(writer.map(|writer| (index, *writer, location)));
            }
            last.insert((machine, written), index);
        }
        assert_eq!(edges(&case(FORK, header(FORK), &txs, world(20))), expected, "seed {seed}");
    }
}

/// Who adds to a balance rests on nobody, who learns it on all before, who draws on it on as many
/// of the first payments as it takes.
#[test]
fn balance_dependencies_follow_from_use() {
    let pay = |n: u8, wei: u64| Tx::call(signer(n), 0, MACHINE).value(wei);
    let look = Program::new().step(Kind::Balance, MACHINE, 0).step(Kind::Store, 1, u64::MAX);
    let draw = |wei: u64| Program::new().call(Kind::Call, OTHER, wei, 0, &[]);
    let txs = [
        pay(1, 5),
        pay(2, 5),
        pay(3, 5),
        run(4, MACHINE, &draw(9)),
        run(5, MACHINE, &draw(14)),
        run(6, OTHER, &look),
    ];
    let found = edges(&case(FORK, header(FORK), &txs, world(6)));
    let machine = Location::Balance(MACHINE);
    let of = |reader: usize| -> Vec<_> {
        let edges = found.iter().filter(|edge| edge.0 == reader && edge.2 == machine);
        edges.map(|edge| edge.1).collect()
    };
    assert_eq!((of(0), of(1), of(2)), (vec![], vec![], vec![]));
    // It has ten from the start: nine are there at once.
    assert_eq!(of(3), Vec::<usize>::new());
    // Fifteen were paid and nine drawn: of 14, four have to come first.
    assert_eq!(of(4), vec![0]);
    assert_eq!(of(5), vec![0, 1, 2, 3, 4]);
    assert_eq!(found.iter().filter(|edge| edge.2 == Location::Balance(BENEFICIARY)).count(), 0);
}

#[test]
fn transfers_rest_on_nobody_not_even_one_senders_own() {
    let mut state = funded(4);
    for n in 1..=40 {
        put(&mut state, Address::with_last_byte(n), 1, 0, &[], &[]);
    }
    let pay = |n: u8| {
        let to = Address::with_last_byte(n);
        Tx::call(signer(1 + n % 4), u64::from((n - 1) / 4), to).value(3_u64)
    };
    let txs: Vec<_> = (1..=40).map(pay).collect();
    let txs: Vec<_> = ordered_nonces(txs);
    assert_eq!(edges(&case(FORK, header(FORK), &txs, state)), BTreeSet::new());
}

fn ordered_nonces(mut txs: Vec<Tx>) -> Vec<Tx> {
    let mut next: BTreeMap<Address, u64> = BTreeMap::new();
    for tx in &mut txs {
        let nonce = next.entry(tx.from).or_default();
        tx.nonce = *nonce;
        *nonce += 1;
    }
    txs
}

/// The brute-force oracle: a transaction gives the same in a block of those alone that it rests
/// on, directly or not.
#[test]
fn what_a_transaction_rests_on_is_all_that_it_needs() {
    let mut left_out = 0;
    for seed in 0..60 {
        let mut rng = Rng::new(1_000 + seed);
        let txs: Vec<_> = (1..=14).map(|n| any_transaction(n, &mut rng)).collect();
        let whole = case(FORK, header(FORK), &txs, world(14));
        let output = Engines::new().compare(&whole, 1).unwrap().expect("the block is valid");
        let needed = ancestors(&edges(&whole), txs.len());
        for (index, needed) in needed.iter().enumerate() {
            let chosen = needed.iter().chain([&index]).map(|at| txs[*at].clone());
            let part: Vec<_> = chosen.collect();
            left_out += index + 1 - part.len();
            let case = case(FORK, header(FORK), &part, world(14));
            let alone = execute_serial(&case.chain, &case.block, &case.prestate, false).unwrap();
            let (at_its_place, alone) = (result(&output, index), result(&alone, part.len() - 1));
            assert_eq!(at_its_place, alone, "seed {seed}, transaction {index} with {needed:?}");
        }
    }
    assert!(left_out > 1_000, "only {left_out} transactions could be left out");
}

fn any_transaction(sender: u8, rng: &mut Rng) -> Tx {
    let machines = [MACHINE, OTHER];
    let mut program = Program::new();
    for _ in 0..rng.between(1, 3) {
        let account = rng.pick(&[MACHINE, OTHER, BENEFICIARY, signer(3), Address::repeat_byte(9)]);
        program = match rng.below(12) {
            0 => program.step(Kind::Balance, account, 0),
            1 => program.step(Kind::SelfBalance, 0, 0),
            2 => program.step(Kind::CodeHash, account, 0),
            3..6 => program.step(Kind::Load, rng.below(6), 0),
            6..8 => program.step(Kind::Store, rng.below(6), u64::MAX),
            8 => program.step(Kind::StoreConst, rng.below(6), rng.below(3)),
            9 => program.call(Kind::Call, account, rng.below(12), 30_000, &[]),
            10 => program.create(rng.below(2), &[0]),
            _ => program.step(Kind::RevertIf, rng.below(4), 0),
        };
    }
    let tx = run(sender, rng.pick(&machines), &program.step(Kind::Log, 7, 0));
    match rng.below(6) {
        0 => Tx::call(signer(sender), 0, rng.pick(&machines)).value(rng.below(4)),
        1 => Tx::call(signer(sender), 0, Address::repeat_byte(9)).value(rng.below(4)),
        _ => tx.value(rng.below(2)),
    }
}

/// For each transaction, all that it rests on, directly or not, in block order.
fn ancestors(edges: &BTreeSet<(usize, usize, Location)>, txs: usize) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::with_capacity(txs);
    for index in 0..txs {
        let direct: BTreeSet<_> = edges.iter().filter(|e| e.0 == index).map(|e| e.1).collect();
        let indirect = direct.iter().flat_map(|at| all[*at].clone()).collect::<Vec<_>>();
        all.push(direct.iter().copied().chain(indirect).collect());
    }
    all
}

/// A transaction's gas, success and logs.
fn result(output: &BlockOutput, index: usize) -> (u64, bool, Vec<Log>) {
    let gas = |receipt: &ReceiptEnvelope| receipt.cumulative_gas_used();
    let before = index.checked_sub(1).map_or(0, |before| gas(&output.receipts[before]));
    let receipt = &output.receipts[index];
    (gas(receipt) - before, receipt.status(), receipt.logs().to_vec())
}

#[test]
fn an_invalid_block_is_refused_alike() {
    let txs = [Tx::call(signer(1), 7, OTHER)];
    let case = case(FORK, header(FORK), &txs, funded(1));
    let (engine, options) =
        (engine(2), ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() });
    let untraced = execute(&engine, &case).expect_err("the nonce is wrong").to_string();
    let traced = engine.execute_traced(&case.chain, &case.block, &case.prestate, options);
    assert_eq!(traced.expect_err("the nonce is wrong").to_string(), untraced);
}
