//! The process is killed at random moments. What it had told to be durable must be there, and what
//! is there must be right.

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use pleach_bench_suite::{
    import::{Database, DatabaseError},
    workload::chain,
};
use serde_json::Value;

use super::support::{import, run, scratch, write_chain};

const BLOCKS: usize = 120;
const ROUNDS: u64 = 10;

/// So many rounds: 10, or as many as `PLEACH_KILL_ROUNDS` says.
fn rounds() -> u64 {
    let given = std::env::var("PLEACH_KILL_ROUNDS").ok();
    given.map_or(ROUNDS, |rounds| rounds.parse().expect("PLEACH_KILL_ROUNDS is a number"))
}

/// SplitMix64, as in the workloads.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct Trial {
    genesis: PathBuf,
    blocks: PathBuf,
    datadir: PathBuf,
    hashes: Vec<String>,
}

/// How one round ended.
#[derive(Debug, Default)]
struct Tally {
    killed: u64,
    finished: u64,
    /// Rounds in which a block became durable before the kill.
    advanced: u64,
    /// Rounds after which the store was ahead of what had been told.
    ahead: u64,
}

#[test]
fn a_killed_import_loses_nothing_that_was_durable() {
    let seed = std::env::var("PLEACH_KILL_SEED").map_or(1, |seed| seed.parse().unwrap());
    let folder = scratch("kill");
    let chain = chain(seed, BLOCKS, 3);
    let (genesis, blocks) = write_chain(&folder, &chain);
    let hashes = chain.blocks.iter().map(|block| block.header.hash_slow().to_string());
    let trial = Trial { genesis, blocks, datadir: folder.join("data"), hashes: hashes.collect() };
    let whole = trial.time_of_whole_import();
    let _ = writeln!(std::io::stderr(), "kill: a whole import takes {whole:?}");
    let (mut random, mut tally) = (seed, Tally::default());
    for round in 0..rounds() {
        // One in four while the store is made or opened, one in four perhaps after the end.
        let longest = match round % 4 {
            0 => whole * 3 / 2,
            1 => whole / 3,
            _ => whole,
        };
        let after = longest.mul_f64((next(&mut random) % 10_000) as f64 / 10_000.0);
        let commit_blocks = 1 + next(&mut random) % 12;
        let context = format!("seed {seed}, round {round}, killed after {after:?}");
        trial.round(after, commit_blocks, &mut tally, &context);
        if trial.head() == BLOCKS as u64 {
            fs::remove_dir_all(&trial.datadir).unwrap();
        }
    }
    // What a kill left is as good as any: the rest of the chain goes on top.
    let (summary, ok) = run(&mut import(&trial.genesis, &trial.datadir, &[&trial.blocks]));
    assert!(ok, "seed {seed}: {summary}");
    let _ = writeln!(std::io::stderr(), "kill: seed {seed}, {} rounds, {tally:?}", rounds());
}

impl Trial {
    /// How long an import takes that nobody kills. Leaves no database.
    fn time_of_whole_import(&self) -> Duration {
        let begin = Instant::now();
        let mut command = import(&self.genesis, &self.datadir, &[&self.blocks]);
        let (summary, ok) = run(command.args(["--commit-blocks", "6"]));
        assert!(ok, "{summary}");
        let took = begin.elapsed();
        fs::remove_dir_all(&self.datadir).unwrap();
        took
    }

    /// Begins an import, kills it, and looks at what is left.
    fn round(&self, after: Duration, commit_blocks: u64, tally: &mut Tally, context: &str) {
        let mut command = import(&self.genesis, &self.datadir, &[&self.blocks]);
        command.args(["--json", "--commit-blocks", &commit_blocks.to_string()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let told = thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            lines.filter_map(|line| durable_of(&line)).last()
        });
        thread::sleep(after);
        // On Unix this is SIGKILL, which no process can put off.
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let told = told.join().unwrap();
        match output.status.code() {
            None => tally.killed += 1,
            Some(0) => tally.finished += 1,
            Some(code) => {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                panic!("{context}: exit {code}: {error}");
            }
        }
        self.check(told, tally, context);
    }

    /// Opens the store, which verifies its head's root, and compares it with what was told.
    fn check(&self, told: Option<(u64, String)>, tally: &mut Tally, context: &str) {
        let head = self.head();
        if let Some((number, hash)) = told {
            assert!(head >= number, "{context}: block {number} was durable, and {head} is there");
            assert_eq!(hash, self.hashes[number as usize - 1], "{context}");
            tally.advanced += 1;
            tally.ahead += u64::from(head > number);
        }
        if !self.datadir.exists() || head == 0 {
            return;
        }
        let store = Database::open_existing(&self.datadir).expect(context);
        let snapshot = store.snapshot().expect(context);
        for number in 1..=head {
            let hash = snapshot.block_hash(number).expect(context);
            let hash = hash.map(|hash| hash.to_string());
            assert_eq!(hash.as_ref(), self.hashes.get(number as usize - 1), "{context}");
        }
        drop(snapshot);
        let verified = store.verify(&mut |_| ()).expect(context);
        assert_eq!(verified.blocks, head + 1, "{context}");
    }

    /// The last block that is in the store; 0 if there is no store yet, or no chain in it.
    fn head(&self) -> u64 {
        match Database::open_existing(&self.datadir) {
            Ok(store) => store.head().unwrap().map_or(0, |head| head.number),
            Err(DatabaseError::Missing { .. }) => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The block of a line that says that it is durable.
fn durable_of(line: &str) -> Option<(u64, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let durable = &line["durable"];
    Some((durable["number"].as_u64()?, durable["hash"].as_str()?.to_owned()))
}
