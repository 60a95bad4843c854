//! Requests made from the shapes of the manifest: right ones, and ones with a value of a wrong type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use writ_aws::shape::{Kind, Location, Member, Shape};
use writ_aws::{Operation, Protocol};
use writ_tests::http::{Http, Request};
use writ_tests::site::ANN;

/// Names of things that exist.
pub(super) struct Things {
    pub(super) key: String,
    pub(super) blob: String,
    pub(super) upload: String,
    pub(super) access_key: String,
}

pub(super) fn document() -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]})
    .to_string()
}

pub(super) fn trust() -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "sts:AssumeRole"}]})
    .to_string()
}

fn bucket_policy() -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::some-bucket/*"}]})
    .to_string()
}

/// A request that would be carried out, were it for the account's root.
pub(super) fn right(http: &Http, operation: &Operation, things: &Things) -> Request {
    let members = operation.input.members();
    let params: Map<String, Value> = members
        .iter()
        .filter(|member| member.required || also_needed(operation, member))
        .map(|member| (member.name.to_owned(), value(operation, member, things)))
        .collect();
    encode(http, operation, &params, None)
}

/// The same with one value of a wrong type; `None` if the operation has no value that could be wrong.
pub(super) fn wrong(http: &Http, operation: &Operation, things: &Things) -> Option<Request> {
    let chosen = operation.input.members().iter().find(|member| can_be_wrong(operation, member))?;
    let members = operation.input.members().iter().filter(|member| {
        member.required || also_needed(operation, member) || member.name == chosen.name
    });
    let params: Map<String, Value> =
        members.map(|member| (member.name.to_owned(), value(operation, member, things))).collect();
    Some(encode(http, operation, &params, Some(chosen)))
}

/// Where types are texts on the wire, only some can be wrong.
fn can_be_wrong(operation: &Operation, member: &Member) -> bool {
    if operation.service.protocol() != Protocol::RestXml {
        return true;
    }
    let is_payload = operation.input.payload().is_some_and(|p| p.name == member.name);
    match &member.shape.kind {
        Kind::Structure(_) => is_payload,
        // Signing and framing read the length first; see the tests of bad input.
        Kind::Integer(_) | Kind::Long(_) | Kind::Boolean => {
            member.location != Location::Body && member.name != "ContentLength"
        }
        _ => false,
    }
}

/// Members that the model does not require and the operation does.
fn also_needed(operation: &Operation, member: &Member) -> bool {
    matches!(
        (operation.name, member.name),
        ("GenerateRandom" | "GenerateDataKeyWithoutPlaintext" | "GenerateDataKey", "NumberOfBytes")
            | ("CompleteMultipartUpload", "MultipartUpload")
            | ("Decrypt" | "ReEncrypt", "CiphertextBlob")
            | (
                "GetUser"
                    | "CreateAccessKey"
                    | "ListAccessKeys"
                    | "UpdateAccessKey"
                    | "DeleteAccessKey",
                "UserName"
            )
    )
}

fn value(operation: &Operation, member: &Member, things: &Things) -> Value {
    let iam = |rest: &str| format!("arn:aws:iam::{ANN}:{rest}");
    match member.name {
        "UserName" => json!("nobody"),
        "NewUserName" => json!("somebody"),
        "GroupName" => json!("staff"),
        "RoleName" => json!("job"),
        "RoleSessionName" => json!("night"),
        "RoleArn" => json!(iam("role/job")),
        "PolicyName" if operation.name == "GetKeyPolicy" => json!("default"),
        "PolicyName" => json!("some"),
        "PolicyArn" | "PermissionsBoundary" => json!(iam("policy/some")),
        "PolicyDocument" if operation.name == "UpdateAssumeRolePolicy" => json!(trust()),
        "AssumeRolePolicyDocument" => json!(trust()),
        "Policy" if operation.name == "PutBucketPolicy" => json!(bucket_policy()),
        "PolicyDocument" | "Policy" => json!(document()),
        "VersionId" => json!("v1"),
        "AccessKeyId" => json!(things.access_key),
        "Status" => json!("Inactive"),
        "Tags" if operation.service == writ_aws::Service::Kms => {
            json!([{"TagKey": "a", "TagValue": "b"}])
        }
        "Tags" => json!([{"Key": "a", "Value": "b"}]),
        "TagKeys" => json!(["a"]),
        "KeyId" | "TargetKeyId" | "DestinationKeyId" => json!(things.key),
        "AliasName" if operation.name == "CreateAlias" => json!("alias/other"),
        "AliasName" => json!("alias/some"),
        "CiphertextBlob" => json!(things.blob),
        "Plaintext" => json!("eA=="),
        "Bucket" if operation.name == "CreateBucket" => json!("other-bucket"),
        "Bucket" => json!("some-bucket"),
        "Key" => json!("k"),
        "CopySource" => json!("some-bucket/k"),
        "UploadId" => json!(things.upload),
        "Delete" => json!("<Delete><Object><Key>k</Key></Object></Delete>"),
        "MultipartUpload" => json!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag></Part>\
             </CompleteMultipartUpload>"
        ),
        "ObjectAttributes" => json!("ETag"),
        "EncodedMessage" => json!("message"),
        "RequestId" => json!("01JD8Z3X5QJ6T4W0RZV9K2M7AB"),
        "RequestDigest" => json!("0".repeat(64)),
        "Mode" => json!("OFF"),
        _ => any(member.shape),
    }
}

/// Some value of the shape.
fn any(shape: &Shape) -> Value {
    match &shape.kind {
        Kind::Text(text) => json!(text.values.first().copied().unwrap_or("text")),
        Kind::Integer(bounds) | Kind::Long(bounds) => json!(bounds.min.unwrap_or(1).max(1)),
        Kind::Boolean => json!(true),
        Kind::Blob(_) => json!("eA=="),
        Kind::Double | Kind::Timestamp(_) => json!(1),
        Kind::List(_) => json!([]),
        Kind::Structure(_) | Kind::Map(_) => json!({}),
    }
}

fn encode(
    http: &Http,
    operation: &Operation,
    params: &Map<String, Value>,
    wrong: Option<&Member>,
) -> Request {
    match operation.service.protocol() {
        Protocol::Json => json_request(http, operation, params, wrong),
        Protocol::Query => query_request(http, operation, params, wrong),
        Protocol::RestXml => rest_request(http, operation, params, wrong),
    }
}

fn json_request(
    http: &Http,
    operation: &Operation,
    params: &Map<String, Value>,
    wrong: Option<&Member>,
) -> Request {
    let mut params = params.clone();
    if let Some(member) = wrong {
        let is_structure = matches!(member.shape.kind, Kind::Structure(_) | Kind::Map(_));
        let value = if is_structure { json!("text") } else { json!({"not": "this"}) };
        params.insert(member.name.to_owned(), value);
    }
    let body = Value::Object(params).to_string();
    let mut request = http.request("POST", "/", "", body.as_bytes());
    let target = format!("{}.{}", operation.service.target_prefix(), operation.name);
    request.headers.push(("content-type".to_owned(), b"application/x-amz-json-1.1".to_vec()));
    request.headers.push(("x-amz-target".to_owned(), target.into_bytes()));
    request
}

fn query_request(
    http: &Http,
    operation: &Operation,
    params: &Map<String, Value>,
    wrong: Option<&Member>,
) -> Request {
    let version = operation.service.api_version();
    let mut form = format!("Action={}&Version={version}", operation.name);
    for (name, value) in params {
        let is_wrong = wrong.is_some_and(|member| member.name == name);
        let is_text = wrong.is_some_and(|member| {
            matches!(member.shape.kind, Kind::Structure(_) | Kind::Map(_) | Kind::List(_))
        });
        match is_wrong {
            true if is_text => form.push_str(&format!("&{name}=text")),
            // A structure where a scalar must stand.
            true => form.push_str(&format!("&{name}.member.1=x")),
            false => flatten(&mut form, name, value),
        }
    }
    let mut request = http.request("POST", "/", "", form.as_bytes());
    let kind = b"application/x-www-form-urlencoded".to_vec();
    request.headers.push(("content-type".to_owned(), kind));
    request
}

fn flatten(form: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(items) => {
            for (item, number) in items.iter().zip(1..) {
                flatten(form, &format!("{name}.member.{number}"), item);
            }
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| flatten(form, &format!("{name}.{key}"), value));
        }
        Value::String(text) => form.push_str(&format!("&{name}={}", escape(text))),
        other => form.push_str(&format!("&{name}={other}")),
    }
}

fn rest_request(
    http: &Http,
    operation: &Operation,
    params: &Map<String, Value>,
    wrong: Option<&Member>,
) -> Request {
    let (mut path, mut query) = match operation.http.uri.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (operation.http.uri.to_owned(), String::new()),
    };
    let (mut headers, mut body) = (Vec::new(), Vec::new());
    for member in operation.input.members() {
        let Some(value) = params.get(member.name) else { continue };
        let is_wrong = wrong.is_some_and(|wrong| wrong.name == member.name);
        let text = match value {
            _ if is_wrong => "<not/it".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let wire = member.wire_name.unwrap_or(member.name);
        match member.location {
            Location::Uri => {
                path = path.replace(&format!("{{{wire}}}"), &text);
                path = path.replace(&format!("{{{wire}+}}"), &text);
            }
            Location::Query => {
                let mark = if query.is_empty() { "" } else { "&" };
                query.push_str(&format!("{mark}{wire}={}", escape(&text)));
            }
            Location::Header => headers.push((wire.to_ascii_lowercase(), text.into_bytes())),
            Location::Body => body = text.into_bytes(),
            Location::Headers | Location::StatusCode => {}
        }
    }
    let query = canonical(&query);
    let mut request = http.request(operation.http.method, &path, &query, &body);
    request.headers.extend(headers);
    if operation.name == "DeleteObjects" {
        let digest = STANDARD.encode(writ_proof::hash::sha256(&body).0);
        request.headers.push(("x-amz-checksum-sha256".to_owned(), digest.into_bytes()));
    }
    request
}

/// `a` as `a=`, so that every pair has its sign.
fn canonical(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|p| if p.contains('=') { p.to_owned() } else { format!("{p}=") });
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
