//! AWS Signature Version 4 for the side that verifies.
//!
//! The steps, in the order in which a verifier takes them:
//!
//! 1. [`parse`] reads the claim that a raw request makes: who signed, when, over what.
//! 2. [`check_window`], [`check_scope`] and [`check_signed_headers`] refuse what no signature
//!    could make good.
//! 3. The caller finds the secret of [`Claim::access_key_id`] and derives (or has cached) the
//!    [`SigningKey`].
//! 4. [`verify`] rebuilds the canonical request from the raw bytes and compares in constant time.
//!
//! Input is the request as it came: the path and query of the request line, not decoded, and the
//! header fields in order. What the signature covers is a *canonical form* of those bytes, and
//! two requests with the same canonical form are the same to this module. Whoever decodes the
//! request afterwards must therefore use the same rules: [`encode::query_pairs`] for the query
//! (`+` is a space; the order of equal names is not signed, so repeated names must be refused or
//! have no order), [`encode::decode`] once for an S3 path.
//!
//! Source: "Create a signed AWS API request", IAM User Guide; "Authenticating Requests (AWS
//! Signature Version 4)", Amazon S3 API Reference. SigV4a (`AWS4-ECDSA-P256-SHA256`) is refused
//! with an error of its own.

mod canonical;
mod checks;
mod chunks;
pub mod client;
pub mod encode;
mod errors;
mod key;
mod parse;
mod payload;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;
use writ_model::{Region, Timestamp};

pub use canonical::{PathStyle, StringToSign, TokenPlace, string_to_sign, string_to_sign_as};
pub use checks::{check_scope, check_signed_headers, check_window};
pub use chunks::{ChunkChain, chunk_string_to_sign, trailer_string_to_sign};
pub use errors::{AuthFault, Mismatch, ProtocolFamily, SigError, Window};
pub use key::SigningKey;
pub use parse::parse;
pub use payload::{PayloadMode, UNSIGNED_PAYLOAD, s3_payload_literal};

/// The one algorithm that is verified.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// SigV4a's algorithm, known so that it can be refused by name.
pub const ALGORITHM_V4A: &str = "AWS4-ECDSA-P256-SHA256";

/// The last element of every credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// A request as received, before anything has been decoded.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method, as on the request line.
    pub method: &'a str,
    /// The path as on the request line, up to and without `?`.
    pub path: &'a str,
    /// What follows `?` on the request line; empty when there is none.
    pub query: &'a str,
    /// Header fields in the order received: name in any case, value as sent.
    pub headers: &'a [(String, Vec<u8>)],
}

impl<'a> RawRequest<'a> {
    /// The values of all fields called `name` (in any case), in order.
    pub fn header_values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_slice())
    }

    /// The value of the only field called `name`, trimmed; `None` when there is none.
    ///
    /// A second field of that name and a value that is not visible ASCII are errors: the headers
    /// read in this way decide who signed what.
    pub fn single_header(&self, name: &'a str) -> Result<Option<&'a str>, SigError> {
        let mut values = self.header_values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(SigError::DuplicateHeader { name: name.to_owned() });
        }
        match std::str::from_utf8(value) {
            Ok(text) if text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) => {
                Ok(Some(text.trim_ascii()))
            }
            _ => Err(SigError::HeaderNotText { name: name.to_owned() }),
        }
    }
}

/// What the signature says about the body.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// The whole body, which is hashed here. For the query and JSON protocols.
    Body(&'a [u8]),
    /// The literal of `x-amz-content-sha256`, taken as declared. For S3, whose bodies stream:
    /// see [`s3_payload_literal`]; whoever reads the body must hold it to the literal.
    Declared(&'a str),
}

/// What a credential was narrowed to when its signing key was derived.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scope {
    /// The day, `YYYYMMDD`. Always the day of [`Claim::signed_at`].
    pub date: String,
    /// The region. IAM and STS sign for `us-east-1` everywhere; what is fit is the caller's rule.
    pub region: Region,
    /// The signing name of the service, such as `kms`.
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// Where the signature stands in the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query string.
    Presigned {
        /// How long the URL is good for, from its date on: 1 s to 7 days.
        expires: Duration,
    },
}

/// Which field dates a request that is signed in its headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateSource {
    /// The header `x-amz-date`.
    AmzDate,
    /// The header `date`, in HTTP's form or in AWS's basic form.
    Date,
    /// The query parameter `X-Amz-Date`.
    Query,
}

