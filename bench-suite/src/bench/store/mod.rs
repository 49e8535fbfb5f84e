//! `pleach bench store`: a block's commit to a large store on disk, and random reads of it.
//!
//! What is committed is read back and compared, and the whole store is verified at the end.

mod world;

use std::{
    env,
    error::Error,
    fs, hint,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::Arc,
    thread::{self, available_parallelism},
    time::Instant,
};

use alloy_primitives::U256;
use clap::{Args, builder::RangedU64ValueParser};
use pleach_state::{
    mpt::{StateChanges, StateTrie},
    store::{BlockCommit, MdbxBackend, MdbxConfig, Snapshot, Store, StoreConfig, StoreError},
};
use revm::DatabaseRef;
use serde::Serialize;
use serde_json::json;

use crate::{
    replay::stats::{median, milliseconds},
    workload::Numbers,
};
use world::World;

/// Blocks without changes that are committed together.
const EMPTY_BLOCKS: usize = 300;

/// Arguments of `pleach bench store`.
#[derive(Debug, Clone, Args)]
pub(super) struct StoreArgs {
    /// Accounts in the state; one in a thousand has a thousand slots.
    #[arg(
        long, value_name = "N", default_value_t = 1_000_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1_000..=100_000_000)
    )]
    accounts: usize,
    /// Slots that a block changes.
    #[arg(
        long, value_name = "N", default_value_t = 3_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    slots: usize,
    /// Timed blocks; the times reported are their medians.
    #[arg(
        long, value_name = "R", default_value_t = 9,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    rounds: usize,
    /// Random reads of each kind, by each thread.
    #[arg(
        long, value_name = "N", default_value_t = 200_000,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    reads: usize,
    /// Threads that read; by default as many as the machine runs at once.
    #[arg(
        long, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024)
    )]
    threads: Option<usize>,
    /// The seed of state and changes.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Where the store lies while it is measured; by default in the folder for temporary files.
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What was measured, and, serialised, the JSON object under `store`. Times are medians.
#[derive(Debug, Default, Serialize)]
struct Report {
    accounts: usize,
    slots: usize,
    changed_slots: usize,
    rounds: usize,
    threads: usize,
    /// The first block, with the whole state.
    init_ms: f64,
    /// A block's changes: into the tries, the nodes to store taken from them, and the commit.
    root_ms: f64,
    nodes_ms: f64,
    commit_ms: f64,
    /// Nodes that a block's commit writes or takes out.
    nodes: usize,
    /// `EMPTY_BLOCKS` blocks without changes in one commit.
    empty_blocks: usize,
    empty_blocks_ms: f64,
    /// Random reads: on one thread, and on all at once, by each.
    account_read_ns: f64,
    account_read_threads_ns: f64,
    slot_read_ns: f64,
    slot_read_threads_ns: f64,
    /// Taking a snapshot and reading one account.
    snapshot_ns: f64,
    verify_ms: f64,
    bytes: u64,
    seed: u64,
    version: &'static str,
}

/// Measures. An error if anything that is read is not what was written.
///
/// # Errors
/// As said, and whatever keeps the store from being written.
pub(super) fn run(args: &StoreArgs) -> io::Result<()> {
    let folder = args.datadir.clone().unwrap_or_else(env::temp_dir);
    let folder = folder.join(format!("pleach-bench-store-{}", process::id()));
    let measured = measure(args, &folder).map_err(|error| io::Error::other(error.to_string()));
    // What was measured counts, whether or not its folder can be taken away.
    let _ = fs::remove_dir_all(&folder);
    let report = measured?;
    let mut out = io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", json!({ "store": report })),
        false => report.print(&mut out),
    }
}

fn measure(args: &StoreArgs, folder: &Path) -> Result<Report, Box<dyn Error>> {
    let threads = args.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let config = MdbxConfig { readers: threads, ..MdbxConfig::default() };
    let store = Store::open(MdbxBackend::open(folder, config)?, StoreConfig::default())?;
    let mut world = World::new(args.accounts, args.slots, args.seed);
    let start = Instant::now();
    world.init(&store)?;
    let mut report = Report {
        accounts: args.accounts,
        slots: world.slot_count(),
        changed_slots: args.slots,
        rounds: args.rounds,
        threads,
        init_ms: milliseconds(start.elapsed()),
        seed: args.seed,
        version: env!("CARGO_PKG_VERSION"),
        ..Report::default()
    };
    commits(args, &store, &mut world, &mut report)?;
    empty_commits(args, &store, &mut world, &mut report)?;
    let snapshot = store.snapshot()?;
    world.check(&snapshot)?;
    reads(args, &world, Arc::new(snapshot), threads, &mut report)?;
    snapshots(args, &world, &store, &mut report)?;
    let start = Instant::now();
    store.verify(&mut |_| {})?;
    report.verify_ms = milliseconds(start.elapsed());
    report.bytes = store.stats()?.backend.bytes;
    Ok(report)
}

