//! One agent as it is heard now. Nothing of this outlives watch's process.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;
use writ_model::limits::CANARY_EVERY;
use writ_model::{Nonce, Timestamp};
use writ_proof::hostlog::{AuditState, Beat, Hello, Position, SourceReport};

use super::book::HostFacts;
use super::{Health, unheard};
use crate::alarm::Alarm;
use crate::limits::{
    AGENT_GRACE, AGENT_SILENT, ANNOUNCED_MAX, CANARY_LATE, CERTIFICATE_ENDS, CLOCK_STEP_MAX,
    LOOKED_MAX, SOURCE_GRACE,
};

/// The source whose frames are the agent's own execs.
const CANARY_SOURCE: &str = "canary";

/// One agent.
pub(crate) struct Live {
    link: Option<Link>,
    /// When something came from it last; at first, when waiting for it began.
    heard: Duration,
    /// Since when its connection is gone.
    lost: Option<Duration>,
    told: bool,
    told_overdue: bool,
    told_end: bool,
    /// Places in its chain that it has named and not delivered yet.
    announced: VecDeque<Position>,
    beat: Option<Beat>,
    hardening: Vec<SourceReport>,
    /// The serial of the newest configuration that was sent to it.
    sent: u64,
    audit: Option<AuditState>,
    /// True until the first beat of a run with a configuration that watch has signed since the last one.
    reconfigured: bool,
    /// When its canary came back last; `None` while it has none.
    canary: Option<Duration>,
    canary_told: bool,
    faults: BTreeMap<String, Fault>,
}

struct Link {
    id: u64,
    instance: Nonce,
    _kick: oneshot::Sender<()>,
}

/// A source that delivers nothing.
struct Fault {
    since: Duration,
    why: String,
    told: bool,
}

impl Live {
    pub(crate) fn new(now: Duration) -> Live {
        Live {
            link: None,
            heard: now,
            lost: None,
            told: false,
            told_overdue: false,
            told_end: false,
            announced: VecDeque::new(),
            beat: None,
            hardening: Vec::new(),
            sent: 0,
            audit: None,
            reconfigured: false,
            canary: None,
            canary_told: false,
            faults: BTreeMap::new(),
        }
    }

    /// True if an agent of another process is connected and alive.
    pub(crate) fn is_other(&self, instance: Nonce, now: Duration) -> bool {
        self.is_heard(now) && self.link.as_ref().is_some_and(|link| link.instance != instance)
    }

    /// An agent has connected; whatever connection it had before is told to end.
    pub(crate) fn begin(
        &mut self,
        id: u64,
        hello: &Hello,
        kick: oneshot::Sender<()>,
        now: Duration,
    ) {
        let is_new = self.link.as_ref().is_none_or(|link| link.instance != hello.instance);
        self.link = Some(Link { id, instance: hello.instance, _kick: kick });
        self.hardening.clone_from(&hello.hardening);
        self.heard = now;
        self.lost = None;
        self.told = false;
        self.told_overdue = false;
        if is_new {
            self.canary = None;
            self.canary_told = false;
            self.faults.clear();
            self.beat = None;
        }
        self.announce(hello.end);
    }

    /// It runs with a newer configuration, which watch has signed: that names other sources, maybe no audit, and
    /// the canary's rule may have come or gone.
    pub(crate) fn reconfigured(&mut self) {
        self.reconfigured = true;
        self.faults.clear();
    }

