//! The write-ahead log from its first frame on: the chain, its content, and watch's copy of it.

use std::collections::BTreeMap;

use writ_proof::Error;
use writ_proof::Hash;
use writ_proof::frame::Located;
use writ_proof::leaf::{Leaf, leaf_hash};
use writ_proof::merkle::Frontier;
use writ_proof::origin::LogName;
use writ_proof::replay::{Replay, ReplayError};
use writ_proof::use_record::{ChainEnd, UsePosition};

use super::facts::Facts;
use super::finding::{Code, Report};
use super::progress::Progress;
use super::roots::{Root, Statements};
use super::source::{Copy, WholeLedger};
use super::trees::Heads;

const PLACE: &str = "write-ahead log";

/// Reads and checks the whole log; answers what it tells.
pub(crate) fn check(
    ledger: &dyn WholeLedger,
    root: &Root,
    heads: &Heads,
    report: &mut Report,
    progress: &mut Progress,
) -> Facts {
    // watch's copy first: what is added meanwhile is then in the ledger's.
    let mirror = mirror(ledger, report);
    let mut reading = Reading {
        root,
        heads,
        report,
        replay: Replay::new(),
        statements: Statements::new(root),
        logs: BTreeMap::new(),
        facts: Facts::default(),
        frames: 0,
        mirror: mirror.as_deref().unwrap_or_default(),
        diverged: false,
        whole: true,
    };
    let there = ledger.frames(Copy::Ledger, &mut |located| {
        progress.step(&PLACE, located.frame.first_seq, located.frame.next_seq());
        reading.frame(located)
    });
    match there {
        Ok(true) => {}
        Ok(false) => reading.report.add(Code::Files, PLACE, "it is missing"),
        Err(finding) => {
            reading.whole = false;
            reading.report.push(finding);
        }
    }
    reading.end(mirror.is_some())
}

/// The hashes of the frames that watch holds.
fn mirror(ledger: &dyn WholeLedger, report: &mut Report) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    let there = ledger.frames(Copy::Mirror, &mut |located| {
        hashes.push(located.hash);
        true
    });
    match there {
        Ok(there) => there.then_some(hashes),
        Err(mut finding) => {
            if finding.code == Code::Trees {
                finding.code = Code::Consistency;
            }
            report.push(finding);
            None
        }
    }
}

struct Reading<'a> {
    root: &'a Root,
    heads: &'a Heads,
    report: &'a mut Report,
    replay: Replay,
    statements: Statements<'a>,
    logs: BTreeMap<LogName, Frontier>,
    facts: Facts,
    frames: usize,
    mirror: &'a [Hash],
    diverged: bool,
    whole: bool,
}

impl Reading<'_> {
    fn frame(&mut self, located: &Located) -> bool {
        let first = located.frame.first_seq;
        let held = self.mirror.get(self.frames);
        if held.is_some_and(|held| *held != located.hash) && !self.diverged {
            self.diverged = true;
            let what =
                format!("the frame at position {first} is another than the one that watch holds");
            self.report.add(Code::Consistency, PLACE, what);
        }
        self.frames += 1;
        let before = self.replay.last_use();
        let accepted = match self.replay.accept(located, &self.root.genesis.keyd.use_records) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.report.add(kind(&error), PLACE, &error);
                self.whole = false;
                return false;
            }
        };
        self.positions(located, before, accepted.uses.into_iter());
        let entries = located.frame.batch.entries.iter().zip(&accepted.leaves);
        for ((entry, leaves), order) in entries.zip(first..) {
            for (bytes, leaf) in entry.leaves.iter().zip(leaves) {
                self.leaf(bytes, leaf);
                self.statements.see(leaf, &entry.record, self.report);
            }
            let Some(leaf) = leaves.first() else { continue };
            if let Err(what) = self.facts.record(order, leaf, &entry.record) {
                let place = format!("event {} (position {order})", leaf.event_id);
                self.report.add(Code::Commits, place, what);
            }
        }
        true
    }

    /// keyd's records with their positions.
    fn positions(
        &mut self,
        located: &Located,
        before: Option<UsePosition>,
        mut records: impl Iterator<Item = writ_proof::use_record::UseRecord>,
    ) {
        let mut last = before;
        for batch in &located.frame.batch.uses {
            let known = last.filter(|last| last.boot == batch.boot);
            let hash = known.map_or_else(|| ChainEnd::begin(batch.boot), ChainEnd::after).hash();
            for (position, record) in batch.positions(hash).into_iter().zip(&mut records) {
                self.facts.used(located.frame.first_seq, position, Some(&record));
            }
            last = Some(batch.position());
        }
    }

    /// A root that the checkpoint log names must be that of the log itself.
    fn leaf(&mut self, bytes: &[u8], leaf: &Leaf) {
        let frontier = self.logs.entry(leaf.log).or_default();
        frontier.append(leaf_hash(bytes));
        let expected = self.heads.logs.get(&leaf.log).and_then(|s| s.get(&frontier.size()));
        if let Some(expected) = expected
            && *expected != frontier.root()
        {
            let what = format!(
                "its leaves up to {} do not give the root in the checkpoint",
                frontier.size()
            );
            self.report.add(Code::Trees, self.root.origin(leaf.log), what);
        }
    }

    fn end(mut self, has_mirror: bool) -> Facts {
        if self.whole {
            let sizes = self.logs.iter().map(|(log, frontier)| (*log, frontier.size()));
            self.facts.sizes = Some(sizes.collect());
        }
        let report = self.report;
        if self.whole && !self.diverged && self.mirror.len() > self.frames {
            let what = format!(
                "it has {} frames, but watch holds {}: it was rolled back",
                self.frames,
                self.mirror.len()
            );
            report.add(Code::Consistency, PLACE, what);
        }
        for (log, sizes) in &self.heads.logs {
            let wanted = sizes.last_key_value().map_or(0, |(size, _)| *size);
            let found = self.logs.get(log).map_or(0, Frontier::size);
            if self.whole && found < wanted {
                let what =
                    format!("{found} leaves in the write-ahead log, {wanted} in the checkpoint");
                report.add(Code::Files, self.root.origin(*log), what);
            }
        }
        let records = self.facts.records;
        report.checked("write-ahead log", format!("{} frames, {records} records", self.frames));
        report.checked("roster", format!("statement {}", self.statements.seq()));
        if has_mirror {
            let equal = self.mirror.len().min(self.frames);
            report.checked("watch's copy", format!("equal as far as it goes: {equal} frames"));
        } else {
            report.note("watch's copy is not here: the ledger was not compared with it");
        }
        self.facts
    }
}

/// Which kind of failure an error of the log is.
fn kind(error: &ReplayError) -> Code {
    match error {
        ReplayError::Content { error, .. } => kind_of(error),
        _ => Code::Trees,
    }
}

/// The same for an error of its content.
pub(crate) fn kind_of(error: &Error) -> Code {
    match error {
        Error::Malformed { what: "use batch" | "use record", .. } | Error::BadSignature { .. } => {
            Code::Uses
        }
        Error::Mismatch { what: "head of the use-record chain", .. } => Code::Uses,
        Error::Mismatch { what: "record named by a leaf", .. } => Code::Records,
        Error::Malformed { what: "record", .. } => Code::Records,
        _ => Code::Trees,
    }
}
