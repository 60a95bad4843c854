//! Minting: one verified signature, one root ticket, for what the delegation table allows.

use writ_aws::Protocol;
use writ_aws::sigv4::Form;
use writ_keyd_client::protocol::{Refusal, Ticket};
use writ_keyd_client::secret::SecretBytes;
use writ_model::limits::FAS_ROOT_LIFETIME;
use writ_model::{Arn, Nonce, Revision, Timestamp};
use writ_proof::cbor;
use writ_proof::fas::{self, Customer, Holder, Mfa, Network, Root, SignedRequest};
use writ_proof::hash::{Hash, sha256, sha256_of};
use writ_proof::leaf::Source;

use crate::authenticate::{Signed, signature_end};
use crate::engine::Engine;
use crate::fas::ContextDocument;
use crate::refuse::internal;
use crate::request::{self, Asked};
use crate::{delegation, limits};

/// The service principal that got the customer's request.
const S3_PRINCIPAL: &str = "s3.amazonaws.com";

impl Engine {
    /// The root ticket for s3, if the request is one that needs other services.
    pub(crate) fn mint(
        &self,
        signed: &Signed<'_>,
        asked: &Asked,
    ) -> Result<Option<Ticket>, Refusal> {
        let account = signed.caller.account;
        let region = &signed.request.region;
        let resolve = |name: &str| self.resolve_key(name, account, region);
        let managed = Arn::build("kms", region.as_str(), Some(account), "alias/aws/s3");
        let fwd = delegation::rows(asked.operation.name, &asked.input, &resolve, &managed);
        let now = self.env.now();
        let session_end = signed.caller.session.as_ref().map(|session| session.expires);
        let exp = now
            .plus(FAS_ROOT_LIFETIME)
            .min(signature_end(&signed.claim, Protocol::RestXml))
            .min(session_end.unwrap_or(now.plus(FAS_ROOT_LIFETIME)));
        if fwd.is_empty() || exp <= now {
            return Ok(None);
        }
        self.count_admission(signed)?;
        let context = self.context_document(signed, exp);
        if context.len() > limits::FAS_CONTEXT_MAX_BYTES {
            return Ok(None);
        }
        let (kid, key) = self.fas.current();
        let request = signed.request;
        let root = Root {
            kid,
            txn: self.transaction(signed),
            jti: self.env.nonce(),
            iat: now,
            exp,
            principal: customer(signed),
            req: signed_request(signed, asked),
            net: Network {
                source_ip: Some(request.network.source_ip.clone()),
                vpce: request.network.vpce.clone(),
                vpc: None,
                tls: request.network.tls.clone(),
            },
            ctx: sha256(&context),
            fwd,
            holder: Holder::Channel(Source::S3),
            via: vec![S3_PRINCIPAL.to_owned()],
            depth: 0,
            epoch: Revision(self.feed_position()),
        };
        let ticket = fas::Ticket::mint(&key, &root)
            .map_err(|_| internal("the forward access ticket cannot be made"))?;
        let ticket = SecretBytes::new(ticket.to_bytes());
        Ok(Some(Ticket { ticket, context }))
    }

    fn context_document(&self, signed: &Signed<'_>, exp: Timestamp) -> Vec<u8> {
        let request = signed.request;
        // Each use of a presigned URL is a transaction, which ends with its one ticket.
        let until = match signed.claim.form {
            Form::Presigned { .. } => exp,
            Form::Header => signed.window().until,
        };
        cbor::to_vec(&ContextDocument {
            caller: signed.caller.clone(),
            user_agent: request::header(request, "user-agent").map(str::to_owned),
            referer: request::header(request, "referer").map(str::to_owned),
            until,
        })
    }

    /// A replay of one signature is one transaction, with one budget; each admission of a presigned
    /// URL is its own.
    fn transaction(&self, signed: &Signed<'_>) -> Nonce {
        if matches!(signed.claim.form, Form::Presigned { .. }) {
            return self.env.nonce();
        }
        let digest = sha256_of(&[b"writ-fas-txn-v1", &signed.verified.signature_digest]).0;
        let mut id = [0u8; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Nonce(id)
    }
}

fn customer(signed: &Signed<'_>) -> Customer {
    let caller = &signed.caller;
    let session = caller.session.as_ref();
    let role = session.and_then(|session| session.role.as_ref());
    let unique_id = role.map_or(caller.unique_id.as_str(), |role| role.unique_id.as_str());
    Customer {
        arn: caller.arn.clone(),
        unique_id: unique_id.parse().ok().filter(|_| unique_id.starts_with('A')),
        account: caller.account,
        access_key: caller.access_key_id.clone(),
        issuer: role.map(|role| role.arn.clone()),
        mfa: session.map(|s| Mfa { present: s.mfa_at.is_some(), at: s.mfa_at }),
        source_identity: session.and_then(|session| session.source_identity.clone()),
    }
}

fn signed_request(signed: &Signed<'_>, asked: &Asked) -> SignedRequest {
    let text = |name: &str| asked.input.member(name).and_then(writ_aws::Value::text);
    let object = text("Bucket").zip(text("Key"));
    let object = object.map(|(bucket, key)| delegation::object_arn(bucket, key));
    SignedRequest {
        digest: Hash(signed.verified.request_digest),
        signature: Hash(signed.verified.signature_digest),
        request_id: signed.request.request_id,
        event_id: signed.request.event_id,
        service: "s3".to_owned(),
        region: signed.claim.scope.region.clone(),
        operation: format!("s3:{}", asked.operation.name),
        resources: object.into_iter().collect(),
    }
}
