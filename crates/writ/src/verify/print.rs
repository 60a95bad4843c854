//! The report for a person, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::Report;

/// What no verification can know, whatever it finds.
const LIMITS: [&str; 3] = [
    "what a process did without telling the ledger; keyd's own records are the check on key uses",
    "who held the signing keys: a stolen checkpoint key shows only where a witness was shown another tree",
    "what was destroyed after the last checkpoint that anybody else has seen",
];

/// The report in words.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").ok();
    match report.findings.len() {
        0 if report.compared => line(format_args!("VERIFIED")),
        0 => line(format_args!(
            "CONSISTENT, genesis not compared (exit {}): it may be another ledger than yours; give --genesis \
             with the SHA-256 that the provider handed to you, not with one that lies beside the ledger",
            report.exit_code()
        )),
        1 => line(format_args!("FAILED (exit {})", report.exit_code())),
        n => line(format_args!("FAILED (exit {}): {n} findings", report.exit_code())),
    };
    for finding in &report.findings {
        line(format_args!("  {finding}"));
    }
    if report.more > 0 {
        line(format_args!("  and {} more", report.more));
    }
    for (name, value) in &report.checked {
        line(format_args!("  {name:16} {value}"));
    }
    if !report.notes.is_empty() {
        line(format_args!("note"));
        report.notes.iter().for_each(|note| {
            line(format_args!("  {note}"));
        });
    }
    if !report.unread {
        line(format_args!("cannot know"));
    }
    limits(report).for_each(|limit| {
        line(format_args!("  {limit}"));
    });
    text
}

/// The report as JSON.
pub(crate) fn json(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|f| json!({"code": f.code.number(), "kind": f.code.as_str(), "where": f.place, "what": f.what}))
        .collect();
    let checked: Vec<Value> =
        report.checked.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "ok": report.exit_code() == 0,
        "code": report.exit_code(),
        "genesisCompared": report.compared,
        "findings": findings,
        "more": report.more,
        "checked": checked,
        "notes": report.notes,
        "cannotKnow": limits(report).collect::<Vec<_>>(),
    })
}

fn limits(report: &Report) -> impl Iterator<Item = &'static str> {
    // Of what was not there, nothing is known at all.
    let all = LIMITS.into_iter().chain(report.limits.iter().copied());
    all.filter(|_| !report.unread)
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Code, Finding};
    use super::*;

    #[test]
    fn what_was_never_opened_is_told_without_limits() {
        let mut report = Report::default();
        report.push(Finding::new(Code::Files, "x", "there is no such folder"));
        assert!(text(&report).contains("cannot know"));
        report.unread = true;
        assert_eq!(text(&report).lines().count(), 2, "{}", text(&report));
    }
}
