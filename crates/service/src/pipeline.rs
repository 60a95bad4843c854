//! The path of one request: classify, have the signature verified, decide, carry out, record, reply.
//!
//! **A reply is held for the ledger here**: [`Pipeline::handle`] returns only after trail has
//! acknowledged the record, or turns the answer into a retryable error.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};
use writ_aws::classify::{self, Classified};
use writ_aws::sigv4::{self, RawRequest};
use writ_aws::{ApiError, Operation, Service, Value};
use writ_keyd_client::protocol::{
    Answer, Authenticate, Authenticated, Command, Payload, Refusal, Reply as KeydReply,
};
use writ_model::{AccessKeyId, AccountId, Env, Region, Uuid};
use writ_proof::origin::SiteId;
use writ_store::{OutboxRecord, Store, StoreError, Transaction};
use writ_trail::client::TrailClient;
use writ_trail::record::Record;

use crate::api::Api;
use crate::call::{Call, Changes, KeydClient, Outcome};
use crate::error::{refused, unanswered};
use crate::http::{Reply, Request};
use crate::limits::{IN_FLIGHT_MAX, REQUEST_TIMEOUT};
use crate::record::{Refused, StrangerLimit, of_call};
use crate::protocol;

/// Mutations of accounts that share a lock wait for each other; enough that few do.
const LOCKS: usize = 256;

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
    in_flight: Semaphore,
    locks: Vec<Mutex<()>>,
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
    pub(crate) input: Result<Value, ApiError>,
}

