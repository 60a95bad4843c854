//! The path of one request: classify, have the signature verified, decide, carry out, record, reply.
//!
//! **A reply is held for the ledger here**: [`Pipeline::handle`] returns only after trail has
//! acknowledged the record, or turns the answer into a retryable error.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, Notify, RwLock, RwLockWriteGuard, Semaphore};
use writ_aws::classify::{self, Classified};
use writ_aws::sigv4::{self, RawRequest};
use writ_aws::{ApiError, Operation, Service, Value};
use writ_keyd_client::caller::Caller;
use writ_keyd_client::client::CallError;
use writ_keyd_client::protocol::{
    Answer, Authenticate, Authenticated, Command, Forwarded, Payload, Refusal, Reply as KeydReply,
};
use writ_model::{AccessKeyId, AccountId, Env, Region, Revision, Uuid};
use writ_proof::append::AppendItem;
use writ_proof::origin::SiteId;
use writ_store::{OutboxRecord, RecordKind, Store, StoreError, Transaction};
use writ_trail::client::TrailClient;
use writ_trail::record::{Record, mark_reply_lost};

use crate::api::Api;
use crate::call::{Call, Changes, KeydClient, Outcome};
use crate::error::{refused, unanswered};
use crate::http::{Reply, Request};
use crate::limits::{IN_FLIGHT_MAX, OWED_RECORDS_MAX, REQUEST_TIMEOUT, SIGNATURE_STEP};
use crate::live;
use crate::protocol;
use crate::record::{Refused, StrangerLimit, of_call};
use crate::task;

/// Mutations of accounts that share a lock wait for each other; enough that few do.
const LOCKS: usize = 256;

/// The header by which a client says, and a reply tells, which revision has been seen.
const REVISION_HEADER: &str = "x-writ-revision";

/// Everything that the request path needs.
pub struct Pipeline {
    /// The state. front alone opens it.
    pub store: Store,
    /// The key module.
    pub keyd: KeydClient,
    /// The ledger.
    pub trail: TrailClient,
    /// The installation's name in the ledger.
    pub site: SiteId,
    /// The regions served; the first is home.
    pub regions: Arc<[Region]>,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    services: HashMap<Service, Arc<dyn Api>>,
    strangers: StrangerLimit,
    broken: Notify,
    /// Records of uses that the ledger did not take yet.
    owed: std::sync::Mutex<Vec<AppendItem>>,
    in_flight: Semaphore,
    locks: Vec<Mutex<()>>,
    /// Held for reading by each mutation from its snapshot to its commit.
    mutations: RwLock<()>,
    ahead: Notify,
}

/// What an authenticated request is, before its operation is carried out.
pub(crate) struct Admitted {
    pub(crate) operation: &'static Operation,
    pub(crate) authenticated: Authenticated,
    pub(crate) request_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) region: Region,
    pub(crate) network: writ_keyd_client::protocol::Network,
    pub(crate) user_agent: Option<String>,
    pub(crate) referer: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) input: Result<Value, ApiError>,
}

/// What came of an admitted request, durable in the ledger.
pub(crate) type Finished = Result<Outcome, ApiError>;

impl Pipeline {
    /// A pipeline with these services.
    pub fn new(
        store: Store,
        keyd: KeydClient,
        trail: TrailClient,
        site: SiteId,
        regions: Arc<[Region]>,
        env: Arc<dyn Env>,
        services: Vec<Arc<dyn Api>>,
    ) -> Pipeline {
        Pipeline {
            store,
            keyd,
            trail,
            site,
            regions,
            env,
            services: services.into_iter().map(|service| (service.service(), service)).collect(),
            strangers: StrangerLimit::default(),
            broken: Notify::new(),
            owed: std::sync::Mutex::default(),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            mutations: RwLock::new(()),
            ahead: Notify::new(),
        }
    }

    /// Answers one request. The answer's record is in the ledger when this returns, or the answer is a
    /// retryable error. The work is a task of its own: what has begun ends with its record, also when
    /// the client hangs up or the time is over.
    pub async fn handle(self: &Arc<Pipeline>, request: Request) -> Reply {
        let request_id = Uuid::random(&*self.env);
        let service = protocol::likely_service(&request).unwrap_or(Service::Sts);
        let pipeline = Arc::clone(self);
        let work = task::guarded("request", async move {
            let Ok(_slot) = pipeline.in_flight.try_acquire() else {
                // Refused before anything ran: the record would only add to the load.
                let error = ApiError::throttled(service);
                return protocol::encode_error(Some(service), &error, request_id);
            };
            pipeline.answer(request, request_id).await
        });
        let error = match tokio::time::timeout(REQUEST_TIMEOUT, work).await {
            Ok(Some(reply)) => return reply,
            Ok(None) => ApiError::internal(service),
            Err(_) => ApiError::service_unavailable(service),
        };
        protocol::encode_error(Some(service), &error, request_id)
    }

