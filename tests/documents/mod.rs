//! The documents of this repository and the code blocks in them, for the tests that hold them true.

use std::path::{Path, PathBuf};

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files with these endings below the folders, or the named files themselves, as paths relative to the repository, sorted.
/// Never empty: a wrong folder or ending is an error of the test.
pub fn files(places: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    fn walk(place: &Path, found: &mut Vec<PathBuf>) {
        // Packages of npm below tests/pages are not ours.
        if place.ends_with("node_modules") {
            return;
        }
        if place.is_dir() {
            for entry in std::fs::read_dir(place).expect("lists").flatten() {
                walk(&entry.path(), found);
            }
        } else {
            found.push(place.to_owned());
        }
    }
    let mut found = vec![];
    for place in places {
        assert!(root().join(place).exists(), "{place} does not exist");
        walk(&root().join(place), &mut found);
    }
    found.retain(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    assert!(!found.is_empty(), "no {endings:?} in {places:?}");
    found.sort();
    found.iter().map(|path| path.strip_prefix(root()).expect("below the root").to_owned()).collect()
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All Markdown documents.
pub fn documents() -> Vec<PathBuf> {
    files(
        &["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples", "deploy", "tests/arduino"],
        &[".md"],
    )
}

/// A fenced code block.
pub struct Block {
    /// The word behind the opening fence, such as `yaml`.
    pub language: String,
    /// The line of the opening fence, counted from 1.
    pub line: usize,
    pub text: String,
}

/// The fenced code blocks of a Markdown document.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = vec![];
    let mut open: Option<Block> = None;
    for (i, line) in markdown.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), line: i + 1, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last code block has no end");
    found
}
