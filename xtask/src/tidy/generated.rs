//! Generated code and its manifest.

use std::collections::BTreeSet;

use toml::Table;

use super::{File, Finding, Tree};

const MANIFEST: &str = "crates/aws/operations.toml";
const FOLDER: &str = "crates/aws/src/generated/";
const AUDIT_KINDS: [&str; 2] = ["data", "management"];

/// Generated files say so in their first line, and nothing else claims it.
pub(super) fn marked(tree: &Tree) -> Vec<Finding> {
    let mark = concat!("// @gene", "rated");
    let mut findings = Vec::new();
    for file in tree.rust() {
        let marked = file.text.starts_with(mark);
        if file.is_generated() && !marked {
            findings.push(file.whole("lies under generated/ without the mark in its first line"));
        } else if !file.is_generated() && marked {
            findings.push(file.whole("is marked as generated and lies outside generated/"));
        }
    }
    findings
}

/// The manifest is complete in each row, sorted, and has one generated file an operation.
pub(super) fn manifest(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.find(MANIFEST) else {
        return vec![Finding::at(MANIFEST, "is missing")];
    };
    let services: Table = match toml::from_str(&file.text) {
        Ok(table) => table,
        Err(error) => return vec![file.whole(error.to_string())],
    };
    let mut findings = Vec::new();
    let mut wanted = BTreeSet::new();
    for (service, operations) in &services {
        for (operation, row) in operations.as_table().into_iter().flatten() {
            let problem = row.as_table().map_or(Some("is no table"), incomplete);
            findings.extend(problem.map(|p| file.whole(format!("{service}.{operation} {p}"))));
            wanted.insert(format!("{FOLDER}{service}/{}.rs", snake(operation)));
        }
    }
    for path in wanted.iter().filter(|path| tree.find(path).is_none()) {
        findings.push(Finding::at(path, "is missing: run `cargo xtask codegen`"));
    }
    let stray = tree.rust().filter(|f| is_operation(f) && !wanted.contains(&f.path));
    findings
        .extend(stray.map(|f| f.whole("has no row in the manifest: run `cargo xtask codegen`")));
    findings.extend(unsorted(file));
    findings
}

fn incomplete(row: &Table) -> Option<&'static str> {
    if row.get("read_only").and_then(toml::Value::as_bool).is_none() {
        return Some("must say `read_only`");
    }
    if !row.get("audit").and_then(toml::Value::as_str).is_some_and(|a| AUDIT_KINDS.contains(&a)) {
        return Some("must say `audit`: data or management");
    }
    let actions = row.get("actions").and_then(toml::Value::as_array);
    actions.is_none().then_some("must list its `actions`")
}

fn is_operation(file: &File) -> bool {
    let Some(inner) = file.path.strip_prefix(FOLDER) else { return false };
    let Some((_, name)) = inner.split_once('/') else { return false };
    !name.contains('/') && !["errors.rs", "known.rs", "mod.rs"].contains(&name)
}

fn unsorted(file: &File) -> Option<Finding> {
    let heads: Vec<&str> =
        file.text.lines().filter_map(|l| l.strip_prefix('[')?.strip_suffix(']')).collect();
    let bad = heads.windows(2).find(|pair| pair.first() >= pair.last())?;
    Some(file.whole(format!("is not sorted, or repeats itself, at {}", bad.last()?)))
}

/// `PutObject` is in `put_object.rs`, `ListObjectsV2` in `list_objects_v2.rs`.
fn snake(operation: &str) -> String {
    let letters: Vec<char> = operation.chars().collect();
    let mut text = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| letters.get(i));
        let after = letters.get(at + 1);
        let word_starts = letter.is_uppercase()
            && (before.is_some_and(|c| !c.is_uppercase())
                || after.is_some_and(|c| c.is_lowercase()));
        if word_starts && at > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
