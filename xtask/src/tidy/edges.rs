//! Which crate may depend on which: the full table. An edge that is not listed is an error.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::documents::{backticked, section};
use super::{Finding, Tree};

/// One crate's allowed dependencies on other crates of the workspace, without the prefix `writ-`.
struct Row {
    name: &'static str,
    normal: &'static [&'static str],
    /// Allowed in `[dev-dependencies]` besides.
    dev: &'static [&'static str],
}

const fn row(name: &'static str, normal: &'static [&'static str]) -> Row {
    Row { name, normal, dev: &[] }
}

/// The table. ARCHITECTURE.md shows the same one; `documented` compares them.
const TABLE: &[Row] = &[
    row("model", &[]),
    row("policy", &["model"]),
    row("aws", &["model"]),
    row("durable", &[]),
    row("proof", &["model"]),
    Row { name: "link", normal: &["proof"], dev: &["model"] },
    row("ssh", &["model", "proof"]),
    row("keyd-client", &["model", "proof"]),
    row("keyd", &["model", "policy", "aws", "proof", "keyd-client"]),
    row("store", &["model", "policy", "proof"]),
    row("trail", &["durable", "model", "proof", "keyd-client"]),
    row("service", &["model", "policy", "aws", "proof", "keyd-client", "store", "trail"]),
    row("people", &["model", "store"]),
    row("access", &["model", "proof", "store"]),
    Row {
        name: "iam",
        normal: &["model", "policy", "aws", "keyd-client", "store", "trail", "service"],
        dev: &["proof"],
    },
    Row {
        name: "kms",
        normal: &["model", "policy", "aws", "keyd-client", "store", "trail", "service"],
        dev: &["proof"],
    },
    row("s3", &["model", "policy", "aws", "proof", "keyd-client", "store", "trail", "service"]),
    row("watch", &["durable", "link", "model", "proof", "keyd-client"]),
    row("bastion", &["durable", "model", "proof", "keyd-client", "ssh", "trail"]),
    row("agent", &["durable", "link", "model", "proof"]),
    Row { name: "console", normal: &["model", "proof", "service"], dev: &["keyd-client"] },
    row(
        "writ",
        &[
            "model",
            "policy",
            "aws",
            "proof",
            "keyd-client",
            "keyd",
            "store",
            "trail",
            "service",
            "people",
            "access",
            "iam",
            "kms",
            "s3",
            "watch",
            "ssh",
            "bastion",
            "console",
            "agent",
        ],
    ),
    row("tests", &["model", "aws", "proof", "keyd-client", "keyd"]),
    row(
        "parsers",
        &[
            "model",
            "policy",
            "aws",
            "proof",
            "keyd-client",
            "store",
            "people",
            "watch",
            "ssh",
            "bastion",
            "console",
            "agent",
        ],
    ),
    row("xtask", &[]),
];

/// Compares the output of `cargo metadata` with the table.
pub(super) fn check(metadata: &str) -> Result<Vec<Finding>> {
    let metadata: Value = serde_json::from_str(metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let full = package["name"].as_str().context("a package has no name")?;
        let name = short(full);
        let Some(row) = TABLE.iter().find(|row| row.name == name) else {
            let problem =
                "is not in the table of allowed edges (xtask/src/tidy/edges.rs); add its row";
            findings.push(Finding::at(full, problem));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(target) = dependency["name"].as_str().filter(|name| ours.contains(name))
            else {
                continue;
            };
            let dev = dependency["kind"] == "dev";
            let target = short(target);
            if !(row.normal.contains(&target) || dev && row.dev.contains(&target)) {
                findings.push(Finding::at(full, refusal(target, dev)));
            }
        }
    }
    Ok(findings)
}

fn refusal(target: &str, dev: bool) -> String {
    let how = if dev { "its tests may not depend" } else { "may not depend" };
    format!(
        "{how} on `{target}`: move what is shared into a foundation, or pass it through a port that \
         `writ` wires; a new edge is a change of the architecture and needs a decision record"
    )
}

fn short(package: &str) -> &str {
    package.strip_prefix("writ-").unwrap_or(package)
}

/// ARCHITECTURE.md shows this table, no more and no less.
pub(super) fn documented(tree: &Tree) -> Vec<Finding> {
    let path = "ARCHITECTURE.md";
    let Some(text) = tree.find(path).and_then(|f| section(&f.text, "What may depend on what"))
    else {
        return vec![Finding::at(path, "has no section `## What may depend on what`")];
    };
    let mut findings = Vec::new();
    for row in TABLE {
        let wanted: BTreeSet<&str> = row.normal.iter().chain(row.dev).copied().collect();
        let shown = text.lines().find_map(|line| {
            let mut words = backticked(line);
            (line.starts_with('|') && words.next() == Some(row.name)).then(|| words.collect())
        });
        if shown.as_ref() != Some(&wanted) {
            let wanted: Vec<String> = wanted.iter().map(|name| format!("`{name}`")).collect();
            let problem = format!("its row of `{}` must name: {}", row.name, wanted.join(", "));
            findings.push(Finding::at(path, problem));
        }
    }
    findings
}
