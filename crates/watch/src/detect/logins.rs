//! D-01, D-02 and D-07 on hosts: each login that a host reports against the sessions of the ledger.
//!
//! sshd says by which certificate somebody came in, with the id that keyd gave it: `req=…;user=…;ses=…`. What a host
//! says is worth nothing after root is taken on it; a login that was shipped before is.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_model::Timestamp;
use writ_proof::hostlog::sshd::{Accepted, accepted};
use writ_proof::hostlog::{Frame as HostFrame, Payload};
use writ_proof::roster::HostName;

use super::Finding;
use super::sessions::{Session, Sessions};
use crate::alarm::Alarm;
use crate::limits::{LOGIN_AFTER_END, LOGIN_EXPLAINED, LOGINS_WAITING_MAX};

/// The kernel's audit record of a login (linux/audit.h: AUDIT_USER_LOGIN).
const USER_LOGIN: u16 = 1112;

/// A login that the ledger has not explained yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Login {
    host: HostName,
    seq: u64,
    user: String,
    from: String,
    session: String,
    at: Timestamp,
    since: Duration,
}

/// See the module.
pub(super) struct Logins {
    /// The fingerprint of keyd's authority for operators' certificates.
    authority: String,
    waiting: BTreeMap<HostName, Vec<Login>>,
}

impl Logins {
    pub(super) fn new(authority: String) -> Logins {
        Logins { authority, waiting: BTreeMap::new() }
    }

    /// Takes over a line of a host's log. A login without a certificate of ours is found at once.
    pub(super) fn line(
        &mut self,
        host: &HostName,
        seq: u64,
        text: &[u8],
        at: Timestamp,
        now: Duration,
    ) -> Option<Finding> {
        let text = String::from_utf8_lossy(text);
        let accepted = accepted(&text)?;
        let Accepted { method, user, from, certificate, .. } = accepted;
        let key = format!("login {host}/{seq}");
        let whose = format!("somebody logged in as `{user}` from {from} at {}", at.iso_millis());
        let named = certificate.and_then(|one| Some((one.session()?, one.authority)));
        let Some((session, authority)) = named else {
            let what = format!("{whose} by {method} that is no certificate of a session");
            return Some(Finding::new(Alarm::AccessWithoutGrant, key, what).on(host.as_str()));
        };
        if authority != self.authority {
            let what = format!("{whose} with a certificate of another authority, {authority}");
            return Some(Finding::new(Alarm::AccessWithoutGrant, key, what).on(host.as_str()));
        }
        let waiting = self.waiting.entry(host.clone()).or_default();
        if waiting.len() >= LOGINS_WAITING_MAX {
            let what = format!("{whose}; too many others wait to be explained");
            return Some(Finding::new(Alarm::AccessWithoutGrant, key, what).on(host.as_str()));
        }
        let (user, from, session) = (user.to_owned(), from.to_owned(), session.to_owned());
        waiting.push(Login { host: host.clone(), seq, user, from, session, at, since: now });
        None
    }

    /// Takes over a record of a host's audit: sshd's own logins are read from its log, others have no grant.
    pub(super) fn record(
        &self,
        host: &HostName,
        seq: u64,
        kind: u16,
        text: &[u8],
    ) -> Option<Finding> {
        let text = String::from_utf8_lossy(text);
        let (who, program) = elsewhere(kind, &text)?;
        let what =
            format!("somebody logged in as `{who}` through {program}, not through the bastion");
        let key = format!("login {host}/{seq}");
        Some(Finding::new(Alarm::AccessWithoutGrant, key, what).on(host.as_str()))
    }

    /// Compares what waits with the sessions that are known by now.
    pub(super) fn due(&mut self, sessions: &mut Sessions, now: Duration, found: &mut Vec<Finding>) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|login| login.waits(sessions, now, found));
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
    }

    /// The same for one host.
    pub(super) fn due_on(
        &mut self,
        host: &HostName,
        sessions: &mut Sessions,
        now: Duration,
        found: &mut Vec<Finding>,
    ) {
        if let Some(waiting) = self.waiting.get_mut(host) {
            waiting.retain(|login| login.waits(sessions, now, found));
        }
    }
}

