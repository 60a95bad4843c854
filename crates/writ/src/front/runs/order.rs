//! How a run is ordered: keyd signs, then the ledger and the state have it, then its host gets it.

use std::sync::Arc;

use writ_access::{GrantState, pseudonym, state};
use writ_keyd_client::operator::{Evidence, OrderRun, OrderedRun};
use writ_keyd_client::protocol::{Answer, Command, Refusal, Reply};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Ulid, Uuid};
use writ_proof::access::{Asked, Request as Statement};
use writ_proof::cbor;
use writ_proof::hash::Hash;
use writ_proof::roster::HostName;
use writ_proof::runbook::SignedOrder;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Request};
use writ_store::state::{AccessGrant, AccessRequest, RequestState, Run, Runbook};
use writ_store::{Object, OutboxRecord, Snapshot, Transaction};
use writ_trail::record::Call;

use super::super::access::{ends, internal, tell};
use super::super::platform::{self, PRINCIPAL};
use super::{Runs, SOURCE, Wish, of_run};

/// People who wait for runs at one time.
const WISHES_MAX: usize = 1000;

impl Runs {
    /// Somebody wants the runs of their request. What is granted is ordered at once; else it is as soon as it is, while
    /// whoever has the token still asks.
    pub(super) async fn want(
        &self,
        id: Ulid,
        by: &PersonId,
        from: &Request,
    ) -> Result<(Hash, Vec<Run>), Refused> {
        let snapshot = self.pipeline.store.snapshot();
        let (request, _) = asked(&snapshot, id)?;
        if request.requester != *by {
            let text =
                format!("it is the request of `{}`: ask for one of your own", request.requester);
            return Err(Refused::new(403, "AccessDenied", text));
        }
        let mut token = [0; 32];
        SystemEnv.fill(&mut token);
        let token = Hash(token);
        {
            let mut wishes = self.wishes();
            if wishes.len() >= WISHES_MAX && !wishes.contains_key(&id) {
                return Err(Refused::new(503, "Busy", "too many wait for runs; try again"));
            }
            let held = writ_proof::hash::sha256(token.as_bytes());
            let asked = SystemEnv.monotonic();
            wishes.insert(id, Wish { token: held, asked, refused: None });
        }
        let ordered = self.order_all(id, Some(from)).await;
        if ordered.is_err() {
            self.wishes().remove(&id);
        }
        Ok((token, ordered?))
    }

    /// How far the runs of a request are, for whoever waits for them.
    pub(super) fn progress(
        &self,
        id: Ulid,
        token: Hash,
    ) -> Result<(Arc<Snapshot>, Option<String>), Refused> {
        let told = writ_proof::hash::sha256(token.as_bytes());
        let mut wishes = self.wishes();
        let Some(wish) = wishes.get_mut(&id).filter(|wish| wish.token == told) else {
            let text = "nobody waits for it any more: `writ run --request ID` asks again";
            return Err(Refused::new(404, "NotFound", text));
        };
        wish.asked = SystemEnv.monotonic();
        Ok((self.pipeline.store.snapshot(), wish.refused.clone()))
    }

    /// The runs of a request on all of its hosts; those that were ordered before are the same. None while its grant
    /// waits.
    pub(super) async fn order_all(
        &self,
        id: Ulid,
        from: Option<&Request>,
    ) -> Result<Vec<Run>, Refused> {
        let snapshot = self.pipeline.store.snapshot();
        let (request, statement) = asked(&snapshot, id)?;
        let key = id.to_string();
        let grant = snapshot.get::<AccessGrant>(AccountId::PLATFORM, &key);
        match (request.state, grant.map(|grant| state(grant, SystemEnv.now()))) {
            (RequestState::Pending, _) | (_, Some(GrantState::Scheduled)) => return Ok(Vec::new()),
            (RequestState::Approved, Some(GrantState::Live)) => {}
            (RequestState::Approved, _) => {
                let done = runs_of(&snapshot, id);
                if done.is_empty() {
                    return Err(Refused::new(409, "Over", "its grant has ended: ask anew"));
                }
                return Ok(done);
            }
            (other, _) => {
                let why = request.why.as_deref().map_or(String::new(), |why| format!(", {why}"));
                let text = format!("the request is {}{why}", other.as_str());
                return Err(Refused::new(409, "Over", text));
            }
        }
        let mut all = Vec::new();
        for host in statement.scope.hosts() {
            all.push(self.order(id, host, from).await?);
        }
        Ok(all)
    }

