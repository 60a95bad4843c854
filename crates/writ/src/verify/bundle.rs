//! An account bundle as a source ([`writ_proof::export`]). Nothing is written.
//!
//! Opening reads the file once, part by part: its form, the order of its parts, and the digest at its
//! end. Afterwards each part is read again where it is needed, so that memory holds one part at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use writ_model::AccountId;
use writ_proof::export::{self, Begin, Part, Sequence};
use writ_proof::leaf::leaf_hash;
use writ_proof::merkle::Frontier;
use writ_proof::origin::LogName;
use writ_proof::tile::{TILE_WIDTH, TileId};
use writ_proof::use_record::UseBatchView;
use writ_proof::{Error, Hash, cbor};

use super::directory::bundles;
use super::finding::{Code, Finding};
use super::source::{Content, Node, Nodes, Source, View, Which};

/// Where a part lies.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    length: usize,
}

/// The parts of one log.
#[derive(Default)]
struct Log {
    size: u64,
    parts: Vec<Place>,
}

/// An account bundle.
pub(crate) struct Bundle {
    path: PathBuf,
    file: File,
    begin: Begin,
    logs: BTreeMap<LogName, Log>,
    uses: Vec<Place>,
}

impl Bundle {
    /// Opens the file and reads it once.
    pub(crate) fn open(path: &Path) -> Result<Bundle, Finding> {
        let unreadable = |error: std::io::Error| Finding::new(Code::Files, path.display(), error);
        let file = File::open(path).map_err(unreadable)?;
        let mut index = Index::default();
        index.read(&file).map_err(|fault| match fault {
            Fault::Form(at, error) => refusal(path, at, &error),
            Fault::Io(error) => unreadable(error),
        })?;
        let Index { begin, logs, uses } = index;
        let no_beginning = || Finding::new(Code::Files, path.display(), "it has no beginning");
        let begin = begin.ok_or_else(no_beginning)?;
        Ok(Bundle { path: path.to_owned(), file, begin, logs, uses })
    }

    fn part(&self, place: Place) -> Result<Part, Finding> {
        let changed = |error: &dyn std::fmt::Display| {
            let what = format!("it was changed while it was read: {error}");
            Finding::new(Code::Files, self.path.display(), what)
        };
        // INVARIANT: the length is within the limit of a part, and so much was read before.
        let mut body = vec![0; place.length];
        self.file.read_exact_at(&mut body, place.offset).map_err(|error| changed(&error))?;
        cbor::from_slice(&body).map_err(|error| changed(&error))
    }

    fn nodes_of(&self, log: LogName, bundle: u64) -> Result<Vec<export::Node>, Finding> {
        let place = usize::try_from(bundle)
            .ok()
            .and_then(|bundle| self.logs.get(&log)?.parts.get(bundle))
            .ok_or_else(|| self.lacks(log, bundle * TILE_WIDTH))?;
        match self.part(*place)? {
            Part::Leaves(leaves) => Ok(leaves.nodes.0),
            _ => Err(self.lacks(log, bundle * TILE_WIDTH)),
        }
    }

    fn lacks(&self, log: LogName, seq: u64) -> Finding {
        Finding::new(
            Code::Files,
            log,
            format!("leaf {seq} and those after it are not in the bundle"),
        )
    }
}

fn refusal(path: &Path, at: u64, error: &Error) -> Finding {
    let next = match error {
        Error::Unsupported { .. } => "use a newer writ",
        _ => "get the file again; if it stays so, ask who made it",
    };
    Finding::new(Code::Files, path.display(), format!("at byte {at}: {error}; {next}"))
}

/// What the first reading finds.
#[derive(Default)]
struct Index {
    begin: Option<Begin>,
    logs: BTreeMap<LogName, Log>,
    uses: Vec<Place>,
}

enum Fault {
    Form(u64, Error),
    Io(std::io::Error),
}

