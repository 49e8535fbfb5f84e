//! Writes a chain that `pleach import` takes: `make_chain FOLDER BLOCKS TXS [SEED]` makes
//! `genesis.json` and `chain.rlp`, with TXS signed transactions of several kinds in each block.

use std::{env, error::Error, fs, path::PathBuf};

use pleach_bench_suite::workload::chain;

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: make_chain FOLDER BLOCKS TXS [SEED]";
    let mut args = env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or(usage)?);
    let blocks = args.next().ok_or(usage)?.parse()?;
    let txs = args.next().ok_or(usage)?.parse()?;
    let seed = args.next().map_or(Ok(1), |seed| seed.parse())?;
    fs::create_dir_all(&folder)?;
    let chain = chain(seed, blocks, txs);
    fs::write(folder.join("genesis.json"), serde_json::to_vec(&chain.genesis)?)?;
    let rlp: Vec<u8> = chain.blocks.iter().flat_map(alloy_rlp::encode).collect();
    fs::write(folder.join("chain.rlp"), rlp)?;
    Ok(())
}
