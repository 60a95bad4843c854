//! What single lines cannot know: ids and names that are there twice, managers who do not exist, and
//! circles of managers. Every line that takes part is wrong.

use std::collections::{BTreeMap, BTreeSet};

use writ_store::state::HrState;

use super::{Column, Feed, Problem, Row};

/// Takes wrong lines out. `named` are the ids of all lines, wrong ones too.
pub(super) fn across(feed: &mut Feed, named: &BTreeSet<String>) {
    let mut wrong: BTreeMap<usize, Problem> = BTreeMap::new();
    twice(&feed.rows, Column::PersonId, |row| row.id.clone(), &mut wrong);
    // Names for signing in are compared without regard to case.
    twice(&feed.rows, Column::UserName, |row| row.user_name.to_ascii_lowercase(), &mut wrong);
    managers(&feed.rows, named, &mut wrong);
    feed.rows.retain(|row| !wrong.contains_key(&row.line));
    wrong.into_values().for_each(|problem| feed.report(problem));
}

fn twice(
    rows: &[Row],
    column: Column,
    key: fn(&Row) -> String,
    wrong: &mut BTreeMap<usize, Problem>,
) {
    let mut lines: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    // A leaver's name may have gone to somebody else; the person id never does.
    let counts = |row: &&Row| column == Column::PersonId || row.state != HrState::Terminated;
    for row in rows.iter().filter(counts) {
        lines.entry(key(row)).or_default().push(row.line);
    }
    for lines in lines.values().filter(|lines| lines.len() > 1) {
        for line in lines {
            let other = lines.iter().find(|other| *other != line).unwrap_or(line);
            let problem = column.problem(*line, format!("line {other} has the same"));
            wrong.entry(*line).or_insert(problem);
        }
    }
}

/// A leaver's manager may be gone already, so it is not looked at.
fn managers(rows: &[Row], named: &BTreeSet<String>, wrong: &mut BTreeMap<usize, Problem>) {
    let working = |row: &&Row| row.state != HrState::Terminated;
    let above: BTreeMap<&str, &str> = rows
        .iter()
        .filter(working)
        .filter_map(|row| Some((row.id.as_str(), row.manager.as_deref()?)))
        .collect();
    let circular = circles(&above);
    for row in rows.iter().filter(working) {
        let Some(manager) = &row.manager else { continue };
        let reason = if !named.contains(manager) {
            "the file has no person with this id"
        } else if circular.contains(row.id.as_str()) {
            "these managers form a circle"
        } else {
            continue;
        };
        wrong.entry(row.line).or_insert(Column::Manager.problem(row.line, reason));
    }
}

/// The persons who are, over some steps, their own managers.
fn circles<'a>(above: &BTreeMap<&'a str, &'a str>) -> BTreeSet<&'a str> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut circular = BTreeSet::new();
    for start in above.keys() {
        let mut path: Vec<&str> = Vec::new();
        let mut on_path: BTreeMap<&str, usize> = BTreeMap::new();
        let mut at = *start;
        while !done.contains(at) {
            if let Some(from) = on_path.get(at) {
                circular.extend(path.iter().skip(*from));
                break;
            }
            on_path.insert(at, path.len());
            path.push(at);
            match above.get(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        done.extend(path);
    }
    circular
}
