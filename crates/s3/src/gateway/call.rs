//! One call of an authenticated caller, and what came of it.

use std::sync::Arc;

use serde_json::Map;
use writ_aws::classify::S3Target;
use writ_aws::rest_xml::{self, HttpParts, HttpReply};
use writ_aws::{ApiError, Input, Operation, Output, Service};
use writ_keyd_client::caller::Caller;
use writ_keyd_client::protocol::{Handle, Ticket};
use writ_model::{Arn, Timestamp, Uuid};
use writ_policy::{Access, Permit, Policy, PolicyKind, ResourceKind};
use writ_service::task;
use writ_store::Snapshot;
use writ_trail::record::Resource;

use super::Gateway;
use super::download::Download;
use super::fault::{access_denied, internal, no_such_bucket, storage};
use super::head::Head;
use super::ports::Asker;
use super::turns::Turn;
use crate::S3Error;
use crate::index::{Bucket, Change, Index};

/// A call: who asks for what, on which snapshot.
pub(crate) struct Call {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) operation: &'static Operation,
    pub(crate) head: Head,
    pub(crate) target: S3Target,
    pub(crate) caller: Caller,
    pub(crate) handle: Handle,
    pub(crate) ticket: Option<Ticket>,
    /// The literal of `x-amz-content-sha256` that the signature covers.
    pub(crate) payload: String,
    pub(crate) presigned: bool,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) request_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) now: Timestamp,
    /// The time in the signature.
    pub(crate) signed_at: Timestamp,
}

impl Call {
    /// The bucket that the path names. Checks `x-amz-expected-bucket-owner` before anything else.
    pub(crate) fn bucket(&self) -> Result<Arc<Bucket>, ApiError> {
        let name = self.target.bucket.as_deref().unwrap_or_default();
        let bucket = self.gateway.index.bucket(name).ok_or_else(|| no_such_bucket(name))?;
        self.expect_owner(&bucket, "x-amz-expected-bucket-owner")?;
        Ok(bucket)
    }

    /// Refuses a bucket whose owner is not the one that the header names.
    pub(crate) fn expect_owner(&self, bucket: &Bucket, header: &str) -> Result<(), ApiError> {
        match self.amz(header) {
            Some(owner) if owner.trim() != bucket.account.to_string() => Err(access_denied()),
            _ => Ok(()),
        }
    }

    /// The key that the path names.
    pub(crate) fn key(&self) -> &str {
        self.target.key.as_deref().unwrap_or_default()
    }

    /// A parameter of the query string.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.target
            .query
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// An `x-amz-` parameter: the header field, or what a presigned URL carries in its query instead.
    /// Whatever decides on such a parameter asks here, as the operation itself takes it from either.
    pub(crate) fn amz(&self, name: &str) -> Option<&str> {
        match self.head.has(name) {
            true => self.head.header(name),
            false => self.query(name),
        }
    }

    /// All `x-amz-` parameters by their names in lower case, as [`Call::amz`] finds them.
    pub(crate) fn amz_all(&self) -> Vec<(String, &str)> {
        let own = |name: &str| name.starts_with("x-amz-");
        let fields = self.head.headers.iter().filter(|(name, _)| own(name));
        let text = |value| std::str::from_utf8(value).unwrap_or_default().trim();
        let mut all: Vec<(String, &str)> =
            fields.map(|(name, value)| (name.clone(), text(value))).collect();
        for (name, value) in &self.target.query {
            let name = name.to_ascii_lowercase();
            if own(&name) && !self.head.has(&name) {
                all.push((name, value.as_str()));
            }
        }
        all
    }

    /// The request's members, with this body.
    pub(crate) fn input<I: Input>(&self, body: &[u8]) -> Result<I, ApiError> {
        let mut labels = Vec::new();
        labels.extend(self.target.bucket.as_deref().map(|bucket| ("Bucket", bucket)));
        labels.extend(self.target.key.as_deref().map(|key| ("Key", key)));
        let parts = HttpParts {
            labels: &labels,
            query: &self.target.query,
            headers: &self.head.headers,
            body,
        };
        I::from_value(rest_xml::decode(I::OPERATION, &parts)?)
    }

