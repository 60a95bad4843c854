//! The delegation table: what a service may ask of another on a customer's behalf.
//!
//! | customer's request | downstream use | key | encryption context | budget |
//! |---|---|---|---|---|
//! | s3:GetObject | kms:Decrypt | any; policy decides | `aws:s3:arn` = the object | 1 |
//! | s3:HeadObject, s3:GetObjectAttributes with checksums asked | kms:Decrypt | any | the object | 1 |
//! | s3:PutObject, s3:CreateMultipartUpload | kms:GenerateDataKey | the one in the signed header, else any | exactly the object's and the header's | 1 |
//! | s3:UploadPart, s3:CompleteMultipartUpload | kms:Decrypt | any | the object | 1 |
//! | s3:UploadPartCopy | kms:Decrypt, twice | any | source object; target object | 1 each |
//! | s3:CopyObject | kms:Decrypt | any | source object | 1 |
//! | | kms:GenerateDataKey | as PutObject | as PutObject | 1 |
//! | each that makes a data key, and names no key | kms:CreateKey | `alias/aws/s3` of the account | none | 1 |
//!
//! Everything else is refused. Object, key and context come from the signed request, so a gateway that
//! holds a ticket for one object cannot decrypt another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_aws::Value;
use writ_aws::sigv4::encode::decode;
use writ_model::Arn;
use writ_proof::fas::{ContextRule, Forward, Pair, ResourceRule, context_digest};

use crate::blob::EncryptionContext;

/// The key of the context pair that binds a data key to its object.
pub(crate) const OBJECT_ARN: &str = "aws:s3:arn";

const DECRYPT: &str = "kms:Decrypt";
const GENERATE: &str = "kms:GenerateDataKey";
const CREATE: &str = "kms:CreateKey";

