//! Processes that are killed while they commit, and two on one folder.
//!
//! `PLEACH_KILLS=N` sets how often a process is killed.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    thread,
    time::Duration,
};

use pleach_state::store::{StoreConfig, StoreError};

use crate::{
    chain::Chain,
    child::{child, given_folder},
    folder::{Folder, open},
    rng::Rng,
};

const KILLS: u64 = 12;
const CONFIG: StoreConfig = StoreConfig { unwindable: 30 };

/// Commits for as long as it is let, and says which blocks are durable.
#[test]
#[ignore = "started by another test"]
fn commits_until_it_is_killed() {
    let Some(folder) = given_folder() else { return };
    let store = open(&folder, Default::default(), CONFIG).expect("it opens");
    if store.head().expect("readable").is_none() {
        Chain::new(1).init(&store).expect("the genesis state has the header's root");
    }
    let seed = store.head().expect("readable").expect("there").number;
    let mut chain = Chain::resume(seed, &store.snapshot().expect("there is a chain"));
    for _ in 0..10_000 {
        let count = 1 + chain.rng.below(5) as usize;
        chain.commit(&store, count).expect("there is room");
        let mut number = chain.head().0.number;
        if chain.rng.chance(10) && number > 20 {
            number -= 1 + chain.rng.below(5);
            say(&format!("unwinding {number}"));
            store.unwind(number).expect("it is not too far");
            chain = Chain::resume(number, &store.snapshot().expect("there is a chain"));
        }
        say(&format!("durable {number} {}", chain.head().0.hash_slow()));
    }
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("the pipe is open");
}

#[test]
fn a_kill_leaves_the_last_durable_block_or_a_later_one() {
    let kills = env::var("PLEACH_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let folder = Folder::new("kill");
    let mut rng = Rng(0x0ddb_a115);
    let mut lost = 0;
    for kill in 0..kills {
        let mut process = child("kill::commits_until_it_is_killed", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let wait = Duration::from_micros(2_000 + rng.below(300_000));
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let reader = thread::spawn(move || output.lines().map_while(Result::ok).collect());
        thread::sleep(wait);
        process.kill().expect("it runs");
        process.wait().expect("it ends");
        let lines: Vec<String> = reader.join().expect("it reads to the end");
        lost += u64::from(!check(&folder, &lines, kill));
    }
    let head = folder.open_with(CONFIG).expect("it opens").head().expect("readable");
    let reached = head.map_or(0, |head| head.number);
    println!("{kills} kills, {lost} before the genesis block was durable; block {reached} at last");
    assert!(reached > 0, "no process ever got as far as to commit a block");
}

/// Opens what a killed process left. Says whether there was a chain.
fn check(folder: &Folder, lines: &[String], kill: u64) -> bool {
    let store = folder.open_with(CONFIG).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
    let durable = lines.iter().rev().find_map(|line| line.strip_prefix("durable "));
    let Some(head) = store.head().expect("readable") else {
        assert_eq!(durable, None, "kill {kill}: a chain that was reported is lost");
        return false;
    };
    store.verify(&mut |_| {}).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
    let Some((number, hash)) = durable.and_then(|line| line.split_once(' ')) else { return true };
    let number: u64 = number.parse().expect("a number");
    let unwinding = lines.last().and_then(|line| line.strip_prefix("unwinding "));
    if unwinding.is_some_and(|to| to == head.number.to_string()) {
        return true;
    }
    let held = store.snapshot().expect("there is a chain").block_hash(number).expect("readable");
    assert_eq!(
        held.map(|held| held.to_string()).as_deref(),
        Some(hash),
        "kill {kill}: block {number} was durable, and the head is {}",
        head.number
    );
    true
}

/// Has a store until its standard input ends.
#[test]
#[ignore = "started by another test"]
fn holds_the_folder() {
    let Some(folder) = given_folder() else { return };
    let _store = open(&folder, Default::default(), CONFIG).expect("it opens");
    println!("held");
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn two_processes_cannot_have_one_folder() {
    let folder = Folder::new("held");
    let mut process = child("kill::holds_the_folder", folder.path())
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    assert!(output.by_ref().map_while(Result::ok).any(|line| line.ends_with("held")));
    let error = folder.open().expect_err("another process has it");
    assert!(matches!(&error, StoreError::InUse { holder: Some(pid), .. } if *pid == process.id()));
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", process.id())), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
    drop(process.stdin.take());
    process.wait().expect("it ends");
    let store = folder.open().expect("nobody has it");
    let error = folder.open().expect_err("this process has it");
    assert!(matches!(&error, StoreError::InUse { holder: Some(pid), .. } if {
        *pid == std::process::id()
    }));
    drop(store);
    folder.open().expect("nobody has it");
}
