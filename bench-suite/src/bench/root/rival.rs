//! The same state in ethrex-trie, in a process of its own.
//!
//! `bench-suite/rivals/ethrex-root` says what goes through the pipes, and why it is not linked.

use std::{
    env,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use alloy_primitives::{B256, KECCAK256_EMPTY, U256};
use pleach_state::mpt::{AccountChange, AccountFields, StateChanges};

/// The file that `cargo build --manifest-path bench-suite/rivals/ethrex-root/Cargo.toml` makes.
const FILE_NAME: &str = "ethrex-root";

/// A process that holds the state and takes changes.
#[derive(Debug)]
pub(super) struct Rival {
    process: Child,
    requests: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Where the rival's program is: where the arguments say, or beside this one, if it is there.
pub(super) fn find(given: Option<&Path>) -> Option<PathBuf> {
    let beside = || Some(env::current_exe().ok()?.with_file_name(FILE_NAME));
    given.map(Path::to_owned).or_else(|| beside().filter(|path| path.is_file()))
}

impl Rival {
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        let command = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = command?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("no pipes to the process"))?;
        Ok(Self { process, requests: BufWriter::new(stdin), answers: BufReader::new(stdout) })
    }

    /// Has changes applied. Returns the root and the milliseconds it took there.
    pub(super) fn update(&mut self, changes: &StateChanges) -> io::Result<(B256, f64)> {
        let accounts = changes.accounts();
        self.requests.write_all(&length(accounts.len())?)?;
        for change in accounts {
            self.send(change)?;
        }
        self.requests.flush()?;
        let (mut root, mut nanoseconds) = (B256::ZERO, [0; 8]);
        self.answers.read_exact(root.as_mut_slice())?;
        self.answers.read_exact(&mut nanoseconds)?;
        Ok((root, u64::from_le_bytes(nanoseconds) as f64 / 1e6))
    }

    fn send(&mut self, change: &AccountChange) -> io::Result<()> {
        const NONE: AccountFields =
            AccountFields { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY };
        let flags = u8::from(change.account.is_some()) | (u8::from(change.wiped) << 1);
        let fields = change.account.unwrap_or(NONE);
        let out = &mut self.requests;
        out.write_all(change.hashed_address.as_slice())?;
        out.write_all(&[flags])?;
        out.write_all(&fields.nonce.to_le_bytes())?;
        out.write_all(&fields.balance.to_be_bytes::<32>())?;
        out.write_all(fields.code_hash.as_slice())?;
        out.write_all(&length(change.slots.len())?)?;
        for (slot, value) in &change.slots {
            out.write_all(slot.as_slice())?;
            out.write_all(&value.to_be_bytes::<32>())?;
        }
        Ok(())
    }
}

fn length(length: usize) -> io::Result<[u8; 4]> {
    u32::try_from(length).map(u32::to_le_bytes).map_err(io::Error::other)
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It holds nothing but memory; if it is gone already there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
