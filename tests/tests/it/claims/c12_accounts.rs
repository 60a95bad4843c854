//! C-12: accounts are separated. Nothing crosses without explicit policy on both sides.

use serde_json::{Value, json};
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Site};

use super::{allow, refused_and_recorded, user, user_of};
use crate::operations::{Actor, text, texts};

/// Service, operation, parameters and the code that the stranger is answered with.
type Attack = (&'static str, &'static str, Value, &'static str);

/// What ann has: each by the ARN, or the name that is one for all accounts, by which a stranger reaches it.
struct Things {
    policy: String,
    role: String,
    key: String,
    blob: String,
    bucket: &'static str,
}

impl Things {
    fn of(ann: &Actor<'_>) -> Things {
        let root = format!("arn:aws:iam::{ANN}:root");
        let trust = json!({"RoleName": "admin", "AssumeRolePolicyDocument": trusting(&root)});
        let role = ann.ok("iam", "CreateRole", trust);
        let document = json!({"PolicyName": "mine", "PolicyDocument": allow("*", "*")});
        let policy = ann.ok("iam", "CreatePolicy", document);
        let key = ann.ok("kms", "CreateKey", json!({}));
        let key = text(&key, "/KeyMetadata/Arn");
        let sealed = ann.ok("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "Z29sZA=="}));
        let bucket = "anns";
        ann.ok("s3", "CreateBucket", json!({"Bucket": bucket}));
        ann.ok("s3", "PutObject", json!({"Bucket": bucket, "Key": "k", "Body": "Z29sZA=="}));
        Things {
            policy: text(&policy, "/Policy/Arn"),
            role: text(&role, "/Role/Arn"),
            blob: text(&sealed, "/CiphertextBlob"),
            bucket,
            key,
        }
    }

    /// What her role, key and bucket policies can open to others.
    fn opened_by_policy(&self) -> Vec<Attack> {
        let (key, bucket) = (&self.key, self.bucket);
        vec![
            (
                "sts",
                "AssumeRole",
                json!({"RoleArn": self.role, "RoleSessionName": "night"}),
                "AccessDenied",
            ),
            ("kms", "DescribeKey", json!({"KeyId": key}), "AccessDeniedException"),
            ("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}), "AccessDeniedException"),
            ("kms", "Decrypt", json!({"CiphertextBlob": self.blob}), "AccessDeniedException"),
            ("s3", "ListObjectsV2", json!({"Bucket": bucket}), "AccessDenied"),
            ("s3", "DeleteObject", json!({"Bucket": bucket, "Key": "none"}), "AccessDenied"),
        ]
    }

    /// What stays hers whatever her policies say: AWS does not offer it across accounts.
    fn never_opened(&self) -> Vec<Attack> {
        let (policy, key) = (&self.policy, &self.key);
        let denied = "AccessDeniedException";
        let lax = allow("kms:*", "*");
        vec![
            ("iam", "GetPolicy", json!({"PolicyArn": policy}), "AccessDenied"),
            (
                "iam",
                "GetPolicyVersion",
                json!({"PolicyArn": policy, "VersionId": "v1"}),
                "AccessDenied",
            ),
            (
                "iam",
                "CreatePolicyVersion",
                json!({"PolicyArn": policy, "PolicyDocument": lax}),
                "AccessDenied",
            ),
            ("iam", "DeletePolicy", json!({"PolicyArn": policy}), "AccessDenied"),
            ("iam", "ListEntitiesForPolicy", json!({"PolicyArn": policy}), "AccessDenied"),
            ("kms", "GetKeyPolicy", json!({"KeyId": key, "PolicyName": "default"}), denied),
            ("kms", "PutKeyPolicy", json!({"KeyId": key, "Policy": lax}), denied),
            ("kms", "DisableKey", json!({"KeyId": key}), denied),
            ("kms", "ScheduleKeyDeletion", json!({"KeyId": key}), denied),
            ("kms", "TagResource", json!({"KeyId": key, "Tags": []}), denied),
            ("kms", "ListAliases", json!({"KeyId": key}), denied),
            ("kms", "CreateAlias", json!({"AliasName": "alias/x", "TargetKeyId": key}), denied),
        ]
    }

    /// The rest of what a bucket's name reaches.
    fn objects(&self) -> Vec<Attack> {
        let bucket = self.bucket;
        vec![
            ("s3", "GetObject", json!({"Bucket": bucket, "Key": "k"}), "AccessDenied"),
            (
                "s3",
                "PutObject",
                json!({"Bucket": bucket, "Key": "k", "Body": "AAAA"}),
                "AccessDenied",
            ),
            ("s3", "DeleteObject", json!({"Bucket": bucket, "Key": "k"}), "AccessDenied"),
            ("s3", "DeleteBucket", json!({"Bucket": bucket}), "AccessDenied"),
            ("s3", "GetBucketPolicy", json!({"Bucket": bucket}), "AccessDenied"),
        ]
    }

    /// ann lets everybody of bob's account in wherever she can.
    fn admit(&self, ann: &Actor<'_>, bob: &str) {
        let document = trusting(bob);
        ann.ok(
            "iam",
            "UpdateAssumeRolePolicy",
            json!({"RoleName": "admin", "PolicyDocument": document}),
        );
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"AWS": [bob, format!("arn:aws:iam::{ANN}:root")]},
            "Action": "kms:*", "Resource": "*"}]});
        ann.ok("kms", "PutKeyPolicy", json!({"KeyId": self.key, "Policy": policy.to_string()}));
        let arn = format!("arn:aws:s3:::{}", self.bucket);
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"AWS": bob}, "Action": "s3:*", "Resource": [arn, format!("{arn}/*")]}]});
        let policy = policy.to_string();
        ann.ok("s3", "PutBucketPolicy", json!({"Bucket": self.bucket, "Policy": policy}));
    }
}

