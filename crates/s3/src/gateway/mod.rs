//! The request path: head, signature, decision, data key, body, commit, record, reply.
//!
//! 1. The head is taken as received; forward-access headers are stripped.
//! 2. The state's lease must hold; keyd verifies the signature and finds the operation itself.
//! 3. Policies decide; only an allow makes a `Permit`, and changes and data keys need one.
//! 4. The data key comes through KMS on the customer's ticket, before a byte of the body is asked for.
//! 5. A change is committed with its record; the record is in the ledger before the reply leaves.

mod call;
mod download;
mod encryption;
mod fault;
mod head;
mod intake;
mod ledger;
mod object;
mod operations;
pub mod policies;
pub mod ports;
mod record;
mod reply;
mod server;
mod sink;
mod streams;
mod turns;
mod upload;

use std::sync::Arc;

use http::request::Parts;
use hyper::body::Incoming;
use writ_aws::classify::{Classified, Request, classify};
use writ_aws::rest_xml::{self, HttpReply};
use writ_aws::{ApiError, Service, sigv4};
use writ_keyd_client::caller::Caller;
use writ_keyd_client::protocol::{
    Answer, Authenticate, Authenticated, Command, Network, Payload, Refusal, Reply,
};
use writ_model::{AccessKeyId, Env, Region, Uuid};
use writ_proof::origin::SiteId;
use writ_service::record::StrangerLimit;
use writ_service::task;
use writ_store::Snapshot;
use writ_trail::client::TrailClient;

use self::call::{Call, Outcome};
use self::head::Head;
use self::ledger::{Ledger, Unrecorded};
use self::ports::{Decide, State};
use self::streams::{Places, Streams};
use self::turns::Turns;
use crate::S3Error;
use crate::blob::Blobs;
use crate::index::{CommitError, Index};
use crate::keyd::Keyd;
use crate::kms_link::KmsClient;
use crate::limits::XML_BODIES_MAX;

pub use reply::ReplyBody;
pub use server::serve;

/// What the gateway is made of.
pub struct GatewayParts {
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// The region that it serves.
    pub region: Region,
    /// The installation's name in the ledger.
    pub site: SiteId,
    /// Buckets and keys.
    pub index: Arc<Index>,
    /// Files.
    pub blobs: Arc<Blobs>,
    /// The key module, after its hello.
    pub keyd: Keyd,
    /// front's KMS.
    pub kms: KmsClient,
    /// The ledger.
    pub trail: TrailClient,
    /// State from front's feed.
    pub state: Arc<dyn State>,
    /// Policies.
    pub decide: Arc<dyn Decide>,
}

/// The gateway of one region.
pub struct Gateway {
    env: Arc<dyn Env>,
    region: Region,
    site: SiteId,
    index: Arc<Index>,
    blobs: Arc<Blobs>,
    keyd: Keyd,
    kms: KmsClient,
    ledger: Ledger,
    state: Arc<dyn State>,
    decide: Arc<dyn Decide>,
    streams: Arc<Streams>,
    xml_bodies: Arc<Places>,
    strangers: StrangerLimit,
    turns: Arc<Turns>,
}

/// An answer, ready to be written.
pub(crate) struct Answered {
    pub(crate) reply: HttpReply,
    pub(crate) body: Option<ReplyBody>,
    pub(crate) request_id: Uuid,
    pub(crate) seq: Option<u64>,
}

/// A refusal before there is a call.
struct Early {
    error: ApiError,
    caller: Option<Caller>,
}

impl From<ApiError> for Early {
    fn from(error: ApiError) -> Early {
        Early { error, caller: None }
    }
}

