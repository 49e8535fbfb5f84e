//! Executes a block on a state in memory, and compares with serial execution.
//!
//! Run with `cargo run --release --example execute_block -p pleach-engine`.

mod common;

use std::{error::Error, sync::Arc};

use pleach_engine::{ChainSpec, Engine, EngineConfig, ExecuteOptions, execute_serial};

fn main() -> Result<(), Box<dyn Error>> {
    let chain = Arc::new(ChainSpec::mainnet());
    let block = common::block(None)?;
    let state = Arc::new(common::state());

    // An engine starts its threads once and executes any number of blocks.
    let engine = Engine::new(EngineConfig { threads: 4 })?;
    let options = ExecuteOptions { access_list: true, ..ExecuteOptions::default() };
    let (output, metrics) = engine.execute(&chain, &block, &state, options)?;

    println!("receipts          {}", output.receipts.len());
    println!("gas used          {}", output.gas_used);
    println!("accounts changed  {}", output.bundle.state.len());
    println!("in the BAL        {:?}", output.access_list.as_ref().map(|list| list.len()));
    println!("executions        {}", metrics.executions);
    println!("thrown away       {}", metrics.aborts);

    let serial = execute_serial(&chain, &block, &state, true)?;
    match output.difference(&serial) {
        None => println!("the same as serial execution gives"),
        Some(field) => return Err(format!("{field} differs from serial execution").into()),
    }
    Ok(())
}
