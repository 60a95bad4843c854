//! Rules about single files: module docs, sizes, unfinished work, names that do not belong here.

use std::path::Path;

use super::source::{Word, words};
use super::{File, Finding, Tree};

/// Lines of a Rust file. Generated code and marked test tables are exempt.
const LINES_MAX: usize = 800;
/// The first lines of a test table say so with this comment, followed by the reason.
const TABLE_MARK: &str = "// tidy: a test table";

/// Every module says what it is.
pub(super) fn module_docs(tree: &Tree) -> Vec<Finding> {
    let undocumented = |file: &&File| {
        // Cases of trybuild and botocore's checks are programs that are compiled on their own.
        !file.path.contains("/ui/") && !file.text.lines().any(|line| line.starts_with("//!"))
    };
    let problem = "has no `//!`: say in one line what the module is, and what it is not";
    tree.rust().filter(undocumented).map(|file| file.whole(problem)).collect()
}

/// No file is too long to be read at once.
pub(super) fn sizes(tree: &Tree) -> Vec<Finding> {
    let marked = |file: &File| file.text.lines().take(5).any(|l| l.starts_with(TABLE_MARK));
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_generated() && !marked(file)) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            let problem = format!("has {lines} lines, more than {LINES_MAX}: split it by nouns");
            findings.push(file.whole(problem));
        }
    }
    findings
}

/// Nothing is left for later in the code: it is done, refused with a clear error, or in an issue.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let marks = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];
    let macros = [concat!("to", "do"), concat!("unimple", "mented")];
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_ours(file)) {
        for (index, line) in file.text.lines().enumerate() {
            let found = words(line).find(|Word { text, next }| {
                marks.contains(text)
                    || file.path.ends_with(".rs") && macros.contains(text) && *next == '!'
            });
            if let Some(Word { text, .. }) = found {
                findings
                    .push(file.line(index, format!("`{text}`: finish it, or refuse it cleanly")));
            }
        }
    }
    findings
}

fn is_ours(file: &File) -> bool {
    let kinds = ["rs", "toml", "md", "sh", "py"];
    let extension = Path::new(&file.path).extension().and_then(|e| e.to_str());
    !file.is_generated()
        && (extension.is_some_and(|e| kinds.contains(&e)) || file.path == ".ci/run")
}

/// Paths of one machine and names of the tools that people write with do not belong in the tree.
pub(super) fn forbidden_names(tree: &Tree) -> Vec<Finding> {
    let paths = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let others = [concat!("../sha", "red"), concat!("clau", "de"), concat!("anthro", "pic")];
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !exempt_from_names(file)) {
        for (index, line) in file.text.lines().enumerate() {
            let lower = line.to_ascii_lowercase();
            let path = paths.iter().find(|path| starts_a_path(line, path));
            let other = others.iter().find(|name| lower.contains(*name));
            if let Some(found) = path.or(other) {
                findings.push(file.line(index, format!("`{found}` is known on one machine only")));
            }
        }
    }
    findings
}

fn exempt_from_names(file: &File) -> bool {
    // Seeds of the fuzz targets and vectors of other projects are bytes, not statements of ours.
    file.path.starts_with("fuzz/corpus/") || file.path.contains("/vectors/") || file.is_generated()
}

/// True where `path` opens an absolute path and is not the middle of a longer one or of a URL.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !".-_/}*:".contains(c))
    })
}

/// Every Rust file below `src` is a module of something.
pub(super) fn dead_files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_generated()) {
        let Some((package, inner)) = file.path.split_once("/src/") else { continue };
        if ["lib.rs", "main.rs"].contains(&inner) || inner.starts_with("bin/") {
            continue;
        }
        let path = inner.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let name = path.rsplit('/').next().unwrap_or(path);
        let declared = tree.rust().filter(|other| other.path.starts_with(package)).any(|other| {
            let text = &other.text;
            let by_name = ["mod ", "mod r#"].iter().any(|m| {
                text.contains(&format!("{m}{name};")) || text.contains(&format!("{m}{name} {{"))
            });
            by_name || text.contains(&format!("{name}.rs\"]"))
        });
        if !declared {
            findings.push(file.whole(format!("is dead: no `mod {name}` leads to it")));
        }
    }
    findings
}
