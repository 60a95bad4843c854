//! Every log below the checkpoint: bundles to leaf hashes, leaf hashes to tiles, tiles to roots.

use std::collections::BTreeMap;

use writ_model::AccountId;
use writ_proof::Hash;
use writ_proof::leaf::{Head, Kind, Leaf, UseHead, leaf_hash};
use writ_proof::merkle::{Frontier, subtree_root};
use writ_proof::origin::LogName;
use writ_proof::tile::{TILE_WIDTH, TileId};

use super::checkpoints::Trusted;
use super::directory::bundles;
use super::finding::{Code, Finding, Report};
use super::progress::Progress;
use super::records;
use super::roots::Root;
use super::source::{Node, Source};

const WIDTH: usize = 256;

/// What the checkpoint log says of the other logs: their root at each size that it names.
#[derive(Default)]
pub(crate) struct Heads {
    /// By log.
    pub(crate) logs: BTreeMap<LogName, BTreeMap<u64, Hash>>,
    /// Heads of keyd's chain.
    pub(crate) uses: Vec<UseHead>,
}

/// Recomputes the checkpoint log and every log that it names; shows `on_line` each leaf with its record.
pub(crate) fn check(
    source: &dyn Source,
    root: &Root,
    trusted: &Trusted,
    account: Option<AccountId>,
    (report, progress): (&mut Report, &mut Progress),
    on_line: OnLine<'_>,
) -> Heads {
    let mut heads = Heads::default();
    let mut wanted = BTreeMap::new();
    wanted.insert(trusted.checkpoint.size, trusted.checkpoint.root);
    let scan = Scan { source, root, log: LogName::Checkpoint, wanted: &wanted };
    let mut total = scan.run(report, progress, &mut |leaf, record, report| {
        note_head(root, leaf, record, &mut heads, report);
        on_line(leaf, record, report);
    });
    heads.logs.insert(LogName::Checkpoint, wanted);
    if let Some(operator) = trusted.operator.as_ref().map(|signed| &signed.checkpoint) {
        let sizes = heads.logs.entry(LogName::Operator).or_default();
        let known = sizes.entry(operator.size).or_insert(operator.root);
        if *known != operator.root {
            let what = "keyd signed another root than the checkpoint log names";
            report.add(Code::Trees, root.origin(LogName::Operator), what);
        }
    }
    for (log, wanted) in &heads.logs {
        let other = matches!(log, LogName::Account(id) if account.is_some_and(|only| only != *id));
        if other || *log == LogName::Checkpoint {
            continue;
        }
        let scan = Scan { source, root, log: *log, wanted };
        total += scan.run(report, progress, on_line);
    }
    report.checked(
        "logs",
        format!("{} logs, {total} leaves, recomputed to their roots", heads.logs.len()),
    );
    heads
}

/// Remembers what a leaf of the checkpoint log says.
fn note_head(root: &Root, leaf: &Leaf, record: &[u8], heads: &mut Heads, report: &mut Report) {
    if leaf.kind != Kind::Checkpoint {
        return;
    }
    let place = format!("{} leaf {}", root.origin(LogName::Checkpoint), leaf.seq);
    match Head::from_bytes(record) {
        Ok(Head::Uses(head)) => heads.uses.push(head),
        Ok(Head::Log(head)) if head.origin == root.origin(head.origin.log) => {
            let sizes = heads.logs.entry(head.origin.log).or_default();
            if sizes.insert(head.size, head.root).is_some_and(|other| other != head.root) {
                let what = format!("`{}` has two roots at size {}", head.origin, head.size);
                report.add(Code::Trees, place, what);
            }
        }
        Ok(Head::Log(head)) => {
            report.add(Code::Trees, place, format!("it names `{}`, a foreign log", head.origin));
        }
        Err(error) => report.add(Code::Trees, place, error),
    }
}

/// One log, read from its files.
struct Scan<'a> {
    source: &'a dyn Source,
    root: &'a Root,
    log: LogName,
    wanted: &'a BTreeMap<u64, Hash>,
}

/// Shown a leaf that could be read, with its record.
pub(crate) type OnLine<'a> = &'a mut dyn FnMut(&Leaf, &[u8], &mut Report);

