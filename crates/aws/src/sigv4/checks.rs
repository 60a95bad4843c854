//! What no signature can make good: wrong time, wrong scope, unsigned headers, unsigned body.

use std::time::Duration;

use writ_model::limits::{PRESIGNED_LIFETIME_MAX, SIGV4_WINDOW, SIGV4_WINDOW_S3};
use writ_model::{Region, Timestamp};

use super::{Claim, DateSource, Form, PayloadMode, ProtocolFamily, RawRequest, SigError, Window};

impl ProtocolFamily {
    /// How far a signature's date may lie from our clock.
    pub fn window(self) -> Duration {
        match self {
            ProtocolFamily::Json | ProtocolFamily::Query => SIGV4_WINDOW,
            ProtocolFamily::S3 => SIGV4_WINDOW_S3,
        }
    }
}

/// Checks that `claim` is neither too old nor too far ahead of `now`.
///
/// A request signed in its headers is good from `window` before its date until `window` after
/// it, both included. A presigned URL is good until its own end, and may be ahead by `window`.
pub fn check_window(claim: &Claim, now: Timestamp, window: Duration) -> Result<(), SigError> {
    let found = Window { signed_at: claim.signed_at, now, window };
    if claim.signed_at.since(now) > window {
        return Err(SigError::NotYetCurrent(found));
    }
    match claim.form {
        Form::Header if now.since(claim.signed_at) > window => Err(SigError::Expired(found)),
        Form::Presigned { expires } if expires > PRESIGNED_LIFETIME_MAX => {
            Err(SigError::ExpiresOutOfRange { given: expires.as_secs().to_string() })
        }
        Form::Presigned { expires } if now.since(claim.signed_at) > expires => {
            Err(SigError::PresignedExpired { signed_at: claim.signed_at, expires, now })
        }
        _ => Ok(()),
    }
}

/// Checks that `claim` was scoped to this service and region.
///
/// A caller that serves a global service (IAM, STS) passes the region that it expects there.
pub fn check_scope(claim: &Claim, service: &str, region: &Region) -> Result<(), SigError> {
    let form = claim.form;
    if claim.scope.service != service {
        let (given, expected) = (claim.scope.service.clone(), service.to_owned());
        return Err(SigError::ScopeServiceWrong { form, given, expected });
    }
    if &claim.scope.region != region {
        let (given, expected) = (claim.scope.region.to_string(), region.to_string());
        return Err(SigError::ScopeRegionWrong { form, given, expected });
    }
    Ok(())
}

/// Checks that the signature covers what it must.
///
/// `host`, the header that dates the request, and every `x-amz-*` header that is present must be
/// signed; `x-amz-security-token` alone may be outside, since AWS's clients may add it last. For
/// the query and JSON protocols the body must be signed as well: `x-amz-content-sha256` may only
/// say its SHA-256.
pub fn check_signed_headers(
    request: &RawRequest<'_>,
    claim: &Claim,
    family: ProtocolFamily,
) -> Result<(), SigError> {
    let signed = |name: &str| claim.signed_headers.iter().any(|s| s.eq_ignore_ascii_case(name));
    if !signed("host") {
        return Err(SigError::HostNotSigned);
    }
    request.single_header("host")?;
    let mut names: Vec<String> = request
        .headers
        .iter()
        .filter(|(name, _)| is_amz(name) && !name.eq_ignore_ascii_case("x-amz-security-token"))
        .filter(|(name, _)| !signed(name))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    if claim.date_source == DateSource::Date && !signed("date") {
        names.push("date".to_owned());
    }
    if !names.is_empty() {
        names.sort_unstable();
        names.dedup();
        return Err(SigError::HeadersNotSigned { names });
    }
    if family != ProtocolFamily::S3
        && let Some(literal) = request.single_header("x-amz-content-sha256")?
        && !matches!(PayloadMode::parse(literal)?, PayloadMode::Sha256(_))
    {
        return Err(SigError::PayloadUnsigned);
    }
    Ok(())
}

fn is_amz(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}