/// What a request says about its own signature. Nothing of it is true until [`verify`] says so.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The access key id, 1 to 128 of `A-Z a-z 0-9 _`.
    pub access_key_id: String,
    /// The credential scope.
    pub scope: Scope,
    /// When the request says that it was signed, to the second.
    pub signed_at: Timestamp,
    /// Which field gave the date.
    pub date_source: DateSource,
    /// Names of the signed headers: lower case, sorted, each once, each present in the request.
    pub signed_headers: Vec<String>,
    /// The signature.
    pub signature: [u8; 32],
    /// Where the signature stands.
    pub form: Form,
    /// The session token, from header or query.
    ///
    /// It may be outside the signature (AWS's clients may add it after signing), so it proves
    /// nothing by itself: the credential that it wraps must be the one of `access_key_id`.
    pub session_token: Option<String>,
    /// Whether the session token stands in the query string.
    pub token_in_query: bool,
}

impl Claim {
    /// SHA-256 of the 32 raw bytes of the signature: how records name a signed request.
    ///
    /// A customer recomputes it from their own secret; the signature itself cannot be replayed
    /// from it.
    pub fn signature_digest(&self) -> [u8; 32] {
        sha256(&self.signature)
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the signature (it can be replayed in its window) nor the token is printed.
        f.debug_struct("Claim")
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("signed_at", &self.signed_at)
            .field("signed_headers", &self.signed_headers)
            .field("form", &self.form)
            .field("has_session_token", &self.session_token.is_some())
            .finish_non_exhaustive()
    }
}

/// A signature that was found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// SHA-256 of the 32 raw bytes of the signature.
    pub signature_digest: [u8; 32],
    /// SHA-256 of the bytes of the string to sign.
    pub request_digest: [u8; 32],
}

/// Verifies `claim` over `request`; the caller has made the other checks.
///
/// Clients differ in two points, so up to four canonical forms are tried, all of one meaning: a
/// session token in the query string may have been added before or after signing, and an S3 path
/// may be signed as AWS documents it or as it stands on the request line. Each comparison takes
/// constant time.
pub fn verify(
    key: &SigningKey,
    request: &RawRequest<'_>,
    claim: &Claim,
    payload: Payload<'_>,
) -> Result<Verified, SigError> {
    let style = PathStyle::of_service(&claim.scope.service);
    verify_as(key, request, claim, payload, style)
}

/// [`verify`] with a path rule other than the one that the scope's service has.
pub fn verify_as(
    key: &SigningKey,
    request: &RawRequest<'_>,
    claim: &Claim,
    payload: Payload<'_>,
    style: PathStyle,
) -> Result<Verified, SigError> {
    let first = string_to_sign_as(request, claim, payload, style, TokenPlace::BeforeSigning)?;
    let right = |s: &StringToSign| Verified {
        signature_digest: claim.signature_digest(),
        request_digest: s.digest,
    };
    if key.verify(&first, &claim.signature) {
        return Ok(right(&first));
    }
    let as_sent = style == PathStyle::S3 && !canonical::is_canonical_s3_path(request.path);
    let others = [
        (style, TokenPlace::AfterSigning, claim.token_in_query),
        (PathStyle::S3AsSent, TokenPlace::BeforeSigning, as_sent),
        (PathStyle::S3AsSent, TokenPlace::AfterSigning, as_sent && claim.token_in_query),
    ];
    for (style, token, _) in others.into_iter().filter(|(_, _, possible)| *possible) {
        let other = string_to_sign_as(request, claim, payload, style, token)?;
        if key.verify(&other, &claim.signature) {
            return Ok(right(&other));
        }
    }
    Err(SigError::SignatureMismatch(Box::new(Mismatch {
        access_key_id: claim.access_key_id.clone(),
        canonical_request: first.canonical_request,
        string_to_sign: first.text,
        signature: claim.signature,
    })))
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let made = digest::digest(&digest::SHA256, bytes);
    // INVARIANT: SHA-256 has 32 bytes, so both slices have the same length.
    out.copy_from_slice(made.as_ref());
    out
}

/// Reads exactly 64 lower-case hexadecimal digits.
pub(crate) fn hex32(text: &str) -> Option<[u8; 32]> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 64 || !text.bytes().all(lower) {
        return None;
    }
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
#[path = "../tests/sigv4.rs"]
mod tests;
