//! Detectors: what follows from the ledger and from the hosts together, and must not be. Each is an invariant; none
//! is a guess. They see watch's own mirror and host log, and nothing that the control side could hold back there.
//!
//! | detector | what must hold |
//! |---|---|
//! | D-01 | who comes in has a certificate of a session that the ledger tells of, and that approvals made |
//! | D-02 | one certificate opens one connection |
//! | D-05 | a session in which something happens has marks of its recording, signed by keyd, that agree |
//! | D-07 | nobody comes in after the end, and each session has one |
//! | D-09 | a service uses a customer's key on a request of the customer that is in the ledger |
//! | D-10 | each use of a key has its event, and each event that names a use has the use |
//!
//! A reader of old frames decides as one of new ones, but for the time that is granted: after a start it runs anew.

mod grants;
mod logins;
mod sessions;
mod uses;

use std::time::Duration;

use writ_model::Timestamp;
use writ_proof::ed25519::PublicKey;
use writ_proof::frame::Frame;
use writ_proof::hostlog::{Frame as HostFrame, Payload};
use writ_proof::leaf::Leaf;
use writ_proof::replay::Accepted;
use writ_proof::roster::{Genesis, HostName, Roster};
use writ_proof::sshsig::SshPublicKey;

use crate::alarm::Alarm;

use grants::Grants;
use logins::Logins;
use sessions::Sessions;
use uses::Uses;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) alarm: Alarm,
    pub(crate) host: Option<HostName>,
    /// What it follows from; there is no second alarm with the same.
    pub(crate) key: String,
    pub(crate) what: String,
}

impl Finding {
    fn new(alarm: Alarm, key: String, what: String) -> Finding {
        Finding { alarm, host: None, key, what }
    }

    fn on(self, host: &str) -> Finding {
        Finding { host: host.parse().ok(), ..self }
    }
}

/// All of them.
pub(crate) struct Detectors {
    uses: Uses,
    grants: Grants,
    sessions: Sessions,
    logins: Logins,
    found: Vec<Finding>,
    /// Uses that a recorded restart left without their event.
    unanswered: Vec<String>,
}

impl Detectors {
    /// Detectors of an installation.
    pub(crate) fn new(genesis: &Genesis) -> Detectors {
        let authority = SshPublicKey::Ed25519(genesis.keyd.ssh_ca.0).fingerprint();
        Detectors::with(genesis.keyd.use_records, authority)
    }

    fn with(keyd: PublicKey, authority: String) -> Detectors {
        Detectors {
            uses: Uses::default(),
            grants: Grants::default(),
            sessions: Sessions::new(keyd),
            logins: Logins::new(authority),
            found: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// Takes over a frame of the ledger; `roster` is the one after it, `now` watch's monotonic clock.
    pub(crate) fn frame(
        &mut self,
        frame: &Frame,
        accepted: &Accepted,
        roster: &Roster,
        now: Duration,
    ) {
        let entries = frame.batch.entries.iter().zip(&accepted.leaves);
        let entries = entries.filter_map(|(entry, leaves)| Some((leaves.first()?, &entry.record)));
        let entries: Vec<(&Leaf, &Vec<u8>)> = entries.collect();
        // A certificate's grant is in the ledger before keyd is asked for it.
        for (leaf, record) in &entries {
            self.grants.entry(leaf, record, roster);
        }
        for record in &accepted.uses {
            let position = self.uses.used(record, now, &mut self.found);
            self.grants.used(record, position, roster, &mut self.found);
        }
        for (leaf, record) in &entries {
            self.uses.event(leaf, now);
            let known = (&self.uses, &self.grants);
            self.sessions.entry(leaf, record, known, now, &mut self.found);
        }
    }

    /// True if [`Detectors::host_frame`] can make something of this frame.
    pub(crate) fn reads(frame: &HostFrame) -> bool {
        logins::tells(frame)
    }

    /// Takes over a frame of a host that came at `at`, by watch's clock.
    pub(crate) fn host_frame(&mut self, frame: &HostFrame, at: Timestamp, now: Duration) {
        // A host's clock may be behind; a frame that waited in a spool is older than its arrival.
        let at = at.min(frame.wall);
        let found = match &frame.payload {
            Payload::Line(line) if !line.partial => {
                self.logins.line(&frame.host, frame.seq, &line.text, at, now)
            }
            Payload::Record(record) => {
                self.logins.record(&frame.host, frame.seq, record.kind, &record.text)
            }
            _ => None,
        };
        self.found.extend(found);
        self.logins.due_on(&frame.host, &mut self.sessions, now, &mut self.found);
    }

    /// Everything that there was has been read: what a restart excuses in it was told before.
    pub(crate) fn begin(&mut self) {
        self.uses.begin();
        self.unanswered.clear();
    }

    /// What time alone makes an alarm of.
    pub(crate) fn due(&mut self, now: Duration, wall: Timestamp) {
        self.uses.due(now, &mut self.found, &mut self.unanswered);
        self.sessions.due(now, wall, &mut self.found);
        self.logins.due(&mut self.sessions, now, &mut self.found);
    }

    /// What was found since the last time.
    pub(crate) fn take(&mut self) -> (Vec<Finding>, Vec<String>) {
        (std::mem::take(&mut self.found), std::mem::take(&mut self.unanswered))
    }
}

#[cfg(test)]
#[path = "tests/detect.rs"]
mod tests;
