//! Why a request's signature is refused, and how AWS says so in each protocol.

mod s3;

use std::time::Duration;

use writ_model::Timestamp;

use super::{Form, TERMINATOR};

/// Why a request is not accepted as signed. One variant for each cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigError {
    /// A chunk's or trailer's signature is wrong, or one before it was.
    #[error("the signature of a chunk is wrong")]
    ChunkSignatureMismatch,
    /// `x-amz-content-sha256` is none of the known literals.
    #[error("x-amz-content-sha256 is `{given}`, not a SHA-256 or a known literal")]
    ContentSha256Malformed {
        /// What came.
        given: String,
    },
    /// The body is not the one that `x-amz-content-sha256` names.
    #[error("the body has SHA-256 `{computed}`, but x-amz-content-sha256 says `{declared}`")]
    ContentSha256Mismatch {
        /// What the header says.
        declared: String,
        /// The body's SHA-256, hexadecimal.
        computed: String,
    },
    /// An S3 request signed in its headers lacks `x-amz-content-sha256`.
    #[error("the header x-amz-content-sha256 is missing")]
    ContentSha256Missing,
    /// The credential does not have its five elements, each of its form.
    #[error("credential `{given}` is not key/date/region/service/aws4_request")]
    CredentialMalformed {
        /// Where the signature stands.
        form: Form,
        /// What came.
        given: String,
    },
    /// The request's date is not of a known form.
    #[error("`{given}` is not a date of the form YYYYMMDD'T'HHMMSS'Z'")]
    DateMalformed {
        /// Where the signature stands.
        form: Form,
        /// What came.
        given: String,
    },
    /// A request signed in its headers has no date.
    #[error("neither x-amz-date nor date is present")]
    DateMissing {
        /// Base64 of the SHA-256 of the `Authorization` header.
        header_sha256: String,
    },
    /// A header that decides who signed what is there twice.
    #[error("header `{name}` is there more than once")]
    DuplicateHeader {
        /// The header's name.
        name: String,
    },
    /// The signature is older than the window.
    #[error("the signature is too old")]
    Expired(Window),
    /// `X-Amz-Expires` is not a number.
    #[error("X-Amz-Expires `{given}` is not a number")]
    ExpiresMalformed {
        /// What came.
        given: String,
    },
    /// `X-Amz-Expires` is not 1 s to 7 days.
    #[error("X-Amz-Expires `{given}` is not from 1 to 604800")]
    ExpiresOutOfRange {
        /// What came.
        given: String,
    },
    /// The head is over 64 KiB or has more than 100 fields.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// `Authorization` lacks parts.
    #[error("the authorization header lacks {}", .missing.join(", "))]
    HeaderIncomplete {
        /// Which of `Credential`, `Signature` and `SignedHeaders` are not there.
        missing: Vec<&'static str>,
        /// Whether there is no date either.
        date_missing: bool,
        /// Base64 of the SHA-256 of the `Authorization` header.
        header_sha256: String,
    },
    /// A header that decides who signed what is not visible ASCII.
    #[error("header `{name}` is not visible ASCII")]
    HeaderNotText {
        /// The header's name.
        name: String,
    },
    /// `Authorization` has a part twice.
    #[error("the authorization header has `{name}` more than once")]
    HeaderPieceDuplicate {
        /// The part.
        name: String,
    },
    /// `Authorization` has a part without an equals sign.
    #[error("the authorization header has a part without `=`")]
    HeaderPieceMalformed {
        /// Base64 of the SHA-256 of the `Authorization` header.
        header_sha256: String,
    },
    /// `Authorization` has an unknown part.
    #[error("the authorization header has an unknown part `{name}`")]
    HeaderPieceUnknown {
        /// The part.
        name: String,
    },
    /// Headers that must be signed are not.
    #[error("the signature does not cover {}", .names.join(", "))]
    HeadersNotSigned {
        /// Their names, lower case, sorted.
        names: Vec<String>,
    },
    /// `host` is not signed.
    #[error("the signature does not cover host")]
    HostNotSigned,
    /// The method or a header's name is not a token of RFC 9110.
    #[error("the method or a header's name is not a token")]
    MalformedHead,
    /// The path does not start with `/`, or has control characters or broken percent-encoding.
    #[error("the path is malformed")]
    MalformedPath,
    /// The query has broken percent-encoding or too many pairs.
    #[error("the query string is malformed")]
    MalformedQuery,
    /// The request is not signed, and the operation wants a signature.
    #[error("the request is not signed")]
    MissingAuthentication,
    /// Both header and query speak of a signature.
    #[error("the request is signed in its header and in its query")]
    MixedForms,
    /// The signature's date is too far ahead.
    #[error("the signature is dated too far in the future")]
    NotYetCurrent(Window),
    /// The signature must cover the body, and `x-amz-content-sha256` says that it does not.
    #[error("the signature does not cover the body")]
    PayloadUnsigned,
    /// A presigned URL is past its end.
    #[error("the presigned url has expired")]
    PresignedExpired {
        /// The date of the signature.
        signed_at: Timestamp,
        /// How long it was good for.
        expires: Duration,
        /// Our clock.
        now: Timestamp,
    },
    /// The query has a part of the signature twice.
    #[error("query parameter `{name}` is there more than once")]
    QueryDuplicate {
        /// The parameter.
        name: String,
    },
    /// A presigned URL lacks parts.
    #[error("the query lacks {}", .missing.join(", "))]
    QueryIncomplete {
        /// The missing parameters.
        missing: Vec<&'static str>,
    },
    /// A part of a presigned URL is not UTF-8.
    #[error("query parameter `{name}` is not UTF-8")]
    QueryNotText {
        /// The parameter.
        name: String,
    },
    /// The day of the scope is not the day of the date.
    #[error("the scope's date `{given}` is not the day of {signed_at}")]
    ScopeDateWrong {
        /// Where the signature stands.
        form: Form,
        /// The scope's day.
        given: String,
        /// The request's date.
        signed_at: Timestamp,
    },
    /// The scope names another region.
    #[error("the scope's region is `{given}`, expected {expected}")]
    ScopeRegionWrong {
        /// Where the signature stands.
        form: Form,
        /// The scope's region.
        given: String,
        /// Ours.
        expected: String,
    },
    /// The scope names another service.
    #[error("the scope's service is `{given}`, expected {expected}")]
    ScopeServiceWrong {
        /// Where the signature stands.
        form: Form,
        /// The scope's service.
        given: String,
        /// Ours.
        expected: String,
    },
    /// The scope does not end in `aws4_request`.
    #[error("the scope ends in `{given}`, not in aws4_request")]
    ScopeTerminatorWrong {
        /// Where the signature stands.
        form: Form,
        /// What came.
        given: String,
    },
    /// The signature is not 64 lower-case hexadecimal digits.
    #[error("the signature is not 64 lower-case hexadecimal digits")]
    SignatureMalformed,
    /// The signature is not the one that the key makes over this request.
    #[error("the signature does not match")]
    SignatureMismatch(Box<Mismatch>),
    /// The request is signed by an older version of the scheme.
    #[error("only signature version 4 is supported")]
    SignatureVersionUnsupported,
    /// A signed header is not in the request.
    #[error("signed header `{name}` is not in the request")]
    SignedHeaderAbsent {
        /// The header's name.
        name: String,
    },
    /// `SignedHeaders` is not a sorted list of lower-case names.
    #[error("signed headers `{given}` are not a sorted list of lower-case names")]
    SignedHeadersMalformed {
        /// Where the signature stands.
        form: Form,
        /// What came.
        given: String,
    },
    /// The request is signed by SigV4a, which is known but not supported.
    #[error("AWS4-ECDSA-P256-SHA256 is not supported, sign with AWS4-HMAC-SHA256")]
    Sigv4aUnsupported,
    /// The session token has expired.
    #[error("the session token has expired")]
    TokenExpired,
    /// The session token is missing, not ours, or not of this access key.
    #[error("the session token is invalid")]
    TokenInvalid,
    /// No live access key has this id.
    #[error("access key `{access_key_id}` does not exist or is not active")]
    UnknownAccessKey {
        /// The id that the request names.
        access_key_id: String,
    },
    /// The scheme of `Authorization`, or `X-Amz-Algorithm`, is unknown.
    #[error("`{given}` is not a signing algorithm that we know")]
    UnsupportedAlgorithm {
        /// Where the signature stands.
        form: Form,
        /// What came.
        given: String,
    },
}

