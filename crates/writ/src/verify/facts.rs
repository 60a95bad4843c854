//! What a ledger tells that other parts of it must agree with: read from the write-ahead log, or from
//! one account's view.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use writ_model::{AccountId, Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::commits::Commits;
use writ_proof::leaf::{Kind, Leaf, Source};
use writ_proof::origin::LogName;
use writ_proof::use_record::{
    Boot, TicketProof, Use, UsePosition, UseProof, UseRecord, UseResult, What,
};

use super::recordings::{self, Sessions};
use super::runs::{self, Runbooks};

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
    /// Operators' sessions, where all is seen.
    pub(crate) sessions: Sessions,
    /// Runbooks and their runs, where all is seen.
    pub(crate) runbooks: Runbooks,
    restarts: Vec<Restart>,
    /// Operations and ARNs, each once.
    names: HashSet<Rc<str>>,
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
    /// Service and operation, as keyd names them: `kms:Decrypt`.
    pub(crate) op: Rc<str>,
    /// The ARN of the caller, where the record tells it.
    pub(crate) principal: Option<Rc<str>>,
    /// The ARNs of what was touched, of an event that names a use.
    pub(crate) resources: Vec<Rc<str>>,
    /// True if it tells of an error.
    pub(crate) refused: bool,
}

/// What is read of an event's JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(borrow, default)]
    event_source: Cow<'a, str>,
    #[serde(borrow, default)]
    event_name: Cow<'a, str>,
    #[serde(borrow)]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "sharedEventID")]
    shared_event_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_identity: Option<Identity<'a>>,
    #[serde(borrow, default)]
    resources: Vec<Resource<'a>>,
    #[serde(borrow)]
    additional_event_data: Option<Additional<'a>>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    arn: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, rename = "ARN")]
    arn: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Additional<'a> {
    #[serde(borrow)]
    fas: Option<Fas<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Fas<'a> {
    #[serde(borrow)]
    transaction_id: Cow<'a, str>,
    #[serde(borrow)]
    parent_event_id: Cow<'a, str>,
    #[serde(borrow)]
    signature_sha256: Cow<'a, str>,
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
    pub(crate) op: Rc<str>,
    /// By whom.
    pub(crate) principal: Option<(Rc<str>, AccountId)>,
    /// The key, and the account that owns it.
    pub(crate) key: Option<(Rc<str>, Option<AccountId>)>,
    /// True if keyd refused it.
    pub(crate) refused: bool,
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
        // Only who starts processes can say that one began; front could excuse its own silence.
        if leaf.kind == Kind::Boot && matches!(leaf.source, Source::Supervisor | Source::Trail) {
            self.restart(order, leaf.time);
        }
        self.at(leaf.time);
        if leaf.kind == Kind::Event {
            self.event(order, leaf, record)?;
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

    fn event(&mut self, order: u64, leaf: &Leaf, record: &[u8]) -> Result<(), String> {
        let told: Told<'_> = serde_json::from_slice(record)
            .map_err(|error| format!("event {} cannot be read: {error}", leaf.event_id))?;
        if let Some(fas) = told.additional_event_data.and_then(|additional| additional.fas) {
            self.forwards.push(Forward {
                event: leaf.event_id,
                transaction: fas.transaction_id.into_owned(),
                parent: fas.parent_event_id.parse().ok(),
                signature: fas.signature_sha256.parse().ok(),
            });
        }
        let service = told.event_source.split('.').next().unwrap_or_default();
        let op = self.name(&format!("{service}:{}", told.event_name));
        if told.event_source == recordings::SOURCE
            && (leaf.source, leaf.log) == (Source::Bastion, LogName::Operator)
        {
            recordings::event(&mut self.sessions, record)?;
        }
        if told.event_source == runs::SOURCE
            && leaf.log == LogName::Operator
            && told.error_code.is_none()
        {
            self.runbooks.event(leaf.event_id, record)?;
        }
        let principal = told.user_identity.and_then(|identity| identity.arn);
        let principal = principal.map(|arn| self.name(&arn));
        let arns = told.resources.iter().filter_map(|resource| resource.arn.as_deref());
        let arns = arns.filter(|_| leaf.use_position.is_some());
        let event = Event {
            order,
            time: leaf.time,
            log: leaf.log,
            position: leaf.use_position,
            shared: told.shared_event_id.is_some(),
            op,
            principal,
            resources: arns.map(|arn| self.name(arn)).collect(),
            refused: told.error_code.is_some(),
        };
        self.events.insert(leaf.event_id, event);
        Ok(())
    }

    fn name(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.names.get(text) {
            return Rc::clone(known);
        }
        let name: Rc<str> = text.into();
        self.names.insert(Rc::clone(&name));
        name
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
            op: self.name(""),
            principal: None,
            key: None,
            refused: false,
            hidden: record.is_none(),
        };
        match record.map(|record| (&record.what, record)) {
            Some((What::Boot(boot), record)) => {
                self.restart(order, record.time);
                self.boots.push((record.boot, boot.clone()));
            }
            Some((What::Use(used), _)) => self.told(&mut link, used),
            None => {}
        }
        // keyd's clock too: what trail says of the time alone could excuse hours before a restart.
        if let Some(record) = record {
            self.at(record.time);
        }
        self.chain.insert((position.boot, position.seq), link);
    }

    fn told(&mut self, link: &mut Link, used: &Use) {
        // Of keyd's own work nobody tells. What somebody asked for has an event, whatever front says.
        let is_own = used.principal.is_none() && used.proof == UseProof::None;
        link.event = Some(used.event_id).filter(|id| !(is_own && *id == Uuid::from_bytes([0; 16])));
        link.op = self.name(&used.op);
        let principal = used.principal.as_ref();
        link.principal = principal.map(|who| (self.name(who.arn.as_str()), who.account));
        link.key = used.key.as_ref().map(|key| (self.name(key.as_str()), key.account()));
        link.refused = matches!(used.result, UseResult::Denied(_));
        if let (Some(event), Some(run)) = (link.event, &used.run) {
            self.runbooks.signed(event, run);
        }
        if let UseProof::Ticket(ticket) = used.proof {
            link.ticket = Some(ticket);
        }
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
