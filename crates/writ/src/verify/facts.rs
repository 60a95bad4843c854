//! What a ledger tells that other parts of it must agree with: read from the write-ahead log, or from
//! one account's view.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;
use writ_model::{AccountId, Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::commits::Commits;
use writ_proof::leaf::{Kind, Leaf};
use writ_proof::origin::LogName;
use writ_proof::use_record::{Boot, TicketProof, UsePosition, UseProof, UseRecord, What};

/// How long before a recorded restart something may have been left unanswered by it.
const CRASH_WINDOW: Duration = Duration::from_secs(10);

/// What was read.
#[derive(Default)]
pub(crate) struct Facts {
    /// The account whose view this is; nothing where all is seen.
    pub(crate) view: Option<AccountId>,
    /// Events by id.
    pub(crate) events: HashMap<Uuid, Event>,
    /// Events that a service caused on a customer's behalf.
    pub(crate) forwards: Vec<Forward>,
    /// Commits of the stores.
    pub(crate) commits: Commits,
    /// keyd's records by boot and number.
    pub(crate) chain: HashMap<(Uuid, u64), Link>,
    /// Where each boot of keyd says that the one before ended.
    pub(crate) boots: Vec<(Uuid, Boot)>,
    /// How many leaves each log has, if the write-ahead log could be read to its end.
    pub(crate) sizes: Option<BTreeMap<LogName, u64>>,
    /// How many records there are.
    pub(crate) records: u64,
    restarts: Vec<Restart>,
    newest: Timestamp,
    /// The times of what was read, in a view: its parts have no common order but that of time.
    times: Vec<Timestamp>,
}

/// An event.
pub(crate) struct Event {
    /// Its WAL position.
    pub(crate) order: u64,
    /// When it was sequenced.
    pub(crate) time: Timestamp,
    /// Its log.
    pub(crate) log: LogName,
    /// The use of a key that it names.
    pub(crate) position: Option<UsePosition>,
    /// True where the caller's account and the owner's have a copy each.
    pub(crate) shared: bool,
}

/// A forwarded event.
pub(crate) struct Forward {
    /// Its id.
    pub(crate) event: Uuid,
    /// What it says of the transaction.
    pub(crate) transaction: String,
    /// The event of the customer's own request.
    pub(crate) parent: Option<Uuid>,
    /// SHA-256 of the customer's signature.
    pub(crate) signature: Option<Hash>,
}

/// One of keyd's records.
pub(crate) struct Link {
    /// The chain's hash there.
    pub(crate) hash: Hash,
    /// Its WAL position, as far as it has one: that of the frame.
    pub(crate) order: u64,
    /// keyd's clock.
    pub(crate) time: Timestamp,
    /// The event that will tell of it; nothing for keyd's own work.
    pub(crate) event: Option<Uuid>,
    /// The forward access that proved it.
    pub(crate) ticket: Option<TicketProof>,
    /// What was asked for.
    pub(crate) op: String,
    /// True if only the record's hash is here.
    pub(crate) hidden: bool,
}

/// A process began: what was under way before may have been lost.
struct Restart {
    order: u64,
    /// The newest record before.
    before: Timestamp,
    /// When it was recorded.
    at: Timestamp,
}

/// Why something that should be there may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// A process restarted right after.
    Restart,
    /// The ledger ends right after.
    End,
}

impl Facts {
    /// Nothing read yet, of what `account` may see.
    pub(crate) fn of_view(account: AccountId) -> Facts {
        Facts { view: Some(account), ..Facts::default() }
    }

    /// Takes over a record by its first leaf.
    pub(crate) fn record(&mut self, order: u64, leaf: &Leaf, record: &[u8]) -> Result<(), String> {
        self.records += 1;
        if leaf.kind == Kind::Boot {
            self.restart(order, leaf.time);
        }
        self.at(leaf.time);
        if leaf.kind == Kind::Event {
            self.event(order, leaf, record);
        }
        match &leaf.commit {
            Some(commit) => self.commits.see(leaf.source, commit).map_err(|error| {
                format!("revision {} of {}: {error}", commit.rev, leaf.source.as_str())
            }),
            None => Ok(()),
        }
    }