    async fn order(
        &self,
        id: Ulid,
        host: &HostName,
        from: Option<&Request>,
    ) -> Result<Run, Refused> {
        let _turn = self.turn.lock().await;
        let snapshot = self.settled().await?;
        if let Some(known) =
            runs_of(&snapshot, id).into_iter().find(|run| run.host == host.as_str())
        {
            return Ok(known);
        }
        let (request, statement) = asked(&snapshot, id)?;
        let may_act = self.keeper.may_act_in(&statement.group, &request.requester, &snapshot);
        may_act.map_err(|why| {
            let text = format!("`{}` may not act now: {why}", request.requester);
            Refused::new(403, "AccessDenied", text)
        })?;
        let runbook = self.access.ask(&snapshot, |world| {
            writ_access::runbook::entry_of(&statement, world.snapshot, world.roster, world.now)
        });
        runbook.map_err(|refusal| super::refused(&refusal))?;
        let runbook = found(&snapshot, &statement)?;
        let (run, event_id) = (Ulid::new(&SystemEnv), Uuid::random(&SystemEnv));
        let evidence = self.evidence(request, &snapshot)?;
        let entry = runbook.statement.as_slice().to_vec();
        let asked = OrderRun { evidence, entry, run, host: host.clone(), event_id };
        let ordered = match self.sign(asked).await? {
            Ok(ordered) => ordered,
            Err(refused) => {
                let shown = [
                    ("requestId", id.to_string()),
                    ("person", request.requester.to_string()),
                    ("hostName", host.to_string()),
                    ("runbook", runbook.name.clone()),
                ];
                self.told_order(event_id, &shown, &refused, from).await?;
                return Err(refused);
            }
        };
        let run = Run {
            id: run,
            request: id,
            person: request.requester.clone(),
            host: host.to_string(),
            runbook: runbook.name.clone(),
            version: runbook.version,
            entry: runbook.digest.clone(),
            not_after: not_after(&ordered.order)?,
            order: cbor::to_vec(&ordered.order).into(),
            bits: ordered.bits,
            ordered: SystemEnv.now(),
            started: None,
            ended: None,
        };
        self.store(&run, &ordered, event_id, from, &snapshot).await?;
        self.ordered.send_modify(|n| *n += 1);
        Ok(run)
    }

    /// What proves the grant of a request to keyd.
    fn evidence(&self, request: &AccessRequest, snapshot: &Snapshot) -> Result<Evidence, Refused> {
        let (roster, now) = (self.keeper.current(), SystemEnv.now());
        let statement = request.statement.as_slice().to_vec();
        let asked = Signed::from_bytes(&statement)
            .and_then(|signed| Asked::verify(&signed, &roster, now))
            .map_err(|error| Refused::new(403, "Refused", error.to_string()))?;
        let approvals = writ_access::decision::evidence(snapshot, &roster, &asked, now);
        Ok(Evidence { request: statement, approvals })
    }

    /// Asks keyd; the inner error is its refusal, which it has put on record.
    async fn sign(&self, asked: OrderRun) -> Result<Result<OrderedRun, Refused>, Refused> {
        let away = |why: &str| Refused::new(503, "Unavailable", format!("keyd: {why}"));
        match self.pipeline.keyd.call(&Command::RunOrder(Box::new(asked))).await {
            Ok(Answer::Carried(Reply::Ordered(ordered))) => Ok(Ok(*ordered)),
            Ok(Answer::Refused(Refusal::Forbidden(why))) => {
                Ok(Err(Refused::new(403, "Refused", format!("keyd refuses it: {why}"))))
            }
            Ok(Answer::Refused(Refusal::Unavailable(why))) => Ok(Err(away(&why))),
            Ok(_) => Err(away("it gave no order")),
            Err(error) => Err(away(&error.to_string())),
        }
    }

    /// One commit: the run, its event with keyd's record, and what its customers are told.
    async fn store(
        &self,
        run: &Run,
        ordered: &OrderedRun,
        event_id: Uuid,
        from: Option<&Request>,
        snapshot: &Snapshot,
    ) -> Result<(), Refused> {
        let mut shown = of_run(run);
        shown.push(("orderDigest", writ_proof::hash::sha256(&ordered.order.order).to_string()));
        shown.push(("notAfter", run.not_after.iso()));
        shown.push(("bits", run.bits.to_string()));
        let call = Call {
            event_id,
            request_parameters: platform::parameters(&shown),
            use_position: Some(ordered.position),
            ..self.call("OrderRun", from)
        };
        let event = platform::outbox(&call).map_err(|error| internal(&error))?;
        let mut transaction = Transaction::new(PRINCIPAL, call.request_id, event);
        let own = vec![("notAfter", run.not_after.iso())];
        let told = self.customers("OperatorRunbookOrdered", run, &own, snapshot)?;
        transaction.records.extend(self.fit(told).await?);
        self.commit(transaction.create(Object::new(AccountId::PLATFORM, run.clone()))).await
    }

