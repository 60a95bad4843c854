//! Recordings of operators' sessions against the operator log: each session that began has one, whole, with every mark
//! that the ledger holds of it. Nobody needs the right to read a recording to check it.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;
use writ_proof::cbor;
use writ_proof::ed25519::PublicKey;
use writ_proof::recording::{Mark, State, Verifier};

use super::finding::{Code, Finding, Report};

/// The source of the bastion's events.
pub(crate) const SOURCE: &str = "bastion.writ.internal";
/// What is read of a recording at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A session as the operator log tells of it.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// It began.
    pub(crate) started: bool,
    /// The recorder failed, or the session's end is told.
    pub(crate) ended: bool,
    failed: bool,
    marks: Vec<(Mark, Option<[u8; 64]>)>,
}

impl Session {
    /// Its marks, each signed by keyd or, of its end, not signed at all.
    ///
    /// # Errors
    /// A signature does not hold.
    pub(crate) fn signed_by(&self, key: &PublicKey) -> Result<Vec<Mark>, String> {
        let one = |(mark, signature): &(Mark, Option<[u8; 64]>)| match signature {
            Some(signature) if !key.verifies(&mark.signed_bytes(), signature) => {
                Err(format!("the ledger's mark of frame {} is not signed by keyd", mark.at().seq))
            }
            _ => Ok(mark.clone()),
        };
        self.marks.iter().map(one).collect()
    }
}

/// All sessions, by their ids.
pub(crate) type Sessions = BTreeMap<String, Session>;

/// A recording as it lies there.
pub(crate) struct Recording {
    /// Its bytes.
    pub(crate) bytes: Box<dyn Read>,
    /// True if it has its final name.
    pub(crate) closed: bool,
}

/// Takes over an event of the bastion.
pub(crate) fn event(sessions: &mut Sessions, record: &[u8]) -> Result<(), String> {
    let record: Value = serde_json::from_slice(record).map_err(|error| error.to_string())?;
    let text = |name: &str| {
        let value = record.pointer(&format!("/requestParameters/{name}"));
        value.and_then(Value::as_str)
    };
    let name = record.get("eventName").and_then(Value::as_str);
    let (Some(id), Some(name)) = (text("sessionId"), name) else {
        return Ok(());
    };
    // It becomes a part of a path.
    if id.parse::<writ_model::Ulid>().is_err() {
        return Err(format!("`{id}` names no session"));
    }
    let mark = || {
        let mark = hex::decode(text("mark").unwrap_or_default()).ok();
        let mark = mark.and_then(|bytes| cbor::from_slice::<Mark>(&bytes).ok());
        let mark = mark.filter(|mark| mark.at().session.to_string() == id);
        let signature = text("signature").and_then(|text| hex::decode(text).ok());
        let signature = signature.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        mark.map(|mark| (mark, signature))
            .ok_or_else(|| format!("the mark of session {id} is none"))
    };
    match name {
        "StartSession" => sessions.entry(id.to_owned()).or_default().started = true,
        "CheckpointRecording" => sessions.entry(id.to_owned()).or_default().marks.push(mark()?),
        "EndSession" => {
            let mark = mark()?;
            let session = sessions.entry(id.to_owned()).or_default();
            session.ended = true;
            session.marks.push(mark);
        }
        "FailRecording" => sessions.entry(id.to_owned()).or_default().failed = true,
        _ => {}
    }
    Ok(())
}

/// Checks every session that the operator log tells of; `find` gives its recording.
pub(crate) fn check(
    sessions: &Sessions,
    key: &PublicKey,
    is_running: bool,
    find: &dyn Fn(&str) -> Result<Option<Recording>, Finding>,
    report: &mut Report,
) {
    let (mut whole, mut open) = (0u64, 0u64);
    for (id, session) in sessions {
        let place = format!("session {id}");
        for (mark, signature) in &session.marks {
            let message = mark.signed_bytes();
            match signature {
                Some(signature) if key.verifies(&message, signature) => {}
                Some(_) => report.add(
                    Code::Recordings,
                    &place,
                    format!("the mark of frame {} is not signed by keyd", mark.at().seq),
                ),
                // keyd had started anew and did not know the session any more.
                None => report.note(format!("{place}: the mark of its end is not signed")),
            }
        }
        let found = match find(id) {
            Ok(Some(found)) => found,
            Ok(None) => {
                report.add(Code::Recordings, &place, "its recording is gone");
                continue;
            }
            Err(finding) => {
                report.push(finding);
                continue;
            }
        };
        match one(session, found, is_running) {
            Ok(true) => whole += 1,
            Ok(false) => open += 1,
            Err(why) => report.add(Code::Recordings, &place, why),
        }
    }
    if !sessions.is_empty() {
        report.checked(
            "recordings",
            format!("{whole} whole, {open} of sessions that have not ended"),
        );
    }
}

/// True for a whole recording, false for one of a session that may still run.
fn one(session: &Session, mut found: Recording, is_running: bool) -> Result<bool, String> {
    let mut verifier = Verifier::new();
    session.marks.iter().for_each(|(mark, _)| verifier.expect(mark.clone()));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = found.bytes.read(&mut chunk).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        let bytes = chunk.get(..read).unwrap_or_default();
        verifier.push(bytes, &mut |_, _| Ok(())).map_err(|error| error.to_string())?;
    }
    if verifier.header().is_none() {
        return Err("its recording has no header".to_owned());
    }
    let open = matches!(verifier.state(), State::Open);
    if open && !session.ended && !found.closed && (is_running || session.failed) {
        // Marks of what the file does not hold would be findings also of an open one.
        let last = session.marks.iter().map(|(mark, _)| mark.at().seq).max();
        let reached = verifier.chain().map_or(0, |chain| chain.seq());
        return match last {
            Some(last) if last >= reached => {
                Err(format!("it is cut: the ledger holds a mark of its frame {last}"))
            }
            _ => Ok(false),
        };
    }
    let verified = verifier.finish().map_err(|error| error.to_string())?;
    if !session.ended && !is_running {
        return Err("the ledger does not tell of its end: start `writ up` once".to_owned());
    }
    let told = session.marks.iter().any(|(mark, _)| *mark == verified.last);
    if session.ended && !told {
        return Err("its end is another than the ledger's".to_owned());
    }
    Ok(true)
}
