//! Keeps the house readable: short functions, short files, short lines, and nothing left lying
//! about.

use std::{
    fs,
    path::{Path, PathBuf},
};

const MAX_FILE_LINES: usize = 800;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_LINE_CHARS: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").into()
}

/// All files of the workspace with one of these endings, build outputs and packages apart.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace is readable") {
            let path = entry.expect("its entries are, too").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let skipped = ["target", "node_modules", ".git", "scratch"].contains(&name.as_str());
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "the walk starts in the wrong place: {:?}", root());
    found
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "{} untidy places:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn files_and_lines_are_short() {
    let mut problems = Vec::new();
    for path in files(&[".rs", ".wgsl"]) {
        let text = fs::read_to_string(&path).expect("source is text");
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            problems.push(format!("{}: {lines} lines", path.display()));
        }
        let long = text.lines().enumerate().filter(|(_, l)| l.chars().count() > MAX_LINE_CHARS);
        problems.extend(long.map(|(at, _)| format!("{}:{}: a long line", path.display(), at + 1)));
    }
    complain(&problems);
}

/// rustfmt puts a function's closing brace under its first line, which is all that is needed to
/// measure it.
#[test]
fn functions_are_short() {
    let mut problems = Vec::new();
    for path in files(&[".rs"]) {
        let text = fs::read_to_string(&path).expect("source is text");
        let lines: Vec<_> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
            let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
            let closing = format!("{indent}}}");
            let length = lines[start..].iter().position(|line| *line == closing).unwrap_or(0) + 1;
            if length > MAX_FUNCTION_LINES {
                problems.push(format!("{}:{}: {length} lines", path.display(), start + 1));
            }
        }
    }
    complain(&problems);
}

fn starts_function(line: &str) -> bool {
    let mut rest = line.trim_start();
    for word in
        ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "]
    {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.starts_with("fn ") && !line.ends_with(';')
}

#[test]
fn nothing_is_left_lying_about() {
    // Spelled apart, so that this file does not complain of itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("]];
    let places = [["/wo", "rk/"], ["/ro", "ot/"]];
    let mut problems = Vec::new();
    for path in files(&[".rs", ".wgsl", ".md", ".toml", ".sh", ".mjs", ".sol"]) {
        let text = fs::read_to_string(&path).expect("source is text");
        for (at, line) in text.lines().enumerate() {
            let found = marks.iter().chain(&places).map(|parts| parts.concat());
            let found = found.filter(|mark| line.contains(mark.as_str()));
            problems.extend(found.map(|mark| format!("{}:{}: {mark}", path.display(), at + 1)));
        }
    }
    complain(&problems);
}
