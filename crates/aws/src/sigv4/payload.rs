//! What `x-amz-content-sha256` can say about a body.

use super::encode::query_pairs;
use super::{Claim, Form, RawRequest, SigError, hex32};

/// The literal of a body that the signature does not cover.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// How a signature covers the body ("Authenticating Requests", Amazon S3 API Reference).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PayloadMode {
    /// The body has this SHA-256.
    Sha256([u8; 32]),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each chunk is signed.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: each chunk and the trailer are signed.
    SignedChunksTrailer,
    /// `UNSIGNED-PAYLOAD`: the body is not covered.
    Unsigned,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: chunks and trailer, neither covered.
    UnsignedChunksTrailer,
}

impl PayloadMode {
    /// Reads the literal of `x-amz-content-sha256`.
    ///
    /// SigV4a's streaming literals are refused as [`SigError::Sigv4aUnsupported`].
    pub fn parse(literal: &str) -> Result<PayloadMode, SigError> {
        match literal {
            UNSIGNED_PAYLOAD => Ok(PayloadMode::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(PayloadMode::UnsignedChunksTrailer),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(PayloadMode::SignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(PayloadMode::SignedChunksTrailer),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Err(SigError::Sigv4aUnsupported)
            }
            other => match hex32(other) {
                Some(sha256) => Ok(PayloadMode::Sha256(sha256)),
                None => Err(SigError::ContentSha256Malformed {
                    given: other.chars().take(128).collect(),
                }),
            },
        }
    }

    /// Whether the body is in `aws-chunked` framing.
    pub fn is_chunked(self) -> bool {
        !matches!(self, PayloadMode::Sha256(_) | PayloadMode::Unsigned)
    }

    /// Whether each chunk carries a signature.
    pub fn has_chunk_signatures(self) -> bool {
        matches!(self, PayloadMode::SignedChunks | PayloadMode::SignedChunksTrailer)
    }

    /// Whether a trailer follows the last chunk.
    pub fn has_trailer(self) -> bool {
        matches!(self, PayloadMode::SignedChunksTrailer | PayloadMode::UnsignedChunksTrailer)
    }
}

/// The payload literal of an S3 request: the header `x-amz-content-sha256`; for a presigned URL
/// else the query parameter of that name, else `UNSIGNED-PAYLOAD`.
///
/// A request signed in its headers must have the header, and no request may have both.
pub fn s3_payload_literal(request: &RawRequest<'_>, claim: &Claim) -> Result<String, SigError> {
    let name = "x-amz-content-sha256";
    let header = request.single_header(name)?.map(str::to_owned);
    let mut in_query = None;
    for (key, value) in query_pairs(request.query)? {
        if key.eq_ignore_ascii_case(name.as_bytes()) {
            let text = String::from_utf8_lossy(&value).into_owned();
            if in_query.replace(text).is_some() {
                return Err(SigError::QueryDuplicate { name: name.to_owned() });
            }
        }
    }
    let literal = match (header, in_query, claim.form) {
        (Some(header), None, _) => header,
        (Some(_), Some(_), _) => {
            return Err(SigError::QueryDuplicate { name: name.to_owned() });
        }
        (None, Some(text), Form::Presigned { .. }) => text,
        (None, None, Form::Presigned { .. }) => UNSIGNED_PAYLOAD.to_owned(),
        (None, _, Form::Header) => return Err(SigError::ContentSha256Missing),
    };
    PayloadMode::parse(&literal)?;
    Ok(literal)
}
