//! KMS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use writ_aws::Service;
use writ_tests::site::ANN;
use writ_tests::{Client, Site};

use super::{Actor, covers, text, texts};

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

#[test]
fn kms_by_cli_and_boto3() {
    let site = Site::start();
    for client in Client::BOTH {
        let root = Actor::root(&site, client, ANN);
        let key = lifecycle(&root);
        uses(&root, &key);
        settings(&root, &key);
        deletion(&root, &key);
    }
    covers(&site, Service::Kms);
}

fn lifecycle(root: &Actor<'_>) -> String {
    let made = root.ok(
        "kms",
        "CreateKey",
        json!({"Description": "orders", "Tags": [{"TagKey": "team", "TagValue": "sales"}]}),
    );
    assert_eq!(text(&made, "/KeyMetadata/KeyState"), "Enabled");
    assert_eq!(text(&made, "/KeyMetadata/KeySpec"), "SYMMETRIC_DEFAULT");
    let id = text(&made, "/KeyMetadata/KeyId");
    assert_eq!(text(&made, "/KeyMetadata/Arn"), format!("arn:aws:kms:us-east-1:{ANN}:key/{id}"));
    let listed = root.ok("kms", "ListKeys", json!({}));
    assert!(texts(&listed, "Keys", "KeyId").contains(&id));

    let alias = format!("alias/{}", root.name("orders"));
    root.ok("kms", "CreateAlias", json!({"AliasName": alias, "TargetKeyId": id}));
    let again = json!({"AliasName": alias, "TargetKeyId": id});
    root.refused("kms", "CreateAlias", again, "AlreadyExistsException");
    let shown = root.ok("kms", "DescribeKey", json!({"KeyId": alias}));
    assert_eq!(text(&shown, "/KeyMetadata/KeyId"), id);
    let other = root.ok("kms", "CreateKey", json!({}));
    let other = text(&other, "/KeyMetadata/KeyId");
    root.ok("kms", "UpdateAlias", json!({"AliasName": alias, "TargetKeyId": other}));
    let aliases = root.ok("kms", "ListAliases", json!({"KeyId": other}));
    assert_eq!(texts(&aliases, "Aliases", "AliasName"), [alias.as_str()]);
    root.ok("kms", "DeleteAlias", json!({"AliasName": alias}));
    root.refused("kms", "DescribeKey", json!({"KeyId": alias}), "NotFoundException");
    id
}

fn uses(root: &Actor<'_>, key: &str) {
    let context = json!({"order": "7"});
    let sealed = root.ok(
        "kms",
        "Encrypt",
        json!({"KeyId": key, "Plaintext": b64("gold"), "EncryptionContext": context}),
    );
    let blob = text(&sealed, "/CiphertextBlob");
    let opened =
        root.ok("kms", "Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context}));
    assert_eq!(text(&opened, "/Plaintext"), b64("gold"));
    assert!(text(&opened, "/KeyId").ends_with(key));
    let wrong = json!({"CiphertextBlob": blob, "EncryptionContext": {"order": "8"}});
    root.refused("kms", "Decrypt", wrong, "InvalidCiphertextException");

    let other = root.ok("kms", "CreateKey", json!({}));
    let other = text(&other, "/KeyMetadata/KeyId");
    let moved = root.ok(
        "kms",
        "ReEncrypt",
        json!({"CiphertextBlob": blob,
        "SourceEncryptionContext": context, "DestinationKeyId": other}),
    );
    let moved = text(&moved, "/CiphertextBlob");
    let opened = root.ok("kms", "Decrypt", json!({"CiphertextBlob": moved, "KeyId": other}));
    assert_eq!(text(&opened, "/Plaintext"), b64("gold"));
    let under = json!({"CiphertextBlob": moved, "KeyId": key});
    root.refused("kms", "Decrypt", under, "IncorrectKeyException");

    let data = root.ok("kms", "GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256"}));
    assert_eq!(STANDARD.decode(text(&data, "/Plaintext")).unwrap().len(), 32);
    let opened =
        root.ok("kms", "Decrypt", json!({"CiphertextBlob": text(&data, "/CiphertextBlob")}));
    assert_eq!(text(&opened, "/Plaintext"), text(&data, "/Plaintext"));
    let hidden = root.ok(
        "kms",
        "GenerateDataKeyWithoutPlaintext",
        json!({"KeyId": key, "NumberOfBytes": 48}),
    );
    assert!(hidden.get("Plaintext").is_none());
    let opened =
        root.ok("kms", "Decrypt", json!({"CiphertextBlob": text(&hidden, "/CiphertextBlob")}));
    assert_eq!(STANDARD.decode(text(&opened, "/Plaintext")).unwrap().len(), 48);

    let first = root.ok("kms", "GenerateRandom", json!({"NumberOfBytes": 32}));
    let second = root.ok("kms", "GenerateRandom", json!({"NumberOfBytes": 32}));
    assert_ne!(first, second);
}

