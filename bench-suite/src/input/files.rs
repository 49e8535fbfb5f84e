//! Which files to read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{InputError, InputErrorKind};

/// A file that may hold a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was named itself, rather than met in a folder. A file that holds no block is then
    /// an error; in a folder it is passed over.
    pub named: bool,
}

/// All files behind a path: a file stands for itself, a folder for every `.json` and `.json.gz`
/// file in any depth, in the order of their paths.
///
/// Symbolic links to folders are not followed, so a walk always ends.
pub fn find(path: &Path) -> Vec<Result<BlockFile, InputError>> {
    match fs::metadata(path) {
        Err(error) => vec![Err(InputErrorKind::Io(error).at(path))],
        Ok(metadata) if metadata.is_dir() => {
            let mut files = Vec::new();
            walk(path, &mut files);
            files
        }
        Ok(_) => vec![Ok(BlockFile { path: path.to_owned(), named: true })],
    }
}

fn walk(folder: &Path, files: &mut Vec<Result<BlockFile, InputError>>) {
    let entries = match sorted_entries(folder) {
        Ok(entries) => entries,
        Err(error) => return files.push(Err(InputErrorKind::Io(error).at(folder))),
    };
    for (path, is_folder) in entries {
        if is_folder {
            walk(&path, files);
        } else if is_json(&path) {
            files.push(Ok(BlockFile { path, named: false }));
        }
    }
}

/// A folder's entries and whether each is a folder, so that every run meets them in the same order.
fn sorted_entries(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let entries = fs::read_dir(folder)?;
    let entries = entries.map(|entry| entry.and_then(|e| Ok((e.path(), e.file_type()?.is_dir()))));
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn is_json(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".json") || name.ends_with(".json.gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_json_files_in_order_and_a_missing_path_an_error() {
        let folder = std::env::temp_dir().join(format!("pleach-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("b/c")).unwrap();
        for name in ["z.json", "a.json.gz", "notes.txt", "b/c/m.json", "b/k.gz"] {
            fs::write(folder.join(name), "{}").unwrap();
        }
        let paths = [folder.clone(), folder.join("z.json"), folder.join("none")];
        let found: Vec<_> = paths.iter().flat_map(|path| find(path)).collect();
        let shown: Vec<_> = found
            .iter()
            .map(|file| file.as_ref().map(|f| (f.path.strip_prefix(&folder).unwrap(), f.named)))
            .collect();
        let expected =
            [("a.json.gz", false), ("b/c/m.json", false), ("z.json", false), ("z.json", true)];
        for (got, (path, named)) in shown.iter().zip(expected) {
            assert_eq!(*got.as_ref().unwrap(), (Path::new(path), named));
        }
        assert!(matches!(shown[4], Err(InputError { kind: InputErrorKind::Io(_), .. })));
        assert_eq!(shown.len(), 5);
        fs::remove_dir_all(folder).unwrap();
    }
}