/// True if this frame tells of a login that [`Logins`] looks at.
pub(super) fn tells(frame: &HostFrame) -> bool {
    match &frame.payload {
        Payload::Line(line) if !line.partial => {
            accepted(&String::from_utf8_lossy(&line.text)).is_some()
        }
        Payload::Record(record) => {
            elsewhere(record.kind, &String::from_utf8_lossy(&record.text)).is_some()
        }
        _ => false,
    }
}

/// Who logged in through which program, by a record of the audit, if that is not sshd.
fn elsewhere(kind: u16, text: &str) -> Option<(&str, &str)> {
    if kind != USER_LOGIN {
        return None;
    }
    let field = |name: &str| -> Option<&str> {
        let (_, rest) = text.split_once(name)?;
        rest.split(['"', ' ', '\'']).find(|part| !part.is_empty())
    };
    let program = field("exe=").unwrap_or("?");
    let is_sshd = program.rsplit('/').next().is_some_and(|name| name.starts_with("sshd"));
    if is_sshd || field("res=") != Some("success") {
        return None;
    }
    Some((field("acct=").or_else(|| field(" id=")).unwrap_or("?"), program))
}

impl Login {
    /// False once it is explained, or found.
    fn waits(&self, sessions: &mut Sessions, now: Duration, found: &mut Vec<Finding>) -> bool {
        match sessions.find(&self.session) {
            Some(session) => {
                found.extend(self.judge(session));
                false
            }
            None if now.saturating_sub(self.since) > LOGIN_EXPLAINED => {
                let why = format!("the ledger knows no session {}", self.session);
                found.push(self.finding(Alarm::AccessWithoutGrant, &why));
                false
            }
            None => true,
        }
    }

    fn judge(&self, session: &mut Session) -> Option<Finding> {
        session.logins += 1;
        if session.host != self.host.as_str() || session.login != self.user {
            let what = format!(
                "session {} is of `{}` as {}@{}",
                self.session, session.person, session.login, session.host
            );
            return Some(self.finding(Alarm::AccessWithoutGrant, &what));
        }
        let end = session.ended.unwrap_or(session.not_after).min(session.not_after);
        if self.at > end.plus(LOGIN_AFTER_END) {
            let what = format!(
                "session {} of `{}` was over at {}",
                self.session,
                session.person,
                end.iso_millis()
            );
            return Some(self.finding(Alarm::AccessAfterEnd, &what));
        }
        (session.logins > 1).then(|| {
            let what = format!(
                "the certificate of session {} of `{}` has opened a connection before",
                self.session, session.person
            );
            self.finding(Alarm::CertificateReused, &what)
        })
    }

    fn finding(&self, alarm: Alarm, why: &str) -> Finding {
        let Login { host, seq, user, from, at, .. } = self;
        let what =
            format!("somebody logged in as `{user}` from {from} at {}; {why}", at.iso_millis());
        Finding::new(alarm, format!("login {host}/{seq}"), what).on(host.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_at_a_console_has_no_grant() {
        let logins = Logins::new("SHA256:ca".to_owned());
        let host = "web-1".parse().unwrap();
        let by = |exe: &str, res: &str| {
            let text = format!(
                "pid=1 uid=0 msg='op=login acct=\"root\" exe=\"{exe}\" terminal=tty1 res={res}'"
            );
            logins.record(&host, 7, USER_LOGIN, text.as_bytes())
        };
        let found = by("/usr/bin/login", "success").unwrap();
        assert_eq!((found.alarm, found.key.as_str()), (Alarm::AccessWithoutGrant, "login web-1/7"));
        assert!(found.what.contains("`root` through /usr/bin/login"), "{}", found.what);
        assert_eq!(by("/usr/bin/login", "failed"), None);
        assert_eq!(by("/usr/sbin/sshd", "success"), None);
    }
}