fn settings(root: &Actor<'_>, key: &str) {
    root.ok("kms", "UpdateKeyDescription", json!({"KeyId": key, "Description": "bills"}));
    let shown = root.ok("kms", "DescribeKey", json!({"KeyId": key}));
    assert_eq!(text(&shown, "/KeyMetadata/Description"), "bills");

    root.ok(
        "kms",
        "TagResource",
        json!({"KeyId": key, "Tags": [{"TagKey": "cost", "TagValue": "9"}]}),
    );
    root.ok("kms", "UntagResource", json!({"KeyId": key, "TagKeys": ["team"]}));
    let tags = root.ok("kms", "ListResourceTags", json!({"KeyId": key}));
    assert_eq!(texts(&tags, "Tags", "TagKey"), ["cost"]);

    let rotation = root.ok("kms", "GetKeyRotationStatus", json!({"KeyId": key}));
    assert_eq!(rotation["KeyRotationEnabled"], false);
    let names = root.ok("kms", "ListKeyPolicies", json!({"KeyId": key}));
    assert_eq!(names["PolicyNames"], json!(["default"]));
    let policy = root.ok("kms", "GetKeyPolicy", json!({"KeyId": key, "PolicyName": "default"}));
    let policy = text(&policy, "/Policy");
    assert!(policy.contains(&format!("arn:aws:iam::{ANN}:root")), "{policy}");
    let mut changed: serde_json::Value = serde_json::from_str(&policy).unwrap();
    changed["Statement"].as_array_mut().unwrap().push(json!({
        "Effect": "Deny", "Principal": "*", "Action": "kms:GenerateDataKey", "Resource": "*"}));
    root.ok("kms", "PutKeyPolicy", json!({"KeyId": key, "Policy": changed.to_string()}));
    let denied = json!({"KeyId": key, "KeySpec": "AES_256"});
    root.refused("kms", "GenerateDataKey", denied, "AccessDeniedException");
    let lockout = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "kms:Encrypt",
        "Resource": "*"}]});
    let lockout = json!({"KeyId": key, "Policy": lockout.to_string()});
    root.refused("kms", "PutKeyPolicy", lockout, "MalformedPolicyDocumentException");
}

fn deletion(root: &Actor<'_>, key: &str) {
    let encrypt = json!({"KeyId": key, "Plaintext": b64("x")});
    root.ok("kms", "DisableKey", json!({"KeyId": key}));
    root.refused("kms", "Encrypt", encrypt.clone(), "DisabledException");
    root.ok("kms", "EnableKey", json!({"KeyId": key}));
    root.ok("kms", "Encrypt", encrypt.clone());
    let gone =
        root.ok("kms", "ScheduleKeyDeletion", json!({"KeyId": key, "PendingWindowInDays": 7}));
    assert_eq!(text(&gone, "/KeyState"), "PendingDeletion");
    root.refused("kms", "Encrypt", encrypt.clone(), "KMSInvalidStateException");
    root.ok("kms", "CancelKeyDeletion", json!({"KeyId": key}));
    root.refused("kms", "Encrypt", encrypt, "DisabledException");
}
