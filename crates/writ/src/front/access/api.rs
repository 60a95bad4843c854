//! `/writ/v1/requests`, `/approvals`, `/grants`, `/tickets`, `/sessions` and `/openings`.
//!
//! Statements carry their signatures in themselves. Everything else carries the proof of one enrolled person whom HR
//! lets act ([`writ_console::caller`]): `read@writ` for reads, `call@writ` for what changes something. What is asked
//! is in the operator log before the reply, and so is what is refused, of strangers up to a rate.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use writ_access::pages;
use writ_console::caller::{CALL, READ, caller, persons};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Ulid};
use writ_proof::access::{Approval, Decision, Request as Statement};
use writ_proof::cbor;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Reply, Request};
use writ_store::state::{AccessGrant, AccessRequest, Ticket};
use writ_store::{Entry, Snapshot};
use writ_trail::record::{Call, Identity};

use super::super::platform;
use super::super::statements::CONTENT_TYPE;
use super::playback::{OPENINGS, SESSIONS};
use super::show::{self, Listed, ShownGrant, ShownRequest};
use super::{Access, SOURCE, tell};

/// Where requests are filed and read.
pub const REQUESTS: &str = "/writ/v1/requests";
/// Where decisions are sent.
pub const APPROVALS: &str = "/writ/v1/approvals";
/// Where grants are read and revoked.
pub const GRANTS: &str = "/writ/v1/grants";
/// Where tickets are.
pub const TICKETS: &str = "/writ/v1/tickets";
/// A body above this is not read: a signed statement of the largest size.
pub const BODY_MAX_BYTES: usize = writ_proof::limits::ROSTER_STATEMENT_MAX_BYTES;
/// Requests of this kind in work; more are refused as retryable. Anybody may send them.
const IN_WORK_MAX: usize = 64;
static IN_WORK: Semaphore = Semaphore::const_new(IN_WORK_MAX);

/// What is asked, by method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Challenge(String),
    CloseTicket(String),
    Decide,
    /// A request that is not signed yet; the console's pages alone have it.
    Draft,
    File,
    Grant(String),
    Grants,
    Open,
    OpenTicket,
    Recording(String),
    Request(String),
    Requests,
    Revoke(String),
    Session(String),
    Sessions,
    Ticket(String),
    Tickets,
    Unknown,
    Withdraw(String),
}

/// What somebody wants to decide.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    decision: String,
}

/// A ticket to open.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTicket {
    id: String,
    title: String,
}

/// What a listing is asked for.
#[derive(Default)]
struct Asked<'a> {
    before: Option<&'a str>,
    of: Of,
}

#[derive(Default, PartialEq)]
enum Of {
    #[default]
    All,
    Inbox,
    Mine,
}

