//! Real chains and those of other clients' tests.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use super::support::{import, pleach, run, scratch};

/// Imports a chain of the fixtures, in two runs, and verifies what is stored.
fn imported(name: &str, chain: &str, file: &str, first: u64, last: u64) {
    let Some(root) = std::env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {file}, because PLEACH_FIXTURES is not set");
        return;
    };
    let datadir = scratch(name).join("data");
    let chain = if chain.contains('/') { root.join(chain) } else { chain.into() };
    let blocks = root.join(file);
    let import = || import(&chain, &datadir, &[&blocks]);
    let (part, ok) = run(import().args(["--to", &(last / 2).to_string()]));
    assert!(ok, "{part}");
    assert_eq!(part["summary"]["durable"]["number"], last / 2);
    let (whole, ok) = run(&mut import());
    assert!(ok, "{whole}");
    let summary = &whole["summary"];
    let known = last / 2 + 1 - first;
    assert_eq!((&summary["blocks"], &summary["known"]), (&(last - last / 2).into(), &known.into()));
    assert_eq!(summary["durable"]["number"], last);
    verify(&datadir);
}

fn verify(datadir: &Path) {
    let (verified, ok) = run(pleach().args(["db", "verify", "--datadir"]).arg(datadir));
    assert!(ok, "{verified}");
}

#[test]
fn the_first_blocks_of_mainnet() {
    let genesis = "chains/mainnet-genesis.json.gz";
    imported("mainnet-1000", genesis, "chains/mainnet-first-1000.blocks", 0, 999);
}

#[test]
fn an_era_of_mainnet() {
    imported("mainnet-era", "mainnet", "chains/mainnet-00000-5ec1ffb8.era1", 0, 8_191);
}

#[test]
fn a_chain_up_to_prague() {
    let folder = "engine/geth-ethtest-600-blocks";
    let (genesis, blocks) = (format!("{folder}/genesis.json"), format!("{folder}/chain.rlp.gz"));
    imported("geth-600", &genesis, &blocks, 1, 600);
}

#[test]
fn a_chain_through_all_forks() {
    let folder = "rpc/execution-apis";
    let (genesis, blocks) = (format!("{folder}/genesis.json"), format!("{folder}/chain.rlp"));
    imported("execution-apis", &genesis, &blocks, 1, 54);
}
