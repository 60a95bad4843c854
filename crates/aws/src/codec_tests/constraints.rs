//! AWS's texts for broken constraints.

use std::collections::BTreeMap;

use crate::operation::{Service, operation, operations};
use crate::query;
use crate::shape::{Kind, Shape};
use crate::value::Value;
use crate::{json, validate};

/// Validates a form (query) or JSON body and gives `code: message`, or nothing.
fn check(service: Service, name: &str, body: &str) -> String {
    let operation = operation(service, name).unwrap();
    let value = match service {
        Service::Iam | Service::Sts => query::decode(operation, body.as_bytes()).unwrap(),
        _ => json::decode(operation, body.as_bytes()).unwrap(),
    };
    match validate::check(operation, &value) {
        Ok(()) => String::new(),
        Err(error) => format!("{} {}", error.status, error),
    }
}

/// Service, operation, body, and what follows `N validation error(s) detected: `.
const BROKEN: &[(Service, &str, &str, &[&str])] = &[
    (Service::Iam, "CreateUser", "UserName=Ana", &[]),
    (
        Service::Iam,
        "CreateUser",
        "",
        &["Value null at 'userName' failed to satisfy constraint: Member must not be null"],
    ),
    (
        Service::Iam,
        "CreateUser",
        "UserName=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345",
        &[
            "Value 'aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345' at 'userName' \
           failed to satisfy constraint: Member must have length less than or equal to 64",
        ],
    ),
    (
        Service::Iam,
        "CreateUser",
        "UserName=a%2Fb&Path=x",
        &[
            "Value 'x' at 'path' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)",
            "Value 'a/b' at 'userName' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: [\\w+=,.@-]+",
        ],
    ),
    (
        Service::Iam,
        "ListUsers",
        "MaxItems=1001",
        &["Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less \
           than or equal to 1000"],
    ),
    (
        Service::Iam,
        "TagUser",
        "UserName=a&Tags.member.1.Key=&Tags.member.1.Value=v",
        &[
            "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have \
             length greater than or equal to 1",
            "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
        ],
    ),
    (
        Service::Iam,
        "UpdateAccessKey",
        "AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=Off",
        &["Value 'Off' at 'status' failed to satisfy constraint: Member must satisfy enum value \
           set: [Active, Inactive, Expired]"],
    ),
    (
        Service::Kms,
        "Encrypt",
        r#"{"KeyId":"","Plaintext":""}"#,
        &[
            "Value '' at 'keyId' failed to satisfy constraint: Member must have length greater \
             than or equal to 1",
            "Value '***' at 'plaintext' failed to satisfy constraint: Member must have length \
             greater than or equal to 1",
        ],
    ),
    (
        Service::Kms,
        "Encrypt",
        r#"{"KeyId":"k","Plaintext":"YQ==","GrantTokens":["a",""]}"#,
        &["Value '[a, ]' at 'grantTokens' failed to satisfy constraint: Member must satisfy \
           constraint: [Member must have length less than or equal to 8192, Member must have \
           length greater than or equal to 1, Member must not be null]"],
    ),
    (
        Service::Kms,
        "Encrypt",
        r#"{"KeyId":"k","Plaintext":"YQ==","GrantTokens":["a",null]}"#,
        &["Value '[a, null]' at 'grantTokens' failed to satisfy constraint: Member must satisfy \
           constraint: [Member must have length less than or equal to 8192, Member must have \
           length greater than or equal to 1, Member must not be null]"],
    ),
];

#[test]
fn broken_constraints_have_the_text_of_aws() {
    for (service, name, body, violations) in BROKEN {
        let code = match service {
            Service::Iam | Service::Sts => "ValidationError",
            _ => "ValidationException",
        };
        let detected = match violations.len() {
            0 => String::new(),
            1 => format!("400 {code}: 1 validation error detected: "),
            n => format!("400 {code}: {n} validation errors detected: "),
        };
        let expected = format!("{detected}{}", violations.join("; "));
        assert_eq!(check(*service, name, body), expected, "{name} {body}");
    }
}

