//! D-09 and D-10: keyd's chain of uses against the events of the ledger.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use writ_model::{Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::leaf::{Kind, Leaf, Source};
use writ_proof::use_record::{Use, UsePosition, UseProof, UseRecord, UseResult, What, chain};

use super::Finding;
use crate::alarm::Alarm;
use crate::limits::{CRASH_WINDOW, PARENT_MAX, REMEMBERED_MAX, USE_UNTOLD_MAX};

/// Restarts that are compared with uses that come after them.
const BOOTS_MAX: usize = 64;

/// What is remembered of a use.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: Hash,
    is_certificate: bool,
}

/// A use whose event has not come.
struct Untold {
    place: String,
    op: String,
    time: Timestamp,
    since: Duration,
    excused: bool,
}

/// Something that names what has not come.
struct Waiting {
    since: Duration,
    place: String,
}

/// See the module.
#[derive(Default)]
pub(super) struct Uses {
    last: Option<(Uuid, Hash)>,
    known: HashMap<(Uuid, u64), Known>,
    order: VecDeque<(Uuid, u64)>,
    events: HashSet<Uuid>,
    events_order: VecDeque<Uuid>,
    untold: HashMap<Uuid, Untold>,
    unused: HashMap<(Uuid, u64), (Hash, Waiting)>,
    parents: HashMap<Uuid, Waiting>,
    boots: VecDeque<Timestamp>,
    /// A use had to be forgotten: an event may name it.
    forgot: bool,
}

impl Uses {
    /// Takes over one of keyd's records; answers its place.
    pub(super) fn used(
        &mut self,
        record: &UseRecord,
        now: Duration,
        found: &mut Vec<Finding>,
    ) -> UsePosition {
        let before = self.last.filter(|(boot, _)| *boot == record.boot).map(|(_, hash)| hash);
        let hash = chain(&before.unwrap_or(Hash::ZERO), &record.to_bytes());
        self.last = Some((record.boot, hash));
        let position = UsePosition { boot: record.boot, seq: record.seq, hash };
        match &record.what {
            What::Boot(_) => self.restarted(record.time),
            What::Use(used) => self.of(record, used, position, now, found),
        }
        position
    }

