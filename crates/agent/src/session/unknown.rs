//! Connections that do not show by themselves how they were opened: what `sshd` says of them, and who is told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::procfs::{self, Facts};
use super::{Connection, Sessions, names, shown};
use crate::limits::{SESSION_FAULT_LEAST, SESSION_IDENTIFY_MAX};

impl Sessions {
    /// Takes in what `sshd` has written of logins, and looks for the certificates that it names.
    pub(super) fn hear(&mut self) {
        let now = self.env.monotonic();
        let logins = std::mem::take(&mut self.told.lock().logins);
        self.logins.extend(logins.into_iter().map(|login| (now, login)));
        for (at, login) in std::mem::take(&mut self.logins) {
            let connections = self.connections.values_mut();
            // Behind one that is gone another one may come from the same place.
            let same = connections.filter(|connection| connection.peer == Some(login.peer));
            let Some(connection) = same.max_by_key(|connection| connection.seen) else {
                if now.saturating_sub(at) < SESSION_IDENTIFY_MAX {
                    self.logins.push((at, login));
                }
                continue;
            };
            match login.certificate.filter(|(_, authority)| *authority == self.fingerprint) {
                Some((id, _)) => {
                    if connection.is_logged(id, now) {
                        std::fs::remove_file(
                            self.folder.join(Connection::name(connection.process)),
                        )
                        .ok();
                    }
                }
                // A line that somebody else wrote does not hide the one of sshd.
                None => connection.foreign |= connection.is_unknown(),
            }
        }
        self.find();
    }

    /// Looks for the certificates of sessions whose processes do not name them.
    fn find(&mut self) {
        let now = self.env.monotonic();
        let mut found = Vec::new();
        for (name, connection) in &self.connections {
            let since = connection.unknown.filter(|_| connection.session.is_none());
            let is_due = since.is_some_and(|at| now.saturating_sub(at) < SESSION_IDENTIFY_MAX);
            if let Some(id) = connection.logged.as_ref().filter(|_| is_due)
                && let Some(session) = shown::find(id, &self.authority)
            {
                found.push((name.clone(), session));
            }
        }
        for (name, session) in found {
            self.begin(&name, session);
        }
    }

    /// Tells of connections that did not show in time how they were opened.
    pub(super) fn blame(&mut self) {
        let now = self.env.monotonic();
        let mut late = Vec::new();
        for (name, connection) in &mut self.connections {
            let is_late = |since| now.saturating_sub(since) >= SESSION_IDENTIFY_MAX;
            if !connection.unknown.is_some_and(is_late) || connection.is_known() {
                connection.blamed = false;
            } else if connection.logged.is_some() || connection.is_worked_in() {
                late.push((name.clone(), connection.why()));
            } else {
                // What it was did not stay, a message of the day perhaps: the next process is to show it.
                (connection.unknown, connection.blamed) = (None, false);
            }
        }
        for (name, why) in late {
            self.blame = Some((now + SESSION_FAULT_LEAST, why.clone()));
            let Some(connection) = self.connections.get(&name).filter(|c| !c.blamed) else {
                continue;
            };
            let left = self.left(&name, connection);
            self.tell(format!("{why}; in it are {} processes: {}", left.len(), names(&left)));
            self.edit(&name, |connection| connection.blamed = true);
        }
    }

    /// True while `sshd` asks whether somebody may come in, perhaps a program of its own.
    pub(super) fn is_asking(&self, name: &str, new: &BTreeMap<u32, Facts>) -> bool {
        let Some(connection) = self.connections.get(name) else { return false };
        let is_nobody = |facts: &Facts| {
            facts.name.starts_with("sshd")
                && connection.members.contains(&facts.process)
                && self.nobody.is_some_and(|user| procfs::user(facts.process.pid) == Some(user))
        };
        new.values().any(is_nobody)
    }
}

impl Connection {
    /// `sshd` itself says which session it is. True if its processes have shown the certificate of another one.
    fn is_logged(&mut self, id: String, now: Duration) -> bool {
        let differs = self.session.as_ref().is_some_and(|session| session.id != id);
        if differs {
            (self.session, self.deadline) = (None, None);
        }
        self.foreign = false;
        self.logged = Some(id);
        self.unknown.get_or_insert(now);
        differs
    }

    /// It is followed to its end, or was opened by other means.
    fn is_known(&self) -> bool {
        self.session.is_some() || self.foreign
    }

    /// Something of it lives that is not `sshd`, or that has outlived it.
    fn is_worked_in(&self) -> bool {
        let gone = !procfs::lives(self.process);
        let facts = self.members.iter().filter_map(|member| procfs::facts(member.pid));
        let mut living = facts.filter(|facts| self.members.contains(&facts.process));
        living.any(|facts| gone || !facts.name.starts_with("sshd"))
    }

    fn is_unknown(&self) -> bool {
        self.session.is_none() && self.logged.is_none()
    }

    fn why(&self) -> String {
        let process = self.process.pid;
        match &self.logged {
            Some(id) => format!(
                "session {id} in process {process} does not show its certificate: its deadline is not known, and it \
                 ends with its connection"
            ),
            None => format!(
                "a connection (process {process}) did not show how it was opened, and is left alone: either sshd_config \
                 lacks `ExposeAuthInfo yes`, or somebody hides whose session it is"
            ),
        }
    }
}
