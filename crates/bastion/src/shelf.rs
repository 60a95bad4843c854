//! The recordings as they lie there, for front to relay: sealed bytes, and what they say of themselves in the clear.
//!
//! The bastion has no listener for this and decides nothing: front asks over its channel, tells the ledger, and hands
//! on. Without a key that keyd gives to a reader alone, all of it is worth nothing.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use writ_model::Ulid;
use writ_proof::cbor;
use writ_proof::recording::{Header, Mark, Verifier};
use writ_proof::{cbor_enum, cbor_map};

use crate::error::Error;
use crate::limits::{END_FILE_MAX_BYTES, SHELF_PAGE_MAX, SHELF_PIECE_MAX_BYTES};

/// What front wants of the recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// What one says of itself.
    Facts(Ulid),
    /// Those before an id, the newest first.
    List(Option<Ulid>),
    /// Bytes of one.
    Piece(PieceWanted),
}
cbor_enum!(Want { 0: Facts(_), 1: List(_), 2: Piece(_) });

/// Which bytes of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceWanted {
    /// The session.
    pub session: Ulid,
    /// The first byte.
    pub from: u64,
}
cbor_map!(PieceWanted { 1: session, 2: from });

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lent {
    /// What one says of itself.
    Facts(Box<Recorded>),
    /// A page of them.
    List(Page),
    /// Why there is nothing.
    Missing(String),
    /// Bytes of one.
    Piece(Piece),
}
cbor_enum!(Lent { 0: Facts(_), 1: List(_), 2: Missing(_), 3: Piece(_) });

/// What a recording says of itself; nobody has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Whose it is.
    pub header: Header,
    /// Its size.
    pub bytes: u64,
    /// True if it has its end.
    pub closed: bool,
    /// Its end as keyd has signed it; absent of one that has none, or whose session keyd did not know any more.
    pub end: Option<SignedEnd>,
}
cbor_map!(Recorded { 1: header, 2: bytes, 3: closed, 4: opt end });

/// The end of a recording, signed by keyd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEnd {
    /// How it ended.
    pub mark: Mark,
    /// keyd's signature ([`writ_proof::recording::Mark::signed_bytes`]).
    pub signature: [u8; 64],
}
cbor_map!(SignedEnd { 1: mark, 2: signature });

/// A page of recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The newest first.
    pub items: Vec<Recorded>,
    /// There are more before this one.
    pub next: Option<Ulid>,
}
cbor_map!(Page { 1: items, 2: opt next });

/// Bytes of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The bytes; none behind its end.
    pub bytes: Vec<u8>,
    /// Its size.
    pub total: u64,
}
cbor_map!(Piece { 1: bytes, 2: total });

/// What the bastion brings, and asks for what is wanted next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lending {
    /// The number of what was wanted, and what there is.
    pub done: Option<Done>,
}
cbor_map!(Lending { 1: opt done });

/// The answer to one wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its number.
    pub ticket: u64,
    /// What there is.
    pub lent: Lent,
}
cbor_map!(Done { 1: ticket, 2: lent });

/// What front wants next; nothing if nobody wants anything for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The wish.
    pub wish: Option<Wish>,
}
cbor_map!(Wanted { 1: opt wish });

/// A wish with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its number.
    pub ticket: u64,
    /// What is wanted.
    pub want: Want,
}
cbor_map!(Wish { 1: ticket, 2: want });