/// A date outside its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The date of the signature.
    pub signed_at: Timestamp,
    /// Our clock.
    pub now: Timestamp,
    /// How far the two may be apart.
    pub window: Duration,
}

/// What we computed where the signature did not match. For the signer's eyes only: the canonical
/// request can hold a session token, so it goes into the reply and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The access key that the request names.
    pub access_key_id: String,
    /// The canonical request.
    pub canonical_request: String,
    /// The string to sign.
    pub string_to_sign: String,
    /// The signature that came.
    pub signature: [u8; 32],
}

impl std::fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mismatch")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Families of protocols that name authentication errors in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolFamily {
    /// JSON 1.0 and 1.1 (KMS, CloudTrail, …).
    Json,
    /// The query protocol (IAM, STS).
    Query,
    /// S3.
    S3,
}

/// What goes to the client: AWS's code, text and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFault {
    /// The error code.
    pub code: &'static str,
    /// The message.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Further elements of S3's `<Error>`, in order; empty in the other protocols.
    pub details: Vec<(&'static str, String)>,
}

impl AuthFault {
    fn new(code: &'static str, status: u16, message: impl Into<String>) -> AuthFault {
        AuthFault { code, message: message.into(), status, details: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> AuthFault {
        self.details.push((name, value.into()));
        self
    }
}

impl SigError {
    /// How AWS says this in `family`.
    pub fn to_aws(&self, family: ProtocolFamily) -> AuthFault {
        match family {
            ProtocolFamily::S3 => self.to_s3(),
            ProtocolFamily::Query => {
                let (code, status, _) = self.class().codes();
                AuthFault::new(code, status, self.common_message())
            }
            ProtocolFamily::Json => {
                let (_, _, code) = self.class().codes();
                AuthFault::new(code, 400, self.common_message())
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            SigError::MissingAuthentication => Class::Missing,
            SigError::UnknownAccessKey { .. } | SigError::TokenInvalid => Class::UnknownKey,
            SigError::TokenExpired => Class::ExpiredToken,
            SigError::PresignedExpired { .. } => Class::RequestExpired,
            SigError::HeadTooLarge
            | SigError::MalformedHead
            | SigError::MalformedPath
            | SigError::MalformedQuery => Class::BadRequest,
            SigError::ChunkSignatureMismatch
            | SigError::ContentSha256Mismatch { .. }
            | SigError::Expired(_)
            | SigError::HeadersNotSigned { .. }
            | SigError::HostNotSigned
            | SigError::NotYetCurrent(_)
            | SigError::PayloadUnsigned
            | SigError::ScopeDateWrong { .. }
            | SigError::ScopeRegionWrong { .. }
            | SigError::ScopeServiceWrong { .. }
            | SigError::ScopeTerminatorWrong { .. }
            | SigError::SignatureMalformed
            | SigError::SignatureMismatch(_)
            | SigError::SignedHeaderAbsent { .. } => Class::Mismatch,
            _ => Class::Incomplete,
        }
    }

    /// The text of the query and JSON protocols.
    fn common_message(&self) -> String {
        match self {
            SigError::MissingAuthentication => "Request is missing Authentication Token".to_owned(),
            SigError::UnknownAccessKey { .. } | SigError::TokenInvalid => {
                "The security token included in the request is invalid.".to_owned()
            }
            SigError::TokenExpired => {
                "The security token included in the request is expired".to_owned()
            }
            SigError::HeaderIncomplete { missing, date_missing, header_sha256 } => {
                incomplete(missing, *date_missing, header_sha256)
            }
            SigError::DateMissing { header_sha256 } => incomplete(&[], true, header_sha256),
            SigError::HeaderPieceMalformed { header_sha256 } => format!(
                "Invalid key=value pair (missing equal-sign) in Authorization header \
                 (hashed with SHA-256 and encoded with Base64): '{header_sha256}'."
            ),
            SigError::QueryIncomplete { missing } => {
                let each = missing
                    .iter()
                    .map(|m| format!("AWS query-string parameters must include '{m}'. "));
                format!("{}Re-examine the query-string parameters.", each.collect::<String>())
            }
            SigError::CredentialMalformed { given, .. } => format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{given}'"
            ),
            SigError::DateMalformed { given, .. } => format!(
                "Date must be in ISO-8601 'basic format'. Got '{given}'. \
                 See http://en.wikipedia.org/wiki/ISO_8601"
            ),
            SigError::Expired(window) => window.expired(),
            SigError::NotYetCurrent(window) => window.not_yet_current(),
            SigError::PresignedExpired { .. } => "Request has expired.".to_owned(),
            SigError::HostNotSigned => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                    .to_owned()
            }
            SigError::HeadersNotSigned { names } => format!(
                "{} must be a 'SignedHeader' in the AWS Authorization.",
                names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")
            ),
            SigError::SignatureMismatch(found) => found.common_message(),
            SigError::Sigv4aUnsupported => {
                "Signing algorithm AWS4-ECDSA-P256-SHA256 (SigV4a) is not supported. \
                 Sign the request with AWS4-HMAC-SHA256."
                    .to_owned()
            }
            other => other.common_scope_message().unwrap_or_else(|| sentence(other)),
        }
    }

    fn common_scope_message(&self) -> Option<String> {
        Some(match self {
            SigError::ScopeDateWrong { given, signed_at, .. } => {
                let basic = signed_at.basic();
                let day = basic.get(..8).unwrap_or_default();
                format!(
                    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of \
                     date from HTTP: '{given}' != '{day}', from '{basic}'."
                )
            }
            SigError::ScopeRegionWrong { expected, .. } => {
                format!("Credential should be scoped to a valid region, e.g. '{expected}'.")
            }
            SigError::ScopeServiceWrong { expected, .. } => {
                format!("Credential should be scoped to correct service: '{expected}'.")
            }
            SigError::ScopeTerminatorWrong { given, .. } => format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', \
                 not '{given}'."
            ),
            _ => return None,
        })
    }
}

