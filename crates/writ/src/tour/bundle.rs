//! Chapter: a customer who cannot reach the data directory checks their own account's bundle.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use writ_proof::export::{Node, Part, Sequence, preamble, read_all};
use writ_proof::origin::LogName;

use super::ledger::named;
use super::running::{Seen, exit, reason, sound};
use super::search::mega;
use super::site::{ACCOUNT, Finished, OTHER_ACCOUNT, export, verify_bundle, write};
use super::story::Story;

/// Exit codes that name the attacks.
const RECORDS: &[i32] = &[15];
const OLDER_THAN_SEEN: &[i32] = &[13];
const OF_ANOTHER: &[i32] = &[14];

/// The chapter.
pub fn chapter(story: &mut Story, base: &Path, earlier: &Path, seen: &Seen) -> Result<()> {
    story.chapter("The customer's bundle: one account's history in a file", "C-04");
    let exported = |data: &Path, account: &str, name: &str| {
        let out = base.join(name);
        let exported = export(data, account, &out)?;
        match exported.code {
            Some(0) => Ok(out),
            code => bail!("{}: {}", exit(code), reason(&exported)),
        }
    };
    let size = |out: &PathBuf| {
        let bytes = fs::metadata(out).map_or(0, |meta| meta.len());
        format!("{:.1} MB", mega(usize::try_from(bytes).unwrap_or(usize::MAX)))
    };
    let data = base.join("data");
    let own = story.need("`writ export`", exported(&data, ACCOUNT, "own.writ"), size)?;
    let older = story.need("… of an older copy", exported(earlier, ACCOUNT, "older.writ"), size)?;
    let others = story.need("… of another", exported(&data, OTHER_ACCOUNT, "other.writ"), size)?;
    let state = base.join("seen-bundle");
    let check = |bundle: &Path| verify_bundle(bundle, ACCOUNT, &seen.genesis, &state);
    let control = check(&older).and_then(|verified| sound(&verified));
    story.check("control: the older bundle by itself is sound", control);
    let verified = check(&own).and_then(|verified| sound(&verified));
    story.check("`writ verify --bundle`: it extends what was seen before", verified);
    story.about("C-12");
    story.check("it holds nothing of the other customer", holds_nothing_of(&own, &others));
    story.about("C-04");
    let mut attack = |what: &str, codes: &[i32], verified: Result<Finished>| {
        story.attack(what, verified.and_then(|verified| named(&verified, codes, base)));
    };
    attack("the older bundle in place of what was seen", OLDER_THAN_SEEN, check(&older));
    attack("another customer's bundle", OF_ANOTHER, check(&others));
    let rewritten = base.join("rewritten.writ");
    let verified = rewrite(&own, &rewritten).and_then(|()| check(&rewritten));
    attack("a record rewritten, the digest made to fit", RECORDS, verified);
    Ok(())
}

/// No id of the other's events, nor their account number, is in the bundle.
fn holds_nothing_of(own: &Path, others: &Path) -> Result<String> {
    let own = fs::read(own)?;
    let mut events = 0;
    for part in parts_of(others)? {
        let Part::Leaves(leaves) = part else { continue };
        let is_theirs = matches!(leaves.log, LogName::Account(_));
        for node in leaves.nodes.0.into_iter().filter(|_| is_theirs) {
            let Node::Line(line) = node else { continue };
            let found =
                super::reply::find(&own, &line.leaf).or(super::reply::find(&own, &line.record));
            ensure!(found.is_none(), "an event of {OTHER_ACCOUNT} is there");
            events += 1;
        }
    }
    ensure!(events > 0, "the other customer has no events to look for");
    Ok(format!("{events} events of {OTHER_ACCOUNT} looked for"))
}

/// Puts another name into the first record that names ann, and makes everything else fit that can be.
fn rewrite(from: &Path, to: &Path) -> Result<()> {
    let mut parts = parts_of(from)?;
    let lines = parts.iter_mut().filter_map(|part| match part {
        Part::Leaves(leaves) => Some(leaves.nodes.0.iter_mut()),
        _ => None,
    });
    let changed = lines.flatten().find_map(|node| {
        let Node::Line(line) = node else { return None };
        let text = String::from_utf8(line.record.clone()).ok()?;
        let other = text.replacen(":user/ann", ":user/bob", 1);
        (other != text).then(|| line.record = other.into_bytes())
    });
    changed.context("no record names ann")?;
    let mut sequence = Sequence::begin(&preamble())?;
    let mut bytes = preamble().to_vec();
    for part in &parts {
        bytes.extend(sequence.write(part)?);
    }
    bytes.extend(sequence.write(&sequence.end())?);
    write(to, &bytes)
}

/// All parts but the last.
fn parts_of(path: &Path) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    read_all(&fs::read(path)?, &mut |part| parts.push(part))?;
    parts.pop();
    Ok(parts)
}
