//! What each kind of alarm means to whoever is woken by it: how urgent, by which detector, and what to do first.

use crate::alarm::Alarm;

/// How urgent an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Somebody is woken.
    Page,
    /// Somebody looks today.
    Warning,
}

impl Severity {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Warning => "warning",
        }
    }
}

/// What is known of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Advice {
    pub(crate) severity: Severity,
    /// The detector, as the design names them.
    pub(crate) detector: Option<&'static str>,
    pub(crate) todo: &'static str,
}

/// What is known of the kind with this name; of one that a later version wrote, that it is urgent.
pub(crate) fn of(kind: &str) -> Advice {
    Alarm::ALL.iter().find(|alarm| alarm.as_str() == kind).map_or(UNKNOWN, |alarm| advice(*alarm))
}

const UNKNOWN: Advice = Advice {
    severity: Severity::Page,
    detector: None,
    todo: "this version of watch does not know the kind: read its text",
};

const fn page(detector: &'static str, todo: &'static str) -> Advice {
    Advice { severity: Severity::Page, detector: Some(detector), todo }
}

const fn warning(detector: Option<&'static str>, todo: &'static str) -> Advice {
    Advice { severity: Severity::Warning, detector, todo }
}

const fn advice(alarm: Alarm) -> Advice {
    match alarm {
        Alarm::AccessAfterEnd
        | Alarm::AccessWithoutGrant
        | Alarm::CertificateReused
        | Alarm::EventWithoutUse
        | Alarm::ForwardWithoutParent
        | Alarm::KeyUseUntold
        | Alarm::RecordingDiffers
        | Alarm::SessionUnended
        | Alarm::SessionUnrecorded => of_access(alarm),
        Alarm::BadFrame
        | Alarm::CheckpointLate
        | Alarm::Commit
        | Alarm::Fork
        | Alarm::HostLogUncosigned
        | Alarm::Protocol
        | Alarm::Rollback
        | Alarm::Silent
        | Alarm::SilenceOver
        | Alarm::WatchRolledBack => of_ledger(alarm),
        Alarm::DeliveryFailing | Alarm::RoutesChanged | Alarm::RoutesUnsound | Alarm::Test => {
            of_delivery(alarm)
        }
        _ => of_host(alarm),
    }
}

const fn of_access(alarm: Alarm) -> Advice {
    match alarm {
        Alarm::AccessAfterEnd => page(
            "D-07",
            "cut the connection on the host (`who`, kill its sshd); ask why the bastion had not ended it; revoke the grant",
        ),
        Alarm::CertificateReused => page(
            "D-02",
            "somebody holds a certificate that was the bastion's: cut both connections on the host, stop the bastion, look at its machine",
        ),
        Alarm::EventWithoutUse => page(
            "D-10",
            "the ledger tells of a key use that the key module has no record of: run `writ verify`, and treat who wrote it as hostile",
        ),
        Alarm::ForwardWithoutParent => page(
            "D-09",
            "a service used a customer's key, and the customer's own request is not there: run `writ verify`; ask the customer whether they asked",
        ),
        Alarm::KeyUseUntold => page(
            "D-10",
            "a key was used and the ledger does not tell for whom: run `writ verify`; stop the process whose record is missing",
        ),
        Alarm::RecordingDiffers => page(
            "D-05",
            "treat the bastion as taken: keep its folder, compare the recording with the marks in the ledger (`writ verify`)",
        ),
        Alarm::SessionUnended => page(
            "D-07",
            "is the operator still on the host? cut the connection there; is the bastion up, and does it reach the ledger?",
        ),
        Alarm::SessionUnrecorded => page(
            "D-05",
            "end the session (`writ revoke` its grant; kill the connection on the host); is the bastion frozen, is its disk full?",
        ),
        _ => page(
            "D-01",
            "who is it? cut the connection on the host, keep its logs, take away the key or password that let them in",
        ),
    }
}

