//! D-05 and D-07: operators' sessions as the ledger tells of them, with the marks of their recordings.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use writ_model::{Timestamp, Ulid};
use writ_proof::Hash;
use writ_proof::cbor;
use writ_proof::ed25519::PublicKey;
use writ_proof::leaf::{Kind, Leaf, Source};
use writ_proof::origin::LogName;
use writ_proof::recording::Mark;

use super::Finding;
use super::grants::Grants;
use super::uses::Uses;
use crate::alarm::Alarm;
use crate::limits::{
    MARK_BEFORE, MARKS_LATE, MARKS_MAX, REMEMBERED, REMEMBERED_MAX, SESSION_END_LATE,
};

/// What keyd signs of a recording begins with this.
const LABEL: &[u8] = b"writ-recording-v1";

/// One session.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    pub(super) person: String,
    pub(super) login: String,
    pub(super) host: String,
    /// Until when its grant holds.
    pub(super) not_after: Timestamp,
    pub(super) ended: Option<Timestamp>,
    /// Connections that its certificate opened.
    pub(super) logins: u32,
    /// The heads of its marks, by the number of frames.
    marks: BTreeMap<u64, Hash>,
    marked: Timestamp,
    /// Since when something happens in it that no mark covers.
    unmarked: Option<Duration>,
    told_unended: bool,
}

/// See the module.
pub(super) struct Sessions {
    keyd: PublicKey,
    all: BTreeMap<Ulid, Session>,
}

/// An event of the bastion.
struct Told<'a> {
    event: &'a Value,
    id: Ulid,
}