    /// Answers a request whose body could not be taken; `head` has none. It counts as a stranger's,
    /// since a signature covers the body, and is recorded as such.
    pub async fn unread(&self, head: Request, error: ApiError) -> Reply {
        let (request_id, event_id) = (Uuid::random(&*self.env), Uuid::random(&*self.env));
        let Some(home) = self.regions.first() else {
            return protocol::encode_error(None, &error, request_id);
        };
        let arrived = Arrived::read(head, &self.regions, home, request_id, event_id);
        let refused = arrived.refused(&self.site, None, &error);
        self.refuse(Some(arrived.service), refused).await
    }

    async fn answer(&self, request: Request, request_id: Uuid) -> Reply {
        let Some(home) = self.regions.first() else {
            let error = ApiError::internal(Service::Sts);
            return protocol::encode_error(None, &error, request_id);
        };
        let event_id = Uuid::random(&*self.env);
        let arrived = Arrived::read(request, &self.regions, home, request_id, event_id);
        let authenticated = match self.authenticate(&arrived).await {
            Ok(authenticated) => authenticated,
            Err(unproven) => {
                let refused =
                    arrived.refused(&self.site, unproven.caller.as_ref(), &unproven.error);
                return self.refuse(Some(arrived.service), refused).await;
            }
        };
        let operation = match &arrived.found {
            Ok(Classified { operation: Some(operation), .. }) => *operation,
            other => {
                let error = match other {
                    Ok(found) => ApiError::not_implemented(arrived.service, found.name),
                    Err(error) => error.clone(),
                };
                let refused = arrived.refused(&self.site, Some(&authenticated.caller), &error);
                return self.refuse(Some(arrived.service), refused).await;
            }
        };
        let service = arrived.service;
        let request = &arrived.request;
        let admitted = Admitted {
            operation,
            authenticated,
            request_id,
            event_id,
            user_agent: request.header("user-agent").map(str::to_owned),
            referer: request.header("referer").map(str::to_owned),
            host: request.header("host").map(str::to_owned),
            input: self.decode(operation, request).await,
            region: arrived.region,
            network: arrived.request.network,
        };
        let reply = match self.finish(admitted).await {
            Ok(outcome) => protocol::encode(operation, &outcome.reply, request_id),
            Err(error) => protocol::encode_error(Some(service), &error, request_id),
        };
        reply.with(REVISION_HEADER, self.store.snapshot().revision().to_string())
    }

    /// The parameters, once this node has reached the revision that the client has seen elsewhere.
    async fn decode(
        &self,
        operation: &'static Operation,
        request: &Request,
    ) -> Result<Value, ApiError> {
        if let Some(seen) = request.header(REVISION_HEADER) {
            let seen = seen.parse().map(Revision).map_err(|_| {
                ApiError::validation(operation.service, "x-writ-revision is not a revision")
            })?;
            let reached = self.store.wait_for(seen).await;
            reached.map_err(|_| ApiError::service_unavailable(operation.service))?;
        }
        protocol::decode(operation, request)
    }

    /// **Here a signature is checked**: by keyd, over the bytes as they came.
    async fn authenticate(&self, arrived: &Arrived) -> Result<Authenticated, Box<Unproven>> {
        let request = &arrived.request;
        let authenticate = Authenticate {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            payload: Payload::Body(request.body.clone()),
            credential: arrived.claim.as_ref().and_then(|claim| self.credential(claim)),
            network: request.network.clone(),
            request_id: arrived.request_id,
            event_id: arrived.event_id,
            region: arrived.region.clone(),
        };
        let answer = self.keyd.call(&Command::Authenticate(Box::new(authenticate))).await;
        if matches!(answer, Ok(Answer::Refused(Refusal::Repeated(_)))) {
            self.outlast_second(arrived).await;
        }
        admission(arrived.service, answer)
    }

    /// Waits until the second in which the request was signed is over: a client that then signs again
    /// has another date, and its first retry succeeds.
    async fn outlast_second(&self, arrived: &Arrived) {
        let Some(claim) = &arrived.claim else { return };
        let left = claim.signed_at.plus(SIGNATURE_STEP).since(self.env.now());
        tokio::time::sleep(left.min(SIGNATURE_STEP)).await;
    }

