//! One call of an authenticated caller, and what came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Map;
use writ_aws::{ApiError, Operation, Value};
use writ_keyd_client::caller::Caller;
use writ_keyd_client::client::{CallError, Client};
use writ_keyd_client::facts::Facts;
use writ_keyd_client::protocol::{
    Answer, Command, Credential, End, Forwarded, Handle, IssueCredential, Network, Reply, Seal,
    Sealed, Use, UsePosition, Used,
};
use writ_model::{AccountId, Arn, Env, Region, Revision, Timestamp, Uuid};
use writ_policy::{Access, Authorizer, Basis, Context, Permit};
use writ_store::{Expect, Object, ObjectId, OutboxRecord, Snapshot};
use writ_trail::client::TrailClient;
use writ_trail::record::Resource;

use crate::authorize::{SnapshotAuthorizer, context, principal_tags};
use crate::error::{refused, unanswered};

/// The client of keyd.
pub type KeydClient = Client<Command, Answer>;

/// A call: who asks for what, on which snapshot, with the ports that it may use.
pub struct Call {
    /// The operation that keyd found in the signed bytes.
    pub operation: &'static Operation,
    /// Who signed.
    pub caller: Caller,
    /// keyd's one-time right for exactly this request.
    pub handle: Handle,
    /// The services through which it came, if it is a forwarded one.
    pub forwarded: Option<Forwarded>,
    /// What the listener saw; for a forwarded request the customer's own network.
    pub network: Network,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The client's `Referer`.
    pub referer: Option<String>,
    /// The `Host` that the client asked for.
    pub host: Option<String>,
    /// The state from which this call is decided.
    pub snapshot: Arc<Snapshot>,
    /// The region that answers.
    pub region: Region,
    /// The regions of this installation.
    pub regions: Arc<[Region]>,
    /// The time of the call.
    pub now: Timestamp,
    /// `x-amzn-requestid`.
    pub request_id: Uuid,
    /// The event that records this call.
    pub event_id: Uuid,
    /// Clock and randomness.
    pub env: Arc<dyn Env>,
    /// keyd.
    pub keyd: KeydClient,
    /// The ledger, for LookupEvents.
    pub trail: TrailClient,
    /// True once keyd has sealed, or may have sealed, what this call changes.
    pub sealed: AtomicBool,
}

impl Call {
    /// The caller's account.
    pub fn account(&self) -> AccountId {
        self.caller.account
    }

    /// The condition keys of the request itself. Add those of the resource to a copy.
    pub fn context(&self) -> Context {
        let tags = principal_tags(&self.caller, &self.snapshot);
        context(&Facts {
            caller: &self.caller,
            principal_tags: &tags,
            now: self.now,
            region: &self.region,
            network: &self.network,
            user_agent: self.user_agent.as_deref(),
            referer: self.referer.as_deref(),
            via: self.via(),
        })
    }

    /// The services through which the request came, first to last.
    pub fn via(&self) -> &[String] {
        self.forwarded.as_ref().map(|forwarded| forwarded.via.as_slice()).unwrap_or_default()
    }

    /// Decides; only an allow of everything in `accesses` gives a permit.
    ///
    /// # Errors
    /// The protocol's access-denied error with AWS's text for the first access that is refused.
    pub fn authorize(
        &self,
        context: &Context,
        accesses: &[Access<'_>],
    ) -> Result<Permit, ApiError> {
        let authorizer = SnapshotAuthorizer::new(&self.caller, &self.snapshot);
        let call =
            writ_policy::Call { principal: None, context, session: None, vpce: None, accesses };
        authorizer
            .authorize(&call)
            .map_err(|denied| ApiError::access_denied(self.operation.service, denied.message()))
    }

    /// Has keyd seal what this mutation changes.
    pub async fn seal(&self, _permit: &Permit, mut seal: Seal) -> Result<Sealed, ApiError> {
        seal.handle = self.handle;
        seal.principal_tags = principal_tags(&self.caller, &self.snapshot);
        let command = Command::Seal(Box::new(seal));
        let answer = self.keyd.call(&command).await;
        let nothing_sent = matches!(answer, Err(CallError::Busy(_) | CallError::TooLarge(_)));
        if !nothing_sent && !matches!(answer, Ok(Answer::Refused(_))) {
            self.sealed.store(true, Ordering::Relaxed);
        }
        match self.carried(answer)? {
            Reply::Sealed(sealed) => Ok(sealed),
            _ => Err(ApiError::internal(self.operation.service)),
        }
    }

    /// Has keyd issue the credential that this call asks for.
    pub async fn issue(
        &self,
        permit: &Permit,
        subject: Option<Vec<u8>>,
    ) -> Result<Credential, ApiError> {
        let delegated = self.rests_on_identity(permit);
        let principal_tags = principal_tags(&self.caller, &self.snapshot);
        let issue = IssueCredential { handle: self.handle, subject, delegated, principal_tags };
        match self.ask(Command::IssueCredential(Box::new(issue))).await? {
            Reply::Credential(credential) => Ok(*credential),
            _ => Err(ApiError::internal(self.operation.service)),
        }
    }

    /// Has keyd use keys for this call.
    pub async fn use_keys(&self, permit: &Permit, mut ask: Use) -> Result<Used, ApiError> {
        ask.handle = self.handle;
        ask.delegated = self.rests_on_identity(permit);
        ask.principal_tags = principal_tags(&self.caller, &self.snapshot);
        match self.ask(Command::Use(Box::new(ask))).await? {
            Reply::Used(used) => Ok(*used),
            _ => Err(ApiError::internal(self.operation.service)),
        }
    }

    /// True if the caller's identity policies had to allow something of it: they did, or there is no
    /// resource policy, or the resource is of another account, where both sides have to allow whomever
    /// the resource's policy names. keyd is told, for it does not evaluate them.
    fn rests_on_identity(&self, permit: &Permit) -> bool {
        let elsewhere = |resource: &str| {
            let owner = resource.parse::<Arn>().ok().and_then(|arn| arn.account());
            owner.is_some_and(|owner| owner != self.caller.account)
        };
        let pairs = permit.pairs().iter();
        pairs.into_iter().any(|pair| pair.basis != Basis::Resource || elsewhere(&pair.resource))
    }

    async fn ask(&self, command: Command) -> Result<Reply, ApiError> {
        self.carried(self.keyd.call(&command).await)
    }

    fn carried(&self, answer: Result<Answer, CallError>) -> Result<Reply, ApiError> {
        let service = self.operation.service;
        match answer {
            Ok(Answer::Carried(reply)) => Ok(reply),
            Ok(Answer::Refused(refusal)) => Err(refused(service, &refusal)),
            Err(error) => Err(unanswered(service, &error)),
        }
    }
}

/// What a call came to. The reply leaves when its record is in the ledger.
pub struct Outcome {
    /// The reply's members.
    pub reply: Value,
    /// What it changes, if it changes anything.
    pub changes: Option<Changes>,
    /// What its record tells beside the request.
    pub audit: AuditFacts,
    /// For a forwarded key use: the secret sealed to its holder, beside the reply.
    pub sealed: Option<(Handle, Vec<u8>)>,
}

impl Outcome {
    /// The outcome of a call that changed nothing.
    pub fn reply(reply: Value) -> Outcome {
        Outcome { reply, changes: None, audit: AuditFacts::default(), sealed: None }
    }

