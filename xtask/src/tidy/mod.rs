//! `cargo xtask tidy`: the rules that no compiler checks. Each says what to do when it is broken.
//!
//! A rule is a function from the [`Tree`] of files to its [`Finding`]s, and has a unit test that sees
//! it fail.

mod documents;
mod edges;
mod files;
mod generated;
mod lints;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{output, root};

/// The files of the repository that are text, by their path from the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    path: String,
    text: String,
}

/// One breach of one rule.
#[derive(Debug)]
pub(crate) struct Finding {
    place: String,
    problem: String,
}

/// Looks at the whole tree.
type Rule = fn(&Tree) -> Vec<Finding>;

/// All rules over the tree, with the names that the report shows.
const RULES: &[(&str, Rule)] = &[
    ("anchors", documents::anchors),
    ("dead-files", files::dead_files),
    ("edges-table", edges::documented),
    ("formats", documents::formats),
    ("generated", generated::marked),
    ("lint-tables", lints::tables),
    ("manifest", generated::manifest),
    ("module-docs", files::module_docs),
    ("names", files::forbidden_names),
    ("relaxations", lints::relaxations),
    ("size", files::sizes),
    ("unfinished", files::unfinished),
    ("unsafe", source::unsafe_code),
];

/// Runs every rule; any finding is an error.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&root())?;
    let mut broken = 0;
    let metadata = output(&mut metadata())?;
    let edges = ("edges", edges::check(&metadata)?);
    let all = RULES.iter().map(|(name, rule)| (*name, rule(&tree))).chain([edges]);
    for (name, findings) in all {
        broken += findings.len();
        for finding in findings {
            println!("tidy: {}: {} [{name}]", finding.place, finding.problem);
        }
    }
    if broken > 0 {
        bail!("tidy found {broken} problems; the lines above say what to do");
    }
    println!("tidy: {} files, {} rules hold", tree.files.len(), RULES.len() + 1);
    Ok(())
}

fn metadata() -> Command {
    crate::run::cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"])
}

impl Tree {
    /// What git tracks and what it would track, as far as it is UTF-8.
    fn read(root: &Path) -> Result<Tree> {
        // Continuous integration may run as another user than the one who cloned.
        let mut git = Command::new("git");
        git.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]);
        git.arg("--exclude-standard").current_dir(root);
        let listed = output(&mut git).context("tidy asks git for the list of files")?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            // A file that git knows may be deleted here, and a binary one is no text.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            let Ok(text) = String::from_utf8(bytes) else { continue };
            files.push(File { path: path.to_owned(), text });
        }
        Ok(Tree { files })
    }

    fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

impl File {
    fn is_generated(&self) -> bool {
        self.path.contains("/generated/")
    }

    /// A finding about line `index`, counted from 0.
    fn line(&self, index: usize, problem: impl Into<String>) -> Finding {
        Finding { place: format!("{}:{}", self.path, index + 1), problem: problem.into() }
    }

    /// A finding about the whole file.
    fn whole(&self, problem: impl Into<String>) -> Finding {
        Finding::at(&self.path, problem)
    }
}

impl Finding {
    fn at(place: &str, problem: impl Into<String>) -> Finding {
        Finding { place: place.to_owned(), problem: problem.into() }
    }
}
