//! What the console's pages show of requests, grants and tickets, and the decisions that a browser signs. The rules
//! are the same as for programs; here only the surroundings differ.

use std::sync::Arc;
use std::time::Duration;

use writ_access::decision::{decisions, may_decide, missing, waits_for};
use writ_access::{World, pages, state};
use writ_console::caller::{CALL, in_time, message};
use writ_console::port::{Act, Decided, SignedCall, Want, Wish};
use writ_console::view::{
    DecisionView, DraftView, GrantView, Inbox, Page, Reader, RequestPage, RequestView, RunView,
    SlotView, TicketView,
};
use writ_console::words;
use writ_model::{AccountId, Env as _, SystemEnv, Timestamp, Ulid};
use writ_proof::access::{Approval, OWN_TICKETS};
use writ_proof::cbor;
use writ_proof::roster::SlotName;
use writ_proof::sshsig::SshSig;
use writ_proof::statement::{Signed, Statement};
use writ_service::http::{Refused, Request};
use writ_store::state::{AccessApproval, AccessGrant, AccessRequest, RequestState, Run, Ticket};
use writ_store::{Entry, Snapshot};

use super::super::runs::{runs_of, show::run as show_run};
use super::api::What;
use super::{Access, tell};

/// Requests and grants of the reader that the inbox shows.
const INBOX_OWN: usize = 10;