/// The folder of the recordings, to be read.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// The shelf in this folder.
    pub fn new(dir: PathBuf) -> Shelf {
        Shelf { dir }
    }

    /// What there is of it.
    pub fn lend(&self, want: &Want) -> Lent {
        let lent = match want {
            Want::Facts(session) => self.facts(*session).map(|facts| Lent::Facts(Box::new(facts))),
            Want::List(before) => self.page(*before).map(Lent::List),
            Want::Piece(wanted) => self.piece(wanted).map(Lent::Piece),
        };
        lent.unwrap_or_else(|error| Lent::Missing(error.to_string()))
    }

    fn page(&self, before: Option<Ulid>) -> Result<Page, Error> {
        let dir = self.dir.display().to_string();
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(Error::io("list", &dir))? {
            let name = entry.map_err(Error::io("list", &dir))?.file_name();
            let name = name.to_str().unwrap_or_default();
            let stem = name.strip_suffix(".rec").or_else(|| name.strip_suffix(".rec.open"));
            let session = stem.and_then(|stem| stem.parse::<Ulid>().ok());
            all.extend(session.filter(|session| before.is_none_or(|before| *session < before)));
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.dedup();
        let more = all.len() > SHELF_PAGE_MAX;
        all.truncate(SHELF_PAGE_MAX);
        let next = all.last().copied().filter(|_| more);
        // One that cannot be read is `writ verify`'s to name.
        let items = all.into_iter().filter_map(|session| self.facts(session).ok()).collect();
        Ok(Page { items, next })
    }

    fn facts(&self, session: Ulid) -> Result<Recorded, Error> {
        let (file, name, closed) = self.open(session)?;
        let bytes = file.metadata().map_err(Error::io("examine", &name))?.len();
        let mut start = Vec::new();
        let most = writ_proof::limits::RECORDING_HEADER_MAX_BYTES as u64 + 64;
        (&file).take(most).read_to_end(&mut start).map_err(Error::io("read", &name))?;
        let mut verifier = Verifier::new();
        // Only the header is wanted; what follows is for the reader to verify.
        let read = verifier.push(&start, &mut |_, _| Ok(()));
        let Some(header) = verifier.header().cloned() else {
            read?;
            return Err(missing(&name, "it has no header"));
        };
        if header.session != session {
            return Err(missing(&name, "it is of another session"));
        }
        let end = if closed { signed_end(&self.dir, session) } else { None };
        Ok(Recorded { header, bytes, closed, end })
    }

    fn piece(&self, wanted: &PieceWanted) -> Result<Piece, Error> {
        let (mut file, name, _) = self.open(wanted.session)?;
        let total = file.metadata().map_err(Error::io("examine", &name))?.len();
        // A file system refuses places that no file of its can have.
        file.seek(SeekFrom::Start(wanted.from.min(total))).map_err(Error::io("read", &name))?;
        let mut bytes = Vec::new();
        file.take(SHELF_PIECE_MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &name))?;
        Ok(Piece { bytes, total })
    }

    /// The file of a session, and whether it has its final name.
    fn open(&self, session: Ulid) -> Result<(File, String, bool), Error> {
        for (ending, closed) in [("rec", true), ("rec.open", false)] {
            let name = format!("{session}.{ending}");
            match File::open(self.dir.join(&name)) {
                Ok(file) => return Ok((file, name, closed)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", &name)(error)),
            }
        }
        Err(missing(&session.to_string(), "there is no such recording"))
    }
}

fn missing(name: &str, why: &str) -> Error {
    Error::Io { what: "read", name: name.to_owned(), why: why.to_owned() }
}

fn end_name(session: Ulid) -> String {
    format!("{session}.end")
}

/// Keeps the signed end beside its recording, durably.
pub(crate) fn keep_end(dir: &Path, end: &SignedEnd) -> Result<(), Error> {
    let name = end_name(end.mark.at().session);
    let torn = dir.join(format!("{name}.new"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&torn)?;
        file.write_all(&cbor::to_vec(end))?;
        file.sync_all()?;
        std::fs::rename(&torn, dir.join(&name))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(Error::io("write", &name))
}

fn signed_end(dir: &Path, session: Ulid) -> Option<SignedEnd> {
    let file = File::open(dir.join(end_name(session))).ok()?;
    let mut bytes = Vec::new();
    file.take(END_FILE_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let end: SignedEnd = cbor::from_slice(&bytes).ok()?;
    (end.mark.at().session == session).then_some(end)
}

#[cfg(test)]
#[path = "tests/shelf.rs"]
mod tests;