impl Index {
    fn read(&mut self, file: &File) -> Result<(), Fault> {
        let mut reader = BufReader::new(file);
        let mut preamble = [0; export::PREAMBLE_BYTES];
        let mut at = 0;
        let form = |at: u64| move |error: Error| Fault::Form(at, error);
        if !fill(&mut reader, &mut preamble, at)? {
            return Err(cut(at));
        }
        let mut sequence = Sequence::begin(&preamble).map_err(form(at))?;
        at += export::PREAMBLE_BYTES as u64;
        let mut prefix = [0; export::PREFIX_BYTES];
        let mut body = Vec::new();
        while fill(&mut reader, &mut prefix, at)? {
            let length = export::part_length(prefix).map_err(form(at))?;
            body.clear();
            // Grows with what is there, not with what the prefix claims.
            reader.by_ref().take(length as u64).read_to_end(&mut body).map_err(Fault::Io)?;
            if body.len() != length {
                return Err(cut(at));
            }
            let part = sequence.read(&body).map_err(form(at))?;
            let place = Place { offset: at + export::PREFIX_BYTES as u64, length };
            self.keep(part, place);
            at = place.offset + length as u64;
        }
        sequence.finish().map_err(form(at))
    }

    fn keep(&mut self, part: Part, place: Place) {
        match part {
            Part::Begin(begin) => self.begin = Some(*begin),
            Part::Leaves(leaves) => {
                let log = self.logs.entry(leaves.log).or_default();
                log.size += leaves.nodes.0.len() as u64;
                log.parts.push(place);
            }
            Part::Uses(_) => self.uses.push(place),
            Part::End(_) => {}
        }
    }
}

/// Fills `buffer` from what lies at `at`; false if nothing does.
fn fill(reader: &mut impl std::io::Read, buffer: &mut [u8], at: u64) -> Result<bool, Fault> {
    let mut read = Vec::with_capacity(buffer.len());
    reader.take(buffer.len() as u64).read_to_end(&mut read).map_err(Fault::Io)?;
    if read.is_empty() {
        return Ok(false);
    }
    if read.len() != buffer.len() {
        return Err(cut(at));
    }
    buffer.copy_from_slice(&read);
    Ok(true)
}

fn cut(at: u64) -> Fault {
    let why = "it ends within a part: it was cut";
    Fault::Form(at, Error::Malformed { what: "account bundle", why })
}

impl Source for Bundle {
    fn genesis(&self) -> Result<Vec<u8>, Finding> {
        Ok(self.begin.genesis.clone())
    }

    fn logs(&self) -> Result<Vec<LogName>, Finding> {
        Ok(self.logs.keys().copied().collect())
    }

    fn held(&self, log: LogName) -> Result<u64, Finding> {
        Ok(self.logs.get(&log).map_or(0, |log| log.size))
    }

    fn note(&self, log: LogName, which: Which) -> Result<Option<Vec<u8>>, Finding> {
        // It holds one note a log: the one that whoever made it could rest everything on.
        Ok(match (log, which) {
            (LogName::Checkpoint, Which::Newest) => Some(self.begin.checkpoint.clone()),
            (LogName::Operator, Which::Newest) => Some(self.begin.operator.clone()),
            _ => None,
        })
    }

    fn nodes(&self, log: LogName, bundle: u64, size: u64) -> Result<Nodes, Finding> {
        let mut nodes = self.nodes_of(log, bundle)?;
        let wanted = size.saturating_sub(bundle * TILE_WIDTH).min(TILE_WIDTH);
        if (nodes.len() as u64) < wanted {
            return Err(self.lacks(log, bundle * TILE_WIDTH + nodes.len() as u64));
        }
        nodes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        let node = |node| match node {
            export::Node::Hash(hash) => Node::Hash(hash),
            export::Node::Line(line) => Node::Leaf(line.leaf, Some(line.record)),
        };
        Ok(Nodes { nodes: nodes.into_iter().map(node).collect(), without_records: None })
    }

    fn tile(&self, _: LogName, _: &TileId) -> Result<Option<Vec<Hash>>, Finding> {
        Ok(None)
    }

    fn root(&self, log: LogName, size: u64) -> Result<Hash, Finding> {
        let mut frontier = Frontier::new();
        for bundle in 0..bundles(size) {
            for node in self.nodes(log, bundle, size)?.nodes {
                frontier.append(match node {
                    Node::Hash(hash) => hash,
                    Node::Leaf(bytes, _) => leaf_hash(&bytes),
                });
            }
        }
        Ok(frontier.root())
    }

    fn content(&self) -> Content<'_> {
        Content::Account(self)
    }

    fn is_running(&self) -> bool {
        false
    }
}

impl View for Bundle {
    fn account(&self) -> AccountId {
        self.begin.account
    }

    fn uses(&self, visit: &mut dyn FnMut(&UseBatchView) -> bool) -> Result<(), Finding> {
        for place in &self.uses {
            if let Part::Uses(batch) = self.part(*place)?
                && !visit(&batch)
            {
                break;
            }
        }
        Ok(())
    }
}