impl Access {
    /// What waits for the reader, and what is theirs.
    pub(in crate::front) async fn inbox(
        &self,
        reader: &Reader,
        request: &Request,
    ) -> Result<Inbox, Refused> {
        self.read_by(&What::Requests, "inbox", reader, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        Ok(self.world(&snapshot, &reader.roster, |world| {
            let mut waits: Vec<RequestView> = Vec::new();
            for entry in writ_access::request::pending(&snapshot, world.now) {
                if waits.len() < writ_access::limits::PAGE
                    && !waits_for(entry, &reader.person, world).is_empty()
                {
                    waits.extend(view(entry, reader, world));
                }
            }
            let own = pages::requests(&snapshot, None, Some(&reader.person)).entries;
            let grants = pages::grants(&snapshot, None, Some(&reader.person)).entries;
            Inbox {
                waits,
                requests: own
                    .into_iter()
                    .take(INBOX_OWN)
                    .filter_map(|entry| view(entry, reader, world))
                    .collect(),
                grants: grants
                    .into_iter()
                    .take(INBOX_OWN)
                    .map(|entry| grant(entry, world))
                    .collect(),
            }
        }))
    }

    /// All requests before the id `before`.
    pub(in crate::front) async fn requests_page(
        &self,
        before: Option<&str>,
        reader: &Reader,
        request: &Request,
    ) -> Result<Page<RequestView>, Refused> {
        self.read_by(&What::Requests, "*", reader, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        Ok(self.world(&snapshot, &reader.roster, |world| {
            let page = pages::requests(&snapshot, before, None);
            let items = page.entries.iter().filter_map(|entry| view(entry, reader, world));
            Page { items: items.collect(), next: page.next }
        }))
    }

    /// All grants before the id `before`.
    pub(in crate::front) async fn grants_page(
        &self,
        before: Option<&str>,
        reader: &Reader,
        request: &Request,
    ) -> Result<Page<GrantView>, Refused> {
        self.read_by(&What::Grants, "*", reader, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        Ok(self.world(&snapshot, &reader.roster, |world| {
            let page = pages::grants(&snapshot, before, None);
            let items = page.entries.iter().map(|entry| grant(entry, world));
            Page { items: items.collect(), next: page.next }
        }))
    }

    /// All tickets before the id `before`.
    pub(in crate::front) async fn tickets_page(
        &self,
        before: Option<&str>,
        reader: &Reader,
        request: &Request,
    ) -> Result<Page<TicketView>, Refused> {
        self.read_by(&What::Tickets, "*", reader, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        let page = pages::page::<Ticket>(&snapshot, before, |_| true);
        Ok(Page {
            items: page.entries.iter().map(|entry| ticket(entry)).collect(),
            next: page.next,
        })
    }

    /// A request with everything around it.
    pub(in crate::front) async fn request_page(
        &self,
        id: Ulid,
        reader: &Reader,
        request: &Request,
    ) -> Result<RequestPage, Refused> {
        let id_text = id.to_string();
        self.read_by(&What::Request(id_text.clone()), &id_text, reader, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        let found = self.world(&snapshot, &reader.roster, |world| {
            let entry = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id_text)?;
            whole(entry, reader, world)
        });
        found.ok_or_else(|| Refused::new(404, "NotFound", "there is no request of this id"))
    }

    /// The statement that the reader would sign: its nonce is given out for it.
    pub(in crate::front) async fn begin_in_browser(
        &self,
        wish: Wish,
        reader: &Reader,
        request: &Request,
    ) -> Result<Approval, Refused> {
        let shown = vec![
            ("requestId", wish.id.to_string()),
            ("approver", reader.person.to_string()),
            ("decision", wish.decision.as_str().to_owned()),
        ];
        let what = What::Challenge(wish.id.to_string());
        match self.prepared(&wish, reader).await {
            Ok(approval) => {
                self.told(what.event(), false, &shown, request).await?;
                Ok(approval)
            }
            Err(refused) => {
                let known = std::slice::from_ref(&reader.person);
                Err(self.told_refusal(&what, request, known, shown, refused).await)
            }
        }
    }

    async fn prepared(&self, wish: &Wish, reader: &Reader) -> Result<Approval, Refused> {
        let (challenge, slots) = self.challenge(wish.id, &reader.person, wish.decision).await?;
        let slot = slot(wish.slot.as_ref(), &slots)?;
        let snapshot = self.pipeline.store.snapshot();
        let entry = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &wish.id.to_string());
        let signed = entry.and_then(|entry| Signed::from_bytes(entry.statement.as_slice()).ok());
        let signed = signed.ok_or_else(gone)?;
        let asked: writ_proof::access::Request =
            cbor::from_slice(signed.body()).map_err(|_| gone())?;
        let now = SystemEnv.now();
        let not_after = match wish.minutes {
            None => asked.not_after,
            Some(minutes) => {
                let begin = Timestamp::from_secs(asked.not_before.max(now).secs());
                let length = Duration::from_secs(u64::from(minutes) * 60);
                begin.plus(length).min(asked.not_after)
            }
        };
        Ok(Approval {
            v: Default::default(),
            site: asked.site,
            request: asked.id,
            request_digest: signed.digest(),
            requester: asked.requester,
            approver: reader.person.clone(),
            decision: wish.decision,
            slot,
            scope: asked.scope,
            account: asked.account,
            not_before: asked.not_before,
            not_after,
            ticket: asked.ticket,
            revision: asked.revision,
            nonce: challenge.nonce,
            ledger: challenge.ledger,
            signed: now,
        })
    }

    /// What the reader wants, judged as if it were filed now, as the request that they would sign.
    pub(in crate::front) async fn draft_in_browser(
        &self,
        want: Want,
        reader: &Reader,
        request: &Request,
    ) -> Result<DraftView, Refused> {
        let known = std::slice::from_ref(&reader.person);
        let asked = match drafted(want, reader) {
            Ok(asked) => asked,
            Err(refused) => {
                return Err(self
                    .told_refusal(&What::Draft, request, known, Vec::new(), refused)
                    .await);
            }
        };
        let shown = tell::of_request(&asked);
        let snapshot = self.pipeline.store.snapshot();
        let judged = self.judge(&snapshot, &reader.roster, |world| {
            writ_access::request::check(&asked, world)?;
            Ok(draft_view(asked, world))
        });
        match judged {
            Ok(draft) => {
                self.told(What::Draft.event(), true, &shown, request).await?;
                Ok(draft)
            }
            Err(refused) => {
                Err(self.told_refusal(&What::Draft, request, known, shown, refused).await)
            }
        }
    }

    /// Takes a request that a browser signed.
    pub(in crate::front) async fn file_in_browser(
        &self,
        asked: writ_proof::access::Request,
        signature: &SshSig,
        reader: &Reader,
        request: &Request,
    ) -> Result<Ulid, Refused> {
        let done = match sealed(&asked, signature) {
            Ok(signed) => self.file(&signed, request).await,
            Err(refused) => Err(refused),
        };
        match done {
            Ok(filed) => Ok(filed.request.id),
            Err(refused) => {
                let known = std::slice::from_ref(&reader.person);
                let shown = tell::of_request(&asked);
                Err(self.told_refusal(&What::File, request, known, shown, refused).await)
            }
        }
    }

    /// Takes a decision that a browser signed.
    pub(in crate::front) async fn decide_in_browser(
        &self,
        said: Approval,
        signature: &SshSig,
        reader: &Reader,
        request: &Request,
    ) -> Result<Decided, Refused> {
        let shown = tell::of_decision(&said);
        let done = match sealed(&said, signature) {
            Ok(signed) => self.decide(&signed, request).await,
            Err(refused) => Err(refused),
        };
        match done {
            Ok(decided) => {
                Ok(Decided { state: decided.request.state.as_str(), missing: decided.missing })
            }
            Err(refused) => {
                let known = std::slice::from_ref(&reader.person);
                Err(self.told_refusal(&What::Decide, request, known, shown, refused).await)
            }
        }
    }

    /// Carries out a call that a browser signed.
    pub(in crate::front) async fn call_in_browser(
        &self,
        call: SignedCall,
        reader: &Reader,
        request: &Request,
    ) -> Result<(), Refused> {
        let made = Request {
            method: "POST".to_owned(),
            path: call.target.clone(),
            query: String::new(),
            headers: request.headers.clone(),
            body: call.body.clone().into_bytes(),
            network: request.network.clone(),
        };
        let what = What::of(&made);
        let done = match self.proven_in_browser(&what, &call, reader) {
            Ok(()) => self.call(&what, &made, &reader.person).await.map(|_| ()),
            Err(why) => Err(Refused::new(403, "BadSignature", why)),
        };
        match done {
            Ok(()) => Ok(()),
            Err(refused) => {
                let known = std::slice::from_ref(&reader.person);
                Err(self.told_refusal(&what, request, known, Vec::new(), refused).await)
            }
        }
    }

    /// Fails unless the reader's passkey has signed exactly this call, here and a moment ago.
    fn proven_in_browser(
        &self,
        what: &What,
        call: &SignedCall,
        reader: &Reader,
    ) -> Result<(), String> {
        if !matches!(
            what,
            What::CloseTicket(_) | What::OpenTicket | What::Revoke(_) | What::Withdraw(_)
        ) {
            return Err("a page does not ask for this".to_owned());
        }
        in_time(&call.date, SystemEnv.now())?;
        let message = message("POST", &call.target, &call.date, call.body.as_bytes());
        let signer = call
            .signature
            .verify(message.as_bytes(), CALL)
            .map_err(|error| format!("the signature is not of this call: {error}"))?;
        if signer.webauthn.as_ref().is_none_or(|webauthn| webauthn.origin != call.origin) {
            return Err("it was signed at another page".to_owned());
        }
        let roster = self.keeper.current();
        let person = roster.signer(&signer, true).map_err(|error| error.to_string())?;
        if *person != reader.person {
            return Err("the passkey is another person's".to_owned());
        }
        let may_act = self.keeper.may_act(person, &self.pipeline.store.snapshot());
        may_act.map_err(|why| format!("`{person}` may not act now: {why}"))
    }

    /// Records what was refused before it came to any of these.
    pub(in crate::front) async fn refused_in_browser(
        &self,
        act: Act,
        refused: &Refused,
        reader: Option<&Reader>,
        request: &Request,
    ) {
        let what = match act {
            Act::ReadGrants => What::Grants,
            Act::ReadTickets => What::Tickets,
            Act::ReadRequests => What::Requests,
            Act::Ask => What::Draft,
            Act::Call => What::Unknown,
            Act::OpenRecording => What::Open,
            Act::ReadSessions => What::Sessions,
            _ => What::Decide,
        };
        let known = reader.map(|reader| std::slice::from_ref(&reader.person)).unwrap_or_default();
        self.told_refusal(&what, request, known, Vec::new(), refused.clone()).await;
    }

    /// Tells the ledger that somebody reads.
    async fn read_by(
        &self,
        what: &What,
        id: &str,
        reader: &Reader,
        request: &Request,
    ) -> Result<(), Refused> {
        let shown = [("reader", reader.person.to_string()), ("id", id.to_owned())];
        self.told(what.event(), true, &shown, request).await
    }
}

/// The request that would be signed.
fn drafted(want: Want, reader: &Reader) -> Result<writ_proof::access::Request, Refused> {
    let refused = |what: String| Refused::new(403, "Refused", what);
    let (roster, who) = (&reader.roster, &reader.person);
    let enrolment = roster.enrolment(who);
    let revision = roster.group_revision(&want.group);
    let created = SystemEnv.now();
    let not_before = want.start.unwrap_or_else(|| Timestamp::from_secs(created.secs()));
    Ok(writ_proof::access::Request {
        v: Default::default(),
        site: roster.site().clone(),
        id: Ulid::new(&SystemEnv),
        requester: who.clone(),
        enrolment: enrolment.ok_or_else(|| refused(format!("`{who}` is not enrolled")))?,
        revision: revision.ok_or_else(|| refused(format!("there is no group `{}`", want.group)))?,
        group: want.group,
        basis: want.basis,
        reason: want.reason,
        ticket: want.ticket,
        account: want.account,
        scope: want.scope,
        not_before,
        not_after: not_before.plus(Duration::from_secs(u64::from(want.minutes) * 60)),
        created,
    })
}

/// Who must agree to a request, and who can.
fn draft_view(request: writ_proof::access::Request, world: &World<'_>) -> DraftView {
    let touches = request.touches(world.roster);
    let group = world.roster.group(&request.group);
    let words = group.map(words::rule).unwrap_or_default();
    let slots = group.iter().flat_map(|group| &group.rule.0).zip(words);
    let slots = slots.map(|(slot, rule)| SlotView {
        count: slot.count,
        rule,
        people: writ_access::decision::fillers(&request, slot, world),
    });
    DraftView {
        slots: slots.collect(),
        two: touches.any() && group.is_some_and(|group| group.approvers() < 2),
        lockboxes: world.customers.lockboxes(&touches).into_iter().collect(),
        request,
    }
}

/// A statement with its signature, which holds.
fn sealed<T: Statement>(said: &T, signature: &SshSig) -> Result<Signed, Refused> {
    let mut signed = Signed::new(said)
        .map_err(|error| Refused::new(400, "Malformed", format!("it is no statement: {error}")))?;
    signed.add(signature).map_err(|error| {
        let what = format!("the signature is not of this statement: {error}");
        Refused::new(403, "BadSignature", what)
    })?;
    Ok(signed)
}

fn slot(wanted: Option<&SlotName>, slots: &[SlotName]) -> Result<SlotName, Refused> {
    let refused = |what: String| Err(Refused::new(403, "Refused", what));
    let all = || slots.iter().map(SlotName::as_str).collect::<Vec<_>>().join(", ");
    match (wanted, slots) {
        (Some(wanted), _) if slots.contains(wanted) => Ok(wanted.clone()),
        (Some(wanted), _) => refused(format!("you may not fill `{wanted}`, but {}", all())),
        (None, [only]) => Ok(only.clone()),
        (None, _) => refused(format!("you may fill several slots: name one of {}", all())),
    }
}

fn gone() -> Refused {
    Refused::new(404, "NotFound", "there is no request of this id")
}

/// A request; `None` if what is stored cannot be read.
fn view(
    entry: &Arc<Entry<AccessRequest>>,
    reader: &Reader,
    world: &World<'_>,
) -> Option<RequestView> {
    let signed = Signed::from_bytes(entry.statement.as_slice()).ok()?;
    let pending = entry.state == RequestState::Pending && world.now < entry.pending_until;
    Some(RequestView {
        request: Arc::clone(entry.derived.as_ref()?),
        code: signed.code(),
        digest: entry.digest.clone(),
        state: match entry.state {
            RequestState::Pending if !pending => RequestState::Expired.as_str(),
            known => known.as_str(),
        },
        since: entry.since,
        why: entry.why.clone(),
        filed: entry.filed,
        pending_until: entry.pending_until,
        missing: if pending { missing(entry, world) } else { Vec::new() },
        slots: if pending { waits_for(entry, &reader.person, world) } else { Vec::new() },
    })
}

fn whole(
    entry: &Arc<Entry<AccessRequest>>,
    reader: &Reader,
    world: &World<'_>,
) -> Option<RequestPage> {
    let mut view = view(entry, reader, world)?;
    // What the form offers is what would be taken now, down to the request's own signature and HR's word.
    let may = may_decide(world, entry.id, &reader.person);
    let bar = match may {
        Ok(slots) => {
            view.slots = slots;
            None
        }
        Err(refusal) => {
            view.slots.clear();
            Some(refusal.to_string())
        }
    };
    let decisions = said(world.snapshot, entry.id);
    let own = decisions.iter().find(|held| held.said.approver == reader.person);
    let own = own.map(|held| held.said.decision);
    let ticket = &view.request.ticket;
    let ticket = (ticket.system == OWN_TICKETS)
        .then(|| world.snapshot.get::<Ticket>(AccountId::PLATFORM, &ticket.id))
        .flatten()
        .map(|entry| self::ticket(entry));
    let granted = world.snapshot.get::<AccessGrant>(AccountId::PLATFORM, &entry.id.to_string());
    Some(RequestPage {
        ticket,
        decisions,
        bar,
        own,
        grant: granted.map(|entry| grant(entry, world)),
        runs: runs_of(world.snapshot, entry.id).iter().map(ran).collect(),
        view,
    })
}

fn ran(stored: &Run) -> RunView {
    let shown = show_run(stored);
    let fields = shown.answer.as_ref().and_then(serde_json::Value::as_object);
    let field = |(name, value): (&String, &serde_json::Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), value)
    };
    let wrong = shown.field.as_ref().map(|field| format!(": the field `{field}`"));
    RunView {
        host: shown.host,
        state: shown.state,
        why: shown.cause.map(|why| format!("{why}{}", wrong.unwrap_or_default())),
        answer: fields.into_iter().flatten().map(field).collect(),
        ordered: shown.ordered,
        ended: shown.ended,
    }
}

fn said(snapshot: &Snapshot, id: Ulid) -> Vec<DecisionView> {
    let read = |held: &Arc<Entry<AccessApproval>>| {
        let signed = Signed::from_bytes(held.statement.as_slice()).ok()?;
        let said = cbor::from_slice(signed.body()).ok()?;
        let signers = signed.verify::<Approval>().map(|(_, signers)| signers).unwrap_or_default();
        let browser = signers.iter().any(|signer| signer.webauthn.is_some());
        Some(DecisionView { said, at: held.at, browser })
    };
    decisions(snapshot, id).filter_map(read).collect()
}

fn grant(stored: &AccessGrant, world: &World<'_>) -> GrantView {
    let end = stored.end.as_ref().map(|end| (end.reason.as_str(), end.at, end.by.clone()));
    GrantView {
        id: stored.request,
        state: state(stored, world.now).as_str(),
        person: stored.person.clone(),
        not_before: stored.not_before,
        not_after: stored.not_after,
        end,
        request: writ_access::ends::asked(world.snapshot, stored.request),
    }
}

fn ticket(stored: &Ticket) -> TicketView {
    TicketView {
        id: stored.id.clone(),
        title: stored.title.clone(),
        opened_by: stored.opened_by.clone(),
        opened: stored.opened,
        closed: stored.closed.as_ref().map(|closed| (closed.by.clone(), closed.at)),
    }
}
