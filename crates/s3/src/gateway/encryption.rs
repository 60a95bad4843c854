//! What the client asked of encryption, and the data key for it: always on the customer's ticket.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_aws::ApiError;
use writ_keyd_client::key_policy::inner_path;
use writ_keyd_client::secret::SecretBytes;
use writ_model::{Arn, Env as _};
use writ_policy::Permit;
use writ_proof::fas::{ProvenRequest, Ticket as FasTicket};
use writ_proof::hash::Hash;

use super::call::Call;
use super::fault::{access_denied, argument, internal, not_implemented, s3, unavailable};
use crate::format::{DataKey, SseMode, sha256};
use crate::kms_link::{KmsReply, KmsRequest};
use crate::limits::WRAPPED_KEY_MAX_BYTES;

/// The account's managed key for S3: what is used when nothing else is asked for.
const MANAGED_ALIAS: &str = "alias/aws/s3";
/// Pairs that a customer may add to the encryption context, in bytes of JSON.
const CONTEXT_MAX_BYTES: usize = 2_048;

/// What the client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) mode: SseMode,
    /// A key's id, ARN or alias.
    pub(crate) key: String,
    /// Pairs that the customer signed beside the object's ARN.
    pub(crate) context: Vec<(String, String)>,
}

impl Wish {
    /// Reads the headers of PutObject, CopyObject or CreateMultipartUpload.
    pub(crate) fn of(call: &Call) -> Result<Wish, ApiError> {
        let prefix = "x-amz-server-side-encryption";
        let field = |suffix: &str| call.amz(&format!("{prefix}{suffix}"));
        for suffix in ["-customer-algorithm", "-customer-key", "-customer-key-md5"] {
            if field(suffix).is_some() {
                return Err(not_implemented("SSE-C"));
            }
        }
        if field("-bucket-key-enabled").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            return Err(not_implemented("bucket keys"));
        }
        let mode = match field("") {
            None | Some("aws:kms") => SseMode::Kms,
            Some("AES256") => SseMode::Aes256,
            Some("aws:kms:dsse") => return Err(not_implemented("aws:kms:dsse")),
            Some(other) => {
                let text = "The encryption method specified is not supported";
                return Err(argument(prefix, other, text));
            }
        };
        let key = field("-aws-kms-key-id").unwrap_or(MANAGED_ALIAS);
        if mode == SseMode::Aes256 && key != MANAGED_ALIAS {
            let text = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                        x-amz-server-side-encryption : aws:kms";
            return Err(argument(prefix, "AES256", text));
        }
        let context = field("-context").map(read_context).transpose()?.unwrap_or_default();
        Ok(Wish { mode, key: key.to_owned(), context })
    }
}

fn read_context(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    let name = "x-amz-server-side-encryption-context";
    let bad = || argument(name, text, "The encryption context is not base64 of a JSON object");
    let bytes = STANDARD.decode(text).map_err(|_| bad())?;
    if bytes.len() > CONTEXT_MAX_BYTES {
        return Err(bad());
    }
    let pairs: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    if pairs.contains_key("aws:s3:arn") {
        return Err(argument(name, text, "The encryption context must not name aws:s3:arn"));
    }
    Ok(pairs.into_iter().collect())
}

/// A fresh data key and what unwraps it again.
pub(crate) struct NewKey {
    pub(crate) key: DataKey,
    pub(crate) key_arn: Arn,
    pub(crate) wrapped: Vec<u8>,
}

impl Call {
    /// Has the customer's KMS key make a data key for `object`.
    pub(crate) async fn generate(
        &self,
        _permit: &Permit,
        wish: &Wish,
        object: &Arn,
    ) -> Result<NewKey, ApiError> {
        let body = json!({
            "KeyId": wish.key,
            "KeySpec": "AES_256",
            "EncryptionContext": context(object, &wish.context),
        });
        let mut reply = self.kms("GenerateDataKey", &body).await?;
        if wish.key == MANAGED_ALIAS && is_missing(&reply) {
            // The first use of the account's managed key makes it: keyd admits exactly this.
            let made = json!({
                "Description": "Default key that protects my S3 objects when no other key is defined",
            });
            let made = self.kms("CreateKey", &made).await?;
            // Another first use may have been faster: its key is the one.
            if !is_error(&made, "AlreadyExistsException") {
                answer(made)?;
            }
            reply = self.kms("GenerateDataKey", &body).await?;
        }
        let (document, reply) = answer(reply)?;
        let text = |name: &str| document.get(name).and_then(Value::as_str).ok_or_else(internal);
        let wrapped = STANDARD.decode(text("CiphertextBlob")?).map_err(|_| internal())?;
        let key_arn = text("KeyId")?.parse().map_err(|_| internal())?;
        if wrapped.len() > WRAPPED_KEY_MAX_BYTES {
            return Err(internal());
        }
        Ok(NewKey { key: self.open(reply).await?, key_arn, wrapped })
    }