/// Blocks that change slots, one a commit. The first is not timed.
fn commits(
    args: &StoreArgs,
    store: &Store,
    world: &mut World,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let root = store.snapshot()?.head().state_root;
    let mut tries = StateTrie::new(root).recording_nodes();
    let (mut roots, mut nodes, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        let bundle = world.change();
        let snapshot = store.snapshot()?;
        let start = Instant::now();
        let changes = StateChanges::from_bundle(&bundle, tries.workers());
        let root = tries.update(&changes, &snapshot)?;
        let updated = start.elapsed();
        let start = Instant::now();
        let changed = tries.take_node_changes();
        let taken = start.elapsed();
        drop(snapshot);
        let block = world.block(root, bundle);
        let start = Instant::now();
        store.commit(&[block], &changed)?;
        if round > 0 {
            commits.push(milliseconds(start.elapsed()));
            roots.push(milliseconds(updated));
            nodes.push(milliseconds(taken));
        }
        report.nodes = changed.nodes.len();
    }
    report.root_ms = median(roots).unwrap_or_default();
    report.nodes_ms = median(nodes).unwrap_or_default();
    report.commit_ms = median(commits).unwrap_or_default();
    Ok(())
}

fn empty_commits(
    args: &StoreArgs,
    store: &Store,
    world: &mut World,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut times = Vec::new();
    let root = store.snapshot()?.head().state_root;
    for _ in 0..args.rounds {
        let blocks = (0..EMPTY_BLOCKS).map(|_| world.block(root, Default::default()));
        let blocks: Vec<BlockCommit> = blocks.collect();
        let start = Instant::now();
        store.commit(&blocks, &Default::default())?;
        times.push(milliseconds(start.elapsed()));
    }
    report.empty_blocks = EMPTY_BLOCKS;
    report.empty_blocks_ms = median(times).unwrap_or_default();
    Ok(())
}

type Read = fn(&World, &Snapshot, &mut Numbers) -> Result<(), StoreError>;

fn reads(
    args: &StoreArgs,
    world: &World,
    snapshot: Arc<Snapshot>,
    threads: usize,
    report: &mut Report,
) -> Result<(), StoreError> {
    let account: Read = |world, snapshot, numbers| {
        let info = snapshot.basic_ref(world.any_account(numbers))?;
        hint::black_box(info);
        Ok(())
    };
    let slot: Read = |world, snapshot, numbers| {
        let (address, slot) = world.any_slot(numbers);
        let value: U256 = snapshot.storage_ref(address, slot)?;
        hint::black_box(value);
        Ok(())
    };
    let nanoseconds = |read: Read, threads: usize| -> Result<f64, StoreError> {
        let reader = |thread: usize| -> Result<f64, StoreError> {
            let mut numbers = Numbers::of_seed(args.seed ^ (thread as u64 + 1) << 32);
            let start = Instant::now();
            for _ in 0..args.reads {
                read(world, &snapshot, &mut numbers)?;
            }
            Ok(start.elapsed().as_secs_f64() * 1e9 / args.reads as f64)
        };
        let times: Vec<_> = thread::scope(|scope| {
            let readers = (0..threads).map(|thread| scope.spawn(move || reader(thread)));
            let readers: Vec<_> = readers.collect();
            readers
                .into_iter()
                .map(|reader| reader.join().expect("reading does not panic"))
                .collect()
        });
        let times: Vec<f64> = times.into_iter().collect::<Result<_, _>>()?;
        Ok(times.iter().sum::<f64>() / threads as f64)
    };
    // The first time fetches pages from the file.
    nanoseconds(account, 1)?;
    report.account_read_ns = nanoseconds(account, 1)?;
    report.account_read_threads_ns = nanoseconds(account, threads)?;
    nanoseconds(slot, 1)?;
    report.slot_read_ns = nanoseconds(slot, 1)?;
    report.slot_read_threads_ns = nanoseconds(slot, threads)?;
    Ok(())
}

fn snapshots(
    args: &StoreArgs,
    world: &World,
    store: &Store,
    report: &mut Report,
) -> Result<(), StoreError> {
    let count = (args.reads / 20).max(1);
    let mut numbers = Numbers::of_seed(args.seed);
    let start = Instant::now();
    for _ in 0..count {
        hint::black_box(store.snapshot()?.basic_ref(world.any_account(&mut numbers))?);
    }
    report.snapshot_ns = start.elapsed().as_secs_f64() * 1e9 / count as f64;
    Ok(())
}

impl Report {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { accounts, slots, changed_slots, threads, .. } = self;
        writeln!(out, "{accounts} accounts, {slots} slots; {} MB on disk", self.bytes >> 20)?;
        writeln!(out, "begun with them in      {:>9.1} ms", self.init_ms)?;
        writeln!(out, "a block of {changed_slots} slots, which change {} nodes", self.nodes)?;
        writeln!(out, "  into the tries        {:>9.3} ms", self.root_ms)?;
        writeln!(out, "  nodes taken           {:>9.3} ms", self.nodes_ms)?;
        writeln!(out, "  committed, durable    {:>9.3} ms", self.commit_ms)?;
        writeln!(
            out,
            "{} empty blocks at once {:>9.3} ms",
            self.empty_blocks, self.empty_blocks_ms
        )?;
        let (one, all) = (self.account_read_ns, self.account_read_threads_ns);
        writeln!(
            out,
            "read an account         {one:>9.0} ns, on {threads} threads {all:.0} ns each"
        )?;
        let (one, all) = (self.slot_read_ns, self.slot_read_threads_ns);
        writeln!(
            out,
            "read a slot             {one:>9.0} ns, on {threads} threads {all:.0} ns each"
        )?;
        writeln!(out, "snapshot and one read   {:>9.0} ns", self.snapshot_ns)?;
        writeln!(out, "verified in             {:>9.1} ms", self.verify_ms)
    }
}
