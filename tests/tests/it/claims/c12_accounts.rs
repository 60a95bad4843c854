//! C-12: accounts are separated. Nothing crosses without explicit policy on both sides.

use serde_json::{Value, json};
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Site};

use super::{allow, refused_and_recorded, user};
use crate::operations::{Actor, text, texts};

/// Service, operation, parameters and the code that the stranger is answered with.
type Attack = (&'static str, &'static str, Value, &'static str);

/// What bob tries on ann's things.
fn attacks(policy: &str, role: &str, key: &str, blob: &str) -> Vec<Attack> {
    vec![
        ("iam", "GetUser", json!({"UserName": "carol"}), "NoSuchEntity"),
        ("iam", "CreateAccessKey", json!({"UserName": "carol"}), "NoSuchEntity"),
        ("iam", "DeleteRole", json!({"RoleName": "admin"}), "NoSuchEntity"),
        ("iam", "GetPolicy", json!({"PolicyArn": policy}), "AccessDenied"),
        ("sts", "AssumeRole", json!({"RoleArn": role, "RoleSessionName": "night"}), "AccessDenied"),
        ("kms", "DescribeKey", json!({"KeyId": key}), "AccessDeniedException"),
        ("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}), "AccessDeniedException"),
        ("kms", "Decrypt", json!({"CiphertextBlob": blob}), "AccessDeniedException"),
        (
            "kms",
            "GetKeyPolicy",
            json!({"KeyId": key, "PolicyName": "default"}),
            "AccessDeniedException",
        ),
        (
            "kms",
            "PutKeyPolicy",
            json!({"KeyId": key, "Policy": allow("kms:*", "*")}),
            "AccessDeniedException",
        ),
        ("kms", "DisableKey", json!({"KeyId": key}), "AccessDeniedException"),
        ("kms", "ScheduleKeyDeletion", json!({"KeyId": key}), "AccessDeniedException"),
        (
            "kms",
            "CreateAlias",
            json!({"AliasName": "alias/x", "TargetKeyId": key}),
            "NotFoundException",
        ),
        ("s3", "GetObject", json!({"Bucket": "anns", "Key": "k"}), "AccessDenied"),
        ("s3", "PutObject", json!({"Bucket": "anns", "Key": "k", "Body": "AAAA"}), "AccessDenied"),
        ("s3", "ListObjectsV2", json!({"Bucket": "anns"}), "AccessDenied"),
        ("s3", "DeleteObject", json!({"Bucket": "anns", "Key": "k"}), "AccessDenied"),
        ("s3", "DeleteBucket", json!({"Bucket": "anns"}), "AccessDenied"),
        ("s3", "GetBucketPolicy", json!({"Bucket": "anns"}), "AccessDenied"),
    ]
}

/// bob, with all rights in his own account, goes for ann's user, role, key, bucket, object, ledger.
#[test]
fn c12_another_accounts_things_are_out_of_reach() {
    let site = Site::start();
    let (ann, bob) = (Actor::root(&site, Client::Boto, ANN), Actor::root(&site, Client::Boto, BOB));
    ann.ok("iam", "CreateUser", json!({"UserName": "carol"}));
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "sts:AssumeRole"}]});
    ann.ok(
        "iam",
        "CreateRole",
        json!({"RoleName": "admin", "AssumeRolePolicyDocument": trust.to_string()}),
    );
    let policy = ann.ok(
        "iam",
        "CreatePolicy",
        json!({"PolicyName": "mine", "PolicyDocument": allow("*", "*")}),
    );
    let policy = text(&policy, "/Policy/Arn");
    let key = ann.ok("kms", "CreateKey", json!({}));
    let key = text(&key, "/KeyMetadata/Arn");
    let sealed = ann.ok("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "Z29sZA=="}));
    let blob = text(&sealed, "/CiphertextBlob");
    ann.ok("s3", "CreateBucket", json!({"Bucket": "anns"}));
    ann.ok("s3", "PutObject", json!({"Bucket": "anns", "Key": "k", "Body": "Z29sZA=="}));

    let role = format!("arn:aws:iam::{ANN}:role/admin");
    let attacks = attacks(&policy, &role, &key, &blob);
    let count = attacks.len();
    for (service, name, params, code) in attacks {
        refused_and_recorded(&site, &bob, (service, name), params, code);
    }
    println!("{count} attacks across accounts were refused and recorded");

    // bob's own lists show nothing of ann's.
    assert!(texts(&bob.ok("iam", "ListUsers", json!({})), "Users", "UserName").is_empty());
    assert!(texts(&bob.ok("kms", "ListKeys", json!({})), "Keys", "KeyId").is_empty());
    assert!(texts(&bob.ok("s3", "ListBuckets", json!({})), "Buckets", "Name").is_empty());
    let events = bob.ok("cloudtrail", "LookupEvents", json!({}));
    for event in events["Events"].as_array().unwrap() {
        let record: Value = serde_json::from_str(&text(event, "/CloudTrailEvent")).unwrap();
        assert_eq!(record["recipientAccountId"], BOB, "{record}");
    }
    let mine = ann.ok("s3", "GetObject", json!({"Bucket": "anns", "Key": "k"}));
    assert_eq!(text(&mine, "/Body"), "Z29sZA==");
}

