//! Policy documents: checked when they are written, percent-encoded when they are read.

use std::collections::BTreeMap;

use writ_aws::sigv4::encode;
use writ_aws::{ApiError, Service};
use writ_model::{Arn, UniqueId};
use writ_policy::{Policy, PolicyKind, limits as policy_limits};
use writ_service::principals::{bind, principal_id};
use writ_store::Snapshot;
use writ_store::state::Role;

use crate::entity::Entity;
use crate::error;

/// The document as IAM returns it: percent-encoded (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    encode::encode(text.as_bytes())
}

/// Its size as IAM counts it: characters without whitespace.
pub(crate) fn size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Checks a managed policy.
pub(crate) fn check_managed(text: &str) -> Result<(), ApiError> {
    parse(text, PolicyKind::Identity, || {
        error::over_quota("PolicySize", policy_limits::MANAGED_POLICY_MAX_CHARS)
    })
    .map(|_| ())
}

/// Checks an inline policy of `owner` that will be called `name`.
pub(crate) fn check_inline<T: Entity>(owner: &T, name: &str, text: &str) -> Result<(), ApiError> {
    let too_large = || error::inline_too_large(T::NOUN, owner.name(), T::INLINE_MAX);
    parse(text, PolicyKind::Inline(T::INLINE_OWNER), too_large)?;
    let others = owner.inline().iter().filter(|(other, _)| *other != name);
    let total: usize = others.map(|(_, text)| size(text)).sum::<usize>() + size(text);
    if total > T::INLINE_MAX { Err(too_large()) } else { Ok(()) }
}

/// Checks a trust policy and finds the unique ids of the users and roles that it names.
pub(crate) fn check_trust(
    text: &str,
    snapshot: &Snapshot,
) -> Result<BTreeMap<Arn, UniqueId>, ApiError> {
    let mut policy = parse(text, PolicyKind::Trust, || {
        error::over_quota("ACLSizePerRole", policy_limits::TRUST_POLICY_MAX_CHARS)
    })?;
    bind(&mut policy, snapshot).map_err(|errors| error::malformed(Service::Iam, &errors))
}

/// A role's trust policy as IAM returns it: a principal that was renamed stands there under its new
/// name, one that no longer exists with its unique id ("IAM JSON policy elements: Principal").
pub(crate) fn shown_trust(role: &Role, snapshot: &Snapshot) -> String {
    let mut text = role.trust_policy.clone();
    for (arn, id) in &role.principals {
        if principal_id(snapshot, arn).as_ref() != Some(id) {
            let now = renamed(snapshot, arn, id).unwrap_or_else(|| id.to_string());
            text = text.replace(&format!("\"{arn}\""), &format!("\"{now}\""));
        }
    }
    encoded(&text)
}

/// The ARN of what has this id now.
fn renamed(snapshot: &Snapshot, old: &Arn, id: &UniqueId) -> Option<String> {
    let account = old.account()?;
    let user = snapshot.user_by_unique_id(account, id).map(|user| user.arn(account));
    let role = || snapshot.role_by_unique_id(account, id).map(|role| role.arn(account));
    user.or_else(role).map(|arn| arn.to_string())
}

fn parse(
    text: &str,
    kind: PolicyKind,
    too_large: impl FnOnce() -> ApiError,
) -> Result<Policy, ApiError> {
    Policy::parse(text, kind).map_err(|errors| match errors.is_only_size() {
        true => too_large(),
        false => error::malformed(Service::Iam, &errors),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_encoded_as_rfc_3986_says() {
        assert_eq!(encoded(r#"{"a": "b~c*é"}"#), "%7B%22a%22%3A%20%22b~c%2A%C3%A9%22%7D");
        assert_eq!(size("{ \"a\" :\n1 }"), 7);
    }
}
