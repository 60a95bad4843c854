//! A day of operators' access, as the mirror tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use writ_model::Timestamp;
use writ_proof::frame::Frames;
use writ_proof::leaf::{Kind, Leaf, Source};
use writ_proof::origin::LogName;

use crate::disk;
use crate::error::WatchError;
use crate::limits::SUMMARY_MAX_ROWS;
use crate::mirror::segment_path;

/// Commands and paths of one session that are shown; the others are counted.
const DEEDS_MAX: usize = 20;

/// What each person did.
#[derive(Debug, Clone, Default)]
pub(super) struct Day {
    pub(super) people: BTreeMap<String, Person>,
}

/// One person.
#[derive(Debug, Clone, Default)]
pub(super) struct Person {
    /// By their ids.
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) requests: Vec<Request>,
    /// Whose requests were approved and denied.
    pub(super) decisions: Vec<String>,
    /// What was refused outside of a session.
    pub(super) refused: Vec<String>,
}

/// One session.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) reason: String,
    pub(super) login: String,
    pub(super) host: String,
    pub(super) request: String,
    pub(super) source: String,
    pub(super) commands: u64,
    pub(super) files: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) refused: u64,
    pub(super) deeds: Vec<String>,
}

/// One request for access.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) hosts: String,
    pub(super) ticket: String,
    pub(super) basis: String,
    pub(super) window: String,
    pub(super) refused: Option<String>,
}

impl Day {
    /// Reads the frames of `[from, to)`, in milliseconds since 1970.
    pub(super) fn read(mirror: &Path, from: u64, to: u64) -> Result<Day, WatchError> {
        let mut day = Day::default();
        for segment in 0.. {
            let path = segment_path(mirror, segment);
            let Ok(facts) = std::fs::metadata(&path) else { break };
            // What was last written before the day holds nothing of it; a clock may lie a little.
            let slack = Duration::from_secs(3600);
            let begin = UNIX_EPOCH + Duration::from_millis(from).saturating_sub(slack);
            if facts.modified().is_ok_and(|modified| modified < begin) {
                continue;
            }
            let Some(bytes) = disk::read_if_there(&path)? else { break };
            // The last frame may be under way.
            for located in Frames::new(&bytes).map_while(Result::ok) {
                for entry in &located.frame.batch.entries {
                    let leaf = entry.leaves.first().map(|leaf| Leaf::from_bytes(leaf));
                    let Some(Ok(leaf)) = leaf else { continue };
                    let at = leaf.time.millis();
                    if (from..to).contains(&at) {
                        day.take(&leaf, &entry.record);
                    }
                }
            }
        }
        Ok(day)
    }

    /// The hosts that somebody was on.
    pub(super) fn hosts(&self) -> BTreeSet<&str> {
        let sessions = self.people.values().flat_map(|person| person.sessions.values());
        sessions.map(|session| session.host.as_str()).collect()
    }

    fn take(&mut self, leaf: &Leaf, record: &[u8]) {
        if leaf.kind != Kind::Event || leaf.log != LogName::Operator {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(record) else { return };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let told = Told { event: &event, at: leaf.time, name: text("eventName") };
        match (text("eventSource"), leaf.source) {
            ("bastion.writ.internal", Source::Bastion) => self.session(&told),
            ("access.writ.internal", Source::Front) => self.access(&told),
            _ => {}
        }
    }

    fn access(&mut self, told: &Told<'_>) {
        match told.name {
            "RequestAccess" => {
                let request = Request {
                    id: told.shown("requestId"),
                    hosts: told.shown("hosts"),
                    ticket: told.shown("ticket"),
                    basis: told.shown("basis"),
                    window: format!("{} to {}", told.shown("notBefore"), told.shown("notAfter")),
                    refused: told.refused(),
                };
                let requests = &mut self.person(told.shown("requester")).requests;
                push(requests, request, SUMMARY_MAX_ROWS);
            }
            "ApproveAccess" | "DenyAccess" => {
                let did = if told.name == "DenyAccess" { "denied" } else { "approved" };
                let what =
                    format!("{did} {} of {}", told.shown("requestId"), told.shown("requester"));
                push(&mut self.person(told.shown("approver")).decisions, what, SUMMARY_MAX_ROWS);
            }
            _ => {}
        }
    }

    fn session(&mut self, told: &Told<'_>) {
        let (person, id) = (told.shown("person"), told.shown("sessionId"));
        if person.is_empty() {
            return;
        }
        let refused = told.refused();
        let person = self.person(person);
        if id.is_empty() || told.name == "RefuseSession" || told.name == "RefuseLogin" {
            let what = format!("{}: {}", told.at.iso(), refused.unwrap_or_default());
            return push(&mut person.refused, what, DEEDS_MAX);
        }
        if person.sessions.len() >= SUMMARY_MAX_ROWS && !person.sessions.contains_key(&id) {
            return;
        }
        let session = person.sessions.entry(id).or_default();
        session.login = told.shown("login");
        session.host = told.shown("hostName");
        session.request = told.shown("accessRequestId");
        session.source = told.text("sourceIPAddress");
        let number = |name: &str| told.shown(name).parse::<u64>().unwrap_or_default();
        if let Some(why) = refused {
            session.refused += 1;
            let what = [told.shown("asked"), told.shown("operation"), told.shown("paths")];
            let what: Vec<String> = what.into_iter().filter(|part| !part.is_empty()).collect();
            return push(
                &mut session.deeds,
                format!("REFUSED {}: {why}", what.join(" ")),
                DEEDS_MAX,
            );
        }
        match told.name {
            "StartSession" => session.start = Some(told.at),
            "EndSession" => {
                session.end = Some(told.at);
                session.reason = told.shown("reason");
            }
            "ExecCommand" => {
                session.commands += 1;
                push(&mut session.deeds, format!("$ {}", told.shown("command")), DEEDS_MAX);
            }
            "OpenShell" => push(&mut session.deeds, "a shell".to_owned(), DEEDS_MAX),
            "FileTransfer" => {
                session.files += 1;
                session.read_bytes += number("bytesRead");
                session.written_bytes += number("bytesWritten");
                push(&mut session.deeds, format!("file {}", told.shown("path")), DEEDS_MAX);
            }
            _ => {}
        }
    }

    fn person(&mut self, name: String) -> &mut Person {
        self.people.entry(name).or_default()
    }
}

impl Person {
    /// True if somebody should look at it first.
    pub(super) fn is_unusual(&self) -> bool {
        self.requests.iter().any(|request| request.basis == "legal-order")
            || !self.refused.is_empty()
            || self.requests.iter().any(|request| request.refused.is_some())
            || self.sessions.values().any(|session| session.refused > 0)
    }
}

fn push<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() < most {
        list.push(item);
    }
}

/// An event.
struct Told<'a> {
    event: &'a Value,
    at: Timestamp,
    name: &'a str,
}

impl Told<'_> {
    fn shown(&self, name: &str) -> String {
        let value = self.event.pointer(&format!("/requestParameters/{name}"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn text(&self, name: &str) -> String {
        self.event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Why it was refused, if it was.
    fn refused(&self) -> Option<String> {
        self.event.get("errorCode")?;
        Some(self.text("errorMessage"))
    }
}
