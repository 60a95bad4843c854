//! The CloudTrail record of one call: its JSON, and which logs it goes into.
//!
//! Pure: nothing here writes or sends. The format is CloudTrail's event version 1.11 (AWS CloudTrail
//! User Guide, "CloudTrail record contents"); our own facts lie inside `additionalEventData` alone.
//! AWS cuts a value that is above its cap. We do not: a cut value hides what was asked, so it is
//! replaced by its SHA-256 and length, which whoever has the value can compare.

mod caps;
mod identity;

use serde::Serialize;
use serde_json::{Map, Value};
use writ_keyd_client::protocol::{Forwarded, Network};
use writ_model::{AccountId, Arn, Env, Region, Timestamp, Uuid};
use writ_proof::append::AppendItem;
use writ_proof::hash::Hash;
use writ_proof::leaf::{Commit, Kind};
use writ_proof::origin::{LogName, Origin, SiteId};
use writ_proof::use_record::UsePosition;

use crate::error::TrailError;
pub use identity::Identity;
use identity::UserIdentity;

/// The version of the record format that we write.
pub const EVENT_VERSION: &str = "1.11";

/// Everything that is known of a call once it has been decided and carried out.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The installation.
    pub site: &'a SiteId,
    /// Who asked.
    pub identity: Identity<'a>,
    /// When the call completed.
    pub time: Timestamp,
    /// The service's DNS name, such as `kms.amazonaws.com`.
    pub event_source: &'a str,
    /// The operation, such as `Encrypt`.
    pub event_name: &'a str,
    /// The region that answered.
    pub region: &'a Region,
    /// What the listener saw.
    pub network: &'a Network,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The `Host` that the client asked for; written with the facts of TLS only.
    pub host: Option<&'a str>,
    /// The code and message of the refusal, if it was refused.
    pub error: Option<(&'a str, &'a str)>,
    /// The input, without secrets; `null` in the record when there is none.
    pub request_parameters: Option<Map<String, Value>>,
    /// The output of a call that changed something; `null` for one that only read.
    pub response_elements: Option<Map<String, Value>>,
    /// The service's own further facts, such as `keyMaterialId`.
    pub additional: Map<String, Value>,
    /// Equals the reply's `x-amzn-requestid`.
    pub request_id: Uuid,
    /// The event of the caller's own log.
    pub event_id: Uuid,
    /// True if the operation changes nothing.
    pub read_only: bool,
    /// What was touched. Each owner that is not the caller's account gets a record of its own.
    pub resources: Vec<Resource>,
    /// The API's version, such as `2010-05-08`.
    pub api_version: Option<&'a str>,
    /// Management or data.
    pub category: Category,
    /// The chain of services that led here, for a call on a customer's behalf.
    pub forwarded: Option<&'a Forwarded>,
    /// keyd's own record of the use that this call made.
    pub use_position: Option<UsePosition>,
}

/// A resource that a call touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Its ARN.
    #[serde(rename = "ARN")]
    pub arn: Arn,
    /// Who owns it.
    #[serde(rename = "accountId", skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// `AWS::KMS::Key` and the like.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// CloudTrail's division of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Category {
    /// What is done with the content of resources: objects of a bucket.
    Data,
    /// What is done with the resources themselves. Uses of KMS keys are management events, as at AWS.
    Management,
}

/// One finished record: for one log, under one event id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Names the record; appending it twice appends it once.
    pub event_id: Uuid,
    /// Where it goes.
    pub log: LogName,
    /// keyd's record that it tells of, which must be durable before it is answered.
    pub use_position: Option<UsePosition>,
    /// The JSON, at most 256 KiB.
    pub json: Vec<u8>,
}

impl Record {
    /// The record as trail takes it, at its place among the records of a commit (if it has one).
    pub fn into_item(self, commit: Option<Commit>) -> AppendItem {
        AppendItem {
            event_id: self.event_id,
            kind: Kind::Event,
            logs: vec![self.log],
            commit,
            use_position: self.use_position,
            record: self.json,
        }
    }
}

