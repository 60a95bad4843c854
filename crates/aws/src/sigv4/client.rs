//! Signing, for clients: the tour, the benches, tests and upstream calls.
//!
//! It shares the canonicaliser with the verifier, so it is no oracle for it: the vectors and the
//! crate `aws-sigv4` are.

use std::time::Duration;

use writ_model::limits::PRESIGNED_LIFETIME_MAX;
use writ_model::{Region, Timestamp};
use zeroize::Zeroizing;

use super::encode::{encode, encode_path};
use super::{
    ALGORITHM, ChunkChain, Claim, DateSource, Form, Payload, RawRequest, Scope, SigError,
    SigningKey, sha256, string_to_sign,
};

/// An access key with its secret. No `Debug`, `Clone` or `Serialize`; the secret is zeroized.
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: Zeroizing<String>,
    /// The session token of temporary credentials.
    pub session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Long-term credentials.
    pub fn new(access_key_id: &str, secret: &str) -> Credentials {
        Credentials {
            access_key_id: access_key_id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            session_token: None,
        }
    }
}

/// Signs requests for one service in one region.
pub struct Signer<'a> {
    /// Who signs.
    pub credentials: &'a Credentials,
    /// The region of the scope.
    pub region: &'a Region,
    /// The signing name of the service.
    pub service: &'a str,
}

/// A signed request's head.
pub struct Signed {
    /// The header fields to send: those given, and those that signing added.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What the server will read from them; its signature is the seed of chunk signatures.
    pub claim: Claim,
}

impl Signer<'_> {
    /// The signing key of the day of `now`.
    pub fn key(&self, now: Timestamp) -> SigningKey {
        let date = day(now);
        let secret = self.credentials.secret.as_bytes();
        SigningKey::derive(secret, &date, self.region.as_str(), self.service)
    }

    /// Signs in the `Authorization` header.
    ///
    /// `request` must have a `host` field. `x-amz-date` and, for temporary credentials,
    /// `x-amz-security-token` are added, and for [`Payload::Declared`] `x-amz-content-sha256`,
    /// unless they are there. Every field but `expect`, `user-agent` and `connection` is signed.
    pub fn sign_request(
        &self,
        request: &RawRequest<'_>,
        payload: Payload<'_>,
        now: Timestamp,
    ) -> Result<Signed, SigError> {
        let mut headers = request.headers.to_vec();
        set(&mut headers, "x-amz-date", now.basic().as_bytes());
        if let Some(token) = &self.credentials.session_token {
            set(&mut headers, "x-amz-security-token", token.as_bytes());
        }
        if let Payload::Declared(literal) = payload {
            set(&mut headers, "x-amz-content-sha256", literal.as_bytes());
        }
        let mut claim = self.claim(&headers, Form::Header, DateSource::AmzDate, now);
        let whole = RawRequest { headers: &headers, ..*request };
        let text = string_to_sign(&whole, &claim, payload)?;
        claim.signature = self.key(now).sign(text.text.as_bytes());
        let value = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            claim.access_key_id,
            claim.scope,
            claim.signed_headers.join(";"),
            hex::encode(claim.signature)
        );
        headers.push(("authorization".to_owned(), value.into_bytes()));
        Ok(Signed { headers, claim })
    }

    /// The query string of a presigned URL, good for `expires` (1 s to 7 days) from `now` on.
    ///
    /// `request` must have a `host` field; all its fields are signed and must be sent.
    pub fn presign(
        &self,
        request: &RawRequest<'_>,
        payload: Payload<'_>,
        now: Timestamp,
        expires: Duration,
    ) -> Result<String, SigError> {
        if expires.as_secs() == 0 || expires > PRESIGNED_LIFETIME_MAX {
            return Err(SigError::ExpiresOutOfRange { given: expires.as_secs().to_string() });
        }
        let form = Form::Presigned { expires };
        let mut claim = self.claim(request.headers, form, DateSource::Query, now);
        let credential = format!("{}/{}", claim.access_key_id, claim.scope);
        let mut query = request.query.to_owned();
        let mut add = |name: &str, value: &str| {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            query.push_str(&encode(value.as_bytes()));
        };
        add("X-Amz-Algorithm", ALGORITHM);
        add("X-Amz-Credential", &credential);
        add("X-Amz-Date", &now.basic());
        add("X-Amz-Expires", &expires.as_secs().to_string());
        add("X-Amz-SignedHeaders", &claim.signed_headers.join(";"));
        if let Some(token) = &self.credentials.session_token {
            add("X-Amz-Security-Token", token);
            claim.token_in_query = true;
        }
        let whole = RawRequest { query: &query, ..*request };
        let text = string_to_sign(&whole, &claim, payload)?;
        let signature = self.key(now).sign(text.text.as_bytes());
        query.push_str("&X-Amz-Signature=");
        query.push_str(&hex::encode(signature));
        Ok(query)
    }

    fn claim(
        &self,
        headers: &[(String, Vec<u8>)],
        form: Form,
        date_source: DateSource,
        now: Timestamp,
    ) -> Claim {
        let mut signed_headers: Vec<String> =
            headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        signed_headers.retain(|n| !matches!(n.as_str(), "expect" | "user-agent" | "connection"));
        signed_headers.sort_unstable();
        signed_headers.dedup();
        Claim {
            access_key_id: self.credentials.access_key_id.clone(),
            scope: Scope {
                date: day(now),
                region: self.region.clone(),
                service: self.service.to_owned(),
            },
            signed_at: Timestamp::from_secs(now.secs()),
            date_source,
            signed_headers,
            signature: [0; 32],
            form,
            session_token: self.credentials.session_token.as_ref().map(|t| t.to_string()),
            token_in_query: false,
        }
    }
}

/// Writes a body in `aws-chunked` framing with a signature on each chunk.
pub struct ChunkWriter<'a> {
    key: &'a SigningKey,
    chain: ChunkChain,
}

impl<'a> ChunkWriter<'a> {
    /// A writer whose seed is the signature of `claim`.
    pub fn new(key: &'a SigningKey, claim: &Claim) -> ChunkWriter<'a> {
        ChunkWriter { key, chain: ChunkChain::new(claim) }
    }

    /// Appends one chunk. Every chunk but the last has at least 8 KiB.
    pub fn chunk(&mut self, out: &mut Vec<u8>, data: &[u8]) {
        let signature = self.chain.sign_chunk(self.key, &sha256(data));
        let head = format!("{:x};chunk-signature={}\r\n", data.len(), hex::encode(signature));
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(data);
        if !data.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the empty chunk and the end of a body without trailer.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.chunk(out, b"");
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the empty chunk, the trailer (`name`, `value`) with its signature, and the end.
    pub fn finish_with_trailer(mut self, out: &mut Vec<u8>, trailer: &[(&str, &str)]) {
        self.chunk(out, b"");
        let mut trailer = trailer.to_vec();
        trailer.sort_unstable();
        let lines: String = trailer.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let signature = self.chain.sign_trailer(self.key, &sha256(lines.as_bytes()));
        out.extend_from_slice(lines.replace('\n', "\r\n").as_bytes());
        let last = format!("x-amz-trailer-signature:{}\r\n\r\n", hex::encode(signature));
        out.extend_from_slice(last.as_bytes());
    }
}

/// The path of an S3 object in path style: `/bucket/key`, percent-encoded.
pub fn s3_path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encode_path(key.as_bytes()))
}

fn day(now: Timestamp) -> String {
    now.basic().chars().take(8).collect()
}

fn set(headers: &mut Vec<(String, Vec<u8>)>, name: &str, value: &[u8]) {
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value.to_vec()));
    }
}