/// Policy on one side alone opens nothing; on both sides it does, and both accounts see it.
#[test]
fn c12_crossing_needs_policy_on_both_sides() {
    let site = Site::start();
    let (ann, bob) = (Actor::root(&site, Client::Boto, ANN), Actor::root(&site, Client::Boto, BOB));
    let dave = user(&site, "dave", None);
    let key = bob.ok("kms", "CreateKey", json!({}));
    let key = text(&key, "/KeyMetadata/Arn");
    let encrypt = || json!({"KeyId": key, "Plaintext": "AAAA"});

    // Only dave's side.
    let rights =
        json!({"UserName": "dave", "PolicyName": "p", "PolicyDocument": allow("kms:*", "*")});
    ann.ok("iam", "PutUserPolicy", rights);
    refused_and_recorded(&site, &dave, ("kms", "Encrypt"), encrypt(), "AccessDeniedException");

    // Only bob's side.
    ann.ok("iam", "DeleteUserPolicy", json!({"UserName": "dave", "PolicyName": "p"}));
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{BOB}:root")},
            "Action": "kms:*", "Resource": "*"},
        {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")},
            "Action": "kms:Encrypt", "Resource": "*"}]});
    bob.ok("kms", "PutKeyPolicy", json!({"KeyId": key, "Policy": policy.to_string()}));
    refused_and_recorded(&site, &dave, ("kms", "Encrypt"), encrypt(), "AccessDeniedException");

    // Both.
    let rights =
        json!({"UserName": "dave", "PolicyName": "p", "PolicyDocument": allow("kms:*", "*")});
    ann.ok("iam", "PutUserPolicy", rights);
    dave.ok("kms", "Encrypt", encrypt());
    let of = |log: &str| {
        let log = log.to_owned();
        site.ledger().wait(&format!("the use in the log of {log}"), move |event| {
            event.log == log && event.operation() == "kms.Encrypt" && event.error().is_empty()
        })
    };
    let (own, owners) = (of(ANN), of(BOB));
    assert_eq!(own.text("/sharedEventID"), owners.text("/sharedEventID"));
    assert_ne!(own.text("/eventID"), owners.text("/eventID"));
    assert_eq!(owners.text("/userIdentity/accountId"), ANN);
    assert_eq!(owners.text("/userIdentity/userName"), "", "the owner sees no name of ann's users");

    // The owner's side names the user himself; his own side has to allow all the same.
    let policy = policy.to_string();
    let of_ann = format!("arn:aws:iam::{ANN}:root");
    let named = policy.replace(&of_ann, &format!("arn:aws:iam::{ANN}:user/dave"));
    bob.ok("kms", "PutKeyPolicy", json!({"KeyId": key, "Policy": named}));
    dave.ok("kms", "Encrypt", encrypt());
    ann.ok("iam", "DeleteUserPolicy", json!({"UserName": "dave", "PolicyName": "p"}));
    refused_and_recorded(&site, &dave, ("kms", "Encrypt"), encrypt(), "AccessDeniedException");
}