    /// Has the customer's KMS key unwrap the data key of `object`.
    pub(crate) async fn unwrap(
        &self,
        _permit: &Permit,
        key_arn: &Arn,
        wrapped: &[u8],
        pairs: &[(String, String)],
        object: &Arn,
    ) -> Result<DataKey, ApiError> {
        let body = json!({
            "CiphertextBlob": STANDARD.encode(wrapped),
            "KeyId": key_arn,
            "EncryptionContext": context(object, pairs),
        });
        let (_, reply) = answer(self.kms("Decrypt", &body).await?)?;
        self.open(reply).await
    }

    async fn open(&self, reply: KmsReply) -> Result<DataKey, ApiError> {
        let sealed = reply.sealed.ok_or_else(internal)?;
        self.gateway.keyd.open(sealed.handle, &sealed.sealed).await.ok_or_else(|| {
            tracing::error!("a data key does not open under this channel's key");
            unavailable()
        })
    }

    /// One call to KMS with the customer's ticket and our proof of possession.
    async fn kms(&self, operation: &str, body: &Value) -> Result<KmsReply, ApiError> {
        let gateway = &self.gateway;
        let ticket = self.ticket.as_ref().ok_or_else(access_denied)?;
        let parsed = FasTicket::from_bytes(ticket.ticket.expose()).map_err(|_| internal())?;
        let body = body.to_string().into_bytes();
        let target = format!("TrentService.{operation}");
        let path = inner_path(&target);
        let request = ProvenRequest {
            method: "POST",
            path: &path,
            query: "",
            body: Hash(sha256(&body)),
            ticket: parsed.digest(),
        };
        let (time, nonce) = (gateway.env.now(), gateway.env.nonce());
        let proof = gateway.keyd.prove(&request, time, nonce).await.ok_or_else(unavailable)?;
        let frame = KmsRequest {
            method: "POST".to_owned(),
            path,
            query: String::new(),
            target,
            body,
            ticket: SecretBytes::new(ticket.ticket.expose().to_vec()),
            context: ticket.context.clone(),
            proof: proof.mac,
            proof_time: proof.time,
            proof_nonce: proof.nonce,
            region: gateway.region.clone(),
        };
        gateway.kms.call(&frame).await.map_err(|error| {
            tracing::warn!(%error, "front does not answer a call to KMS");
            unavailable()
        })
    }
}

/// The encryption context: the object's ARN, and what the customer added.
fn context(object: &Arn, pairs: &[(String, String)]) -> BTreeMap<String, String> {
    let own = [("aws:s3:arn".to_owned(), object.to_string())];
    pairs.iter().cloned().chain(own).collect()
}

fn document(reply: &KmsReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

/// The type of an error, without its namespace.
fn error_type(document: &Value) -> &str {
    let full = document.get("__type").and_then(Value::as_str).unwrap_or_default();
    full.rsplit('#').next().unwrap_or_default()
}

fn is_missing(reply: &KmsReply) -> bool {
    is_error(reply, "NotFoundException")
}

fn is_error(reply: &KmsReply, name: &str) -> bool {
    reply.status != 200 && error_type(&document(reply)) == name
}

/// The reply of a success, or KMS's error in S3's words: `KMS.DisabledException` and the like.
fn answer(reply: KmsReply) -> Result<(Value, KmsReply), ApiError> {
    let document = document(&reply);
    if reply.status == 200 {
        return Ok((document, reply));
    }
    let message = ["message", "Message"].iter().find_map(|name| document.get(*name)?.as_str());
    let message = message.unwrap_or("The key management service refused the request.").to_owned();
    Err(match (error_type(&document), reply.status) {
        ("AccessDeniedException", _) => s3("AccessDenied", &message),
        (_, 500..) => unavailable(),
        ("", _) => internal(),
        (kind, _) => ApiError::new(format!("KMS.{kind}"), message, 400),
    })
}