impl Scan<'_> {
    /// Checks the log; answers how many leaves it has.
    fn run(&self, report: &mut Report, progress: &mut Progress, on_line: OnLine<'_>) -> u64 {
        let size = self.wanted.last_key_value().map_or(0, |(size, _)| *size);
        let origin = self.root.origin(self.log);
        let mut frontier = Frontier::new();
        let mut tiles = Tiles { scan: self, levels: Vec::new(), done: Vec::new() };
        for index in 0..bundles(size) {
            let first = index * TILE_WIDTH;
            let Some(read) = report.take(self.source.nodes(self.log, index, size)) else {
                return size;
            };
            if let Some(finding) = read.without_records {
                report.push(finding);
            }
            for (node, seq) in read.nodes.iter().zip(first..) {
                let hash = match node {
                    Node::Hash(hash) => *hash,
                    Node::Leaf(bytes, _) => leaf_hash(bytes),
                };
                frontier.append(hash);
                report.take(tiles.add(hash));
                self.root_at(&frontier, report);
                if let Node::Leaf(bytes, record) = node {
                    self.line(bytes, seq, record.as_deref(), report, on_line);
                }
            }
            progress.step(&origin, frontier.size(), size);
        }
        report.take(tiles.finish());
        size
    }

    fn root_at(&self, frontier: &Frontier, report: &mut Report) {
        let Some(expected) = self.wanted.get(&frontier.size()) else { return };
        let found = frontier.root();
        if found != *expected {
            let place = self.root.origin(self.log);
            let what = format!("at size {} the root is {found}, not {expected}", frontier.size());
            report.add(Code::Trees, place, what);
        }
    }

    fn line(
        &self,
        bytes: &[u8],
        seq: u64,
        record: Option<&[u8]>,
        report: &mut Report,
        on_line: OnLine<'_>,
    ) {
        let place = || format!("{} leaf {seq}", self.root.origin(self.log));
        let leaf = match Leaf::from_bytes(bytes) {
            Ok(leaf) => leaf,
            Err(error) => return report.add(Code::Trees, place(), error),
        };
        if leaf.seq != seq || leaf.log != self.log {
            report.add(Code::Trees, place(), format!("it is leaf {} of {}", leaf.seq, leaf.log));
        }
        let Some(record) = record else { return };
        if let Err(what) = records::check(&leaf, record) {
            report.add(Code::Records, place(), what);
        }
        on_line(&leaf, record, report);
    }
}

/// The tiles of one log, made anew and compared as soon as one is full.
struct Tiles<'a, 's> {
    scan: &'a Scan<'s>,
    levels: Vec<Vec<Hash>>,
    /// Full tiles so far, by level.
    done: Vec<u64>,
}

impl Tiles<'_, '_> {
    fn add(&mut self, hash: Hash) -> Result<(), Finding> {
        let mut hash = hash;
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::with_capacity(WIDTH));
                self.done.push(0);
            }
            let (Some(hashes), Some(done)) = (self.levels.get_mut(level), self.done.get_mut(level))
            else {
                return Ok(());
            };
            hashes.push(hash);
            if hashes.len() < WIDTH {
                return Ok(());
            }
            let full = std::mem::take(hashes);
            let index = *done;
            *done += 1;
            let Some(above) = subtree_root(&full) else { return Ok(()) };
            self.scan.compare(level, index, &full)?;
            hash = above;
        }
        Ok(())
    }

    /// Compares the partial tiles at the right edge.
    fn finish(&self) -> Result<(), Finding> {
        for (level, (hashes, index)) in self.levels.iter().zip(&self.done).enumerate() {
            if !hashes.is_empty() {
                self.scan.compare(level, *index, hashes)?;
            }
        }
        Ok(())
    }
}

impl Scan<'_> {
    fn compare(&self, level: usize, index: u64, expected: &[Hash]) -> Result<(), Finding> {
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let place = self.root.origin(self.log);
        let id = TileId::hashes(level, index, expected.len() as u64)
            .map_err(|error| Finding::new(Code::Trees, &place, error))?;
        let Some(found) = self.source.tile(self.log, &id)? else { return Ok(()) };
        if found.get(..expected.len()) == Some(expected) {
            return Ok(());
        }
        let what = "the tile does not hold the hashes of the leaves below it";
        Err(Finding::new(Code::Trees, format!("{place} {id}"), what))
    }
}
