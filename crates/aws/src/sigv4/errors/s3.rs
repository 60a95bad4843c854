//! S3's own codes and texts for what is wrong with a signature ("Error responses", Amazon S3 API
//! Reference).

use super::{AuthFault, Form, Mismatch, SigError};

const HEADER: &str = "AuthorizationHeaderMalformed";
const QUERY: &str = "AuthorizationQueryParametersError";

impl SigError {
    pub(super) fn to_s3(&self) -> AuthFault {
        self.s3_scope().or_else(|| self.s3_parts()).unwrap_or_else(|| self.s3_other())
    }

    /// The credential and what it is scoped to.
    fn s3_scope(&self) -> Option<AuthFault> {
        Some(match self {
            SigError::CredentialMalformed { form, .. } => {
                let what = "the Credential is mal-formed; expecting \
                            \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
                malformed(*form, what)
            }
            SigError::ScopeDateWrong { form, given, signed_at } => malformed(
                *form,
                &format!(
                    "Invalid credential date \"{given}\". This date is not the same as \
                     X-Amz-Date: \"{}\".",
                    signed_at.basic().get(..8).unwrap_or_default()
                ),
            ),
            SigError::ScopeRegionWrong { form, given, expected } => {
                malformed(*form, &format!("the region '{given}' is wrong; expecting '{expected}'"))
                    .with("Region", expected)
            }
            SigError::ScopeServiceWrong { form, given, expected } => malformed(
                *form,
                &format!("incorrect service \"{given}\". This endpoint belongs to \"{expected}\"."),
            ),
            SigError::ScopeTerminatorWrong { form, given } => malformed(
                *form,
                &format!("incorrect terminal \"{given}\". This endpoint uses \"aws4_request\"."),
            ),
            SigError::SignedHeadersMalformed { form: Form::Header, .. } => {
                malformed(Form::Header, "the SignedHeaders are mal-formed.")
            }
            SigError::SignedHeadersMalformed { .. } => {
                AuthFault::new(QUERY, 400, "X-Amz-SignedHeaders is mal-formed.")
            }
            _ => return None,
        })
    }

