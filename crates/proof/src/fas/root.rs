//! What keyd puts into a ticket, and nobody can change.

use std::collections::BTreeMap;

use writ_model::{AccessKeyId, AccountId, Arn, Nonce, Region, Revision, Timestamp, UniqueId, Uuid};

use crate::cbor::Writer;
use crate::error::Error;
use crate::hash::{Hash, labelled};
use crate::leaf::Source;
use crate::limits;
use crate::{cbor_enum, cbor_map};

const CONTEXT_LABEL: &str = "writ-encryption-context-v1";

/// The root of a ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct Root {
    /// Which MAC key of keyd.
    pub kid: Nonce,
    /// The transaction: all tickets that come from one admission of one signature.
    pub txn: Nonce,
    /// This ticket.
    pub jti: Nonce,
    /// When it was made.
    pub iat: Timestamp,
    /// When it ends: at most 300 s after `iat`, for a further hop 60 s.
    pub exp: Timestamp,
    /// On whose behalf.
    pub principal: Customer,
    /// The customer's request.
    pub req: SignedRequest,
    /// From where it came.
    pub net: Network,
    /// SHA-256 of the context document that travels beside the ticket.
    pub ctx: Hash,
    /// What the ticket may be used for.
    pub fwd: Vec<Forward>,
    /// Who may use it.
    pub holder: Holder,
    /// The services so far, in order, by their service principals: the first got the customer's
    /// request, the last is the holder. There are `depth + 1` of them.
    pub via: Vec<String>,
    /// How many hops before this one: 0 for the ticket of the service that got the request.
    pub depth: u32,
    /// The revision of the revocation feed when it was made.
    pub epoch: Revision,
}
cbor_map!(Root {
    1: kid,
    2: txn,
    3: jti,
    4: iat,
    5: exp,
    6: principal,
    7: req,
    8: net,
    9: ctx,
    10: fwd,
    11: holder,
    12: via,
    13: depth,
    14: epoch,
});

impl Root {
    /// The rules that every root keeps, whoever made it.
    pub(super) fn check(&self) -> Result<(), Error> {
        const WHAT: &str = "ticket root";
        let lifetime = if self.depth == 0 {
            writ_model::limits::FAS_ROOT_LIFETIME
        } else {
            writ_model::limits::FAS_HOP_LIFETIME
        };
        if self.exp > self.iat.plus(lifetime) || self.exp < self.iat {
            return Err(Error::malformed(WHAT, "it lives too long or ends before it begins"));
        }
        let depth = usize::try_from(self.depth).unwrap_or(usize::MAX);
        Error::limit("ticket hops", depth, limits::TICKET_MAX_DEPTH)?;
        if depth.checked_add(1) != Some(self.via.len()) {
            return Err(Error::malformed(WHAT, "its depth does not fit the services so far"));
        }
        Ok(())
    }
}

/// The customer on whose behalf a ticket is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The principal's ARN.
    pub arn: Arn,
    /// Its unique id; an account's root has none.
    pub unique_id: Option<UniqueId>,
    /// Its account.
    pub account: AccountId,
    /// The access key that signed.
    pub access_key: AccessKeyId,
    /// The role of which it is a session.
    pub issuer: Option<Arn>,
    /// Multi-factor authentication.
    pub mfa: Option<Mfa>,
    /// The source identity of the session.
    pub source_identity: Option<String>,
}
cbor_map!(Customer {
    1: arn,
    2: opt unique_id,
    3: account,
    4: access_key,
    5: opt issuer,
    6: opt mfa,
    7: opt source_identity,
});

/// What is known of a session's multi-factor authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mfa {
    /// Whether there was one.
    pub present: bool,
    /// When.
    pub at: Option<Timestamp>,
}
cbor_map!(Mfa { 1: present, 2: opt at });

/// The customer's request, as its signature covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// SHA-256 of SigV4's string to sign.
    pub digest: Hash,
    /// SHA-256 of the signature, which the customer can compute again.
    pub signature: Hash,
    /// The request id of the service that got it.
    pub request_id: Uuid,
    /// The event that tells of it.
    pub event_id: Uuid,
    /// The service, for example `s3`.
    pub service: String,
    /// The region of the credential scope.
    pub region: Region,
    /// The action, for example `s3:GetObject`.
    pub operation: String,
    /// The ARNs of the resources.
    pub resources: Vec<String>,
}
cbor_map!(SignedRequest {
    1: digest,
    2: signature,
    3: request_id,
    4: event_id,
    5: service,
    6: region,
    7: operation,
    8: resources,
});

/// From where the customer's request came, as the first service observed it. Sealed here, no later
/// hop can change it; whether it was observed rightly is the first service's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The source address.
    pub source_ip: Option<String>,
    /// The VPC endpoint.
    pub vpce: Option<String>,
    /// The VPC.
    pub vpc: Option<String>,
    /// The TLS version, `TLSv1.3`; absent without TLS.
    pub tls: Option<String>,
}
cbor_map!(Network { 1: opt source_ip, 2: opt vpce, 3: opt vpc, 4: opt tls });

/// One downstream use that a ticket allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The called service, for example `kms`.
    pub audience: String,
    /// The action, for example `kms:Decrypt`.
    pub action: String,
    /// On what.
    pub resource: ResourceRule,
    /// With which encryption context.
    pub context: ContextRule,
    /// How often, in the whole transaction.
    pub budget: u32,
}
cbor_map!(Forward { 1: audience, 2: action, 3: resource, 4: context, 5: budget });

/// On what a downstream use may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceRule {
    /// On any resource: the customer's policies decide.
    Any,
    /// On one of these ARNs.
    OneOf(Vec<String>),
}
cbor_enum!(ResourceRule { 0: Any, 1: OneOf(_) });

/// With which encryption context a downstream use may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextRule {
    /// With any, for uses that have none.
    Any,
    /// With exactly one of these, by [`context_digest`].
    Exactly(Vec<Hash>),
    /// With one that holds this pair, and possibly others.
    Includes(Pair),
}
cbor_enum!(ContextRule { 0: Any, 1: Exactly(_), 2: Includes(_) });

/// A pair of an encryption context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}
cbor_map!(Pair { 1: key, 2: value });

/// Who may use a ticket. Appending cannot change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The process at the other end of this channel of keyd.
    Channel(Source),
    /// Whoever has the Ed25519 key with this thumbprint: a service on another machine.
    Key(Hash),
}
cbor_enum!(Holder { 0: Channel(_), 1: Key(_) });

/// The digest of an encryption context. Sorted by key and with every length written, so that no two
/// contexts share one.
pub fn context_digest(context: &BTreeMap<String, String>) -> Hash {
    let mut writer = Writer::default();
    writer.array(context.len());
    for (key, value) in context {
        writer.array(2);
        writer.text(key);
        writer.text(value);
    }
    labelled(CONTEXT_LABEL, &writer.into_bytes())
}