impl Call<'_> {
    /// Builds the records of this call: first the one of the caller's account (or, where nobody was
    /// authenticated, of the operator log), then one for each other account that owns a touched
    /// resource. Where there are several, they share a `sharedEventID`.
    pub fn records(&self, env: &dyn Env) -> Result<Vec<Record>, TrailError> {
        let own = self.identity.account();
        let mut owners: Vec<AccountId> = self.resources.iter().filter_map(|r| r.account).collect();
        owners.retain(|owner| own.is_some_and(|own| own != *owner));
        owners.sort();
        owners.dedup();
        let shared = (!owners.is_empty()).then(|| Uuid::random(env));

        let mut records = Vec::with_capacity(1 + owners.len());
        let log = own.map_or(LogName::Operator, LogName::Account);
        records.push(self.record(log, self.event_id, shared, env)?);
        for owner in owners {
            let event_id = Uuid::random(env);
            records.push(self.record(LogName::Account(owner), event_id, shared, env)?);
        }
        Ok(records)
    }

    fn record(
        &self,
        log: LogName,
        event_id: Uuid,
        shared: Option<Uuid>,
        env: &dyn Env,
    ) -> Result<Record, TrailError> {
        let mut seed = [0; 32];
        env.fill(&mut seed);
        let invoked_by = self.forwarded.and_then(|f| f.via.last()).map(String::as_str);
        let recipient = match log {
            LogName::Account(account) => account.to_string(),
            // The installation itself: no customer's account has this number.
            LogName::Checkpoint | LogName::Host | LogName::Operator => "000000000000".to_owned(),
        };
        let is_owner_copy = self.identity.account().is_some_and(|a| log != LogName::Account(a));
        let user_identity = UserIdentity::of(&self.identity, is_owner_copy, invoked_by);
        let origin = Origin::new(self.site.clone(), log).to_string();
        let wire = Wire {
            event_version: EVENT_VERSION,
            user_identity,
            event_time: self.time.iso(),
            event_source: self.event_source,
            event_name: self.event_name,
            aws_region: self.region.as_str(),
            // A call that a service makes comes from the service, as AWS writes it.
            source_ip_address: invoked_by.unwrap_or(&self.network.source_ip),
            user_agent: invoked_by.or(self.user_agent).map(caps::text),
            error_code: self.error.map(|(code, _)| caps::text(code)),
            error_message: self.error.map(|(_, message)| caps::text(message)),
            request_parameters: self
                .request_parameters
                .as_ref()
                .map(|map| caps::members(map, crate::limits::PARAMETERS_MAX_BYTES)),
            response_elements: self
                .response_elements
                .as_ref()
                .filter(|_| !self.read_only)
                .map(|map| caps::members(map, crate::limits::PARAMETERS_MAX_BYTES)),
            additional_event_data: Additional {
                service: caps::members(&self.additional, crate::limits::ADDITIONAL_MAX_BYTES),
                fas: self.forwarded.map(Fas::of),
                writ: Writ {
                    log: &origin,
                    seed: encode_seed(&seed),
                    use_record: self.use_position.map(UseRecordName::of),
                },
            },
            request_id: self.request_id,
            event_id,
            read_only: self.read_only,
            resources: self
                .resources
                .get(..crate::limits::RESOURCES_MAX)
                .unwrap_or(&self.resources),
            event_type: "AwsApiCall",
            api_version: self.api_version,
            management_event: self.category == Category::Management,
            recipient_account_id: recipient,
            shared_event_id: shared,
            vpc_endpoint_id: self.network.vpce.as_deref(),
            event_category: self.category,
            tls_details: self.network.tls.as_deref().map(|tls| TlsDetails {
                tls_version: tls,
                client_provided_host_header: self.host.map(caps::text),
            }),
        };
        let json = wire.into_json()?;
        Ok(Record { event_id, log, use_position: self.use_position, json })
    }
}

/// The seed as `additionalEventData.writ.seed` writes it.
fn encode_seed(seed: &[u8; 32]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(seed)
}

