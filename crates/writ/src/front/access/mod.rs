//! Requests, decisions, grants and tickets in front: takes what people send in, commits what follows from it with
//! its leaf and its event, and lets the key module know what ended. The rules are in the crate `access`.

pub mod api;
mod browser;
mod customers;
pub(super) mod ends;
mod hr;
pub mod playback;
pub mod show;
pub(super) mod tell;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::Mutex;
use writ_access::{Challenge, Decided, Filed, Nonces, Refusal, World};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Ulid, Uuid, failpoint};
use writ_proof::access::{Decision, LedgerHead, Request as Asking, Scope};
use writ_proof::cbor;
use writ_proof::roster::{Roster, SlotName};
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Request};
use writ_service::pipeline::Pipeline;
use writ_service::record::StrangerLimit;
use writ_store::state::{AccessRequest, Ticket};
use writ_store::{Object, OutboxRecord, RecordKind, Snapshot, StoreError, Transaction};
use writ_trail::record::Call;

use super::lender::Lender;
use super::platform::{self, PRINCIPAL, Platform};
use super::roster::Keeper;

pub use customers::{Change, OfCustomers};
pub use ends::{Ender, ended};

/// The source of events about access.
pub const SOURCE: &str = "access.writ.internal";
/// How often it is looked for what has to end by itself.
const SWEEP: Duration = Duration::from_millis(500);
/// How long [`linger`] takes, in tests alone.
const LINGER: Duration = Duration::from_secs(4);

/// Everything that changes requests, grants and tickets goes through here, one thing at a time.
pub struct Access {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    keeper: Arc<Keeper>,
    ender: Arc<Ender>,
    nonces: StdMutex<Nonces>,
    /// One thing at a time: a quorum fills once.
    turn: Mutex<()>,
    strangers: StrangerLimit,
    lender: Arc<Lender>,
    readings: playback::Readings,
}

impl Access {
    /// The access of this installation.
    pub fn new(
        pipeline: Arc<Pipeline>,
        platform: Platform,
        keeper: Arc<Keeper>,
        ender: Arc<Ender>,
        lender: Arc<Lender>,
    ) -> Arc<Access> {
        Arc::new(Access {
            pipeline,
            platform,
            keeper,
            ender,
            nonces: StdMutex::default(),
            turn: Mutex::default(),
            strangers: StrangerLimit::default(),
            lender,
            readings: playback::Readings::default(),
        })
    }