    /// Its connection has ended.
    pub(crate) fn ended(&mut self, id: u64, now: Duration) {
        if self.link.as_ref().is_some_and(|link| link.id == id) {
            self.link = None;
            self.lost = Some(now);
        }
    }

    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.told = false;
    }

    pub(crate) fn is_heard(&self, now: Duration) -> bool {
        self.link.is_some() && now.saturating_sub(self.heard) < unheard()
    }

    pub(crate) fn health(&self, now: Duration) -> Health {
        let age = now.saturating_sub(self.heard).as_secs();
        match &self.link {
            Some(_) if self.is_heard(now) => Health::Healthy,
            Some(_) => Health::Unwatched(format!("nothing from its agent for {age} s")),
            None => Health::Unwatched("its agent is not connected".to_owned()),
        }
    }

    /// What its processes gave up, as it says.
    pub(crate) fn hardening(&self) -> &[SourceReport] {
        &self.hardening
    }

    /// The newest configuration that was sent to it since watch's start.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn has_sent(&mut self, serial: u64) {
        self.sent = serial;
    }

    pub(crate) fn last_beat(&self) -> Option<&Beat> {
        self.beat.as_ref()
    }

    /// Remembers a place that the agent has named: what comes later must lead there.
    pub(crate) fn announce(&mut self, place: Position) {
        let last = self.announced.back();
        if last.is_none_or(|last| last.next_seq < place.next_seq) {
            self.announced.push_back(place);
        }
        if self.announced.len() > ANNOUNCED_MAX {
            // The oldest and the newest say most: what lies between leads from one to the other.
            self.announced.remove(1);
        }
    }

    /// Forgets what was announced beyond `end`; answers the farthest such number.
    pub(crate) fn forget_beyond(&mut self, end: Position) -> Option<u64> {
        let last = self.announced.back().map(|last| last.next_seq);
        self.announced.retain(|place| place.next_seq <= end.next_seq);
        last.filter(|last| *last > end.next_seq)
    }

    /// The chain has reached `place`; false if the agent has named another head for it.
    pub(crate) fn reached(&mut self, place: Position) -> bool {
        while let Some(first) = self.announced.front() {
            if first.next_seq > place.next_seq {
                break;
            }
            let contradicts = first.next_seq == place.next_seq && first.head != place.head;
            self.announced.pop_front();
            if contradicts {
                return false;
            }
        }
        true
    }

    pub(crate) fn canary(&mut self, now: Duration) {
        self.canary = Some(now);
        self.canary_told = false;
    }

    /// Takes a beat; answers what is worth an alarm.
    pub(crate) fn take_beat(&mut self, beat: &Beat, now: Duration) -> Vec<(Alarm, String)> {
        let mut odd = Vec::new();
        let reconfigured = std::mem::take(&mut self.reconfigured);
        if let (Some(before), Some(after)) = (&self.audit, &beat.audit) {
            let rules = if reconfigured { after.rules } else { before.rules };
            let before = AuditState { rules, ..*before };
            odd.extend(audit_change(&before, after).map(|why| (Alarm::AuditChanged, why)));
        }
        if self.audit.is_some() && beat.audit.is_none() && !reconfigured {
            odd.push((
                Alarm::AuditChanged,
                "the agent cannot ask for its state any more".to_owned(),
            ));
        }
        self.audit = beat.audit;
        if let Some(before) = &self.beat {
            if let Some(why) = clock_step(before, beat) {
                odd.push((Alarm::ClockStep, why));
            }
            if is_nearly_full(beat) && !is_nearly_full(before) {
                let why = format!("{} of {} bytes", beat.spool_bytes, beat.spool_max_bytes);
                odd.push((Alarm::SpoolFull, why));
            }
        }
        self.sources(beat, now);
        self.beat = Some(beat.clone());
        odd
    }

    fn sources(&mut self, beat: &Beat, now: Duration) {
        let mut faulty: BTreeMap<String, String> = beat
            .sources
            .iter()
            .filter_map(|source| Some((source.name.clone(), source.fault.clone()?)))
            .collect();
        if Duration::from_millis(beat.looked_ms) > LOOKED_MAX {
            let why = format!("the agent has not looked at its sources for {} ms", beat.looked_ms);
            faulty.insert("agent".to_owned(), why);
        }
        self.faults.retain(|name, _| faulty.contains_key(name));
        for (name, why) in faulty {
            let fault = Fault { since: now, why: why.clone(), told: false };
            self.faults.entry(name).or_insert(fault).why = why;
        }
        let sings =
            |s: &&writ_proof::hostlog::SourceBeat| s.name == CANARY_SOURCE && s.fault.is_none();
        if beat.sources.iter().any(|source| sings(&source)) {
            self.canary.get_or_insert(now);
        } else {
            self.canary = None;
        }
    }

    /// What time alone makes an alarm of.
    pub(crate) fn due(
        &mut self,
        facts: &HostFacts,
        now: Duration,
        wall: Timestamp,
    ) -> Vec<(Alarm, String)> {
        let mut due = Vec::new();
        if facts.left {
            let overdue = facts.expected_until.is_some_and(|until| wall >= until);
            if overdue && self.link.is_none() && !std::mem::replace(&mut self.told_overdue, true) {
                let why = "its window is over, and its agent is not back".to_owned();
                due.push((Alarm::AgentStopped, why));
            }
            return due;
        }
        let silence = now.saturating_sub(self.heard);
        let gone = self.lost.is_some_and(|lost| now.saturating_sub(lost) >= AGENT_GRACE);
        if !self.told && self.link.is_none() && gone {
            self.told = true;
            due.push((Alarm::AgentKilled, "its connection ended, and it is not back".to_owned()));
        } else if !self.told && silence >= AGENT_SILENT {
            self.told = true;
            let how = if self.link.is_some() { "its connection is open" } else { "it has none" };
            due.push((Alarm::AgentSilent, format!("nothing for {} s; {how}", silence.as_secs())));
        }
        if self.is_heard(now) {
            self.due_of_sources(now, &mut due);
            let ends = wall.plus(CERTIFICATE_ENDS) >= facts.until;
            if ends && !std::mem::replace(&mut self.told_end, true) {
                let why = format!("its certificate ends {}: enrol it again", facts.until.iso());
                due.push((Alarm::CertificateEnds, why));
            }
        }
        due
    }

    fn due_of_sources(&mut self, now: Duration, due: &mut Vec<(Alarm, String)>) {
        let canary = self.canary.map(|since| now.saturating_sub(since));
        if canary.is_some_and(|age| age > CANARY_EVERY + CANARY_LATE) && !self.canary_told {
            self.canary_told = true;
            let why = "the agent's own exec did not come back through the kernel's audit";
            due.push((Alarm::SourceSilent, why.to_owned()));
        }
        for (name, fault) in &mut self.faults {
            if !fault.told && now.saturating_sub(fault.since) >= SOURCE_GRACE {
                fault.told = true;
                due.push((Alarm::SourceSilent, format!("source `{name}`: {}", fault.why)));
            }
        }
    }
}

fn audit_change(before: &AuditState, after: &AuditState) -> Option<String> {
    let mut changes = Vec::new();
    if after.enabled != before.enabled {
        changes.push(format!("enabled {} is now {}", before.enabled, after.enabled));
    }
    if after.pid != before.pid {
        changes.push(format!("auditd {} is now {}", before.pid, after.pid));
    }
    if after.lost > before.lost {
        changes.push(format!("the kernel has lost {} more records", after.lost - before.lost));
    }
    if after.rules != before.rules {
        changes.push("the rules are others".to_owned());
    }
    (!changes.is_empty()).then(|| changes.join("; "))
}

fn clock_step(before: &Beat, after: &Beat) -> Option<String> {
    let wall = i128::from(after.wall.millis()) - i128::from(before.wall.millis());
    let mono = i128::from(after.mono_ms) - i128::from(before.mono_ms);
    let step = wall - mono;
    let max = i128::try_from(CLOCK_STEP_MAX.as_millis()).unwrap_or(i128::MAX);
    (step.abs() > max)
        .then(|| format!("the wall clock went {step} ms besides the time that passed"))
}

fn is_nearly_full(beat: &Beat) -> bool {
    beat.spool_bytes / 9 >= beat.spool_max_bytes / 10
}
