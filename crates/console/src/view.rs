//! What pages show: front's state as one signed-in person may see it, at one moment.

use std::sync::Arc;

use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::{Approval, Decision, Missing, Request};
use writ_proof::roster::{Roster, SlotName};

/// Who reads, when, and by which roster.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Who.
    pub person: PersonId,
    /// When the session ends if nothing more is asked for.
    pub ends: Timestamp,
    /// The moment.
    pub now: Timestamp,
    /// The roster of that moment.
    pub roster: Arc<Roster>,
}

/// What waits for somebody, and what is theirs.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// Requests that the reader may decide on and has not.
    pub waits: Vec<RequestView>,
    /// The reader's own requests, the newest first.
    pub requests: Vec<RequestView>,
    /// The reader's own grants, the newest first.
    pub grants: Vec<GrantView>,
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Its entries, the newest first.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct RequestView {
    /// What was signed.
    pub request: Arc<Request>,
    /// The code that people compare.
    pub code: String,
    /// SHA-256 of the signed statement, in hexadecimal.
    pub digest: String,
    /// `pending`, `approved`, `denied`, `expired` or `withdrawn`.
    pub state: &'static str,
    /// When that became so.
    pub since: Timestamp,
    /// Why.
    pub why: Option<String>,
    /// When it was filed.
    pub filed: Timestamp,
    /// It waits before this time only.
    pub pending_until: Timestamp,
    /// Who has still to agree; of one that is pending.
    pub missing: Vec<Missing>,
    /// The slots that the reader may fill.
    pub slots: Vec<SlotName>,
}

/// A request with everything around it.
#[derive(Debug, Clone)]
pub struct RequestPage {
    /// The request.
    pub view: RequestView,
    /// Its ticket, if it is one that Writ keeps.
    pub ticket: Option<TicketView>,
    /// Who has decided, in the order of their ids.
    pub decisions: Vec<DecisionView>,
    /// Why the reader may not decide; absent if they may.
    pub bar: Option<String>,
    /// What the reader has decided so far; another decision replaces it.
    pub own: Option<Decision>,
    /// The grant that was made.
    pub grant: Option<GrantView>,
    /// What was run on it, of a runbook.
    pub runs: Vec<RunView>,
}

/// A run of a runbook.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Where.
    pub host: String,
    /// `ordered`, `started`, `expired`, or how it ended: `ok`, `failed`, `refused`, `timeout`, `killed`, `lost`.
    pub state: String,
    /// Why it did not end well.
    pub why: Option<String>,
    /// What it answered: the fields of the entry's schema, and what they hold.
    pub answer: Vec<(String, String)>,
    /// When keyd signed its order.
    pub ordered: Timestamp,
    /// When front heard of its end.
    pub ended: Option<Timestamp>,
}

/// A decision.
#[derive(Debug, Clone)]
pub struct DecisionView {
    /// What was said.
    pub said: Approval,
    /// When front took it.
    pub at: Timestamp,
    /// True if a browser signed it.
    pub browser: bool,
}

/// A request that nobody has signed, and what would come of it.
#[derive(Debug, Clone)]
pub struct DraftView {
    /// What would be signed.
    pub request: Request,
    /// Who must agree, by the rule of the group.
    pub slots: Vec<SlotView>,
    /// True if two people must agree whatever the rule says.
    pub two: bool,
    /// Customers who must approve it themselves.
    pub lockboxes: Vec<AccountId>,
}

/// A slot of a rule.
#[derive(Debug, Clone)]
pub struct SlotView {
    /// How many people it needs.
    pub count: u32,
    /// The rule in words.
    pub rule: String,
    /// Who could fill it now.
    pub people: Vec<PersonId>,
}

/// A grant.
#[derive(Debug, Clone)]
pub struct GrantView {
    /// The request's id.
    pub id: Ulid,
    /// `scheduled`, `live` or `ended`.
    pub state: &'static str,
    /// Who may use it.
    pub person: PersonId,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Why it ended, when, and by whom.
    pub end: Option<(&'static str, Timestamp, Option<PersonId>)>,
    /// What was asked for.
    pub request: Option<Arc<Request>>,
}

/// A ticket.
#[derive(Debug, Clone)]
pub struct TicketView {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Who opened it.
    pub opened_by: PersonId,
    /// When.
    pub opened: Timestamp,
    /// Who closed it, and when.
    pub closed: Option<(PersonId, Timestamp)>,
}

/// A recorded session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Its id.
    pub id: Ulid,
    /// The request behind it.
    pub request: Ulid,
    /// Who worked.
    pub person: PersonId,
    /// Where.
    pub host: String,
    /// When it began.
    pub start: Timestamp,
    /// The size of its recording.
    pub bytes: u64,
    /// True if the recording has its end.
    pub ended: bool,
    /// Why it ended.
    pub reason: Option<String>,
    /// The customers whose data it can show; absent if that is anybody's.
    pub accounts: Option<Vec<AccountId>>,
    /// The request by which the reader may read it now, and until when.
    pub right: Option<(Ulid, Timestamp)>,
}

/// A person: of the roster, of the HR feed, or of both.
#[derive(Debug, Clone)]
pub struct PersonView {
    /// The id.
    pub id: PersonId,
    /// What HR makes of them; absent of one whom HR does not know.
    pub hr: Option<&'static str>,
    /// Why they may not act now.
    pub denied: Option<String>,
}

/// What watch says of alarms, as far as it says it to the control side.
#[derive(Debug, Clone, Default)]
pub struct AlarmsView {
    /// When it last spoke; absent if nothing can be read of it.
    pub said: Option<Timestamp>,
    /// Why nothing can be read.
    pub silent: String,
    /// True if that is too long ago.
    pub stale: bool,
    /// Alarms that nobody has taken note of.
    pub open: u64,
    /// The newest alarms; absent if watch tells counts alone.
    pub alarms: Option<Vec<AlarmView>>,
    /// Hosts with an agent, each with why it is not watched now.
    pub hosts: Vec<(String, Option<String>)>,
    /// Ways by which watch tells people.
    pub channels: Vec<ChannelView>,
}

/// An alarm. Hosts and peers have written some of its texts.
#[derive(Debug, Clone)]
pub struct AlarmView {
    /// By which watch knows it.
    pub number: u64,
    /// Such as `agent-killed`.
    pub kind: String,
    /// `page`, `warning` or `notice`.
    pub severity: String,
    /// The host that it is about.
    pub host: Option<String>,
    /// What happened.
    pub what: String,
    /// What to do first.
    pub todo: String,
    /// When.
    pub at: Timestamp,
    /// How often the same came again.
    pub again: u64,
    /// When it came last.
    pub last: Timestamp,
    /// What happened then.
    pub last_what: String,
    /// Who took note of it, and when.
    pub noted: Option<(String, Timestamp)>,
    /// Ways that have not told it yet.
    pub undelivered: Vec<String>,
}

/// A way by which watch tells people.
#[derive(Debug, Clone)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// `webhook` or `mail`.
    pub kind: String,
    /// Alarms that it has still to tell.
    pub waiting: u64,
    /// Why it does not work now.
    pub fault: Option<String>,
}
