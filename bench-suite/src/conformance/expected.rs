//! The failures that are known and explained.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The list that is compiled in.
const BUILT_IN: &str = include_str!("../../expected-failures.toml");

/// One known failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFailure {
    /// End of the test file's path.
    pub file: String,
    /// The case's whole name; without it, all cases of the file.
    pub case: Option<String>,
    /// Why it fails.
    pub reason: String,
}

/// All known failures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFailures {
    #[serde(default)]
    failure: Vec<ExpectedFailure>,
}

/// A list of known failures that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpectedFailuresError {
    /// The file cannot be read.
    #[error("cannot read the list of expected failures {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no such list.
    #[error("the list of expected failures does not parse: {0}")]
    Parse(#[from] toml::de::Error),
}

impl ExpectedFailures {
    /// The list at a path, or the one compiled in.
    ///
    /// # Errors
    /// [`ExpectedFailuresError`].
    pub fn load(path: Option<&Path>) -> Result<Self, ExpectedFailuresError> {
        let Some(path) = path else { return Ok(toml::from_str(BUILT_IN)?) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ExpectedFailuresError::Read { path: path.to_owned(), source })?;
        Ok(toml::from_str(&text)?)
    }

    /// The entry for a case, with its place in the list.
    pub fn find(&self, file: &str, case: &str) -> Option<(usize, &ExpectedFailure)> {
        self.failure.iter().enumerate().find(|(_, entry)| {
            file.ends_with(&entry.file) && entry.case.as_ref().is_none_or(|name| name == case)
        })
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[ExpectedFailure] {
        &self.failure
    }
}