    /// What customers are told of a run, each in their own log.
    pub(super) fn customers(
        &self,
        name: &str,
        run: &Run,
        own: &[(&'static str, String)],
        snapshot: &Snapshot,
    ) -> Result<Vec<OutboxRecord>, Refused> {
        let key = run.request.to_string();
        let Some(grant) = snapshot.get::<AccessGrant>(AccountId::PLATFORM, &key) else {
            return Ok(Vec::new());
        };
        let request_id = Uuid::random(&SystemEnv);
        let one = |account: AccountId| {
            let mut shown = vec![
                ("operator", pseudonym(&self.platform.site, &run.person)),
                ("runId", run.id.to_string()),
                ("runbook", run.runbook.clone()),
                ("version", run.version.to_string()),
                ("entryDigest", run.entry.clone()),
                ("hostName", run.host.clone()),
                ("accessRequestId", run.request.to_string()),
                ("accessRequestDigest", grant.digest.clone()),
            ];
            shown.extend(own.iter().cloned());
            self.platform.record(account, (SOURCE, name), &shown, request_id, None)
        };
        let all: Result<Vec<_>, _> = tell::told(grant, snapshot).into_iter().map(one).collect();
        all.map_err(|error| internal(&error))
    }

    pub(super) async fn fit(&self, told: Vec<OutboxRecord>) -> Result<Vec<OutboxRecord>, Refused> {
        ends::fit_beside(&self.pipeline, told).await.map_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "customers could not be told of a run");
            Refused::new(503, "Unavailable", "the ledger does not answer; send it again")
        })
    }

    pub(super) fn call<'a>(&'a self, name: &'a str, from: Option<&'a Request>) -> Call<'a> {
        match from {
            Some(from) => self.platform.asked(from, SOURCE, name),
            None => self.platform.call(SOURCE, name),
        }
    }

    /// The event of an order that keyd has refused, under the id by which keyd knows it.
    async fn told_order(
        &self,
        event_id: Uuid,
        shown: &[(&str, String)],
        refused: &Refused,
        from: Option<&Request>,
    ) -> Result<(), Refused> {
        let item = platform::item(&Call {
            event_id,
            error: Some((refused.code, refused.message.as_str())),
            request_parameters: platform::parameters(shown),
            ..self.call("OrderRun", from)
        });
        let item = item.map_err(|error| internal(&error))?;
        self.pipeline.trail.append(vec![item]).await.map(|_| ()).map_err(|error| {
            tracing::warn!(%error, "the ledger did not take the refusal of an order");
            Refused::new(503, "Unavailable", "the ledger does not answer; send it again")
        })
    }
}

/// A request for a runbook, as stored and as signed.
pub(super) fn asked(
    snapshot: &Snapshot,
    id: Ulid,
) -> Result<(&AccessRequest, Arc<Statement>), Refused> {
    let found = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id.to_string());
    let entry = found
        .ok_or_else(|| Refused::new(404, "NotFound", format!("there is no request `{id}`")))?;
    match &entry.derived {
        Some(statement) if statement.scope.runbook().is_some() => {
            Ok((&*entry.value, Arc::clone(statement)))
        }
        _ => Err(Refused::new(409, "NoRunbook", format!("`{id}` does not ask for a runbook"))),
    }
}

/// The runs of a request.
pub(in crate::front) fn runs_of(snapshot: &Snapshot, id: Ulid) -> Vec<Run> {
    let all = writ_access::runbook::runs(snapshot, SystemEnv.now());
    all.filter(|run| run.request == id).cloned().collect()
}

fn found<'s>(snapshot: &'s Snapshot, statement: &Statement) -> Result<&'s Runbook, Refused> {
    let scope = statement.scope.runbook();
    let found = scope
        .and_then(|run| writ_access::runbook::find(snapshot, run.runbook.as_str(), run.version));
    found.ok_or_else(|| Refused::new(404, "NotFound", "the catalogue does not have it"))
}

fn not_after(order: &SignedOrder) -> Result<writ_model::Timestamp, Refused> {
    let read: Result<writ_proof::runbook::RunOrder, _> = cbor::from_slice(&order.order);
    read.map(|order| order.not_after)
        .map_err(|_| Refused::new(500, "Internal", "keyd's order cannot be read"))
}