    /// Carries out an admitted request and waits until its record is in the ledger.
    pub(crate) async fn finish(&self, admitted: Admitted) -> Finished {
        let Admitted { operation, authenticated, input, .. } = admitted;
        let service = operation.service;
        let internal = || ApiError::internal(service);
        let api = self.services.get(&service).ok_or_else(internal)?;
        let _turn = match operation.read_only {
            true => None,
            false => {
                let turn = self.lock(authenticated.caller.account)?.lock().await;
                Some((turn, self.mutations.read().await))
            }
        };
        let (network, user_agent, referer) = match &authenticated.forwarded {
            Some(Forwarded { network, user_agent, referer, .. }) => {
                (network.clone(), user_agent.clone(), referer.clone())
            }
            None => (admitted.network, admitted.user_agent, admitted.referer),
        };
        let call = Call {
            operation,
            caller: authenticated.caller,
            handle: authenticated.handle,
            forwarded: authenticated.forwarded,
            network,
            user_agent,
            referer,
            host: admitted.host,
            snapshot: self.store.snapshot(),
            region: admitted.region,
            regions: Arc::clone(&self.regions),
            now: self.env.now(),
            request_id: admitted.request_id,
            event_id: admitted.event_id,
            env: Arc::clone(&self.env),
            keyd: self.keyd.clone(),
            trail: self.trail.clone(),
            sealed: AtomicBool::new(false),
        };
        // Whoever waited for a revision or for the turn may have been shut out meanwhile.
        let alive = live::check(service, &call.caller, &call.snapshot, call.now);
        let (input, result) = match (alive, input) {
            (Ok(()), Ok(input)) => {
                let shown = input.clone();
                (shown, api.execute(&call, input).await)
            }
            (Ok(()), Err(error)) => (Value::empty(), Err(error)),
            (Err(ended), input) => (input.unwrap_or_else(|_| Value::empty()), Err(ended)),
        };
        self.record(&call, &input, result).await
    }

    /// Makes the change, if there is one, and returns once the call's record is in the ledger.
    async fn record(
        &self,
        call: &Call,
        input: &Value,
        result: Result<Outcome, ApiError>,
    ) -> Finished {
        let operation = call.operation;
        let internal = || ApiError::internal(operation.service);
        let records = of_call(call, &self.site, input, &result);
        let records = records.map_err(|error| {
            tracing::error!(%error, operation = operation.name, "a call cannot be recorded");
            internal()
        })?;
        match result {
            Ok(Outcome { changes: Some(changes), reply, audit, sealed }) => {
                if let Err(Uncommitted { error, nothing_happened }) =
                    self.commit(call, changes, records).await
                {
                    self.note_ahead(call);
                    return match nothing_happened {
                        true => Err(self.failed(call, input, error).await),
                        false => Err(error),
                    };
                }
                Ok(Outcome { changes: None, reply, audit, sealed })
            }
            result => {
                if result.is_err() {
                    self.note_ahead(call);
                }
                self.append(operation.service, records).await?;
                result
            }
        }
    }

    async fn commit(
        &self,
        call: &Call,
        changes: Changes,
        records: Vec<Record>,
    ) -> Result<(), Uncommitted> {
        let service = call.operation.service;
        for end in &changes.ends {
            let error = match self.keyd.call(&Command::End(end.clone())).await {
                Ok(Answer::Carried(_)) => continue,
                Ok(Answer::Refused(refusal)) => refused(service, &refusal),
                Err(error) => unanswered(service, &error),
            };
            return Err(Uncommitted { error, nothing_happened: true });
        }
        let transaction = Transaction {
            preconditions: changes.preconditions,
            puts: changes.puts,
            deletes: changes.deletes,
            endings: !changes.ends.is_empty(),
            actor: call.caller.arn.to_string(),
            request_id: call.request_id,
            records: records.into_iter().map(outbox).chain(changes.told).collect(),
        };
        self.store.commit(transaction).await.map(|_| ()).map_err(|error| {
            if matches!(error, StoreError::Corrupt { .. } | StoreError::Sqlite(_)) {
                self.broken.notify_one();
            }
            uncommitted(service, &error)
        })
    }

    /// Commits what this process does by itself, beside requests. What fails for good is noticed as it
    /// is for requests.
    ///
    /// # Errors
    /// What the store says.
    pub async fn commit_own(&self, transaction: Transaction) -> Result<(), StoreError> {
        let committed = self.store.commit(transaction).await;
        if let Err(StoreError::Corrupt { .. } | StoreError::Sqlite(_)) = &committed {
            self.broken.notify_one();
        }
        committed.map(|_| ())
    }

