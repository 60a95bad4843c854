//! Each rule sees a bad input, and lets a good one pass.

use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
    Tree { files: files.iter().map(file).collect() }
}

/// The rule finds `wanted` (a part of each finding) and nothing else.
fn check(rule: Rule, files: &[(&str, &str)], wanted: &[&str]) {
    same(&rule(&tree(files)), wanted);
}

fn same(found: &[Finding], wanted: &[&str]) {
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (finding, part) in found.iter().zip(wanted) {
        let shown = format!("{}: {}", finding.place, finding.problem);
        assert!(shown.contains(part), "`{shown}` does not say `{part}`");
    }
}

fn metadata(name: &str, dependency: &str, kind: &str) -> String {
    let kind = if kind.is_empty() { "null".to_owned() } else { format!("\"{kind}\"") };
    format!(
        r#"{{"packages": [
            {{"name": "{name}", "dependencies": [{{"name": "{dependency}", "kind": {kind}}}]}},
            {{"name": "{dependency}", "dependencies": [{{"name": "serde", "kind": null}}]}}
        ]}}"#
    )
}

#[test]
fn edges_between_services_are_refused() {
    let edges = |name, dependency, kind| edges::check(&metadata(name, dependency, kind)).unwrap();
    same(&edges("writ-kms", "writ-service", ""), &[]);
    same(&edges("writ-kms", "writ-iam", ""), &["writ-kms: may not depend on `iam`"]);
    same(&edges("writ-watch", "writ-store", ""), &["writ-watch: may not depend on `store`"]);
    same(&edges("writ-watch", "writ-trail", "dev"), &["its tests may not depend on `trail`"]);
    same(&edges("writ-common", "writ-model", ""), &["writ-common: is not in the table"]);
}

#[test]
fn edges_table_of_the_document_must_be_ours() {
    let found = edges::documented(&tree(&[(
        "ARCHITECTURE.md",
        "## What may depend on what\n\n| crate | on |\n| `policy` | `model` |\n| `aws` | `store` |\n",
    )]));
    let rows: Vec<&str> = found.iter().filter_map(|f| f.problem.split('`').nth(1)).collect();
    assert!(!rows.contains(&"policy"), "{rows:?}");
    assert!(rows.contains(&"aws") && rows.contains(&"writ"), "{rows:?}");
    check(edges::documented, &[], &["has no section"]);
}

#[test]
fn module_docs_are_needed() {
    let files = [("crates/a/src/x.rs", "//! X.\n"), ("crates/a/src/y.rs", "/// Y.\nfn y() {}\n")];
    check(files::module_docs, &files, &["crates/a/src/y.rs: has no `//!`"]);
}

#[test]
fn sizes_are_limited_except_for_tables_and_generated_code() {
    let long = "// line\n".repeat(801);
    let table = format!("// tidy: a test table: one row a case\n{long}");
    let files = [
        ("crates/a/src/x.rs", long.as_str()),
        ("crates/a/src/generated/x.rs", long.as_str()),
        ("crates/a/tests/it/table.rs", table.as_str()),
    ];
    check(files::sizes, &files, &["crates/a/src/x.rs: has 801 lines"]);
}

#[test]
fn unfinished_work_is_found() {
    let comment = concat!("// FIX", "ME later\n");
    let call = concat!("fn x() { to", "do!() }\n");
    let files =
        [("a.md", comment), ("crates/a/src/x.rs", call), ("b.rs", "let u = \"\\uXXXX\";\n")];
    check(files::unfinished, &files, &["a.md:1", "crates/a/src/x.rs:1"]);
}

#[test]
fn names_of_one_machine_are_found() {
    let path = concat!("see /wo", "rk/x\n");
    let page = concat!("read ../sha", "red/x.md\n");
    let url = concat!("https://example.com/ho", "me/x\n");
    let files = [("a.md", path), ("b.md", page), ("c.md", url), ("fuzz/corpus/x/1", path)];
    check(files::forbidden_names, &files, &["a.md:1", "b.md:1"]);
}

#[test]
fn dead_files_are_found() {
    let files = [
        ("crates/a/src/lib.rs", "//! A.\nmod used;\n#[path = \"tests/t.rs\"]\nmod tests;\n"),
        ("crates/a/src/used.rs", "//! Used.\n"),
        ("crates/a/src/tests/t.rs", "//! Tests.\n"),
        ("crates/a/src/unused.rs", "//! Unused.\n"),
    ];
    check(files::dead_files, &files, &["crates/a/src/unused.rs: is dead"]);
}

#[test]
fn unsafe_code_outside_the_arena_is_found() {
    let block = "fn x() { unsafe { y() } }\n";
    let files = [
        ("crates/keyd-client/src/arena.rs", block),
        ("crates/keyd/src/lib.rs", block),
        ("crates/keyd/src/words.rs", "// unsafe words\nconst A: &str = \"unsafe \";\n"),
    ];
    check(source::unsafe_code, &files, &["crates/keyd/src/lib.rs:1"]);
}