    /// Something happened at this time.
    fn at(&mut self, time: Timestamp) {
        self.newest = self.newest.max(time);
        if self.view.is_some() {
            self.times.push(time);
        }
    }

    fn restart(&mut self, order: u64, at: Timestamp) {
        // Without a common order, the times decide alone.
        let order = if self.view.is_some() { 0 } else { order };
        self.restarts.push(Restart { order, before: self.newest, at });
    }

    /// Ends the reading of a view: what came before each restart is known by its time only now.
    pub(crate) fn settle(&mut self) {
        self.times.sort_unstable();
        for restart in &mut self.restarts {
            let earlier = self.times.partition_point(|time| *time < restart.at);
            let before = earlier.checked_sub(1).and_then(|last| self.times.get(last));
            restart.before = before.copied().unwrap_or_default();
        }
    }

    fn event(&mut self, order: u64, leaf: &Leaf, record: &[u8]) {
        let text = std::str::from_utf8(record).unwrap_or_default();
        // Most records hold neither; reading JSON costs more than looking.
        if text.contains("\"fas\"")
            && let Ok(value) = serde_json::from_slice::<Value>(record)
            && let Some(fas) = value.pointer("/additionalEventData/fas")
        {
            let text = |name: &str| fas.get(name).and_then(Value::as_str).unwrap_or_default();
            self.forwards.push(Forward {
                event: leaf.event_id,
                transaction: text("transactionId").to_owned(),
                parent: text("parentEventId").parse().ok(),
                signature: text("signatureSha256").parse().ok(),
            });
        }
        let event = Event {
            order,
            time: leaf.time,
            log: leaf.log,
            position: leaf.use_position,
            shared: text.contains("\"sharedEventID\""),
        };
        self.events.insert(leaf.event_id, event);
    }

    /// Takes over one of keyd's records, at its place in the chain; nothing of it but the place where
    /// only its hash may be seen.
    pub(crate) fn used(&mut self, order: u64, position: UsePosition, record: Option<&UseRecord>) {
        let mut link = Link {
            hash: position.hash,
            order,
            time: record.map(|record| record.time).unwrap_or_default(),
            event: None,
            ticket: None,
            op: String::new(),
            hidden: record.is_none(),
        };
        match record.map(|record| (&record.what, record)) {
            Some((What::Boot(boot), record)) => {
                self.restart(order, record.time);
                self.boots.push((record.boot, boot.clone()));
            }
            Some((What::Use(used), _)) => {
                link.event = Some(used.event_id).filter(|id| *id != Uuid::from_bytes([0; 16]));
                link.op.clone_from(&used.op);
                if let UseProof::Ticket(ticket) = used.proof {
                    link.ticket = Some(ticket);
                }
            }
            None => {}
        }
        self.chain.insert((position.boot, position.seq), link);
    }

    /// keyd's record of a position, if it is in the chain with that very hash.
    pub(crate) fn link(&self, position: &UsePosition) -> Option<&Link> {
        let link = self.chain.get(&(position.boot, position.seq));
        link.filter(|link| link.hash == position.hash)
    }

    /// The last record of a run of keyd.
    pub(crate) fn last_of(&self, boot: Uuid) -> Option<(u64, &Link)> {
        let of_boot = self.chain.iter().filter(|((run, _), _)| *run == boot);
        of_boot.map(|((_, seq), link)| (*seq, link)).max_by_key(|(seq, _)| *seq)
    }

    /// Why what should have followed something at `order` and `time` may be absent: a restart that is
    /// recorded right after, or (in a ledger that nobody writes) the end.
    pub(crate) fn excuse(&self, order: u64, time: Timestamp, is_running: bool) -> Option<Excuse> {
        // A frame's use records come before its entries and those of restarts at the same position.
        // keyd sends again what a killed trail did not acknowledge: such a use was made before the
        // restart and stands after it.
        let is_before = |restart: &Restart| restart.order > order || time <= restart.at;
        let mut restarts = self.restarts.iter().filter(|restart| is_before(restart));
        if restarts.any(|restart| restart.before.since(time) <= CRASH_WINDOW) {
            return Some(Excuse::Restart);
        }
        if self.restarts.iter().any(|restart| restart.order > order) {
            return None;
        }
        (!is_running && self.newest.since(time) <= CRASH_WINDOW).then_some(Excuse::End)
    }
}