impl What {
    pub(super) fn of(request: &Request) -> What {
        let parts: Vec<&str> = request.path.trim_start_matches("/writ/v1/").split('/').collect();
        let id = |id: &&str| (*id).to_owned();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["requests"]) => What::File,
            ("GET", ["requests"]) => What::Requests,
            ("GET", ["requests", one]) => What::Request(id(one)),
            ("POST", ["requests", one, "challenge"]) => What::Challenge(id(one)),
            ("POST", ["requests", one, "withdraw"]) => What::Withdraw(id(one)),
            ("POST", ["approvals"]) => What::Decide,
            ("GET", ["grants"]) => What::Grants,
            ("GET", ["grants", one]) => What::Grant(id(one)),
            ("POST", ["grants", one, "revoke"]) => What::Revoke(id(one)),
            ("GET", ["sessions"]) => What::Sessions,
            ("GET", ["sessions", one]) => What::Session(id(one)),
            ("GET", ["sessions", one, "recording"]) => What::Recording(id(one)),
            ("POST", ["openings"]) => What::Open,
            ("GET", ["tickets"]) => What::Tickets,
            ("GET", ["tickets", one]) => What::Ticket(id(one)),
            ("POST", ["tickets"]) => What::OpenTicket,
            ("POST", ["tickets", one, "close"]) => What::CloseTicket(id(one)),
            _ => What::Unknown,
        }
    }

    /// The event of a refusal, and of what changes nothing.
    pub(super) const fn event(&self) -> &'static str {
        match self {
            What::Challenge(_) => "BeginDecision",
            What::CloseTicket(_) => "CloseTicket",
            What::Decide => "ApproveAccess",
            What::Draft => "DraftRequest",
            What::File => "RequestAccess",
            What::Grant(_) | What::Grants => "ReadGrants",
            What::Open => "OpenRecording",
            What::OpenTicket => "OpenTicket",
            What::Recording(_) => "ReadRecording",
            What::Request(_) | What::Requests => "ReadRequests",
            What::Revoke(_) => "EndGrant",
            What::Session(_) | What::Sessions => "ReadSessions",
            What::Ticket(_) | What::Tickets => "ReadTickets",
            What::Unknown => "Unknown",
            What::Withdraw(_) => "WithdrawRequest",
        }
    }

    const fn reads(&self) -> bool {
        matches!(
            self,
            What::Draft
                | What::Grant(_)
                | What::Grants
                | What::Recording(_)
                | What::Request(_)
                | What::Requests
                | What::Session(_)
                | What::Sessions
                | What::Ticket(_)
                | What::Tickets
                | What::Unknown
        )
    }

    /// The one thing that it is about.
    fn id(&self) -> Option<&str> {
        match self {
            What::Challenge(id)
            | What::CloseTicket(id)
            | What::Grant(id)
            | What::Recording(id)
            | What::Request(id)
            | What::Revoke(id)
            | What::Session(id)
            | What::Ticket(id)
            | What::Withdraw(id) => Some(id),
            _ => None,
        }
    }
}