    /// Waits until the state database has failed in a way that only opening it anew can mend.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    /// Records a mutation that came to nothing after all. Where the outcome is unknown nothing is
    /// written: the record that is in the store with the change goes to the ledger with it.
    async fn failed(&self, call: &Call, input: &Value, error: ApiError) -> ApiError {
        let service = call.operation.service;
        let result = Err(error);
        let recorded = match of_call(call, &self.site, input, &result) {
            Ok(records) => self.append(service, records).await.err(),
            Err(_) => Some(ApiError::internal(service)),
        };
        match (recorded, result) {
            (Some(error), _) | (None, Err(error)) => error,
            (None, Ok(_)) => ApiError::internal(service),
        }
    }

    /// A call that failed after it spoke of sealing may have left keyd ahead of the store.
    fn note_ahead(&self, call: &Call) {
        if call.sealed.load(Ordering::Relaxed) {
            self.ahead.notify_one();
        }
    }

    /// Waits until keyd may have sealed something that the store does not hold.
    pub async fn keyd_ahead(&self) {
        self.ahead.notified().await;
    }

    /// Waits for the mutations in work and holds back others as long as the guard lives.
    pub async fn hold_mutations(&self) -> RwLockWriteGuard<'_, ()> {
        self.mutations.write().await
    }

    async fn append(&self, service: Service, records: Vec<Record>) -> Result<(), ApiError> {
        let items: Vec<AppendItem> =
            records.into_iter().map(|record| record.into_item(None)).collect();
        // keyd has its own record of what it did, so the event of a use must come, if late.
        let owed: Vec<AppendItem> =
            items.iter().filter(|item| item.use_position.is_some()).cloned().collect();
        self.trail.append(items).await.map(|_| ()).map_err(|error| {
            tracing::warn!(%error, "the ledger did not take a record");
            self.owe(owed);
            ApiError::service_unavailable(service)
        })
    }

    /// Keeps records of uses whose callers were answered with an error, to be appended later.
    fn owe(&self, items: Vec<AppendItem>) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        for mut item in items {
            if owed.len() >= OWED_RECORDS_MAX {
                tracing::error!(event = %item.event_id, "the event of a use is lost");
                continue;
            }
            match mark_reply_lost(&item.record) {
                Ok(record) => item.record = record,
                Err(error) => tracing::error!(%error, "a record cannot be marked"),
            }
            owed.push(item);
        }
    }

    /// Appends the records that are owed, if the ledger takes them now. Call it every so often.
    pub async fn append_owed(&self) {
        let items = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        if items.is_empty() {
            return;
        }
        // Appending is idempotent: what did arrive the first time is not appended twice.
        if self.trail.append(items.clone()).await.is_err() {
            self.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(items);
        }
    }

    /// Records a refusal and answers it. A stranger's goes to the operator log, within a rate.
    pub(crate) async fn refuse(&self, service: Option<Service>, refused: Refused<'_>) -> Reply {
        let request_id = refused.request_id;
        let known = refused.caller.is_some();
        if !known && !self.strangers.admit(self.env.now()) {
            return protocol::encode_error(service, refused.error, request_id);
        }
        let appended = match refused.records(&*self.env) {
            Ok(records) => self.append(service.unwrap_or(Service::Sts), records).await,
            Err(error) => {
                tracing::error!(%error, "a refusal cannot be recorded");
                Err(ApiError::internal(service.unwrap_or(Service::Sts)))
            }
        };
        let error = appended.err();
        protocol::encode_error(service, error.as_ref().unwrap_or(refused.error), request_id)
    }

    /// What the store holds for the key that signed: the wrapped credential, or the session token.
    fn credential(&self, claim: &sigv4::Claim) -> Option<Vec<u8>> {
        if let Some(token) = &claim.session_token {
            return Some(token.as_bytes().to_vec());
        }
        let id: AccessKeyId = claim.access_key_id.parse().ok()?;
        let snapshot = self.store.snapshot();
        let (_, key) = snapshot.access_key(&id)?;
        Some(key.wrapped.as_slice().to_vec())
    }

    fn lock(&self, account: AccountId) -> Result<&Mutex<()>, ApiError> {
        let at = usize::try_from(account.number() % LOCKS as u64).unwrap_or(0);
        self.locks.get(at).ok_or_else(|| ApiError::internal(Service::Sts))
    }

    /// Unauthenticated calls whose records were dropped, for the metrics.
    pub fn dropped_strangers(&self) -> u64 {
        self.strangers.dropped()
    }
}

/// A commit that was not acknowledged.
struct Uncommitted {
    error: ApiError,
    /// True if it is certain that nothing was stored.
    nothing_happened: bool,
}

