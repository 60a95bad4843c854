//! `PutBucketPolicy`, `GetBucketPolicy`, `DeleteBucketPolicy`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>

use hyper::body::Incoming;
use serde_json::Value;
use writ_aws::ApiError;
use writ_aws::rest_xml::HttpReply;
use writ_model::Arn;
use writ_policy::{Policy, PolicyKind, ResourceKind};
use writ_service::principals;
use writ_store::Snapshot;

use crate::gateway::call::{Call, Outcome};
use crate::gateway::fault::s3;
use crate::gateway::upload;
use crate::index::{BucketPolicy, Change};
use crate::limits::{BUCKET_POLICY_MAX_BYTES, SMALL_BODY_MAX_BYTES};

pub(super) async fn put(call: &Call, body: Incoming) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:PutBucketPolicy", &bucket, None)?;
    let bytes = upload::small(call, body, SMALL_BODY_MAX_BYTES).await?;
    let malformed = |text: &str| s3("MalformedPolicy", text);
    let text = String::from_utf8(bytes).map_err(|_| malformed("Policies must be valid JSON"))?;
    if text.len() > BUCKET_POLICY_MAX_BYTES {
        return Err(malformed("Policy exceeds the maximum allowed document size of 20480 bytes"));
    }
    let mut policy = Policy::parse(&text, PolicyKind::Resource(ResourceKind::Bucket))
        .map_err(|errors| malformed(&errors.to_string()))?;
    let bound = principals::bind(&mut policy, &call.snapshot)
        .map_err(|_| malformed("Invalid principal in policy"))?;
    let principals = bound.into_iter().map(|(arn, id)| (arn, id.to_string())).collect();
    if is_public(&text) {
        let reason = format!(
            "User: {} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" because \
             public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
            call.caller.arn,
            bucket.arn()
        );
        return Err(s3("AccessDenied", &reason));
    }
    let change =
        Change::PutPolicy { bucket: bucket.id, policy: Some(BucketPolicy { text, principals }) };
    let mut outcome = Outcome::of(call, ());
    // The model has no status for it; S3 answers without content.
    outcome.reply.status = 204;
    Ok(outcome.touching(&bucket, None).changing(permit, change))
}

pub(super) fn get(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    call.authorize("s3:GetBucketPolicy", &bucket, None)?;
    let missing = || {
        s3("NoSuchBucketPolicy", "The bucket policy does not exist")
            .with("BucketName", &bucket.name)
    };
    let policy = bucket.policy.as_ref().ok_or_else(missing)?;
    let text = shown(policy, &call.snapshot);
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let reply = HttpReply { status: 200, headers, body: text.into_bytes() };
    Ok(Outcome::reply(reply).touching(&bucket, None))
}

pub(super) fn delete(call: &Call) -> Result<Outcome, ApiError> {
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:DeleteBucketPolicy", &bucket, None)?;
    let change = Change::PutPolicy { bucket: bucket.id, policy: None };
    Ok(Outcome::of(call, ()).touching(&bucket, None).changing(permit, change))
}

/// The policy as it is returned: a principal that has another name by now stands there under that, one
/// that no longer exists with its unique id ("IAM JSON policy elements: Principal").
fn shown(policy: &BucketPolicy, snapshot: &Snapshot) -> String {
    let mut text = policy.text.clone();
    for (arn, id) in &policy.principals {
        if principals::principal_id(snapshot, arn).is_none_or(|now| now.to_string() != *id) {
            let now = renamed(snapshot, arn, id).unwrap_or_else(|| id.clone());
            text = text.replace(&format!("\"{arn}\""), &format!("\"{now}\""));
        }
    }
    text
}

/// The ARN of what has this id now.
fn renamed(snapshot: &Snapshot, old: &Arn, id: &str) -> Option<String> {
    let (account, id) = (old.account()?, id.parse().ok()?);
    let user = snapshot.user_by_unique_id(account, &id);
    let user = user.map(|user| format!("user{}{}", user.path, user.name));
    let role = || snapshot.role_by_unique_id(account, &id);
    let role = || role().map(|role| format!("role{}{}", role.path, role.name));
    user.or_else(role).map(|resource| Arn::iam(account, &resource).to_string())
}

/// Condition keys whose fixed values bound who is meant (S3 User Guide, "The meaning of public").
const BOUNDING_KEYS: [&str; 11] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointarn",
];

/// True if a statement allows something to everybody. When in doubt a policy counts as public.
fn is_public(text: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(text) else { return true };
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => return false,
    };
    statements.iter().any(|statement| {
        statement.get("Effect").and_then(Value::as_str) == Some("Allow")
            && names_everybody(statement)
            && !is_bounded(statement.get("Condition"))
    })
}

fn names_everybody(statement: &Value) -> bool {
    let any = |value: &Value| match value {
        Value::String(name) => name.contains('*'),
        Value::Array(names) => names.iter().any(|n| n.as_str().is_some_and(|n| n.contains('*'))),
        _ => false,
    };
    match statement.get("Principal") {
        Some(Value::Object(kinds)) => kinds.values().any(any),
        Some(value) => any(value),
        None => true,
    }
}

/// True if some condition demands a fixed value of a key that bounds who is meant.
fn is_bounded(condition: Option<&Value>) -> bool {
    let Some(Value::Object(operators)) = condition else { return false };
    operators.iter().any(|(operator, keys)| {
        let operator = operator.to_ascii_lowercase();
        let positive = ["stringequals", "stringlike", "arnequals", "arnlike", "ipaddress"];
        let Value::Object(keys) = keys else { return false };
        positive.contains(&operator.as_str())
            && keys.iter().any(|(key, value)| {
                BOUNDING_KEYS.contains(&key.to_ascii_lowercase().as_str()) && is_fixed(value)
            })
    })
}

fn is_fixed(value: &Value) -> bool {
    let one = |value: &Value| {
        value.as_str().is_some_and(|v| !v.contains(['*', '?', '$']) && !v.ends_with("/0"))
    };
    match value {
        Value::Array(values) => !values.is_empty() && values.iter().all(one),
        value => one(value),
    }
}

#[cfg(test)]
mod tests {
    use super::is_public;

    #[test]
    fn policies_for_everybody_are_public() {
        let policy = |principal: &str, rest: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},
                "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"{rest}}}]}}"#
            )
        };
        let bounded = r#","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}"#;
        let wild = r#","Condition":{"StringLike":{"aws:SourceAccount":"*"}}"#;
        let negative = r#","Condition":{"StringNotEquals":{"aws:SourceAccount":"1"}}"#;
        let everywhere = r#","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#;
        for (text, public) in [
            (policy(r#""*""#, ""), true),
            (policy(r#"{"AWS":"*"}"#, ""), true),
            (policy(r#"{"AWS":["arn:aws:iam::123456789012:root","*"]}"#, ""), true),
            (policy(r#"{"AWS":"arn:aws:iam::123456789012:root"}"#, ""), false),
            (policy(r#"{"Service":"cloudtrail.amazonaws.com"}"#, ""), false),
            (policy(r#""*""#, bounded), false),
            (policy(r#""*""#, wild), true),
            (policy(r#""*""#, negative), true),
            (policy(r#""*""#, everywhere), true),
            (policy(r#""*""#, "").replace("Allow", "Deny"), false),
        ] {
            assert_eq!(is_public(&text), public, "{text}");
        }
    }
}