#[test]
fn lint_tables_must_agree() {
    let root = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n";
    let same = "[lints.rust]\nunsafe_code = \"deny\"\nmissing_docs = \"warn\"\n";
    let weaker = "[lints.rust]\nunsafe_code = \"deny\"\nmissing_docs = \"allow\"\n";
    let inherits = "[lints]\nworkspace = true\n";
    let repeats = "crates/keyd-client/Cargo.toml";
    let all = |text| [("Cargo.toml", root), (repeats, text), ("crates/a/Cargo.toml", inherits)];
    check(lints::tables, &all(same), &[]);
    check(lints::tables, &all(weaker), &["differ from the workspace's"]);
    let none = [("Cargo.toml", root), ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n")];
    check(lints::tables, &none, &["has no `[lints]`"]);
}

#[test]
fn relaxations_need_a_reason() {
    let bare = concat!("#[al", "low(dead_code)]\nfn x() {}\n");
    let reasoned = concat!("#![al", "low(\n    dead_code,\n    reason = \"a tool\"\n)]\n");
    let files = [("crates/a/src/x.rs", bare), ("xtask/src/main.rs", reasoned)];
    check(lints::relaxations, &files, &["crates/a/src/x.rs:1: a relaxed lint needs its `reason`"]);
    check(lints::relaxations, &[("crates/a/src/x.rs", reasoned)], &["say `expect`"]);
}

#[test]
fn generated_code_is_marked_and_stays_in_its_folder() {
    let marked = concat!("// @gene", "rated by a test\n");
    let files = [
        ("crates/aws/src/generated/kms/mod.rs", "//! Nothing.\n"),
        ("crates/aws/src/generated/sts/mod.rs", marked),
        ("crates/aws/src/lib.rs", marked),
    ];
    check(
        generated::marked,
        &files,
        &["kms/mod.rs: lies under", "crates/aws/src/lib.rs: is marked"],
    );
}

#[test]
fn manifest_and_generated_files_agree() {
    let row = "read_only = true\naudit = \"data\"\nactions = []\n";
    let good = format!("[kms.Encrypt]\n{row}[s3.ListObjectsV2]\n{row}");
    let bad = format!("[s3.ListObjectsV2]\n{row}[kms.Encrypt]\nread_only = true\n");
    let files = |manifest| {
        [
            ("crates/aws/operations.toml", manifest),
            ("crates/aws/src/generated/kms/encrypt.rs", ""),
            ("crates/aws/src/generated/s3/list_objects_v2.rs", ""),
        ]
    };
    check(generated::manifest, &files(good.as_str()), &[]);
    check(generated::manifest, &files(bad.as_str()), &["must say `audit`", "is not sorted"]);
    let mut stray = files(good.as_str()).to_vec();
    stray.retain(|(path, _)| !path.ends_with("encrypt.rs"));
    stray.push(("crates/aws/src/generated/kms/decrypt.rs", ""));
    check(generated::manifest, &stray, &["encrypt.rs: is missing", "decrypt.rs: has no row"]);
}

#[test]
fn anchors_must_exist() {
    let code =
        ("crates/a/src/x.rs", "//! X.\npub(crate) fn verify() {}\nimpl T { fn hold(&self) {} }\n");
    let row = |item: &str| {
        format!("# A\n\n## Anchors\n| what | where |\n|---|---|\n| it | {item} |\n\n## Z\n")
    };
    let good = row("`crates/a/src/x.rs`: `verify`, `T::hold`");
    let bad = row("`crates/a/src/x.rs`: `gone`; `crates/a/src/y.rs`");
    check(documents::anchors, &[("ARCHITECTURE.md", good.as_str()), code], &[]);
    let problems = ["`crates/a/src/y.rs` does not exist", "`gone` is not declared"];
    check(documents::anchors, &[("ARCHITECTURE.md", bad.as_str()), code], &problems);
    check(documents::anchors, &[("ARCHITECTURE.md", "# A\n"), code], &["has no section"]);
}

#[test]
fn formats_name_every_magic() {
    let code =
        "//! X.\npub const BLOB_MAGIC: &[u8; 4] = b\"WCB1\";\nconst MAGIC: &str = \"c2sp/x\";\n";
    let files = |table| [("crates/a/src/x.rs", code), ("docs/formats.md", table)];
    check(documents::formats, &files("| `WCB1` | | `c2sp/x` |"), &[]);
    check(documents::formats, &files("| `WCB1` |"), &["`c2sp/x` is not in docs/formats.md"]);
    check(documents::formats, &[], &["docs/formats.md: is missing"]);
}