/// Marks a stored record whose caller was answered with an error although the change stands: adds
/// `additionalEventData.writ.replyLost`.
pub fn mark_reply_lost(json: &[u8]) -> Result<Vec<u8>, TrailError> {
    let mut value: Value = serde_json::from_slice(json).map_err(TrailError::RecordJson)?;
    value
        .pointer_mut("/additionalEventData/writ")
        .and_then(Value::as_object_mut)
        .ok_or(TrailError::RecordForm("it has no additionalEventData.writ"))?
        .insert("replyLost".to_owned(), Value::Bool(true));
    serde_json::to_vec(&value).map_err(TrailError::RecordJson)
}

/// The record in the order in which CloudTrail writes its fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    event_version: &'static str,
    user_identity: UserIdentity<'a>,
    event_time: String,
    event_source: &'a str,
    event_name: &'a str,
    aws_region: &'a str,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<std::borrow::Cow<'a, str>>,
    // Present even when null: CloudTrail's consumers rely on both.
    request_parameters: Option<std::borrow::Cow<'a, Map<String, Value>>>,
    response_elements: Option<std::borrow::Cow<'a, Map<String, Value>>>,
    additional_event_data: Additional<'a>,
    #[serde(rename = "requestID")]
    request_id: Uuid,
    #[serde(rename = "eventID")]
    event_id: Uuid,
    read_only: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resources: &'a [Resource],
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    management_event: bool,
    recipient_account_id: String,
    #[serde(rename = "sharedEventID", skip_serializing_if = "Option::is_none")]
    shared_event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_endpoint_id: Option<&'a str>,
    event_category: Category,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_details: Option<TlsDetails<'a>>,
}

impl Wire<'_> {
    /// Each field is within its cap; their sum may still be above the cap of the whole event.
    fn into_json(mut self) -> Result<Vec<u8>, TrailError> {
        let write = |wire: &Wire<'_>| {
            let mut json = Vec::with_capacity(2048);
            serde_json::to_writer(&mut json, wire).map_err(TrailError::RecordJson)?;
            Ok::<_, TrailError>(json)
        };
        let json = write(&self)?;
        if json.len() <= crate::limits::RECORD_MAX_BYTES {
            return Ok(json);
        }
        self.response_elements = self.response_elements.map(|map| caps::whole(&map));
        self.request_parameters = self.request_parameters.map(|map| caps::whole(&map));
        let json = write(&self)?;
        if json.len() <= crate::limits::RECORD_MAX_BYTES {
            Ok(json)
        } else {
            Err(TrailError::RecordForm("it is above 256 KiB even with its parameters hashed"))
        }
    }
}

#[derive(Serialize)]
struct Additional<'a> {
    #[serde(flatten)]
    service: std::borrow::Cow<'a, Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fas: Option<Fas<'a>>,
    writ: Writ<'a>,
}

/// Where a forwarded call came from. Nothing here lets anybody act: no ticket, no MAC.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fas<'a> {
    transaction_id: String,
    parent_event_id: Uuid,
    parent_request_id: Uuid,
    service_chain: &'a [String],
    request_sha256: String,
    signature_sha256: String,
    source_ip: &'a str,
}

impl Fas<'_> {
    fn of(forwarded: &Forwarded) -> Fas<'_> {
        Fas {
            transaction_id: forwarded.transaction.to_string(),
            parent_event_id: forwarded.parent_event,
            parent_request_id: forwarded.parent_request,
            service_chain: &forwarded.via,
            request_sha256: hex::encode(forwarded.request_digest),
            signature_sha256: hex::encode(forwarded.signature_digest),
            source_ip: &forwarded.network.source_ip,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Writ<'a> {
    log: &'a str,
    seed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_record: Option<UseRecordName>,
}

#[derive(Serialize)]
struct UseRecordName {
    boot: Uuid,
    seq: u64,
    hash: String,
}

impl UseRecordName {
    fn of(position: UsePosition) -> UseRecordName {
        let Hash(hash) = position.hash;
        UseRecordName { boot: position.boot, seq: position.seq, hash: hex::encode(hash) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TlsDetails<'a> {
    tls_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_provided_host_header: Option<std::borrow::Cow<'a, str>>,
}

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