/// True for a path that is answered here.
pub fn is_for(path: &str) -> bool {
    [REQUESTS, APPROVALS, GRANTS, TICKETS, SESSIONS, OPENINGS].iter().any(|known| {
        path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Answers a request whose path is one of these.
pub async fn answer(access: &Arc<Access>, request: Request) -> Reply {
    let Ok(_slot) = IN_WORK.try_acquire() else {
        return guarded(Refused::new(503, "Busy", "too many at once; send it again").reply());
    };
    let access = Arc::clone(access);
    // A task of its own: what has begun ends with its record, also when the client hangs up.
    let work = writ_service::task::guarded("access", async move { access.answer(&request).await });
    let failed = || Refused::new(500, "Internal", "see front's log").reply();
    guarded(work.await.unwrap_or_else(failed))
}

/// The refusal of a request whose body is too large or did not come whole.
pub async fn unread(access: &Access, request: &Request, status: u16, message: &str) -> Reply {
    let refused = Refused::new(status, "BodyRefused", message);
    let what = What::of(request);
    guarded(access.refuse(&what, request, &[], Vec::new(), refused).await)
        .with("connection", "close")
}

impl Access {
    async fn answer(&self, request: &Request) -> Reply {
        let what = What::of(request);
        match what {
            What::File => self.take_request(request).await,
            What::Decide => self.take_decision(request).await,
            What::Open | What::Recording(_) | What::Session(_) | What::Sessions => {
                self.take_playback(&what, request).await
            }
            What::Unknown => {
                let text = "there is nothing here; see the operators' guide for the paths";
                let refused = Refused::new(404, "NotFound", text);
                self.refuse(&what, request, &[], Vec::new(), refused).await
            }
            _ => self.take_call(&what, request).await,
        }
    }

    async fn take_request(&self, request: &Request) -> Reply {
        let (signed, known, shown) = match self.statement(request) {
            Ok(signed) => {
                let known = self.keeper.known(&signed);
                let shown = cbor::from_slice::<Statement>(signed.body());
                let shown = shown.map(|said| tell::of_request(&said)).unwrap_or_default();
                (signed, known, shown)
            }
            Err(refused) => {
                return self.refuse(&What::File, request, &[], Vec::new(), refused).await;
            }
        };
        match self.file(&signed, request).await {
            Ok(filed) => reply(&json!({
                "id": filed.request.id,
                "digest": filed.request.digest,
                "code": signed.code(),
                "state": filed.request.state,
                "pending_until": filed.request.pending_until,
            })),
            Err(refused) => self.refuse(&What::File, request, &known, shown, refused).await,
        }
    }

    async fn take_decision(&self, request: &Request) -> Reply {
        let (signed, known, shown) = match self.statement(request) {
            Ok(signed) => {
                let known = self.keeper.known(&signed);
                let shown = cbor::from_slice::<Approval>(signed.body());
                let shown = shown.map(|said| tell::of_decision(&said)).unwrap_or_default();
                (signed, known, shown)
            }
            Err(refused) => {
                return self.refuse(&What::Decide, request, &[], Vec::new(), refused).await;
            }
        };
        match self.decide(&signed, request).await {
            Ok(decided) => {
                let missing: Vec<String> =
                    decided.missing.iter().map(ToString::to_string).collect();
                let grant = decided.grant.as_ref();
                reply(&json!({
                    "id": decided.request.id,
                    "state": decided.request.state,
                    "why": decided.request.why,
                    "missing": missing,
                    "not_before": grant.map(|grant| grant.not_before),
                    "not_after": grant.map(|grant| grant.not_after),
                    "repeated": decided.repeated,
                }))
            }
            Err(refused) => self.refuse(&What::Decide, request, &known, shown, refused).await,
        }
    }

    /// A signed statement, unchecked.
    pub(super) fn statement(&self, request: &Request) -> Result<Signed, Refused> {
        let wanted = |value: &str| value.split(';').next().map(str::trim) == Some(CONTENT_TYPE);
        if !request.header("content-type").is_some_and(wanted) {
            let what = format!("send the signed statement with the content type {CONTENT_TYPE}");
            return Err(Refused::new(415, "UnsupportedMediaType", what));
        }
        Signed::from_bytes(&request.body).map_err(|error| {
            let what = format!("this is no signed statement: {error}");
            Refused::new(400, "Malformed", what)
        })
    }

    async fn take_call(&self, what: &What, request: &Request) -> Reply {
        let snapshot = self.pipeline.store.snapshot();
        let person = match self.proven(what, request, &snapshot) {
            Ok(person) => person,
            Err(why) => {
                let refused = Refused::new(403, "AccessDenied", why);
                return self.refuse(what, request, &[], Vec::new(), refused).await;
            }
        };
        let done = match what.reads() {
            true => self.read(what, request, &person, &snapshot).await,
            false => self.call(what, request, &person).await,
        };
        match done {
            Ok(body) => reply(&body),
            Err(refused) => self.refuse(what, request, &[person], Vec::new(), refused).await,
        }
    }

    /// The enrolled person who signed, if HR lets them act.
    pub(super) fn proven(
        &self,
        what: &What,
        request: &Request,
        snapshot: &Snapshot,
    ) -> Result<PersonId, String> {
        let namespace = if what.reads() { READ } else { CALL };
        let caller = caller(request, namespace, SystemEnv.now())?;
        let people = persons(&[caller], &self.keeper.current())?;
        let person = people.into_iter().next().ok_or("nobody has signed")?;
        let may_act = self.keeper.may_act(&person, snapshot);
        may_act.map_err(|why| format!("`{person}` may not act now: {why}"))?;
        Ok(person)
    }

    /// Does what a person has asked for and signed.
    pub(super) async fn call(
        &self,
        what: &What,
        request: &Request,
        person: &PersonId,
    ) -> Result<Value, Refused> {
        if !request.query.is_empty() {
            return Err(Refused::new(400, "BadQuery", "what changes something has no query"));
        }
        match what {
            What::Challenge(id) => self.begin_decision(id, request, person).await,
            What::Withdraw(id) => {
                self.withdraw(ulid(id)?, person, request).await?;
                Ok(json!({ "id": id, "state": "withdrawn" }))
            }
            What::Revoke(id) => {
                let keyd = self.revoke(ulid(id)?, person, request).await?;
                Ok(json!({ "id": id, "state": "ended", "keyd": keyd }))
            }
            What::OpenTicket => {
                let new: NewTicket = body(request)?;
                let ticket = self.open_ticket((&new.id, &new.title), person, request).await?;
                Ok(json!(ticket))
            }
            What::CloseTicket(id) => {
                let ended = self.close_ticket(id, person, request).await?;
                Ok(json!({ "id": id, "ended": ended }))
            }
            _ => Err(Refused::new(404, "NotFound", "there is nothing here")),
        }
    }

    async fn begin_decision(
        &self,
        id: &str,
        request: &Request,
        person: &PersonId,
    ) -> Result<Value, Refused> {
        let wanted: Wanted = body(request)?;
        let decision = [Decision::Approve, Decision::Deny];
        let decision = decision.into_iter().find(|known| known.as_str() == wanted.decision);
        let decision = decision
            .ok_or_else(|| Refused::new(400, "Malformed", "the decision is `approve` or `deny`"))?;
        let id = ulid(id)?;
        let (challenge, slots) = self.challenge(id, person, decision).await?;
        let shown = vec![
            ("requestId", id.to_string()),
            ("approver", person.to_string()),
            ("decision", decision.as_str().to_owned()),
        ];
        self.told("BeginDecision", false, &shown, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        let entry = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id.to_string());
        let statement = entry.map(|entry| STANDARD.encode(entry.statement.as_slice()));
        let slots: Vec<String> = slots.iter().map(ToString::to_string).collect();
        let roster = self.keeper.current();
        let before = self.judge(&snapshot, &roster, |world| {
            Ok(entry.and_then(|entry| show::before(entry, person, world)))
        })?;
        Ok(json!({
            "statement": statement,
            "before": before,
            "nonce": hex::encode(challenge.nonce.0),
            "expires": challenge.expires,
            "slots": slots,
            "ledger": {
                "origin": challenge.ledger.origin,
                "size": challenge.ledger.size,
                "root": challenge.ledger.root.to_string(),
            },
        }))
    }

    async fn read(
        &self,
        what: &What,
        request: &Request,
        reader: &PersonId,
        snapshot: &Snapshot,
    ) -> Result<Value, Refused> {
        let asked = Asked::of(&request.query)?;
        let which = what.id().unwrap_or("*").chars().take(64).collect();
        let shown = vec![("reader", reader.to_string()), ("id", which)];
        self.told(what.event(), true, &shown, request).await?;
        let roster = self.keeper.current();
        let found = self.world(snapshot, &roster, |world| match what {
            What::Request(id) => {
                let entry = snapshot.get::<AccessRequest>(AccountId::PLATFORM, id)?;
                Some(json!(show::request(entry, reader, true, world)?))
            }
            What::Requests => {
                let list = |entries: &[&Arc<Entry<AccessRequest>>]| -> Vec<ShownRequest> {
                    let each = entries.iter();
                    each.filter_map(|entry| show::request(entry, reader, false, world)).collect()
                };
                if asked.of == Of::Inbox {
                    let mut items = Vec::new();
                    for entry in writ_access::request::pending(snapshot, world.now) {
                        let waits = writ_access::decision::waits_for(entry, reader, world);
                        if !waits.is_empty() {
                            items.push(entry);
                        }
                    }
                    items.reverse();
                    items.truncate(writ_access::limits::PAGE);
                    return Some(json!(Listed { items: list(&items), next: None }));
                }
                let of = (asked.of == Of::Mine).then_some(reader);
                let page = pages::requests(snapshot, asked.before, of);
                Some(json!(Listed { items: list(&page.entries), next: page.next }))
            }
            What::Grant(id) => {
                let entry = snapshot.get::<AccessGrant>(AccountId::PLATFORM, id)?;
                Some(json!(show::grant(entry, world)))
            }
            What::Grants => {
                let of = (asked.of == Of::Mine).then_some(reader);
                let page = pages::grants(snapshot, asked.before, of);
                let items: Vec<ShownGrant> =
                    page.entries.iter().map(|entry| show::grant(entry, world)).collect();
                Some(json!(Listed { items, next: page.next }))
            }
            What::Ticket(id) => {
                let entry = snapshot.get::<Ticket>(AccountId::PLATFORM, id)?;
                Some(json!(show::ticket(entry)))
            }
            _ => {
                let page = pages::page::<Ticket>(snapshot, asked.before, |_| true);
                let items: Vec<Ticket> =
                    page.entries.iter().map(|entry| show::ticket(entry)).collect();
                Some(json!(Listed { items, next: page.next }))
            }
        });
        found.ok_or_else(|| Refused::new(404, "NotFound", "there is nothing of this id"))
    }

    /// Appends the event of what changes nothing.
    pub(super) async fn told(
        &self,
        name: &'static str,
        read_only: bool,
        shown: &[(&str, String)],
        request: &Request,
    ) -> Result<(), Refused> {
        let call = Call {
            request_parameters: platform::parameters(shown),
            read_only,
            ..self.platform.asked(request, SOURCE, name)
        };
        platform::tell(&self.pipeline.trail, &call).await
    }

    /// Records a refusal, of strangers only so many a second, and answers with it.
    pub(super) async fn refuse(
        &self,
        what: &What,
        request: &Request,
        known: &[PersonId],
        shown: Vec<(&'static str, String)>,
        refused: Refused,
    ) -> Reply {
        self.told_refusal(what, request, known, shown, refused).await.reply()
    }

    /// The same for who words the answer otherwise. What comes back may be another refusal: the ledger's.
    pub(super) async fn told_refusal(
        &self,
        what: &What,
        request: &Request,
        known: &[PersonId],
        mut shown: Vec<(&'static str, String)>,
        refused: Refused,
    ) -> Refused {
        if known.is_empty() && !self.strangers.admit(SystemEnv.now()) {
            return refused;
        }
        if shown.is_empty()
            && let Some(id) = what.id()
        {
            shown.push(("id", id.chars().take(64).collect()));
        }
        let signers: Vec<&str> = known.iter().map(PersonId::as_str).collect();
        if !signers.is_empty() {
            shown.push(("signers", signers.join(",")));
        }
        let denies = shown.iter().any(|(name, said)| *name == "decision" && said == "deny");
        let name = match what {
            What::Decide if denies => tell::name_of(Decision::Deny),
            _ => what.event(),
        };
        let own = self.platform.asked(request, SOURCE, name);
        let call = Call {
            identity: match known.is_empty() {
                true => Identity::Unknown { access_key_id: None },
                false => own.identity,
            },
            error: Some((refused.code, refused.message.as_str())),
            request_parameters: platform::parameters(&shown),
            read_only: what.reads(),
            ..own
        };
        platform::tell(&self.pipeline.trail, &call).await.err().unwrap_or(refused)
    }
}

impl Asked<'_> {
    fn of(query: &str) -> Result<Asked<'_>, Refused> {
        let mut asked = Asked::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("before", id)) if asked.before.is_none() => asked.before = Some(id),
                Some(("of", "all")) => asked.of = Of::All,
                Some(("of", "inbox")) => asked.of = Of::Inbox,
                Some(("of", "mine")) => asked.of = Of::Mine,
                _ => {
                    let what = "the parameters are `before`, the `next` of the page before, and `of`: all, \
                                mine or inbox";
                    return Err(Refused::new(400, "BadQuery", what));
                }
            }
        }
        Ok(asked)
    }
}

pub(super) fn ulid(text: &str) -> Result<Ulid, Refused> {
    text.parse().map_err(|_| Refused::new(404, "NotFound", "there is nothing of this id"))
}

fn body<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, Refused> {
    serde_json::from_slice(&request.body).map_err(|error| {
        Refused::new(400, "Malformed", format!("the body is not the JSON that is taken: {error}"))
    })
}

pub(super) fn reply(body: &Value) -> Reply {
    Reply::new(200, "application/json", format!("{body}\n").into_bytes())
}

/// What every reply says of itself.
fn guarded(reply: Reply) -> Reply {
    reply.with("cache-control", "no-store").with("x-content-type-options", "nosniff")
}