const fn of_ledger(alarm: Alarm) -> Advice {
    match alarm {
        Alarm::CheckpointLate => page(
            "D-13",
            "is keyd up, and does trail reach it? until it is back nothing new of the ledger is witnessed",
        ),
        Alarm::Commit => {
            page("D-10", "a change was made and its record is missing: run `writ verify`")
        }
        Alarm::Fork | Alarm::Rollback => page(
            "D-13",
            "two histories exist: keep both copies, stop operator access, call the customers' witnesses",
        ),
        Alarm::HostLogUncosigned => page(
            "D-13",
            "is keyd up? trail is heard, so the network holds; look for `watch-rolled-back` and `fork`, which say more",
        ),
        Alarm::Silent => page(
            "D-11",
            "is trail up, and the network? what happens meanwhile is not seen: no operator access until it is back",
        ),
        Alarm::SilenceOver => warning(None, "nothing; trail is heard again"),
        Alarm::WatchRolledBack => page(
            "D-13",
            "watch's folder is an old copy: restore the newer one; what is still in the agents' spools came again",
        ),
        _ => page(
            "D-13",
            "the ledger's writer sends what does not hold: compare trail's copy with the mirror (`writ verify`) before anything else",
        ),
    }
}

const fn of_delivery(alarm: Alarm) -> Advice {
    match alarm {
        Alarm::DeliveryFailing => page(
            "D-12",
            "alarms do not reach the people behind this channel: mend it, or tell them by another way",
        ),
        Alarm::Test => {
            warning(None, "nothing: somebody tries whether alarms arrive; take note of it")
        }
        Alarm::RoutesChanged => warning(
            Some("D-12"),
            "whom alarms go to was changed: did the security organisation do it? compare `watch.toml`",
        ),
        _ => page(
            "D-12",
            "`watch.toml` is not taken: mend the line that the text names; the last sound one goes on",
        ),
    }
}

const fn of_host(alarm: Alarm) -> Advice {
    match alarm {
        Alarm::AgentKilled => {
            page("D-11", "who was on the host? compare with sessions; is the host up?")
        }
        Alarm::AgentRefused => warning(Some("D-11"), "find out where it came from"),
        Alarm::AgentSilent => page("D-11", "many hosts: the network; one: the host"),
        Alarm::AgentStopped => page("D-11", "ask who stopped it, and why no window names it"),
        Alarm::AuditChanged => page("D-12", "who changed it? compare with sessions"),
        Alarm::CertificateEnds => warning(None, "enrol the host again with a new token"),
        Alarm::ClockStep => {
            page("D-14", "who moved it? times of this host prove nothing meanwhile")
        }
        Alarm::ConfigChanged => {
            page("D-12", "look at `writ watch config HOST`; who was on the host? treat it as taken")
        }
        Alarm::DoubleConnection => page("D-15", "the host's key was copied: enrol the host again"),
        Alarm::EpochRollback => {
            page("D-11", "treat the host as taken, unless you restored its agent's folder")
        }
        Alarm::Gap => page("D-11", "events are lost: enlarge the spool; look for damage"),
        Alarm::HistoryRewritten => {
            page("D-11", "treat the host as taken; what watch holds of it is good")
        }
        Alarm::SourceSilent => page("D-11", "the text names the source: is it off, or made mute?"),
        Alarm::SpoolFull => warning(Some("D-11"), "is watch reachable from the host?"),
        _ => page("D-11", "a new run began and the last did not end: as for `agent-killed`"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Kinds in the tables of alarms: names in the first cell of a line.
    fn documented() -> BTreeSet<&'static str> {
        let lines = include_str!("../../../docs/watch.md").lines();
        let rows = lines.filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        rows.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).collect()
    }

    #[test]
    fn kinds_are_those_of_the_documentation_and_each_has_its_own_hint() {
        // A line that somebody is back, and an alarm that means nothing.
        let own = [Alarm::SilenceOver.as_str(), Alarm::Test.as_str()];
        let all = Alarm::ALL.iter().map(|alarm| alarm.as_str());
        let known: BTreeSet<&str> = all.filter(|kind| !own.contains(kind)).collect();
        assert_eq!(known, documented());
        assert_eq!(Alarm::ALL.len(), Alarm::WatchRolledBack as usize + 1, "one is not listed");
        for kind in known {
            assert_ne!(of(kind).todo, UNKNOWN.todo, "{kind}");
        }
        assert!(of("host-log-uncosigned").todo.contains("keyd"));
    }

    #[test]
    fn every_kind_says_what_to_do() {
        for alarm in Alarm::ALL {
            assert!(of(alarm.as_str()).todo.len() > 10, "{}", alarm.as_str());
        }
        assert_eq!(of("of-a-later-version").severity, Severity::Page);
        assert_eq!(of("access-without-grant").detector, Some("D-01"));
    }
}