    /// Takes a signed request. When it answers, it is in the ledger.
    async fn file(&self, signed: &Signed, from: &Request) -> Result<Filed, Refused> {
        // What cannot be read is refused below, in its words. Who may not ask learns nothing of recordings, and takes
        // no place where wishes wait.
        if let Ok(asked) = cbor::from_slice::<Asking>(signed.body())
            && matches!(asked.scope, Scope::Playback(_))
        {
            let (snapshot, roster) = (self.pipeline.store.snapshot(), self.keeper.current());
            self.judge(&snapshot, &roster, |world| writ_access::file(signed, world))?;
            self.check_recording(&asked).await?;
        }
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.settled().await?, self.keeper.current());
        let filed = self.judge(&snapshot, &roster, |world| writ_access::file(signed, world))?;
        if filed.repeated {
            return Ok(filed);
        }
        let shown = tell::request(&filed.asked, &roster);
        let object = Object::new(AccountId::PLATFORM, filed.request.clone());
        let transaction = self.begin("RequestAccess", &shown, from, Some(signed))?;
        self.commit(transaction.create(object)).await?;
        Ok(filed)
    }

    /// Takes a signed decision. When it answers, it and the grant that it makes are in the ledger.
    async fn decide(&self, signed: &Signed, from: &Request) -> Result<Decided, Refused> {
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.settled().await?, self.keeper.current());
        let decided = self.judge(&snapshot, &roster, |world| {
            let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            writ_access::decide(signed, &nonces, world)
        })?;
        if decided.repeated {
            return Ok(decided);
        }
        let name = tell::name_of(decided.said.decision);
        let transaction = self.begin(name, &tell::decision(&decided), from, Some(signed))?;
        let transaction = self.with_decision(transaction, &decided, &snapshot);
        let transaction = match &decided.grant {
            Some(grant) => {
                let told = tell::granted(&self.platform, &decided, &roster, &snapshot)
                    .map_err(|error| internal(&error))?;
                let grant = Object::new(AccountId::PLATFORM, grant.clone());
                self.tell_customers(transaction.create(grant), told).await?
            }
            None => transaction,
        };
        self.commit(transaction).await?;
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).take(&decided.said);
        Ok(decided)
    }

    /// The decision and what became of its request; whoever decides again replaces what they said before.
    fn with_decision(
        &self,
        transaction: Transaction,
        decided: &Decided,
        snapshot: &Snapshot,
    ) -> Transaction {
        use writ_store::state::AccessApproval;
        let Decided { approval, request, .. } = decided;
        let id = AccessApproval::id_of(approval.request, &approval.approver);
        let before = snapshot.get::<AccessApproval>(AccountId::PLATFORM, &id);
        let approval = Object::new(AccountId::PLATFORM, approval.clone());
        let transaction = match before {
            Some(before) => transaction.update(approval, before.revision),
            None => transaction.create(approval),
        };
        let entry = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &request.id.to_string());
        let request = Object::new(AccountId::PLATFORM, request.clone());
        match entry {
            Some(entry) => transaction.update(request, entry.revision),
            None => transaction,
        }
    }

    /// Puts the records of customers into the commit as far as it holds them. The others are in the ledger
    /// before it: a customer may be told of a grant that then failed, and never the other way round.
    async fn tell_customers(
        &self,
        mut transaction: Transaction,
        told: Vec<OutboxRecord>,
    ) -> Result<Transaction, Refused> {
        let surplus = ends::fit(&mut transaction, told);
        ends::append(&self.pipeline, surplus).await.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "customers could not be told of a grant");
            Refused::new(503, "Unavailable", "the ledger does not answer; send it again")
        })?;
        Ok(transaction)
    }

    /// Gives out a nonce for a decision, with the request and what the approver needs to sign.
    async fn challenge(
        &self,
        id: Ulid,
        person: &PersonId,
        decision: Decision,
    ) -> Result<(Challenge, Vec<SlotName>), Refused> {
        let snapshot = self.pipeline.store.snapshot();
        let roster = self.keeper.current();
        let slots = self.judge(&snapshot, &roster, |world| {
            writ_access::decision::may_decide(world, id, person)
        })?;
        let head = self.pipeline.trail.head().await.map_err(|error| {
            tracing::warn!(%error, "there is no head of the operator log");
            Refused::new(503, "Unavailable", "the ledger has no signed head now; try again")
        })?;
        let ledger =
            LedgerHead { origin: head.origin.to_string(), size: head.size, root: head.root };
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        let given = nonces.give((id, person, decision), SystemEnv.nonce(), ledger, SystemEnv.now());
        Ok((given.map_err(|refusal| refused(&refusal))?, slots))
    }

    /// Takes a pending request back.
    async fn withdraw(&self, id: Ulid, by: &PersonId, from: &Request) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.settled().await?, self.keeper.current());
        let (request, revision) =
            self.judge(&snapshot, &roster, |world| writ_access::request::withdraw(world, id, by))?;
        linger("access.slow_withdrawal").await;
        let shown = [("requestId", id.to_string()), ("requester", by.to_string())];
        let transaction = self.begin("WithdrawRequest", &shown, from, None)?;
        let object = Object::new(AccountId::PLATFORM, request);
        // A customer's word may have made a grant of it in between.
        self.commit(transaction.update(object, revision).ending()).await
    }

    /// Ends a grant. When it answers, keyd knows it and no new session is opened on it.
    async fn revoke(&self, id: Ulid, by: &PersonId, from: &Request) -> Result<bool, Refused> {
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.pipeline.store.snapshot(), self.keeper.current());
        let ends =
            self.judge(&snapshot, &roster, |world| writ_access::ends::revoke(world, id, by))?;
        self.ender.end(ends, Some(from), &snapshot).await.map_err(|error| unstored(&error))
    }

    async fn open_ticket(
        &self,
        (id, title): (&str, &str),
        by: &PersonId,
        from: &Request,
    ) -> Result<Ticket, Refused> {
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.settled().await?, self.keeper.current());
        let ticket = self
            .judge(&snapshot, &roster, |world| writ_access::ticket::open(world, id, title, by))?;
        let shown =
            [("ticketId", id.to_owned()), ("title", ticket.title.clone()), ("by", by.to_string())];
        let transaction = self.begin("OpenTicket", &shown, from, None)?;
        let object = Object::new(AccountId::PLATFORM, ticket.clone());
        self.commit(transaction.create(object)).await?;
        Ok(ticket)
    }

    /// Closes a ticket, and ends what rests on it. What a crash leaves of that ends with the next sweep.
    async fn close_ticket(
        &self,
        id: &str,
        by: &PersonId,
        from: &Request,
    ) -> Result<usize, Refused> {
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.settled().await?, self.keeper.current());
        let ticket =
            self.judge(&snapshot, &roster, |world| writ_access::ticket::close(world, id, by))?;
        let ends = writ_access::ends::of_ticket(&snapshot, id, by, SystemEnv.now());
        let count = ends.len();
        let shown = [
            ("ticketId", id.to_owned()),
            ("by", by.to_string()),
            ("requests", ends.requests.len().to_string()),
            ("grants", ends.grants.len().to_string()),
        ];
        let transaction = self.begin("CloseTicket", &shown, from, None)?;
        let object = Object::new(AccountId::PLATFORM, ticket);
        self.commit(transaction.put(object).ending()).await?;
        self.ender.end(ends, Some(from), &snapshot).await.map_err(|error| unstored(&error))?;
        Ok(count)
    }

    /// Ends what has to end by itself, and tells keyd again what it did not take.
    async fn sweep(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let (snapshot, roster) = (self.pipeline.store.snapshot(), self.keeper.current());
        let ends = self.world(&snapshot, &roster, writ_access::ends::due);
        if !ends.is_empty() {
            self.ender.end(ends, None, &snapshot).await?;
        }
        self.ender.tell_owed().await;
        Ok(())
    }

    fn world<T>(
        &self,
        snapshot: &Snapshot,
        roster: &Roster,
        ask: impl FnOnce(&World<'_>) -> T,
    ) -> T {
        self.world_with(None, snapshot, roster, ask)
    }

    /// Asks the rules something about the state, as everything is judged here.
    pub fn ask<T>(&self, snapshot: &Snapshot, ask: impl FnOnce(&World<'_>) -> T) -> T {
        self.world(snapshot, &self.keeper.current(), ask)
    }

    fn judge<T>(
        &self,
        snapshot: &Snapshot,
        roster: &Roster,
        ask: impl FnOnce(&World<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refused> {
        self.world(snapshot, roster, ask).map_err(|refusal| refused(&refusal))
    }

    async fn settled(&self) -> Result<Arc<Snapshot>, Refused> {
        self.pipeline.store.settled().await.map_err(|error| unavailable(&error))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), Refused> {
        self.pipeline.commit_own(transaction).await.map_err(|error| unavailable(&error))
    }

    /// A transaction with its event, and before that the leaf of a statement.
    fn begin(
        &self,
        name: &str,
        shown: &[(&str, String)],
        from: &Request,
        signed: Option<&Signed>,
    ) -> Result<Transaction, Refused> {
        let call = Call {
            request_parameters: platform::parameters(shown),
            ..self.platform.asked(from, SOURCE, name)
        };
        let event = platform::outbox(&call).map_err(|error| internal(&error))?;
        let Some(signed) = signed else {
            return Ok(Transaction::new(PRINCIPAL, call.request_id, event));
        };
        let leaf = OutboxRecord {
            event_id: Uuid::random(&SystemEnv),
            kind: RecordKind::Statement,
            logs: vec![writ_store::LogName::Operator],
            record: signed.to_bytes(),
            use_position: None,
        };
        let mut transaction = Transaction::new(PRINCIPAL, call.request_id, leaf);
        transaction.records.push(event);
        Ok(transaction)
    }
}

/// Waits a while where a test has named this place: what happens between a decision and its commit happens then.
pub(in crate::front) async fn linger(place: &str) {
    if failpoint::is_set(place) {
        tracing::info!(place, "lingers");
        tokio::time::sleep(LINGER).await;
    }
}

/// Looks every so often for what has to end by itself.
pub async fn watch(access: Arc<Access>) {
    let mut tick = tokio::time::interval(SWEEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = access.sweep().await {
            tracing::error!(
                error = format!("{error:#}"),
                "what is over was not ended; tried again"
            );
        }
    }
}

/// A refusal as the outside hears it.
pub(super) fn refused(refusal: &Refusal) -> Refused {
    let status = match refusal {
        Refusal::Malformed(_) => 400,
        Refusal::NotFound(_) => 404,
        Refusal::Over(_) | Refusal::Taken(_) => 409,
        Refusal::TooMany(_) => 429,
        _ => 403,
    };
    Refused::new(status, refusal.code(), refusal.to_string())
}

pub(super) fn unavailable(error: &StoreError) -> Refused {
    tracing::warn!(%error, "a change of access could not be stored");
    if matches!(error, StoreError::Conflict { .. }) {
        return Refused::new(409, "Changed", "it was changed at the same moment: try again");
    }
    let what = "it could not be stored now, and may have been: send the same bytes again";
    Refused::new(503, "Unavailable", what)
}

fn unstored(error: &anyhow::Error) -> Refused {
    tracing::warn!(error = format!("{error:#}"), "an end could not be stored");
    Refused::new(503, "Unavailable", "keyd was told, and it could not be stored now: try again")
}

pub(super) fn internal(error: &anyhow::Error) -> Refused {
    tracing::error!(error = format!("{error:#}"), "the record of access cannot be made");
    Refused::new(500, "Internal", "see front's log")
}