    /// The parts of an `Authorization` header or of a presigned URL.
    fn s3_parts(&self) -> Option<AuthFault> {
        Some(match self {
            SigError::HeaderIncomplete { .. }
            | SigError::HeaderPieceDuplicate { .. }
            | SigError::HeaderPieceMalformed { .. }
            | SigError::HeaderPieceUnknown { .. } => malformed(
                Form::Header,
                "the authorization header requires three components: Credential, \
                 SignedHeaders, and Signature.",
            ),
            SigError::QueryIncomplete { .. } => AuthFault::new(
                QUERY,
                400,
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            ),
            SigError::QueryDuplicate { name } | SigError::QueryNotText { name } => {
                AuthFault::new(QUERY, 400, format!("{name} must be given once, as UTF-8 text."))
            }
            SigError::ExpiresMalformed { .. } => {
                AuthFault::new(QUERY, 400, "X-Amz-Expires should be a number")
            }
            SigError::ExpiresOutOfRange { given } if given.starts_with('-') => {
                AuthFault::new(QUERY, 400, "X-Amz-Expires must be non-negative")
            }
            SigError::ExpiresOutOfRange { .. } => AuthFault::new(
                QUERY,
                400,
                "X-Amz-Expires must be less than a week (in seconds); that is, the given \
                 X-Amz-Expires must be less than 604800 seconds",
            ),
            SigError::UnsupportedAlgorithm { form: Form::Presigned { .. }, .. } => {
                AuthFault::new(QUERY, 400, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")
            }
            SigError::UnsupportedAlgorithm { form: Form::Header, given } => {
                AuthFault::new("InvalidArgument", 400, "Unsupported Authorization Type")
                    .with("ArgumentName", "Authorization")
                    .with("ArgumentValue", given)
            }
            SigError::DateMalformed { form: Form::Presigned { .. }, .. } => AuthFault::new(
                QUERY,
                400,
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            ),
            SigError::DateMalformed { .. } | SigError::DateMissing { .. } => AuthFault::new(
                "AccessDenied",
                403,
                "AWS authentication requires a valid Date or x-amz-date header",
            ),
            SigError::MixedForms => AuthFault::new(
                "InvalidArgument",
                400,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                 Signature query string parameter or the Authorization header should be specified",
            ),
            _ => return None,
        })
    }

    fn s3_other(&self) -> AuthFault {
        match self {
            SigError::MissingAuthentication => AuthFault::new("AccessDenied", 403, "Access Denied"),
            SigError::UnknownAccessKey { access_key_id } => AuthFault::new(
                "InvalidAccessKeyId",
                403,
                "The AWS Access Key Id you provided does not exist in our records.",
            )
            .with("AWSAccessKeyId", access_key_id),
            SigError::TokenInvalid => AuthFault::new(
                "InvalidToken",
                400,
                "The provided token is malformed or otherwise invalid.",
            ),
            SigError::TokenExpired => {
                AuthFault::new("ExpiredToken", 400, "The provided token has expired.")
            }
            SigError::Expired(window) | SigError::NotYetCurrent(window) => AuthFault::new(
                "RequestTimeTooSkewed",
                403,
                "The difference between the request time and the current time is too large.",
            )
            .with("RequestTime", window.signed_at.basic())
            .with("ServerTime", window.now.iso())
            .with("MaxAllowedSkewMilliseconds", window.window.as_millis().to_string()),
            SigError::PresignedExpired { signed_at, expires, now } => {
                AuthFault::new("AccessDenied", 403, "Request has expired")
                    .with("X-Amz-Expires", expires.as_secs().to_string())
                    .with("Expires", signed_at.plus(*expires).iso())
                    .with("ServerTime", now.iso())
            }
            SigError::HeadersNotSigned { names } => not_signed(&names.join(", ")),
            SigError::HostNotSigned => not_signed("host"),
            SigError::SignatureMismatch(found) => mismatch(found),
            SigError::SignatureMalformed
            | SigError::SignedHeaderAbsent { .. }
            | SigError::ChunkSignatureMismatch => {
                AuthFault::new("SignatureDoesNotMatch", 403, MISMATCH)
            }
            other => other.s3_body(),
        }
    }

    fn s3_body(&self) -> AuthFault {
        match self {
            SigError::ContentSha256Missing => AuthFault::new(
                "InvalidRequest",
                400,
                "Missing required header for this request: x-amz-content-sha256",
            ),
            SigError::ContentSha256Malformed { given } => AuthFault::new(
                "InvalidArgument",
                400,
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                 STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            )
            .with("ArgumentName", "x-amz-content-sha256")
            .with("ArgumentValue", given),
            SigError::ContentSha256Mismatch { declared, computed } => AuthFault::new(
                "XAmzContentSHA256Mismatch",
                400,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
            .with("ClientComputedContentSHA256", declared)
            .with("S3ComputedContentSHA256", computed),
            SigError::SignatureVersionUnsupported => AuthFault::new(
                "InvalidRequest",
                400,
                "The authorization mechanism you have provided is not supported. \
                 Please use AWS4-HMAC-SHA256.",
            ),
            SigError::Sigv4aUnsupported => AuthFault::new(
                "NotImplemented",
                501,
                "AWS4-ECDSA-P256-SHA256 (SigV4a) is not implemented. \
                 Please use AWS4-HMAC-SHA256.",
            ),
            SigError::MalformedPath | SigError::MalformedQuery => {
                AuthFault::new("InvalidURI", 400, "Couldn't parse the specified URI.")
            }
            SigError::HeadTooLarge => AuthFault::new(
                "RequestHeaderSectionTooLarge",
                400,
                "Your request header section exceeds the maximum allowed size.",
            ),
            other => AuthFault::new("InvalidRequest", 400, super::sentence(other)),
        }
    }
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you \
                        provided. Check your key and signing method.";

fn malformed(form: Form, what: &str) -> AuthFault {
    match form {
        Form::Header => {
            AuthFault::new(HEADER, 400, format!("The authorization header is malformed; {what}"))
        }
        Form::Presigned { .. } => AuthFault::new(
            QUERY,
            400,
            format!("Error parsing the X-Amz-Credential parameter; {what}"),
        ),
    }
}

fn not_signed(names: &str) -> AuthFault {
    let text = "There were headers present in the request which were not signed";
    AuthFault::new("AccessDenied", 403, text).with("HeadersNotSigned", names)
}

fn mismatch(found: &Mismatch) -> AuthFault {
    let bytes = |text: &str| {
        let pairs: Vec<String> = text.bytes().map(|b| format!("{b:02x}")).collect();
        pairs.join(" ")
    };
    AuthFault::new("SignatureDoesNotMatch", 403, MISMATCH)
        .with("AWSAccessKeyId", &found.access_key_id)
        .with("StringToSign", &found.string_to_sign)
        .with("SignatureProvided", hex::encode(found.signature))
        .with("StringToSignBytes", bytes(&found.string_to_sign))
        .with("CanonicalRequest", &found.canonical_request)
        .with("CanonicalRequestBytes", bytes(&found.canonical_request))
}