#[test]
fn lengths_count_utf16_units() {
    let body = |n: usize| {
        let description = "\u{1F600}".repeat(n);
        format!(r#"{{"KeyId":"k","Description":"{description}"}}"#)
    };
    assert_eq!(check(Service::Kms, "UpdateKeyDescription", &body(4096)), "");
    assert_ne!(check(Service::Kms, "UpdateKeyDescription", &body(4097)), "");
}

#[test]
fn every_violation_is_counted_but_few_are_written_out() {
    let tags: String =
        (1..=60).map(|n| format!("&Tags.member.{n}.Key=&Tags.member.{n}.Value=v")).collect();
    let text = check(Service::Iam, "TagUser", &format!("UserName=a{tags}"));
    assert!(text.contains("121 validation errors detected"), "{text}");
    assert!(text.len() < 10_000);
}

/// Calls `visit` for a shape and all in it.
fn walk(shape: &'static Shape, seen: &mut BTreeMap<usize, ()>, visit: &mut dyn FnMut(&Shape)) {
    if seen.insert(std::ptr::from_ref(shape).addr(), ()).is_some() {
        return;
    }
    visit(shape);
    match &shape.kind {
        Kind::Structure(structure) => {
            for member in structure.members {
                walk(member.shape, seen, visit);
            }
        }
        Kind::List(list) => walk(list.item, seen, visit),
        Kind::Map(map) => {
            walk(map.key, seen, visit);
            walk(map.value, seen, visit);
        }
        _ => {}
    }
}

#[test]
fn every_pattern_of_an_operation_compiles() {
    let (mut seen, mut patterns) = (BTreeMap::new(), 0);
    for service in Service::ALL {
        for operation in operations(service) {
            for shape in [operation.input, operation.output] {
                walk(shape, &mut seen, &mut |shape| {
                    let Kind::Text(text) = &shape.kind else { return };
                    let Some(pattern) = text.pattern else { return };
                    patterns += 1;
                    assert!(pattern.is_supported(), "{} {}", shape.name, pattern.text);
                });
            }
        }
    }
    assert!(patterns > 30, "{patterns}");
}

#[test]
fn limits_of_the_decoders_are_kept() {
    let create = operation(Service::Iam, "CreateUser").unwrap();
    let many: String = (0..2_001).map(|n| format!("p{n}=1&")).collect();
    let deep = format!("{}=1", "a.".repeat(30));
    let far = "Tags.member.10001.Key=a";
    for (body, code) in [
        (many.as_str(), "MalformedInput"),
        (deep.as_str(), "MalformedInput"),
        (far, "MalformedInput"),
        ("UserName=a&UserName=a", "MalformedQueryString"),
        ("UserName=%", "MalformedQueryString"),
        ("UserName=%ff", "MalformedQueryString"),
        ("UserName.member.1=a", "MalformedInput"),
        ("Tags=x", "MalformedInput"),
        ("Tags.member.01.Key=x", "MalformedInput"),
        ("Tags.member.x.Key=x", "MalformedInput"),
    ] {
        let error = query::decode(create, body.as_bytes()).unwrap_err();
        assert_eq!(error.code, code, "{:.60}", body);
    }
    let encrypt = operation(Service::Kms, "Encrypt").unwrap();
    let deep = format!(r#"{{"Other":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let wide = format!(r#"{{"Other":[{}1]}}"#, "1,".repeat(50_000));
    for body in [
        deep.as_str(),
        wide.as_str(),
        "[]",
        "1",
        "{} {}",
        "{",
        r#"{"KeyId":"a","KeyId":"a"}"#,
        r#"{"Other":{"a":1,"a":2}}"#,
        r#"{"KeyId":1}"#,
        r#"{"DryRun":"true"}"#,
        r#"{"Plaintext":"*"}"#,
        r#"{"GrantTokens":"a"}"#,
        r#"{"EncryptionContext":[]}"#,
        r#"{"EncryptionContext":{"a":1}}"#,
    ] {
        let error = json::decode(encrypt, body.as_bytes()).unwrap_err();
        assert_eq!(error.code, "SerializationException", "{:.60}", body);
    }
    let empty = json::decode(encrypt, b"").unwrap();
    assert!(empty == Value::empty());
    let ignored = json::decode(encrypt, br#"{"Unknown":{"a":[1]},"KeyId":null}"#).unwrap();
    assert!(ignored == Value::empty());
}
