//! C-13: deny is the default, and an error is a deny with a reason.

use serde_json::{Value, json};
use writ_tests::site::ANN;
use writ_tests::{Client, Site};

use super::{allow, refused_and_recorded, user};
use crate::operations::{Actor, text, texts};

/// A new user can do nothing but ask who it is.
#[test]
fn c13_new_user_can_do_nothing() {
    let site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    let key = text(&root.ok("kms", "CreateKey", json!({})), "/KeyMetadata/KeyId");
    root.ok("s3", "CreateBucket", json!({"Bucket": "some"}));
    let nobody = user(&site, "nobody", None);
    nobody.ok("sts", "GetCallerIdentity", json!({}));
    let attempts = [
        ("iam", "ListUsers", json!({}), "AccessDenied"),
        ("iam", "CreateUser", json!({"UserName": "x"}), "AccessDenied"),
        (
            "iam",
            "PutUserPolicy",
            json!({"UserName": "nobody", "PolicyName": "p",
            "PolicyDocument": allow("*", "*")}),
            "AccessDenied",
        ),
        ("iam", "CreateAccessKey", json!({"UserName": "nobody"}), "AccessDenied"),
        ("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}), "AccessDeniedException"),
        ("kms", "CreateKey", json!({}), "AccessDeniedException"),
        ("kms", "GenerateRandom", json!({"NumberOfBytes": 8}), "AccessDeniedException"),
        ("s3", "ListBuckets", json!({}), "AccessDenied"),
        ("s3", "PutObject", json!({"Bucket": "some", "Key": "k", "Body": "AAAA"}), "AccessDenied"),
        ("cloudtrail", "LookupEvents", json!({}), "AccessDeniedException"),
    ];
    for (service, name, params, code) in attempts {
        refused_and_recorded(&site, &nobody, (service, name), params, code);
    }
}

/// A policy that cannot be understood is refused when it is written; nothing of it takes effect.
#[test]
fn c13_policy_that_cannot_be_read_is_refused_at_write() {
    let site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    let key = text(&root.ok("kms", "CreateKey", json!({})), "/KeyMetadata/KeyId");
    root.ok("s3", "CreateBucket", json!({"Bucket": "some"}));
    let eve = user(&site, "eve", None);
    let statement =
        |statement: Value| json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let documents = [
        ("no JSON", "{".to_owned()),
        ("no statement", json!({"Version": "2012-10-17"}).to_string()),
        ("an unknown version", allow("*", "*").replace("2012-10-17", "2030-01-01")),
        (
            "an unknown element",
            statement(json!({"Effect": "Allow", "Action": "*",
            "Resource": "*", "Unless": {}})),
        ),
        (
            "an unknown effect",
            statement(json!({"Effect": "Maybe", "Action": "*",
            "Resource": "*"})),
        ),
        (
            "an unknown operator",
            statement(json!({"Effect": "Allow", "Action": "*",
            "Resource": "*", "Condition": {"StringIsh": {"aws:username": "eve"}}})),
        ),
        (
            "a duplicate key",
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny",
            "Effect":"Allow","Action":"*","Resource":"*"}]}"#
                .to_owned(),
        ),
        ("no resource", statement(json!({"Effect": "Allow", "Action": "*"}))),
    ];
    for (what, document) in &documents {
        let inline = json!({"UserName": "eve", "PolicyName": "p", "PolicyDocument": document});
        refused_and_recorded(
            &site,
            &root,
            ("iam", "PutUserPolicy"),
            inline,
            "MalformedPolicyDocument",
        );
        let managed = json!({"PolicyName": "p", "PolicyDocument": document});
        refused_and_recorded(
            &site,
            &root,
            ("iam", "CreatePolicy"),
            managed,
            "MalformedPolicyDocument",
        );
        let of_key = json!({"KeyId": key, "Policy": document});
        refused_and_recorded(
            &site,
            &root,
            ("kms", "PutKeyPolicy"),
            of_key,
            "MalformedPolicyDocumentException",
        );
        let of_bucket = json!({"Bucket": "some", "Policy": document});
        refused_and_recorded(&site, &root, ("s3", "PutBucketPolicy"), of_bucket, "MalformedPolicy");
        let failure = eve.refused("iam", "ListUsers", json!({}), "AccessDenied");
        assert!(failure.message.contains("not authorized"), "{what}: {failure:?}");
    }
    println!("{} documents were refused in four places each", documents.len());
}

/// An explicit deny wins over every allow, and the denial names its reason.
#[test]
fn c13_denial_names_its_reason() {
    let site = Site::start();
    let mixed = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iam:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:ListRoles", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:ListGroups", "Resource": "*",
            "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}]});
    let fred = user(&site, "fred", Some(&mixed.to_string()));
    fred.ok("iam", "ListUsers", json!({}));
    let by_deny = fred.refused("iam", "ListRoles", json!({}), "AccessDenied");
    assert!(by_deny.message.contains("explicit deny"), "{}", by_deny.message);
    fred.refused("iam", "ListGroups", json!({}), "AccessDenied");
    let implicit = fred.refused("s3", "ListBuckets", json!({}), "AccessDenied");
    assert!(implicit.message.contains("no identity-based policy allows"), "{}", implicit.message);
    let event = site.ledger().of_request(&by_deny.request);
    assert!(event.text("/errorMessage").contains("explicit deny"));
    assert_eq!(event.text("/userIdentity/userName"), "fred");
}

/// A call that waits while its credential is revoked changes nothing after the revocation was
/// acknowledged: the wait for a revision is such a place.
#[test]
fn c13_revoked_credential_changes_nothing_after_its_revocation() {
    let site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    let kim = user(&site, "kim", Some(&allow("*", "*")));
    let iam = site.http("iam");
    let seen = iam.query(&root.who, "Action=GetUser&Version=2010-05-08&UserName=kim").unwrap();
    let next: u64 = seen.header("x-writ-revision").unwrap().parse::<u64>().unwrap() + 1;
    let form = "Action=TagUser&Version=2010-05-08&UserName=kim&Tags.member.1.Key=late\
                &Tags.member.1.Value=1";
    let fields = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-writ-revision", &*next.to_string()),
    ];
    let waiting = std::thread::scope(|scope| {
        let late =
            scope.spawn(|| iam.send(&kim.who, "POST", "/", "", &fields, form.as_bytes()).unwrap());
        // Time to be authenticated; a call that comes later is refused as well.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let off = json!({"UserName": "kim", "AccessKeyId": kim.who.id, "Status": "Inactive"});
        root.ok("iam", "UpdateAccessKey", off);
        late.join().unwrap()
    });
    assert_eq!(waiting.code(), "InvalidClientTokenId", "{}", waiting.text());
    let tags = root.ok("iam", "ListUserTags", json!({"UserName": "kim"}));
    assert!(texts(&tags, "Tags", "Key").is_empty(), "{tags}");
}