/// Groups of causes that share codes in the query and JSON protocols.
enum Class {
    BadRequest,
    ExpiredToken,
    Incomplete,
    Mismatch,
    Missing,
    RequestExpired,
    UnknownKey,
}

impl Class {
    /// Code and status in the query protocol, and code in JSON (whose status is always 400).
    fn codes(&self) -> (&'static str, u16, &'static str) {
        match self {
            Class::BadRequest => ("MalformedQueryString", 400, "SerializationException"),
            Class::ExpiredToken => ("ExpiredToken", 403, "ExpiredTokenException"),
            Class::Incomplete => ("IncompleteSignature", 400, "IncompleteSignatureException"),
            Class::Mismatch => ("SignatureDoesNotMatch", 403, "InvalidSignatureException"),
            Class::Missing => {
                ("MissingAuthenticationToken", 403, "MissingAuthenticationTokenException")
            }
            Class::RequestExpired => ("RequestExpired", 400, "RequestExpired"),
            Class::UnknownKey => ("InvalidClientTokenId", 403, "UnrecognizedClientException"),
        }
    }
}

fn incomplete(missing: &[&'static str], date_missing: bool, header_sha256: &str) -> String {
    let mut text = String::new();
    for name in missing {
        text.push_str(&format!("Authorization header requires '{name}' parameter. "));
    }
    if date_missing {
        text.push_str(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
             header. ",
        );
    }
    text.push_str("(Hashed with SHA-256 and encoded with Base64) Authorization=");
    text + header_sha256
}

/// The error's own text, as a sentence.
fn sentence(error: &SigError) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str())
}

impl Window {
    fn minutes(&self) -> u64 {
        self.window.as_secs() / 60
    }

    fn expired(&self) -> String {
        let limit = Timestamp::from_millis(
            self.now.millis().saturating_sub(u64::try_from(self.window.as_millis()).unwrap_or(0)),
        );
        format!(
            "Signature expired: {} is now earlier than {} ({} - {} min.)",
            self.signed_at.basic(),
            limit.basic(),
            self.now.basic(),
            self.minutes()
        )
    }

    fn not_yet_current(&self) -> String {
        format!(
            "Signature not yet current: {} is still later than {} ({} + {} min.)",
            self.signed_at.basic(),
            self.now.plus(self.window).basic(),
            self.now.basic(),
            self.minutes()
        )
    }
}

impl Mismatch {
    fn common_message(&self) -> String {
        format!(
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method. Consult the service \
             documentation for details.\n\nThe Canonical String for this request should have \
             been\n'{}'\n\nThe String-to-Sign should have been\n'{}'\n",
            self.canonical_request, self.string_to_sign
        )
    }
}