impl Told<'_> {
    fn shown(&self, name: &str) -> &str {
        let value = self.event.pointer(&format!("/requestParameters/{name}"));
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

impl Sessions {
    pub(super) fn new(keyd: PublicKey) -> Sessions {
        Sessions { keyd, all: BTreeMap::new() }
    }

    /// The session with this id.
    pub(super) fn find(&mut self, id: &str) -> Option<&mut Session> {
        self.all.get_mut(&id.parse().ok()?)
    }

    /// Takes over an entry of the ledger.
    pub(super) fn entry(
        &mut self,
        leaf: &Leaf,
        record: &[u8],
        (uses, grants): (&Uses, &Grants),
        now: Duration,
        found: &mut Vec<Finding>,
    ) {
        let is_told =
            (leaf.source, leaf.log, leaf.kind) == (Source::Bastion, LogName::Operator, Kind::Event);
        if !is_told {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(record) else { return };
        let name = event.get("eventName").and_then(Value::as_str).unwrap_or_default();
        let id = event.pointer("/requestParameters/sessionId").and_then(Value::as_str);
        let Some(id) = id.and_then(|id| id.parse().ok()) else { return };
        let told = Told { event: &event, id };
        match name {
            "StartSession" => self.start(leaf, &told, uses, now, found),
            "TakeOverSession" => self.prolong(&told, grants),
            "CheckpointRecording" => self.mark(leaf, &told, false, found),
            "EndSession" => self.mark(leaf, &told, true, found),
            "ExecCommand"
            | "OpenShell"
            | "OpenFiles"
            | "FileOperation"
            | "FileTransfer"
            | "RefuseFileOperation" => self.act(leaf, &told, now),
            _ => {}
        }
    }

    fn start(
        &mut self,
        leaf: &Leaf,
        told: &Told<'_>,
        uses: &Uses,
        now: Duration,
        found: &mut Vec<Finding>,
    ) {
        let session = Session {
            person: told.shown("person").to_owned(),
            login: told.shown("login").to_owned(),
            host: told.shown("hostName").to_owned(),
            not_after: Timestamp::parse_iso(told.shown("notAfter")).unwrap_or_default(),
            marked: leaf.time,
            unmarked: Some(now),
            ..Session::default()
        };
        // keyd's own record comes before the bastion's event: keyd answers with its place.
        let signed = leaf.use_position.and_then(|position| uses.is_certificate(&position));
        if leaf.use_position.is_none() || signed == Some(false) {
            let Session { person, login, host, .. } = &session;
            let what = format!(
                "session {} of `{person}` as {login}@{host} began, and keyd signed nothing for it",
                told.id
            );
            let key = format!("session {} unsigned", told.id);
            found.push(Finding::new(Alarm::AccessWithoutGrant, key, what).on(host));
        }
        if self.all.len() >= REMEMBERED_MAX {
            let over = |session: &Session| {
                session.ended.is_some_and(|end| end.plus(REMEMBERED) <= leaf.time)
            };
            self.all.retain(|_, session| !over(session));
        }
        self.all.entry(told.id).or_insert(session);
    }

    /// Another grant holds it open.
    fn prolong(&mut self, told: &Told<'_>, grants: &Grants) {
        let grant = told.shown("to").parse::<Hash>().ok();
        if let Some(session) = self.all.get_mut(&told.id)
            && let Some(until) = grant.and_then(|grant| grants.until(&grant))
        {
            session.not_after = session.not_after.max(until);
        }
    }

    fn act(&mut self, leaf: &Leaf, told: &Told<'_>, now: Duration) {
        let Some(session) = self.all.get_mut(&told.id) else { return };
        // The mark that covers it may have been told before it.
        if leaf.time.since(session.marked) > MARK_BEFORE || session.marked > leaf.time {
            session.unmarked.get_or_insert(now);
        }
    }

    fn mark(&mut self, leaf: &Leaf, told: &Told<'_>, is_end: bool, found: &mut Vec<Finding>) {
        let Some(session) = self.all.get_mut(&told.id) else { return };
        if is_end {
            session.ended.get_or_insert(leaf.time);
        }
        let id = told.id;
        let mut odd = |why: String| {
            let what = format!("the recording of session {id} of `{}`: {why}", session.person);
            let key = format!("recording {id} at {}", leaf.seq);
            found.push(Finding::new(Alarm::RecordingDiffers, key, what).on(&session.host));
        };
        let mark = unhex(told.shown("mark")).and_then(|b| cbor::from_slice::<Mark>(&b).ok());
        let Some(mark) = mark.filter(|mark| mark.at().session == id) else {
            return odd("what is said to be its mark is none".to_owned());
        };
        let signature = unhex(told.shown("signature")).and_then(|b| <[u8; 64]>::try_from(b).ok());
        let message = [LABEL, &cbor::to_vec(&mark)].concat();
        // After a restart keyd does not know the session any more, and signs no end of it.
        let signed = match signature {
            Some(signature) => self.keyd.verifies(&message, &signature),
            None => is_end,
        };
        if !signed {
            return odd(format!("the mark of frame {} is not signed by keyd", mark.at().seq));
        }
        let (seq, head) = (mark.at().seq, mark.at().head);
        if session.marks.get(&seq).is_some_and(|known| *known != head) {
            return odd(format!("two marks of frame {seq} differ"));
        }
        if is_end && session.marks.keys().next_back().is_some_and(|last| *last > seq) {
            return odd(format!("it ends at frame {seq}, and a later one was marked"));
        }
        session.marks.insert(seq, head);
        if session.marks.len() > MARKS_MAX {
            session.marks.pop_first();
        }
        session.marked = leaf.time;
        session.unmarked = None;
    }

    pub(super) fn due(&mut self, now: Duration, wall: Timestamp, found: &mut Vec<Finding>) {
        for (id, session) in &mut self.all {
            if session.ended.is_some() {
                continue;
            }
            let late = session.unmarked.is_some_and(|since| now.saturating_sub(since) > MARKS_LATE);
            let over = session.not_after.plus(SESSION_END_LATE) <= wall && !session.told_unended;
            if !late && !over {
                continue;
            }
            let host = session.host.clone();
            let whose = format!("session {id} of `{}` as {}@{host}", session.person, session.login);
            if late {
                let last = session.marks.keys().next_back();
                let after = last
                    .map_or("none came".to_owned(), |seq| format!("the last is of frame {seq}"));
                let what = format!(
                    "{whose}: no mark of its recording for {} s while something happens in it; {after}",
                    MARKS_LATE.as_secs()
                );
                let key = format!("session {id} marks after {}", last.copied().unwrap_or_default());
                found.push(Finding::new(Alarm::SessionUnrecorded, key, what).on(&host));
                session.unmarked = None;
            }
            if over {
                let until = session.not_after.iso();
                let what = format!(
                    "{whose}: its time was over at {until}, and the ledger has no end of it"
                );
                let key = format!("session {id} unended");
                found.push(Finding::new(Alarm::SessionUnended, key, what).on(&host));
                session.told_unended = true;
            }
        }
    }
}

/// The bytes of a hexadecimal text.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digits = (0..text.len()).step_by(2);
    digits.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
