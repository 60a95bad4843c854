//! IAM's error codes and texts, each in one place. The statuses are those of the model.

use writ_aws::{ApiError, Service};
use writ_policy::{ParseErrors, Problem};

/// An error of IAM's model.
pub(crate) fn iam(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::modelled(Service::Iam, code, message)
}

/// `noun` is `user`, `role`, `group`, `user policy` and the like.
pub(crate) fn no_such(noun: &str, name: &str) -> ApiError {
    iam("NoSuchEntity", format!("The {noun} with name {name} cannot be found."))
}

pub(crate) fn no_such_access_key(id: &str) -> ApiError {
    iam("NoSuchEntity", format!("The Access Key with id {id} cannot be found."))
}

pub(crate) fn no_such_policy(arn: &str) -> ApiError {
    iam("NoSuchEntity", format!("Policy {arn} was not found."))
}

pub(crate) fn not_attachable(arn: &str) -> ApiError {
    iam("NoSuchEntity", format!("Policy {arn} does not exist or is not attachable."))
}

pub(crate) fn no_such_version(arn: &str, version: &str) -> ApiError {
    let message = format!("Policy {arn} version {version} does not exist or is not attachable.");
    iam("NoSuchEntity", message)
}

pub(crate) fn no_such_boundary(arn: &str) -> ApiError {
    iam("NoSuchEntity", format!("Scope ARN: {arn} does not exist or is not attachable."))
}

/// The role is the installation's. The text is that of AWS for roles that are linked to services.
pub(crate) fn unmodifiable(role: &str) -> ApiError {
    let message = format!(
        "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by Writ: \
         use writ:DisableSupportRole and writ:EnableSupportRole"
    );
    iam("UnmodifiableEntity", message)
}

/// `title` is `User`, `Role` or `Group`.
pub(crate) fn exists(title: &str, name: &str) -> ApiError {
    iam("EntityAlreadyExists", format!("{title} with name {name} already exists."))
}

pub(crate) fn policy_exists(name: &str) -> ApiError {
    let message =
        format!("A policy called {name} already exists. Duplicate names are not allowed.");
    iam("EntityAlreadyExists", message)
}

pub(crate) fn over_quota(quota: &str, limit: usize) -> ApiError {
    iam("LimitExceeded", format!("Cannot exceed quota for {quota}: {limit}"))
}

/// Inline policies of one user, role or group together.
pub(crate) fn inline_too_large(noun: &str, name: &str, limit: usize) -> ApiError {
    let message = format!("Maximum policy size of {limit} bytes exceeded for {noun} {name}");
    iam("LimitExceeded", message)
}

pub(crate) fn too_many_tags() -> ApiError {
    iam("LimitExceeded", "The number of tags has reached the maximum limit.")
}

/// `what` is what has to be done first, such as `delete policies`.
pub(crate) fn must_first(what: &str) -> ApiError {
    iam("DeleteConflict", format!("Cannot delete entity, must {what} first."))
}

pub(crate) fn invalid_input(message: impl Into<String>) -> ApiError {
    iam("InvalidInput", message)
}

pub(crate) fn invalid_arn(arn: &str) -> ApiError {
    invalid_input(format!("ARN {arn} is not valid."))
}

pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::validation(Service::Iam, message)
}

/// A document that IAM or STS does not take, with what is wrong and where.
pub(crate) fn malformed(service: Service, errors: &ParseErrors) -> ApiError {
    let unknown = errors.errors().iter().find_map(|error| match &error.problem {
        Problem::UnknownPrincipal(arn) => Some(arn),
        _ => None,
    });
    let message = match unknown {
        Some(arn) => format!("Invalid principal in policy: \"AWS\":\"{arn}\""),
        None => errors.to_string(),
    };
    ApiError::modelled(service, "MalformedPolicyDocument", message)
}

/// What AWS answers to a GetSessionToken credential without MFA: IAM does not know such tokens.
pub(crate) fn no_iam_without_mfa() -> ApiError {
    let message = "The security token included in the request is invalid.";
    ApiError::new("InvalidClientTokenId", message, 403)
}

pub(crate) fn sts_denied(message: impl Into<String>) -> ApiError {
    ApiError::access_denied(Service::Sts, message)
}

pub(crate) fn sts_validation(message: impl Into<String>) -> ApiError {
    ApiError::validation(Service::Sts, message)
}

pub(crate) fn sts_invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterValue", message, 400)
}

pub(crate) fn packed_too_large(percent: usize) -> ApiError {
    let message = format!(
        "Packed size of session policies and tags consumes {percent}% of the allotted space."
    );
    ApiError::modelled(Service::Sts, "PackedPolicyTooLarge", message)
}
