//! Documents that speak of the code: what they name must exist.

use super::source::{Word, words};
use super::{File, Finding, Tree};

/// What an anchor may be declared as.
const DECLARATIONS: [&str; 9] =
    ["const", "enum", "fn", "macro_rules", "mod", "static", "struct", "trait", "type"];

/// Every row of ARCHITECTURE.md's table of anchors names files that exist and items in them.
///
/// A backticked word that ends in `.rs` is a file; any other is an item, or `Type::method`, that must
/// be declared in a file of the same row.
pub(super) fn anchors(tree: &Tree) -> Vec<Finding> {
    let path = "ARCHITECTURE.md";
    let Some(text) = tree.find(path).and_then(|file| section(&file.text, "Anchors")) else {
        return vec![Finding::at(path, "has no section `## Anchors`")];
    };
    let mut findings = Vec::new();
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let (paths, items): (Vec<_>, Vec<_>) = backticked(row).partition(|w| w.ends_with(".rs"));
        rows += usize::from(!paths.is_empty());
        let files: Vec<&File> = paths.iter().filter_map(|path| tree.find(path)).collect();
        for missing in paths.iter().filter(|path| tree.find(path).is_none()) {
            findings.push(Finding::at(path, format!("its anchor `{missing}` does not exist")));
        }
        for item in items {
            let name = item.rsplit("::").next().unwrap_or(item);
            if !files.iter().any(|file| declares(file, name)) {
                let problem =
                    format!("its anchor `{item}` is not declared in {}", paths.join(", "));
                findings.push(Finding::at(path, problem));
            }
        }
    }
    if rows == 0 {
        findings.push(Finding::at(path, "its section of anchors has no table"));
    }
    findings
}

fn declares(file: &File, name: &str) -> bool {
    file.text.lines().any(|line| {
        let words: Vec<Word<'_>> = words(line).collect();
        words.windows(2).any(|pair| match pair {
            [kind, item] => DECLARATIONS.contains(&kind.text) && item.text == name,
            _ => false,
        })
    })
}

/// Every magic constant of the code is in the table of formats.
pub(super) fn formats(tree: &Tree) -> Vec<Finding> {
    let path = "docs/formats.md";
    let Some(table) = tree.find(path) else {
        return vec![Finding::at(path, "is missing")];
    };
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| file.path.starts_with("crates/")) {
        for (index, line) in file.text.lines().enumerate() {
            let Some(magic) = magic(line) else { continue };
            if !table.text.contains(&format!("`{magic}`")) {
                findings.push(file.line(index, format!("`{magic}` is not in {path}: add its row")));
            }
        }
    }
    findings
}

/// The literal of `const SOME_MAGIC: ... = b"...";`.
fn magic(line: &str) -> Option<&str> {
    let mut words = words(line).skip_while(|word| word.text != "const");
    let name = words.nth(1)?.text;
    let literal = line.split_once('=')?.1.split('"').nth(1)?;
    name.split('_').any(|part| part == "MAGIC").then_some(literal)
}

/// The text below `## title` up to the next heading of that level.
pub(super) fn section<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let heading = format!("## {title}\n");
    let start = match text.starts_with(&heading) {
        true => heading.len(),
        false => text.find(&format!("\n{heading}"))? + 1 + heading.len(),
    };
    let body = text.get(start..)?;
    Some(body.find("\n## ").and_then(|end| body.get(..end)).unwrap_or(body))
}

/// The words between backticks.
pub(super) fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