/// The answer to a request that names no operation of ours, in the form of this service.
type Unclassified = (Service, ApiError);

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
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Answers one request. The answer's record is in the ledger when this returns.
    pub async fn handle(&self, request: Request) -> Reply {
        let request_id = Uuid::random(&*self.env);
        let Ok(_slot) = self.in_flight.try_acquire() else {
            // Refused before anything ran: the record would only add to the load.
            let error = ApiError::throttled(Service::Sts);
            return protocol::encode_error(None, &error, request_id);
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, self.answer(request, request_id)).await {
            Ok(reply) => reply,
            Err(_) => {
                let error = ApiError::service_unavailable(Service::Sts);
                protocol::encode_error(None, &error, request_id)
            }
        }
    }

    async fn answer(&self, request: Request, request_id: Uuid) -> Reply {
        let event_id = Uuid::random(&*self.env);
        let raw = RawRequest {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
        };
        let claim = sigv4::parse(&raw).ok().flatten();
        let scope = claim.as_ref().map(|claim| claim.scope.clone());
        let region = scope
            .as_ref()
            .map(|scope| scope.region.clone())
            .filter(|region| self.regions.contains(region))
            .or_else(|| self.regions.first().cloned());
        let Some(region) = region else {
            let error = ApiError::internal(Service::Sts);
            return protocol::encode_error(None, &error, request_id);
        };
        let service = scope.as_ref().map(|scope| scope.service.as_str());
        let found = classify_request(&request, service);
        let access_key_id = claim.as_ref().and_then(|claim| claim.access_key_id.parse().ok());
        let credential = claim.as_ref().and_then(|claim| self.credential(claim));
        let authenticate = Authenticate {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            payload: Payload::Body(request.body.clone()),
            credential,
            network: request.network.clone(),
            request_id,
            event_id,
            region: region.clone(),
        };
        let service = Some(match &found {
            Ok(found) => found.service,
            Err((service, _)) => *service,
        });
        let answer = self.keyd.call(&Command::Authenticate(Box::new(authenticate))).await;
        let authenticated = match answer {
            Ok(Answer::Carried(KeydReply::Authenticated(authenticated))) => *authenticated,
            other => {
                let (error, caller) = match other {
                    Ok(Answer::Refused(refusal)) => {
                        let caller = match &refusal {
                            Refusal::Aws(refusal) => refusal.caller.clone(),
                            _ => None,
                        };
                        (refused(service.unwrap_or(Service::Sts), &refusal), caller)
                    }
                    Ok(_) => (ApiError::internal(service.unwrap_or(Service::Sts)), None),
                    Err(error) => (unanswered(service.unwrap_or(Service::Sts), &error), None),
                };
                let refused = Refused {
                    site: &self.site,
                    caller: caller.as_ref(),
                    access_key_id: access_key_id.as_ref(),
                    event_source: service.map_or("writ", Service::event_source),
                    event_name: found.as_ref().map_or("Unknown", |found| found.name),
                    operation: found.as_ref().ok().and_then(|found| found.operation),
                    region: &region,
                    network: &request.network,
                    user_agent: request.header("user-agent"),
                    error: &error,
                    request_id,
                    event_id,
                    forwarded: None,
                };
                return self.refuse(service, refused).await;
            }
        };
        let found = match found {
            Ok(found) => found,
            Err((_, error)) => {
                let refused = Refused {
                    site: &self.site,
                    caller: Some(&authenticated.caller),
                    access_key_id: None,
                    event_source: "writ",
                    event_name: "Unknown",
                    operation: None,
                    region: &region,
                    network: &request.network,
                    user_agent: request.header("user-agent"),
                    error: &error,
                    request_id,
                    event_id,
                    forwarded: None,
                };
                return self.refuse(service, refused).await;
            }
        };
        self.carry_out(request, found, authenticated, region, request_id, event_id).await
    }

    async fn carry_out(
        &self,
        request: Request,
        found: Classified,
        authenticated: Authenticated,
        region: Region,
        request_id: Uuid,
        event_id: Uuid,
    ) -> Reply {
        let service = found.service;
        let Some(operation) = found.operation else {
            let error = ApiError::not_implemented(service, found.name);
            let refused = Refused {
                site: &self.site,
                caller: Some(&authenticated.caller),
                access_key_id: None,
                event_source: service.event_source(),
                event_name: found.name,
                operation: None,
                region: &region,
                network: &request.network,
                user_agent: request.header("user-agent"),
                error: &error,
                request_id,
                event_id,
                forwarded: None,
            };
            return self.refuse(Some(service), refused).await;
        };
        let admitted = Admitted {
            operation,
            authenticated,
            request_id,
            event_id,
            region,
            user_agent: request.header("user-agent").map(str::to_owned),
            referer: request.header("referer").map(str::to_owned),
            input: protocol::decode(operation, &request),
            network: request.network,
        };
        match self.finish(admitted).await {
            Ok(outcome) => protocol::encode(operation, &outcome.reply, request_id),
            Err(error) => protocol::encode_error(Some(service), &error, request_id),
        }
    }

    /// Carries out an admitted request and waits until its record is in the ledger.
    pub(crate) async fn finish(&self, admitted: Admitted) -> Finished {
        let Admitted { operation, authenticated, input, .. } = admitted;
        let service = operation.service;
        let internal = || ApiError::internal(service);
        let api = self.services.get(&service).ok_or_else(internal)?;
        let _turn = match operation.read_only {
            true => None,
            false => Some(self.lock(authenticated.caller.account)?.lock().await),
        };
        let position = authenticated.position.clone();
        let network = match &authenticated.forwarded {
            Some(forwarded) => forwarded.network.clone(),
            None => admitted.network,
        };
        let user_agent = match &authenticated.forwarded {
            Some(forwarded) => Some(forwarded.user_agent.clone()),
            None => admitted.user_agent,
        };
        let call = Call {
            operation,
            caller: authenticated.caller,
            handle: authenticated.handle,
            forwarded: authenticated.forwarded,
            network,
            user_agent,
            referer: admitted.referer,
            snapshot: self.store.snapshot(),
            region: admitted.region,
            regions: Arc::clone(&self.regions),
            now: self.env.now(),
            request_id: admitted.request_id,
            event_id: admitted.event_id,
            env: Arc::clone(&self.env),
            keyd: self.keyd.clone(),
            trail: self.trail.clone(),
        };
        let (input, result) = match input {
            Ok(input) => {
                let shown = input.clone();
                (shown, api.execute(&call, input).await)
            }
            Err(error) => (Value::empty(), Err(error)),
        };
        let records = of_call(&call, &self.site, &input, &result, position.as_ref());
        let records = records.map_err(|error| {
            tracing::error!(%error, operation = operation.name, "a call cannot be recorded");
            internal()
        })?;
        match result {
            Ok(Outcome { changes: Some(changes), reply, audit, sealed }) => {
                self.commit(&call, changes, records).await?;
                Ok(Outcome { changes: None, reply, audit, sealed })
            }
            result => {
                self.append(service, records).await?;
                result
            }
        }
    }

    async fn commit(
        &self,
        call: &Call,
        changes: Changes,
        records: Vec<Record>,
    ) -> Result<(), ApiError> {
        let service = call.operation.service;
        for end in &changes.ends {
            match self.keyd.call(&Command::End(end.clone())).await {
                Ok(Answer::Carried(_)) => {}
                Ok(Answer::Refused(refusal)) => return Err(refused(service, &refusal)),
                Err(error) => return Err(unanswered(service, &error)),
            }
        }
        let transaction = Transaction {
            preconditions: changes.preconditions,
            puts: changes.puts,
            deletes: changes.deletes,
            endings: !changes.ends.is_empty(),
            actor: call.caller.arn.to_string(),
            request_id: call.request_id,
            records: records.into_iter().map(outbox).collect(),
        };
        self.store.commit(transaction).await.map(|_| ()).map_err(|error| store_error(service, &error))
    }

    async fn append(&self, service: Service, records: Vec<Record>) -> Result<(), ApiError> {
        let items = records.into_iter().map(|record| record.into_item(None)).collect();
        self.trail.append(items).await.map(|_| ()).map_err(|error| {
            tracing::warn!(%error, "the ledger did not take a record");
            ApiError::service_unavailable(service)
        })
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

fn classify_request(request: &Request, service: Option<&str>) -> Result<Classified, Unclassified> {
    let asked = classify::Request {
        method: &request.method,
        host: request.header("host").unwrap_or_default(),
        path: &request.path,
        query: &request.query,
        headers: &request.headers,
        body: &request.body,
        scope_service: service,
        s3_domain: None,
    };
    classify::classify(&asked).map_err(|error| error.to_api_error())
}

fn outbox(record: Record) -> OutboxRecord {
    OutboxRecord {
        event_id: record.event_id,
        logs: vec![record.log],
        use_position: record.use_position,
        record: record.json,
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