impl Gateway {
    /// A gateway; call [`Gateway::recover`] before anything is served.
    pub fn new(parts: GatewayParts) -> Arc<Gateway> {
        Arc::new(Gateway {
            env: parts.env,
            region: parts.region,
            site: parts.site,
            index: parts.index,
            blobs: parts.blobs,
            keyd: parts.keyd,
            kms: parts.kms,
            ledger: Ledger::new(parts.trail),
            state: parts.state,
            decide: parts.decide,
            streams: Arc::new(Streams::new()),
            xml_bodies: Arc::new(Places::new(XML_BODIES_MAX)),
            strangers: StrangerLimit::default(),
            turns: Arc::default(),
        })
    }

    /// Sends what the ledger lacks from before the start. Answers how many commits that were.
    pub async fn recover(&self) -> Result<u64, S3Error> {
        self.ledger.drain(&self.index, true).await
    }

    /// Waits until the index takes no more writes: the process must be started anew.
    pub async fn stopped(&self) {
        self.index.stopped().await;
    }

    /// Unauthenticated requests whose records were dropped, for the metrics.
    pub fn dropped_strangers(&self) -> u64 {
        self.strangers.dropped()
    }

    /// Answers one request. Its record is in the ledger when this returns.
    pub(crate) async fn answer(
        self: Arc<Self>,
        parts: Parts,
        body: Incoming,
        network: Network,
    ) -> Answered {
        let (request_id, event_id) = (Uuid::random(&*self.env), Uuid::random(&*self.env));
        let (head, stripped) = Head::new(&parts, network);
        if stripped > 0 {
            tracing::warn!(stripped, %request_id, "a client sent forward-access headers");
        }
        let claim = sigv4::parse(&head.raw());
        let found = self.classify(&head);
        let signed_at = claim.as_ref().ok().and_then(Option::as_ref).map(|claim| claim.signed_at);
        let access_key_id: Option<AccessKeyId> =
            claim.as_ref().ok().and_then(Option::as_ref).and_then(|c| c.access_key_id.parse().ok());
        let name = found.as_ref().map_or("Unknown", |found| found.name);
        let operation = found.as_ref().ok().and_then(|found| found.operation);
        let admitted = match self.admit(&head, claim, (request_id, event_id)).await {
            Ok((authenticated, payload, snapshot)) => match implemented(found, &authenticated) {
                Ok((operation, found)) => Ok((operation, found, authenticated, payload, snapshot)),
                Err(error) => Err(Early { error, caller: Some(authenticated.caller) }),
            },
            Err(early) => Err(early),
        };
        let (operation, found, authenticated, payload, snapshot) = match admitted {
            Ok(admitted) => admitted,
            Err(early) => {
                let refused = record::Refused {
                    head: &head,
                    caller: early.caller.as_ref(),
                    access_key_id: access_key_id.as_ref(),
                    event_name: name,
                    operation,
                    error: &early.error,
                    request_id,
                    event_id,
                };
                return self.refuse(&refused).await;
            }
        };
        let call = Call {
            operation,
            head,
            target: found,
            caller: authenticated.caller,
            handle: authenticated.handle,
            ticket: authenticated.ticket,
            payload,
            presigned: authenticated.presigned,
            snapshot,
            request_id,
            event_id,
            now: self.env.now(),
            // INVARIANT: who was authenticated has made a claim; without one the signature is old.
            signed_at: signed_at.unwrap_or_default(),
            gateway: Arc::clone(&self),
        };
        let result = if self.ledger.is_behind() && !operation.read_only {
            Err(fault::unavailable())
        } else {
            operations::run(&call, body).await
        };
        self.finish(&call, result).await
    }

    fn classify(&self, head: &Head) -> Result<Classified, ApiError> {
        head.check()?;
        let request = Request {
            method: &head.method,
            host: head.header("host").unwrap_or_default(),
            path: &head.path,
            query: &head.query,
            headers: &head.headers,
            body: &[],
            scope_service: Some(Service::S3.signing_name()),
            s3_domain: None,
        };
        classify(&request).map_err(|error| error.to_api_error().1)
    }

