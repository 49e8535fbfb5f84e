//! Where test files come from.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Log2 of the longest window that an archive may be packed with.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Test files that are reported together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A `.tar.zst` archive, read as a stream.
    Archive(PathBuf),
    /// The `.json` files at or below a path, in order.
    Files {
        /// The path asked for.
        root: PathBuf,
        /// The files.
        files: Vec<PathBuf>,
    },
}

/// Test files that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An archive is cut off or damaged.
    #[error("cannot read archive {path} after {files} files: {source}", path = .path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Test files read from it before.
        files: usize,
        /// Why.
        source: io::Error,
    },
    /// Neither a folder nor a kind of file that holds tests.
    #[error(
        "{path} is neither a folder, a .json file nor a .tar.zst archive",
        path = .path.display()
    )]
    UnknownKind {
        /// The path.
        path: PathBuf,
    },
    /// A folder holds no tests.
    #[error("{path} holds no .json file and no .tar.zst archive", path = .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Which of the files and cases are run.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Only cases whose `file::case` contains this.
    pub filter: Option<String>,
    /// Only every so many-th file of a source, from the first on.
    pub sample: NonZeroUsize,
}

impl Selection {
    /// Whether a case is run.
    pub fn keeps(&self, file: &str, case: &str) -> bool {
        self.filter.as_deref().is_none_or(|f| file.contains(f) || case.contains(f))
    }

    fn keeps_file(&self, index: usize) -> bool {
        index.is_multiple_of(self.sample.get())
    }
}

impl Source {
    /// The sources at a path: an archive, a file, or all that a folder holds at any depth.
    ///
    /// # Errors
    /// [`SourceError`] if the path cannot be read or holds no tests.
    pub fn at(path: &Path) -> Result<Vec<Self>, SourceError> {
        let metadata = path.metadata().map_err(|source| read_error(path, source))?;
        if !metadata.is_dir() {
            return match kind(path) {
                Some(Kind::Archive) => Ok(vec![Self::Archive(path.to_owned())]),
                Some(Kind::Json) => {
                    Ok(vec![Self::Files { root: path.to_owned(), files: vec![path.to_owned()] }])
                }
                None => Err(SourceError::UnknownKind { path: path.to_owned() }),
            };
        }
        let (mut archives, mut files) = (Vec::new(), Vec::new());
        walk(path, &mut archives, &mut files)?;
        let mut sources: Vec<_> = archives.into_iter().map(Self::Archive).collect();
        if !files.is_empty() {
            sources.push(Self::Files { root: path.to_owned(), files });
        }
        if sources.is_empty() {
            return Err(SourceError::Empty { path: path.to_owned() });
        }
        Ok(sources)
    }

    /// What the source is called in reports.
    pub fn path(&self) -> &Path {
        match self {
            Self::Archive(path) | Self::Files { root: path, .. } => path,
        }
    }

    /// Reads the selected files, one after another, and hands over name and content. Stops early
    /// when `sink` says so by returning false.
    ///
    /// # Errors
    /// [`SourceError`] for a file that cannot be read or a damaged archive.
    pub fn read(
        &self,
        selection: &Selection,
        mut sink: impl FnMut(String, Vec<u8>) -> bool,
    ) -> Result<(), SourceError> {
        match self {
            Self::Archive(path) => read_archive(path, selection, &mut sink),
            Self::Files { files, .. } => {
                for (index, path) in files.iter().enumerate() {
                    if !selection.keeps_file(index) {
                        continue;
                    }
                    let bytes = std::fs::read(path).map_err(|source| read_error(path, source))?;
                    if !sink(path.display().to_string(), bytes) {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

fn read_archive(
    path: &Path,
    selection: &Selection,
    sink: &mut impl FnMut(String, Vec<u8>) -> bool,
) -> Result<(), SourceError> {
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    let mut files = 0;
    let stream = || -> io::Result<()> {
        let mut unpacked = zstd::Decoder::new(BufReader::new(file))?;
        unpacked.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        for entry in tar::Archive::new(unpacked).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.display().to_string();
            if !name.ends_with(".json") || !entry.header().entry_type().is_file() {
                continue;
            }
            let selected = selection.keeps_file(files);
            files += 1;
            if !selected {
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if !sink(name, bytes) {
                break;
            }
        }
        Ok(())
    };
    stream().map_err(|source| SourceError::Archive { path: path.to_owned(), files, source })
}

enum Kind {
    Archive,
    Json,
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(".tar.zst") {
        Some(Kind::Archive)
    } else if name.ends_with(".json") {
        Some(Kind::Json)
    } else {
        None
    }
}

fn walk(
    folder: &Path,
    archives: &mut Vec<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), SourceError> {
    let entries = std::fs::read_dir(folder).map_err(|source| read_error(folder, source))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths =
        paths.collect::<io::Result<Vec<_>>>().map_err(|source| read_error(folder, source))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, archives, files)?;
            continue;
        }
        match kind(&path) {
            Some(Kind::Archive) => archives.push(path),
            Some(Kind::Json) => files.push(path),
            None => {}
        }
    }
    Ok(())
}

fn read_error(path: &Path, source: io::Error) -> SourceError {
    SourceError::Read { path: path.to_owned(), source }
}