    /// The outcome of a mutation.
    pub fn changed(reply: Value, changes: Changes) -> Outcome {
        Outcome { changes: Some(changes), ..Outcome::reply(reply) }
    }

    /// The same with a touched resource in its record.
    #[must_use]
    pub fn touching(mut self, resource: Resource) -> Outcome {
        self.audit.resources.push(resource);
        self
    }

    /// The same with keyd's record of what it did.
    #[must_use]
    pub fn recorded_at(mut self, position: Option<UsePosition>) -> Outcome {
        self.audit.use_position = position;
        self
    }
}

/// What a record tells beside the request.
#[derive(Default)]
pub struct AuditFacts {
    /// `responseElements`; by default the reply of a mutation, without what is sensitive.
    pub response_elements: Option<Map<String, serde_json::Value>>,
    /// Further members of `additionalEventData`.
    pub additional: Map<String, serde_json::Value>,
    /// What was touched; owners in other accounts get a copy of the record.
    pub resources: Vec<Resource>,
    /// keyd's record of the use or change.
    pub use_position: Option<UsePosition>,
}

/// Changes to the store that a permit covers.
pub struct Changes {
    pub(crate) preconditions: Vec<(ObjectId, Expect)>,
    pub(crate) puts: Vec<Object>,
    pub(crate) deletes: Vec<ObjectId>,
    pub(crate) ends: Vec<End>,
    pub(crate) told: Vec<OutboxRecord>,
    _permit: Permit,
}

impl Changes {
    /// No changes yet, under `permit`: only an allow can make one.
    pub fn permitted(permit: Permit) -> Changes {
        Changes {
            preconditions: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            ends: Vec::new(),
            told: Vec::new(),
            _permit: permit,
        }
    }

    /// Writes an object that must not exist yet.
    #[must_use]
    pub fn create(mut self, object: Object) -> Changes {
        self.preconditions.push((object.id(), Expect::Absent));
        self.puts.push(object);
        self
    }

    /// Writes an object that must still be the one of `revision`.
    #[must_use]
    pub fn update(mut self, object: Object, revision: Revision) -> Changes {
        self.preconditions.push((object.id(), Expect::At(revision)));
        self.puts.push(object);
        self
    }

    /// Removes an object that must still be the one of `revision`.
    #[must_use]
    pub fn delete(mut self, id: ObjectId, revision: Revision) -> Changes {
        self.preconditions.push((id.clone(), Expect::At(revision)));
        self.deletes.push(id);
        self
    }

    /// Demands that another object is unchanged, on which the decision rests.
    #[must_use]
    pub fn require(mut self, id: ObjectId, expect: Expect) -> Changes {
        self.preconditions.push((id, expect));
        self
    }

    /// What is written, what is removed and what ends: for tests of services.
    pub fn parts(&self) -> (&[Object], &[ObjectId], &[End]) {
        (&self.puts, &self.deletes, &self.ends)
    }

    /// Records of the platform that go with the change into the ledger: what others are told of it.
    #[must_use]
    pub fn telling(mut self, records: impl IntoIterator<Item = OutboxRecord>) -> Changes {
        self.told.extend(records);
        self
    }

    /// Ends something in keyd as well, at once and before the ledger has acknowledged.
    #[must_use]
    pub fn ending(mut self, end: End) -> Changes {
        self.ends.push(end);
        self
    }
}