/// The rows for one signed S3 request. `resolve` turns the name of a key into its ARN; `managed` is
/// the ARN of the account's alias `aws/s3`.
pub(crate) fn rows(
    operation: &str,
    input: &Value,
    resolve: &dyn Fn(&str) -> Option<Arn>,
    managed: &Arn,
) -> Vec<Forward> {
    let text = |name: &str| input.member(name).and_then(Value::text);
    let (Some(bucket), Some(key)) = (text("Bucket"), text("Key")) else { return Vec::new() };
    let object = object_arn(bucket, key);
    let source = || text("CopySource").and_then(source_arn);
    match operation {
        "GetObject" | "UploadPart" | "CompleteMultipartUpload" => vec![reads(&object)],
        "HeadObject" if text("ChecksumMode") == Some("ENABLED") => vec![reads(&object)],
        "GetObjectAttributes" if asks_checksum(input) => vec![reads(&object)],
        "PutObject" | "CreateMultipartUpload" => writes(&object, input, resolve, managed),
        "UploadPartCopy" => match source() {
            Some(source) if source == object => vec![Forward { budget: 2, ..reads(&object) }],
            Some(source) => vec![reads(&source), reads(&object)],
            None => Vec::new(),
        },
        "CopyObject" => match source() {
            Some(source) => {
                let mut rows = vec![reads(&source)];
                rows.extend(writes(&object, input, resolve, managed));
                rows
            }
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The ARN of an object.
pub(crate) fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

fn row(action: &str, resource: ResourceRule, context: ContextRule) -> Forward {
    Forward { audience: "kms".to_owned(), action: action.to_owned(), resource, context, budget: 1 }
}

fn reads(object: &str) -> Forward {
    let pair = Pair { key: OBJECT_ARN.to_owned(), value: object.to_owned() };
    row(DECRYPT, ResourceRule::Any, ContextRule::Includes(pair))
}

fn writes(
    object: &str,
    input: &Value,
    resolve: &dyn Fn(&str) -> Option<Arn>,
    managed: &Arn,
) -> Vec<Forward> {
    let text = |name: &str| input.member(name).and_then(Value::text);
    let Some(mut context) = customer_context(text("SSEKMSEncryptionContext")) else {
        return Vec::new();
    };
    context.insert(OBJECT_ARN.to_owned(), object.to_owned());
    let context = ContextRule::Exactly(vec![context_digest(&context)]);
    match text("SSEKMSKeyId") {
        Some(named) => {
            let key = resolve(named).map(|arn| arn.to_string());
            let only = ResourceRule::OneOf(key.into_iter().collect());
            vec![row(GENERATE, only, context)]
        }
        None => {
            let alias = ResourceRule::OneOf(vec![managed.to_string()]);
            vec![row(GENERATE, ResourceRule::Any, context), row(CREATE, alias, ContextRule::Any)]
        }
    }
}

/// The further pairs of the signed header: base64 of a JSON object of strings. `None` if it is none.
fn customer_context(header: Option<&str>) -> Option<EncryptionContext> {
    let Some(header) = header else { return Some(EncryptionContext::new()) };
    let bytes = STANDARD.decode(header).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// `x-amz-copy-source`: bucket and key, percent-encoded, with or without a leading slash; what
/// follows `?` names a version.
fn source_arn(header: &str) -> Option<String> {
    let path = header.split_once('?').map_or(header, |(path, _)| path);
    let path = decode(path.strip_prefix('/').unwrap_or(path))?;
    let path = std::str::from_utf8(&path).ok()?;
    let (bucket, key) = path.split_once('/')?;
    (!bucket.is_empty() && !key.is_empty()).then(|| object_arn(bucket, key))
}

fn asks_checksum(input: &Value) -> bool {
    match input.member("ObjectAttributes") {
        Some(Value::List(names)) => {
            names.iter().any(|name| matches!(name.text(), Some("Checksum" | "ObjectParts")))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/k";
    const ALIAS: &str = "arn:aws:kms:us-east-1:111122223333:alias/aws/s3";

    /// What a row of the table comes to.
    fn forward(action: &str, resource: ResourceRule, context: ContextRule, budget: u32) -> Forward {
        let (audience, action) = ("kms".to_owned(), action.to_owned());
        Forward { audience, action, resource, context, budget }
    }

    fn decrypt(object: &str, budget: u32) -> Forward {
        let (key, value) = ("aws:s3:arn".to_owned(), format!("arn:aws:s3:::{object}"));
        let context = ContextRule::Includes(Pair { key, value });
        forward("kms:Decrypt", ResourceRule::Any, context, budget)
    }

    fn generate(resource: ResourceRule, context: &[(&str, &str)]) -> Forward {
        let pairs = context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let digest = context_digest(&pairs.collect());
        forward("kms:GenerateDataKey", resource, ContextRule::Exactly(vec![digest]), 1)
    }

    fn create() -> Forward {
        let alias = ResourceRule::OneOf(vec![ALIAS.to_owned()]);
        forward("kms:CreateKey", alias, ContextRule::Any, 1)
    }

    /// The rows of a request for the object `b/k` with these further parameters.
    fn check(operation: &str, more: &[(&str, &str)], expected: &[Forward]) {
        let text = |(name, value): &(&str, &str)| {
            let names = |list: &str| list.split(',').map(|n| Value::Text(n.to_owned())).collect();
            let value = match *name {
                "ObjectAttributes" => Value::List(names(value)),
                _ => Value::Text((*value).to_owned()),
            };
            ((*name).to_owned(), value)
        };
        let all = [("Bucket", "b"), ("Key", "k")];
        let input = Value::Map(all.iter().chain(more).map(text).collect());
        let resolve = |name: &str| (name == "alias/mine").then(|| KEY.parse().unwrap());
        let found = rows(operation, &input, &resolve, &ALIAS.parse().unwrap());
        assert_eq!(found, expected, "{operation} {more:?}");
        let bucket = Value::Map(all.iter().take(1).chain(more).map(text).collect());
        let found = rows(operation, &bucket, &resolve, &ALIAS.parse().unwrap());
        assert_eq!(found, [], "{operation} without an object");
    }

    #[test]
    fn delegation_table_gives_each_request_its_rows_and_no_others() {
        let object = [("aws:s3:arn", "arn:aws:s3:::b/k")];
        let (read, write) = (decrypt("b/k", 1), || generate(ResourceRule::Any, &object));
        for operation in ["GetObject", "UploadPart", "CompleteMultipartUpload"] {
            check(operation, &[], std::slice::from_ref(&read));
        }
        check("HeadObject", &[("ChecksumMode", "ENABLED")], std::slice::from_ref(&read));
        check("HeadObject", &[("ChecksumMode", "enabled")], &[]);
        check("HeadObject", &[], &[]);
        for (names, asks) in [("Checksum", true), ("ETag,ObjectParts", true), ("ETag", false)] {
            let expected = if asks { std::slice::from_ref(&read) } else { &[] };
            check("GetObjectAttributes", &[("ObjectAttributes", names)], expected);
        }
        check("GetObjectAttributes", &[], &[]);
        for operation in ["PutObject", "CreateMultipartUpload"] {
            check(operation, &[], &[write(), create()]);
        }
        for operation in ["DeleteObject", "ListObjectsV2", "GetObjectTagging", ""] {
            check(operation, &[], &[]);
        }
        let from = ("CopySource", "/c/d%2Fe?versionId=1");
        check("CopyObject", &[from], &[decrypt("c/d/e", 1), write(), create()]);
        check("UploadPartCopy", &[from], &[decrypt("c/d/e", 1), read]);
        check("UploadPartCopy", &[("CopySource", "b/k")], &[decrypt("b/k", 2)]);
        for broken in ["", "/", "c", "c/", "/c/", "//d", "c/%zz", "c/%ff"] {
            check("CopyObject", &[("CopySource", broken)], &[]);
            check("UploadPartCopy", &[("CopySource", broken)], &[]);
        }
        check("CopyObject", &[], &[]);
    }

    #[test]
    fn data_key_is_made_with_the_key_and_the_context_of_the_signed_headers() {
        let object = [("aws:s3:arn", "arn:aws:s3:::b/k")];
        let only =
            |key: Option<&str>| ResourceRule::OneOf(key.map(str::to_owned).into_iter().collect());
        let named = generate(only(Some(KEY)), &object);
        check("PutObject", &[("SSEKMSKeyId", "alias/mine")], &[named]);
        check("PutObject", &[("SSEKMSKeyId", "alias/no")], &[generate(only(None), &object)]);
        // Nobody says that the data key is another object's.
        let header = STANDARD.encode(r#"{"tenant":"a","aws:s3:arn":"arn:aws:s3:::b/other"}"#);
        let both = [("aws:s3:arn", "arn:aws:s3:::b/k"), ("tenant", "a")];
        let expected = [generate(ResourceRule::Any, &both), create()];
        check("PutObject", &[("SSEKMSEncryptionContext", &header)], &expected);
        for broken in ["!", "bm8ganNvbg==", "eyJhIjoxfQ=="] {
            check("PutObject", &[("SSEKMSEncryptionContext", broken)], &[]);
        }
    }
}
