//! What hosts ask and tell: the next order, that it begins, whether it goes on, how it ended.

use std::time::Duration;

use writ_access::{GrantState, state};
use writ_console::caller::caller;
use writ_model::{AccountId, Env as _, SystemEnv, Ulid};
use writ_proof::hash::sha256;
use writ_proof::roster::HostName;
use writ_proof::runbook::{Ended, Entry};
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Request};
use writ_store::state::{AccessGrant, Run, RunEnd, Runbook};
use writ_store::{Object, Snapshot, Transaction};
use writ_trail::record::Call;

use super::super::access::internal;
use super::super::platform::{self, PRINCIPAL};
use super::{Runs, of_run, run_of, waits};

/// The namespace of what a host asks and tells.
pub const RUN: &str = "run@writ";
/// How long a host that asks for an order is kept waiting for one.
const HOLD: Duration = Duration::from_secs(10);

impl Runs {
    /// The host whose own key of the roster signed the request; it names itself in the path.
    pub(super) fn host(&self, name: &str, request: &Request) -> Result<HostName, String> {
        let caller = caller(request, RUN, SystemEnv.now())?;
        let name: HostName = name.parse().map_err(|_| "it names no host".to_owned())?;
        let roster = self.keeper.current();
        match roster.host(&name) {
            Some(host) if host.key == caller.key => Ok(name),
            _ => Err(format!("the key that signed is not that of a host `{name}` of the roster")),
        }
    }

    /// The oldest order that waits for a host, and its entry; `None` if there is none for a while.
    pub(super) async fn next(&self, host: &HostName) -> Result<Option<(Run, Vec<u8>)>, Refused> {
        let mut changes = self.ordered.subscribe();
        let until = SystemEnv.monotonic() + HOLD;
        loop {
            let (snapshot, now) = (self.pipeline.store.snapshot(), SystemEnv.now());
            let mut all = writ_access::runbook::runs(&snapshot, now);
            if let Some(run) = all.find(|run| run.host == host.as_str() && waits(run, now)) {
                let (_, signed) = entry(&snapshot, run)?;
                return Ok(Some((run.clone(), signed.body().to_vec())));
            }
            let left = until.saturating_sub(SystemEnv.monotonic());
            if left.is_zero() || tokio::time::timeout(left, changes.changed()).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// A host is about to begin. When it answers, the ledger has it.
    pub(super) async fn begin(
        &self,
        id: Ulid,
        host: &HostName,
        from: &Request,
    ) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let snapshot = self.settled().await?;
        let run = own(&snapshot, id, host)?;
        if !waits(run, SystemEnv.now()) || !self.goes_on(&snapshot, run) {
            let text = "the run has begun, is over, or its grant has ended";
            return Err(Refused::new(409, "Over", text));
        }
        let run = Run { started: Some(SystemEnv.now()), ..run.clone() };
        let event = self.asked("StartRun", &of_run(&run), from)?;
        let transaction = Transaction::new(PRINCIPAL, writ_model::Uuid::random(&SystemEnv), event);
        self.commit(transaction.put(Object::new(AccountId::PLATFORM, run))).await
    }

    /// True while a run may go on: its grant has not ended, and its entry was not withdrawn.
    pub(super) fn goes_on(&self, snapshot: &Snapshot, run: &Run) -> bool {
        let key = run.request.to_string();
        let grant = snapshot.get::<AccessGrant>(AccountId::PLATFORM, &key);
        let live = grant.is_some_and(|grant| state(grant, SystemEnv.now()) == GrantState::Live);
        let known = writ_access::runbook::find(snapshot, &run.runbook, run.version);
        live && run.ended.is_none() && known.is_some_and(|known| known.withdrawn.is_none())
    }

    /// Whether a host's run goes on.
    pub(super) fn asks(&self, id: Ulid, host: &HostName) -> Result<bool, Refused> {
        let snapshot = self.access.state();
        let run = own(&snapshot, id, host)?;
        Ok(self.goes_on(&snapshot, run))
    }

    /// A host tells how its run ended.
    pub(super) async fn tells(
        &self,
        id: Ulid,
        host: &HostName,
        told: &Ended,
        from: &Request,
    ) -> Result<(), Refused> {
        let snapshot = self.pipeline.store.snapshot();
        own(&snapshot, id, host)?;
        let judged = |run: &Run, snapshot: &Snapshot| {
            let (entry, _) = entry(snapshot, run)?;
            Ok(writ_access::runbook::ended(told, &entry, SystemEnv.now()))
        };
        self.finish(id, judged, Some(from)).await
    }

    /// Ends a run; what has ended is not ended again.
    pub(super) async fn finish(
        &self,
        id: Ulid,
        how: impl FnOnce(&Run, &Snapshot) -> Result<RunEnd, Refused>,
        from: Option<&Request>,
    ) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let snapshot = self.settled().await?;
        let run = run_of(&snapshot, id)?;
        if run.ended.is_some() {
            return Ok(());
        }
        let end = how(run, &snapshot)?;
        let mut result = vec![("outcome", end.outcome.clone())];
        result.extend(end.cause.clone().map(|cause| ("cause", cause)));
        result.extend(end.field.clone().map(|field| ("field", field)));
        let digest = end.answer.as_ref().map(|answer| sha256(answer.as_bytes()).to_string());
        result.extend(digest.map(|digest| ("answerDigest", digest)));
        let run = Run { ended: Some(end), ..run.clone() };
        let shown: Vec<_> = of_run(&run).into_iter().chain(result.clone()).collect();
        let call = Call {
            request_parameters: platform::parameters(&shown),
            ..self.call("FinishRun", from)
        };
        let event = platform::outbox(&call).map_err(|error| internal(&error))?;
        let mut transaction = Transaction::new(PRINCIPAL, call.request_id, event);
        let told = self.customers("OperatorRunbookFinished", &run, &result, &snapshot)?;
        transaction.records.extend(self.fit(told).await?);
        self.commit(transaction.put(Object::new(AccountId::PLATFORM, run))).await
    }
}

/// The run of this id, if it is the host's.
fn own<'s>(snapshot: &'s Snapshot, id: Ulid, host: &HostName) -> Result<&'s Run, Refused> {
    let run = run_of(snapshot, id)?;
    if run.host == host.as_str() {
        return Ok(run);
    }
    Err(Refused::new(404, "NotFound", format!("there is no run `{id}` of `{host}`")))
}

/// The entry of a run, as people signed it. It may have been withdrawn since, or its signers may have left: what it may
/// answer is the same.
fn entry(snapshot: &Snapshot, run: &Run) -> Result<(Entry, Signed), Refused> {
    let known = writ_access::runbook::find(snapshot, &run.runbook, run.version);
    let read = known.and_then(read);
    read.ok_or_else(|| Refused::new(500, "Internal", "the stored entry cannot be read"))
}

fn read(known: &Runbook) -> Option<(Entry, Signed)> {
    let signed = Signed::from_bytes(known.statement.as_slice()).ok()?;
    Some((writ_proof::cbor::from_slice(signed.body()).ok()?, signed))
}