/// A request that nobody has vouched for yet, with what its bytes say.
struct Arrived {
    request: Request,
    claim: Option<sigv4::Claim>,
    region: Region,
    service: Service,
    found: Result<Classified, ApiError>,
    request_id: Uuid,
    event_id: Uuid,
}

impl Arrived {
    fn read(
        request: Request,
        regions: &[Region],
        home: &Region,
        request_id: Uuid,
        event_id: Uuid,
    ) -> Arrived {
        let raw = RawRequest {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
        };
        // A signature that cannot be read is keyd's to refuse, in AWS's words.
        let claim = sigv4::parse(&raw).ok().flatten();
        let scope = claim.as_ref().map(|claim| &claim.scope);
        let region = scope.map(|scope| &scope.region).filter(|region| regions.contains(region));
        let region = region.unwrap_or(home).clone();
        let asked = classify::Request {
            method: &request.method,
            host: request.header("host").unwrap_or_default(),
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
            scope_service: scope.map(|scope| scope.service.as_str()),
            s3_domain: None,
        };
        let (service, found) = match classify::classify(&asked) {
            Ok(found) => (found.service, Ok(found)),
            Err(error) => {
                let (service, error) = error.to_api_error();
                (service, Err(error))
            }
        };
        Arrived { request, claim, region, service, found, request_id, event_id }
    }

    /// The record of its refusal.
    fn refused<'a>(
        &'a self,
        site: &'a SiteId,
        caller: Option<&'a Caller>,
        error: &'a ApiError,
    ) -> Refused<'a> {
        let found = self.found.as_ref().ok();
        Refused {
            site,
            caller,
            access_key_id: self.claim.as_ref().and_then(|claim| claim.access_key_id.parse().ok()),
            event_source: self.service.event_source(),
            event_name: found.map_or("Unknown", |found| found.name),
            operation: found.and_then(|found| found.operation),
            region: &self.region,
            network: &self.request.network,
            user_agent: self.request.header("user-agent"),
            host: self.request.header("host"),
            error,
            request_id: self.request_id,
            event_id: self.event_id,
            forwarded: None,
        }
    }
}

/// Why keyd did not vouch for a request.
pub(crate) struct Unproven {
    /// The answer.
    pub(crate) error: ApiError,
    /// Who it was, where the signature itself was right.
    pub(crate) caller: Option<Caller>,
}

/// keyd's answer to `Authenticate` or `Present`.
pub(crate) fn admission(
    service: Service,
    answer: Result<Answer, CallError>,
) -> Result<Authenticated, Box<Unproven>> {
    match answer {
        Ok(Answer::Carried(KeydReply::Authenticated(authenticated))) => Ok(*authenticated),
        Ok(Answer::Carried(_)) => {
            Err(Box::new(Unproven { error: ApiError::internal(service), caller: None }))
        }
        Ok(Answer::Refused(refusal)) => {
            let caller = match &refusal {
                Refusal::Aws(refusal) => refusal.caller.clone(),
                Refusal::Repeated(caller) => Some(Caller::clone(caller)),
                Refusal::Forbidden(_) | Refusal::Unavailable(_) => None,
            };
            Err(Box::new(Unproven { error: refused(service, &refusal), caller }))
        }
        Err(error) => Err(Box::new(Unproven { error: unanswered(service, &error), caller: None })),
    }
}

fn outbox(record: Record) -> OutboxRecord {
    OutboxRecord {
        event_id: record.event_id,
        kind: RecordKind::Event,
        logs: vec![record.log],
        use_position: record.use_position,
        record: record.json,
    }
}

fn uncommitted(service: Service, error: &StoreError) -> Uncommitted {
    Uncommitted {
        nothing_happened: matches!(
            error,
            StoreError::Conflict { .. }
                | StoreError::Full { .. }
                | StoreError::Invalid { .. }
                | StoreError::NotTaken { .. }
                | StoreError::TooLarge { .. }
        ),
        error: store_error(service, error),
    }
}

fn store_error(service: Service, error: &StoreError) -> ApiError {
    tracing::warn!(%error, "a commit failed");
    match error {
        StoreError::Conflict { .. } if service == Service::Iam => ApiError::modelled(
            service,
            "ConcurrentModification",
            "The request was rejected because multiple requests to change this object were \
             submitted simultaneously. Wait a few minutes and submit your request again.",
        ),
        StoreError::TooLarge { .. } | StoreError::Invalid { .. } => ApiError::internal(service),
        _ => ApiError::service_unavailable(service),
    }
}
