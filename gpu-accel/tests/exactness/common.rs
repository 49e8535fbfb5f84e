//! What the tests of this crate share: random bytes and the way to the fixtures.

use std::io::Write as _;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

pub(crate) use crate::rng::Rng;

impl Rng {
    /// That many random bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }

    /// 32 random bytes.
    pub(crate) fn b256(&mut self) -> [u8; 32] {
        self.bytes(32).try_into().expect("32 bytes were asked for")
    }
}

/// The text of a file among the vectors, unpacked if gzipped; None, and a line on stderr, where
/// `PLEACH_FIXTURES` is not set.
pub(crate) fn vectors(path: &str, cases: usize) -> Option<String> {
    let Some(root) = std::env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {cases} cases of {path} (PLEACH_FIXTURES is not set)"
        );
        return None;
    };
    let path = root.join("vectors").join(path);
    Some(read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn read(path: &Path) -> std::io::Result<String> {
    let (mut file, mut text) = (File::open(path)?, String::new());
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        file.read_to_string(&mut text)?;
    }
    Ok(text)
}