    /// Has keyd verify the signature. An unsigned request gets no further, whatever a policy says.
    async fn admit(
        &self,
        head: &Head,
        claim: Result<Option<sigv4::Claim>, sigv4::SigError>,
        (request_id, event_id): (Uuid, Uuid),
    ) -> Result<(Authenticated, String, Arc<Snapshot>), Early> {
        let snapshot = self.state.lease().ok_or_else(fault::unavailable)?;
        let claim = match claim {
            Ok(Some(claim)) => claim,
            Ok(None) => return Err(fault::access_denied().into()),
            Err(error) => return Err(signature_error(&error).into()),
        };
        if claim.scope.region != self.region {
            return Err(self.wrong_region(claim.scope.region.as_str()).into());
        }
        let payload =
            sigv4::s3_payload_literal(&head.raw(), &claim).map_err(|e| signature_error(&e))?;
        let authenticate = Authenticate {
            method: head.method.clone(),
            path: head.path.clone(),
            query: head.query.clone(),
            headers: head.headers.clone(),
            payload: Payload::Declared(payload.clone()),
            credential: credential(&claim, &snapshot),
            network: head.network.clone(),
            request_id,
            event_id,
            region: self.region.clone(),
        };
        match self.keyd.call(&Command::Authenticate(Box::new(authenticate))).await {
            Ok(Answer::Carried(Reply::Authenticated(found))) => Ok((*found, payload, snapshot)),
            Ok(Answer::Carried(_)) => Err(fault::internal().into()),
            Ok(Answer::Refused(refusal)) => {
                let error = fault::refused(&refusal);
                let caller = match refusal {
                    Refusal::Aws(refusal) => refusal.caller,
                    _ => None,
                };
                Err(Early { error, caller })
            }
            Err(error) => {
                tracing::warn!(%error, "the key module does not answer");
                Err(fault::unavailable().into())
            }
        }
    }

    fn wrong_region(&self, found: &str) -> ApiError {
        let text = format!(
            "The authorization header is malformed; the region '{found}' is wrong; expecting '{}'",
            self.region
        );
        fault::s3("AuthorizationHeaderMalformed", &text).with("Region", self.region.as_str())
    }