fn trusting(principal: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]})
    .to_string()
}

/// mallory, a user of bob's with all rights there, goes for ann's role, policy, key, bucket and object.
/// Then ann admits bob's account, and the same calls succeed: it was her policies that refused.
#[test]
fn c12_another_accounts_things_are_out_of_reach() {
    let site = Site::start();
    let (ann, bob) = (Actor::root(&site, Client::Boto, ANN), Actor::root(&site, Client::Boto, BOB));
    let things = Things::of(&ann);
    let mallory = user_of(&site, BOB, "mallory", Some(&allow("*", "*")));

    let (opened, never) = (things.opened_by_policy(), things.never_opened());
    let attacks = || opened.iter().chain(&never).cloned().chain(things.objects());
    for (service, name, params, code) in attacks() {
        let failure = refused_and_recorded(&site, &mallory, (service, name), params, code);
        if name == "AssumeRole" {
            let why = "because no role trust policy allows the sts:AssumeRole action";
            assert!(failure.message.contains(why), "{failure:?}");
        }
    }
    println!("{} attacks across accounts were refused and recorded", attacks().count());

    // bob's own lists show nothing of ann's.
    assert_eq!(texts(&bob.ok("iam", "ListUsers", json!({})), "Users", "UserName"), ["mallory"]);
    assert!(texts(&bob.ok("kms", "ListKeys", json!({})), "Keys", "KeyId").is_empty());
    assert!(texts(&bob.ok("s3", "ListBuckets", json!({})), "Buckets", "Name").is_empty());
    let events = bob.ok("cloudtrail", "LookupEvents", json!({}));
    for event in events["Events"].as_array().unwrap() {
        let record: Value = serde_json::from_str(&text(event, "/CloudTrailEvent")).unwrap();
        assert_eq!(record["recipientAccountId"], BOB, "{record}");
    }
    let mine = ann.ok("s3", "GetObject", json!({"Bucket": "anns", "Key": "k"}));
    assert_eq!(text(&mine, "/Body"), "Z29sZA==");

    things.admit(&ann, &format!("arn:aws:iam::{BOB}:root"));
    for (service, name, params, _) in opened {
        mallory.ok(service, name, params);
    }
    for (service, name, params, code) in never {
        refused_and_recorded(&site, &mallory, (service, name), params, code);
    }
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