    fn of(
        &mut self,
        record: &UseRecord,
        used: &Use,
        position: UsePosition,
        now: Duration,
        found: &mut Vec<Finding>,
    ) {
        let at = (record.boot, record.seq);
        let place = format!("use record {} of boot {} ({})", record.seq, record.boot, used.op);
        let is_done = used.result == UseResult::Ok;
        let is_certificate = is_done && used.op == "ssh_sign";
        self.known.insert(at, Known { hash: position.hash, is_certificate });
        self.order.push_back(at);
        if self.order.len() > REMEMBERED_MAX {
            self.forgot = true;
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        if self.unused.get(&at).is_some_and(|(hash, _)| *hash == position.hash) {
            self.unused.remove(&at);
        }
        if is_done && used.principal.is_some() && used.proof == UseProof::None {
            let what = format!("{place}: nothing proved that its principal wanted it");
            found.push(Finding::new(Alarm::ForwardWithoutParent, format!("proof {place}"), what));
        }
        if is_done && !used.via.is_empty() && !matches!(used.proof, UseProof::Ticket(_)) {
            let what = format!("{place}: a service came without a customer's request");
            found.push(Finding::new(Alarm::ForwardWithoutParent, format!("via {place}"), what));
        }
        if let UseProof::Ticket(ticket) = used.proof
            && is_done
            && !self.events.contains(&ticket.parent)
        {
            let waiting = Waiting { since: now, place: place.clone() };
            self.parents.entry(ticket.parent).or_insert(waiting);
        }
        let event = used.event_id;
        // Nobody tells of keyd's own work.
        let is_own = used.principal.is_none() && used.proof == UseProof::None;
        if (is_own && event == Uuid::from_bytes([0; 16])) || self.events.contains(&event) {
            return;
        }
        let excused = self.boots.iter().any(|boot| is_right_before(record.time, *boot));
        let (op, time) = (used.op.clone(), record.time);
        let untold = Untold { place, op, time, since: now, excused };
        // Re-encryption has two uses and one event.
        self.untold.entry(event).or_insert(untold);
        if self.untold.len() > REMEMBERED_MAX {
            let what = format!("more than {REMEMBERED_MAX} uses of keys have no event");
            found.push(Finding::new(Alarm::KeyUseUntold, "too many".to_owned(), what));
            self.untold.clear();
        }
    }

    /// Takes over an entry of the ledger.
    pub(super) fn event(&mut self, leaf: &Leaf, now: Duration) {
        // Only who starts processes can say that one began; front could excuse its own silence.
        if leaf.kind == Kind::Boot && matches!(leaf.source, Source::Supervisor | Source::Trail) {
            self.restarted(leaf.time);
        }
        if leaf.kind != Kind::Event {
            return;
        }
        self.untold.remove(&leaf.event_id);
        self.parents.remove(&leaf.event_id);
        if self.events.insert(leaf.event_id) {
            self.events_order.push_back(leaf.event_id);
        }
        if self.events_order.len() > REMEMBERED_MAX {
            let oldest = self.events_order.pop_front();
            oldest.map(|oldest| self.events.remove(&oldest));
        }
        let Some(position) = leaf.use_position else { return };
        let at = (position.boot, position.seq);
        let is_known = self.known.get(&at).is_some_and(|known| known.hash == position.hash);
        // What was forgotten cannot be told from what never was.
        if !is_known && !self.forgot {
            let place = format!("event {} in {}", leaf.event_id, leaf.log);
            self.unused.insert(at, (position.hash, Waiting { since: now, place }));
        }
    }

    /// True if the use there is a certificate that keyd signed; `None` if the use is not known.
    pub(super) fn is_certificate(&self, position: &UsePosition) -> Option<bool> {
        let known = self.known.get(&(position.boot, position.seq));
        known.filter(|known| known.hash == position.hash).map(|known| known.is_certificate)
    }

    /// Forgets what recorded restarts excuse.
    pub(super) fn begin(&mut self) {
        self.untold.retain(|_, untold| !untold.excused);
    }

    fn restarted(&mut self, at: Timestamp) {
        for untold in self.untold.values_mut() {
            untold.excused |= is_right_before(untold.time, at);
        }
        self.boots.push_back(at);
        if self.boots.len() > BOOTS_MAX {
            self.boots.pop_front();
        }
    }

    pub(super) fn due(
        &mut self,
        now: Duration,
        found: &mut Vec<Finding>,
        unanswered: &mut Vec<String>,
    ) {
        let is_due = |since: Duration, most: Duration| now.saturating_sub(since) > most;
        self.untold.retain(|event, untold| {
            if !is_due(untold.since, USE_UNTOLD_MAX) {
                return true;
            }
            let Untold { place, op, time, .. } = untold;
            let what = format!(
                "{place}: its event {event} has not come for {} s; keyd did {op} at {}",
                USE_UNTOLD_MAX.as_secs(),
                time.iso_millis()
            );
            if untold.excused {
                unanswered.push(format!("{what}; right before a recorded restart"));
            } else {
                found.push(Finding::new(Alarm::KeyUseUntold, place.clone(), what));
            }
            false
        });
        self.unused.retain(|(boot, seq), (_, waiting)| {
            if !is_due(waiting.since, USE_UNTOLD_MAX) {
                return true;
            }
            let place = &waiting.place;
            let what =
                format!("{place} names use record {seq} of boot {boot}, and keyd has none such");
            found.push(Finding::new(Alarm::EventWithoutUse, place.clone(), what));
            false
        });
        self.parents.retain(|parent, waiting| {
            if !is_due(waiting.since, PARENT_MAX) {
                return true;
            }
            let place = &waiting.place;
            let what = format!(
                "{place}: the customer's own request, event {parent}, is not in the ledger"
            );
            found.push(Finding::new(Alarm::ForwardWithoutParent, format!("parent {place}"), what));
            false
        });
    }
}

/// True if something at `time` may have been cut off by a restart at `restart`.
fn is_right_before(time: Timestamp, restart: Timestamp) -> bool {
    time <= restart && restart.since(time) <= CRASH_WINDOW
}
