//! Where events come from. A source is read when there is room for what it says; its place moves when that is on
//! the disk.

pub mod audit;
mod canary;
mod file;
pub mod journal;
mod rotation;
mod set;

use std::time::Duration;

use writ_proof::cbor_map;
use writ_proof::hostlog::{AuditState, Class, Payload};
use writ_proof::limits::HOST_TEXT_MAX_BYTES;

use crate::state::Cursor;
pub(crate) use audit::AuditSource;
pub(crate) use canary::{Canary, NAME as CANARY};
pub(crate) use file::{FileSource, Shape};
pub(crate) use set::{Looked, Sources};

/// Something that happened on the host, before it has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) source: String,
    pub(crate) class: Class,
    pub(crate) payload: Payload,
}
cbor_map!(Event { 1: source, 2: class, 3: payload });

impl Event {
    /// What the agent noticed about a source, or about itself.
    pub(crate) fn note(source: &str, text: String) -> Event {
        let (source, class) = (source.to_owned(), Class::Security);
        Event { source, class, payload: Payload::Note(cut(text)) }
    }
}

/// A text for people, as long as a frame or a message may hold: watch takes no longer one, and what is in it can be
/// the choice of whoever may name a file.
pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(HOST_TEXT_MAX_BYTES));
    text
}

/// A source.
pub(crate) enum Source {
    Audit(Box<AuditSource>),
    File(Box<FileSource>),
}

impl Source {
    pub(crate) fn name(&self) -> &str {
        match self {
            Source::Audit(_) => audit::NAME,
            Source::File(file) => file.name(),
        }
    }

    /// Takes in what is there, up to `max` events. Never waits.
    pub(crate) fn poll(&mut self, now: Duration, max: usize, events: &mut Vec<Event>) {
        match self {
            Source::Audit(audit) => audit.poll(now, max, events),
            Source::File(file) => file.poll(max, events),
        }
    }

    /// Everything that was taken in is on the disk.
    pub(crate) fn committed(&mut self) {
        if let Source::File(file) = self {
            file.committed();
        }
    }

    /// Why it delivers nothing now.
    pub(crate) fn fault(&self) -> Option<String> {
        match self {
            Source::Audit(audit) => audit.fault(),
            Source::File(file) => file.fault(),
        }
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        match self {
            Source::Audit(_) => None,
            Source::File(file) => file.cursor(),
        }
    }

    pub(crate) fn audit(&self) -> Option<AuditState> {
        match self {
            Source::Audit(audit) => audit.state(),
            Source::File(_) => None,
        }
    }
}