    /// Runs blocking work on the index.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Index) -> Result<T, S3Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let index = Arc::clone(&self.gateway.index);
        let outcome = task::blocking(move || work(&index)).await.ok_or_else(internal)?;
        outcome.map_err(|e| storage(&e))
    }

    /// Decides `action` on the bucket, or on one of its objects.
    pub(crate) fn authorize(
        &self,
        action: &str,
        bucket: &Bucket,
        key: Option<&str>,
    ) -> Result<Permit, ApiError> {
        let resource = match key {
            Some(key) => bucket.object_arn(key),
            None => bucket.arn(),
        };
        let policy = bucket_policy(bucket);
        let access = Access::new(action, resource.as_str()).owned_by(bucket.account);
        let access = match &policy {
            Some(policy) => access.with_policy("bucket policy", policy),
            None => access,
        };
        self.decide(&[access], Some(bucket), None)
    }

    /// Refuses whom no decision on a single object of the bucket could allow, before a body is read.
    pub(crate) fn refuse_strangers(&self, bucket: &Bucket) -> Result<(), ApiError> {
        match self.caller.account == bucket.account || bucket.policy.is_some() {
            true => Ok(()),
            false => Err(access_denied()),
        }
    }

    /// Decides an action on no bucket in particular, with a condition key that only its body has.
    pub(crate) fn authorize_account(
        &self,
        action: &str,
        resource: &str,
        more: Option<(&'static str, String)>,
    ) -> Result<Permit, ApiError> {
        self.decide(&[Access::new(action, resource)], None, more)
    }

    fn decide(
        &self,
        accesses: &[Access<'_>],
        bucket: Option<&Bucket>,
        more: Option<(&'static str, String)>,
    ) -> Result<Permit, ApiError> {
        let mut keys = self.condition_keys(bucket);
        keys.extend(more);
        let asker = Asker {
            caller: &self.caller,
            snapshot: &self.snapshot,
            now: self.now,
            network: &self.head.network,
            region: &self.gateway.region,
            user_agent: self.head.header("user-agent"),
            referer: self.head.header("referer"),
            keys: &keys,
        };
        self.gateway
            .decide
            .decide(&asker, accesses)
            .map_err(|denied| ApiError::access_denied(Service::S3, denied.message()))
    }

    /// S3's own condition keys (Service Authorization Reference, "Condition keys for Amazon S3").
    fn condition_keys(&self, bucket: Option<&Bucket>) -> Vec<(&'static str, String)> {
        let auth = if self.presigned { "REST-QUERY-STRING" } else { "REST-HEADER" };
        let age = self.now.millis().saturating_sub(self.signed_at.millis());
        let mut keys = vec![
            ("s3:signatureAge", age.to_string()),
            ("s3:authType", auth.to_owned()),
            ("s3:signatureversion", "AWS4-HMAC-SHA256".to_owned()),
            ("s3:x-amz-content-sha256", self.payload.clone()),
        ];
        if let Some(bucket) = bucket {
            keys.push(("s3:ResourceAccount", bucket.account.to_string()));
        }
        if let Some(tls) = &self.head.network.tls {
            keys.push(("s3:TlsVersion", tls.trim_start_matches("TLSv").to_owned()));
        }
        for (key, name) in QUERY_KEYS {
            keys.extend(self.query(name).map(|value| (key, value.to_owned())));
        }
        for (key, name) in CONDITIONAL_KEYS {
            keys.extend(self.head.header(name).map(|value| (key, value.to_owned())));
        }
        for (key, name) in AMZ_KEYS {
            keys.extend(self.amz(name).map(|value| (key, value.to_owned())));
        }
        keys
    }

    /// Resources for the record of a call on this bucket.
    pub(crate) fn touched(bucket: &Bucket, key: Option<&str>) -> Vec<Resource> {
        let of = |arn: Arn, kind| Resource { arn, account: Some(bucket.account), kind };
        let bucket_itself = of(bucket.arn(), "AWS::S3::Bucket");
        match key {
            Some(key) => vec![of(bucket.object_arn(key), "AWS::S3::Object"), bucket_itself],
            None => vec![bucket_itself],
        }
    }

    /// `requestParameters` of the record: bucket, key, and what else decided the call.
    pub(crate) fn parameters(&self) -> Map<String, serde_json::Value> {
        let mut out = Map::new();
        let mut put = |name: &str, value: &str| out.insert(name.to_owned(), value.into());
        if let Some(bucket) = &self.target.bucket {
            put("bucketName", bucket);
        }
        if let Some(key) = &self.target.key {
            put("key", key);
        }
        let signature = |name: &str| name.to_ascii_lowercase().starts_with("x-amz-");
        for (name, value) in self.target.query.iter().filter(|(name, _)| !signature(name)) {
            put(name, value);
        }
        for name in RECORDED_HEADERS {
            let value = match name.starts_with("x-amz-") {
                true => self.amz(name),
                false => self.head.header(name),
            };
            if let Some(value) = value {
                put(name, value);
            }
        }
        out
    }
}

const QUERY_KEYS: [(&str, &str); 4] = [
    ("s3:VersionId", "versionId"),
    ("s3:delimiter", "delimiter"),
    ("s3:max-keys", "max-keys"),
    ("s3:prefix", "prefix"),
];

const CONDITIONAL_KEYS: [(&str, &str); 2] =
    [("s3:if-match", "if-match"), ("s3:if-none-match", "if-none-match")];

const AMZ_KEYS: [(&str, &str); 7] = [
    ("s3:x-amz-acl", "x-amz-acl"),
    ("s3:x-amz-copy-source", "x-amz-copy-source"),
    ("s3:x-amz-metadata-directive", "x-amz-metadata-directive"),
    ("s3:x-amz-server-side-encryption", "x-amz-server-side-encryption"),
    (
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-aws-kms-key-id",
    ),
    (
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-algorithm",
    ),
    ("s3:x-amz-storage-class", "x-amz-storage-class"),
];

const RECORDED_HEADERS: [&str; 7] = [
    "if-match",
    "if-none-match",
    "range",
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
];

/// The bucket's policy, its principals bound to the ids that they had when it was written. One that
/// cannot be read or bound stands there as one that denies.
fn bucket_policy(bucket: &Bucket) -> Option<Policy> {
    let kind = PolicyKind::Resource(ResourceKind::Bucket);
    let stored = bucket.policy.as_ref()?;
    let mut policy = Policy::load(&stored.text, kind);
    if let Err(errors) = policy.bind_principals(&|arn| stored.unique_id(arn)) {
        tracing::error!(%errors, bucket = bucket.name, "a bucket policy is not bound; it denies");
        policy = Policy::load("", kind);
    }
    Some(policy)
}

/// What a call came to. Its reply leaves when its record is in the ledger.
pub(crate) struct Outcome {
    pub(crate) reply: HttpReply,
    /// Plaintext that follows the head.
    pub(crate) stream: Option<Download>,
    /// What it changes, under the permit for it.
    pub(crate) change: Option<(Permit, Change)>,
    /// Files that nothing names unless the change is made.
    pub(crate) files: Vec<String>,
    pub(crate) facts: Facts,
    /// Records of single keys within one call, such as DeleteObjects'.
    pub(crate) also: Vec<Also>,
    /// Held until the change is made or its files are removed.
    pub(crate) turn: Option<Turn>,
}

/// What the record tells beside the request.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) response_elements: Option<Map<String, serde_json::Value>>,
    pub(crate) additional: Map<String, serde_json::Value>,
    pub(crate) resources: Vec<Resource>,
}

/// A further event of the same call.
pub(crate) struct Also {
    pub(crate) name: &'static str,
    pub(crate) parameters: Map<String, serde_json::Value>,
    pub(crate) resources: Vec<Resource>,
}

impl Outcome {
    /// A reply with these members.
    pub(crate) fn of<O: Output>(call: &Call, output: O) -> Outcome {
        Outcome::reply(rest_xml::encode_reply(call.operation, &output.into_value()))
    }

    /// A finished reply.
    pub(crate) fn reply(reply: HttpReply) -> Outcome {
        let facts = Facts::default();
        Outcome {
            reply,
            stream: None,
            change: None,
            files: Vec::new(),
            facts,
            also: Vec::new(),
            turn: None,
        }
    }

    /// With a change, which needs the permit for it.
    pub(crate) fn changing(mut self, permit: Permit, change: Change) -> Outcome {
        self.change = Some((permit, change));
        self
    }

    /// With files that the change names.
    pub(crate) fn writing(mut self, files: Vec<String>) -> Outcome {
        self.files = files;
        self
    }

    /// With what was touched.
    pub(crate) fn touching(mut self, bucket: &Bucket, key: Option<&str>) -> Outcome {
        self.facts.resources.extend(Call::touched(bucket, key));
        self
    }

    /// With a fact for `additionalEventData`.
    pub(crate) fn noting(mut self, name: &str, value: impl Into<serde_json::Value>) -> Outcome {
        self.facts.additional.insert(name.to_owned(), value.into());
        self
    }

    /// With one more header field.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Outcome {
        self.reply.headers.push((name.to_owned(), value.into()));
        self
    }
}
