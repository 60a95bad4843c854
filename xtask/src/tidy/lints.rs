//! The lint tables: who inherits them, who repeats them, and what a relaxation must say.

use toml::Table;

use super::{File, Finding, Tree};

/// The one package that repeats the workspace's table instead of inheriting it, since a package
/// cannot both inherit the table and change a line of it.
const REPEATS: &str = "crates/keyd-client/Cargo.toml";

/// Packages inherit the workspace's lints; the one that repeats them differs in `unsafe_code` only.
pub(super) fn tables(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.find("Cargo.toml").and_then(parse) else {
        return vec![Finding::at("Cargo.toml", "cannot be read as TOML")];
    };
    let Some(wanted) = root.get("workspace").and_then(|w| w.get("lints")?.as_table()) else {
        return vec![Finding::at("Cargo.toml", "has no `[workspace.lints]`")];
    };
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_member(&file.path)) {
        let lints = parse(file).and_then(|table| Some(table.get("lints")?.as_table()?.clone()));
        let Some(mut lints) = lints else {
            findings.push(file.whole("has no `[lints]`: add `workspace = true`"));
            continue;
        };
        if file.path != REPEATS {
            if lints.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                findings.push(file.whole("must inherit the lints: `[lints]` `workspace = true`"));
            }
            continue;
        }
        let rust = lints.get_mut("rust").and_then(toml::Value::as_table_mut);
        let relaxed = rust.and_then(|rust| rust.insert("unsafe_code".into(), "forbid".into()));
        if relaxed.as_ref().and_then(toml::Value::as_str) != Some("deny") {
            findings.push(file.whole("must say `unsafe_code = \"deny\"`"));
        }
        if lints != *wanted {
            findings
                .push(file.whole("its lints differ from the workspace's in more than unsafe_code"));
        }
    }
    findings
}

fn parse(file: &File) -> Option<Table> {
    toml::from_str(&file.text).ok()
}

fn is_member(path: &str) -> bool {
    let crates = path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml"));
    ["xtask/Cargo.toml", "tests/Cargo.toml"].contains(&path)
        || crates.is_some_and(|name| !name.contains('/'))
}

/// An `allow` states its reason, and outside tools and tests it is an `expect`.
pub(super) fn relaxations(tree: &Tree) -> Vec<Finding> {
    let opening = concat!("[al", "low(");
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_generated()) {
        for (at, _) in file.text.match_indices(opening) {
            let before = file.text.get(..at).unwrap_or_default();
            if !before.ends_with('#') && !before.ends_with("#!") {
                continue;
            }
            let line = before.matches('\n').count();
            let rest = file.text.get(at..).unwrap_or_default();
            let attribute = rest.split(")]").next().unwrap_or_default();
            if !attribute.contains("reason") {
                findings.push(file.line(line, "a relaxed lint needs its `reason`"));
            } else if file.path.starts_with("crates/") && !file.path.contains("/tests/") {
                findings.push(file.line(line, "say `expect`, so that a needless one is noticed"));
            }
        }
    }
    findings
}