    /// Records the call, with its change if it makes one, and only then lets the reply go.
    async fn finish(&self, call: &Call, result: Result<Outcome, ApiError>) -> Answered {
        let result = self.ready(result).await;
        let records = match record::of_call(call, &result) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%error, operation = call.operation.name, "a call cannot be recorded");
                return self.error(&fault::internal(), call.request_id, None);
            }
        };
        let mut outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(call, error, records).await,
        };
        let recorded = match outcome.change.take() {
            None => self.ledger.append(records).await,
            Some((_permit, change)) => self.ledger.commit(&self.index, change, records).await,
        };
        let _turn = outcome.turn.take();
        match recorded {
            Ok(seq) => Answered {
                reply: outcome.reply,
                body: outcome.stream.map(download::Download::into_body),
                request_id: call.request_id,
                seq: Some(seq),
            },
            Err(Unrecorded::Ledger) => self.error(&fault::unavailable(), call.request_id, None),
            // The change may have been made: its files stay, and its own record is in the outbox. The
            // process ends, and the next start finds out.
            Err(Unrecorded::Commit(error @ CommitError::Unknown)) => {
                self.error(&fault::commit(&error, call.caller.account), call.request_id, None)
            }
            Err(Unrecorded::Commit(error)) => {
                self.discard(outcome.files).await;
                let result = Err(fault::commit(&error, call.caller.account));
                match (record::of_call(call, &result), result) {
                    (Ok(records), Err(error)) => self.fail(call, error, records).await,
                    _ => self.error(&fault::internal(), call.request_id, None),
                }
            }
        }
    }

    /// Opens the first frames of a download, while a failure can still be an answer.
    async fn ready(&self, result: Result<Outcome, ApiError>) -> Result<Outcome, ApiError> {
        let mut outcome = result?;
        if let Some(stream) = outcome.stream.take() {
            outcome.stream = Some(stream.open().await?);
        }
        Ok(outcome)
    }

    async fn fail(
        &self,
        call: &Call,
        error: ApiError,
        records: Vec<writ_trail::record::Record>,
    ) -> Answered {
        match self.ledger.append(records).await {
            Ok(seq) => self.error(&error, call.request_id, Some(seq)),
            Err(_) => self.error(&fault::unavailable(), call.request_id, None),
        }
    }

    /// Removes files that no row came to name.
    async fn discard(&self, files: Vec<String>) {
        let blobs = Arc::clone(&self.blobs);
        let work = move || files.iter().try_for_each(|file| blobs.unlink(file));
        if let Some(Err(error)) = task::blocking(work).await {
            tracing::warn!(%error, "a file without a row stays until the sweep");
        }
    }

    /// Records a refusal and answers it. Strangers' records are bounded by the second, what is above
    /// is counted.
    async fn refuse(&self, refused: &record::Refused<'_>) -> Answered {
        if refused.caller.is_none() && !self.strangers.admit(self.env.now()) {
            return self.error(refused.error, refused.request_id, None);
        }
        let appended = match refused.records(self) {
            Ok(records) => self.ledger.append(records).await.ok(),
            Err(_) => None,
        };
        match appended {
            Some(seq) => self.error(refused.error, refused.request_id, Some(seq)),
            None => self.error(&fault::unavailable(), refused.request_id, None),
        }
    }

    fn error(&self, error: &ApiError, request_id: Uuid, seq: Option<u64>) -> Answered {
        let id = request_id.to_string();
        let mut reply = rest_xml::encode_error(error, &id, &record::host_id(request_id));
        if error.status == 304 {
            reply.body.clear();
            reply.headers.clear();
            let named = ["ETag", "Last-Modified"].into_iter();
            let fields = named.filter_map(|n| Some((n.to_owned(), error.fields.get(n)?.clone())));
            reply.headers.extend(fields);
        }
        if let Some(length) = error.fields.get("ActualObjectSize") {
            reply.headers.push(("Content-Range".to_owned(), format!("bytes */{length}")));
        }
        if matches!(error.status, 301 | 403) || error.fields.contains_key("Region") {
            reply.headers.push(("x-amz-bucket-region".to_owned(), self.region.to_string()));
        }
        Answered { reply, body: None, request_id, seq }
    }
}

/// The operation, if it is one that we have and the one that keyd found in the signed bytes.
fn implemented(
    found: Result<Classified, ApiError>,
    authenticated: &Authenticated,
) -> Result<(&'static writ_aws::Operation, writ_aws::classify::S3Target), ApiError> {
    let found = found?;
    let unknown = || ApiError::not_implemented(Service::S3, found.name);
    let operation = found.operation.ok_or_else(unknown)?;
    if authenticated.service != "s3" || authenticated.operation != operation.name {
        tracing::error!(
            ours = operation.name,
            theirs = authenticated.operation,
            "the key module found another operation in the signed bytes"
        );
        return Err(fault::access_denied());
    }
    Ok((operation, found.s3.ok_or_else(fault::internal)?))
}

/// What the state holds for the key that signed: the wrapped credential, or the session token.
fn credential(claim: &sigv4::Claim, snapshot: &Snapshot) -> Option<Vec<u8>> {
    if let Some(token) = &claim.session_token {
        return Some(token.as_bytes().to_vec());
    }
    let id: AccessKeyId = claim.access_key_id.parse().ok()?;
    snapshot.access_key(&id).map(|(_, key)| key.wrapped.as_slice().to_vec())
}

/// What is wrong with the form of a signature, in S3's own words.
fn signature_error(error: &sigv4::SigError) -> ApiError {
    let fault = error.to_aws(sigv4::ProtocolFamily::S3);
    let base = ApiError::new(fault.code, fault.message, fault.status);
    fault.details.into_iter().fold(base, |error, (name, value)| error.with(name, value))
}

#[cfg(test)]
mod tests;
