//! This test program started again, as another process that runs one of its tests.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const FOLDER: &str = "PLEACH_STORE_FOLDER";

/// A command that runs a test which is ignored otherwise, on a store's folder.
pub(crate) fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("tests are programs"));
    command.args(arguments(test)).env(FOLDER, folder);
    command
}

/// The same, by way of a shell that does something first.
#[cfg(unix)]
pub(crate) fn child_after(commands: &str, test: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{commands}; exec \"$0\" \"$@\""));
    command.arg(env::current_exe().expect("tests are programs"));
    command.args(arguments(test)).env(FOLDER, folder);
    command
}

fn arguments(test: &str) -> [&str; 5] {
    ["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]
}

/// The folder that this process was started on; none if a person started it.
pub(crate) fn given_folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}
