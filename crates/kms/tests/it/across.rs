//! Keys of another account: what works, and that nothing tells whether a key exists.

use writ_keyd_client::descriptor::KeyState;

use crate::world::{AWAY, HOME, MISSING, World, root};

/// A body for each operation that AWS offers within one account alone ("Cross-account use: No").
fn within_one_account(key: &str) -> Vec<(&'static str, String)> {
    let with = |more: &str| format!(r#"{{"KeyId":"{key}"{more}}}"#);
    vec![
        ("CancelKeyDeletion", with("")),
        ("CreateAlias", format!(r#"{{"AliasName":"alias/new","TargetKeyId":"{key}"}}"#)),
        ("DisableKey", with("")),
        ("EnableKey", with("")),
        ("GetKeyPolicy", with("")),
        ("ListAliases", with("")),
        ("ListKeyPolicies", with("")),
        ("ListResourceTags", with("")),
        ("PutKeyPolicy", with(r#","Policy":"{}""#)),
        ("ScheduleKeyDeletion", with("")),
        ("TagResource", with(r#","Tags":[{"TagKey":"a","TagValue":"b"}]"#)),
        ("UntagResource", with(r#","TagKeys":["a"]"#)),
        ("UpdateAlias", format!(r#"{{"AliasName":"alias/mine","TargetKeyId":"{key}"}}"#)),
        ("UpdateKeyDescription", with(r#","Description":"mine now""#)),
    ]
}

#[tokio::test]
async fn operations_of_one_account_refuse_foreign_keys_and_tell_nothing() {
    let mut w = World::new();
    let foreign = w.key(HOME, &[HOME, AWAY], KeyState::Enabled).to_string();
    let own = w.key(AWAY, &[AWAY], KeyState::Enabled);
    w.alias(AWAY, "alias/mine", &own);
    let bob = root(AWAY);
    let missing = format!("arn:aws:kms:us-east-1:{HOME}:key/{MISSING}");
    let operations = within_one_account(&foreign).into_iter().zip(within_one_account(&missing));
    for ((operation, existing), (_, missing)) in operations {
        let (there, not_there) =
            (w.err(&bob, operation, &existing).await, w.err(&bob, operation, &missing).await);
        assert_eq!(there.code, "AccessDeniedException", "{operation}");
        assert_eq!(there.to_string(), not_there.to_string(), "{operation}");
    }
    // The key policy does admit bob: what AWS offers across accounts works.
    let body = format!(r#"{{"KeyId":"{foreign}"}}"#);
    w.ok(&bob, "DescribeKey", &body).await;
    w.ok(&bob, "GetKeyRotationStatus", &body).await;
    let own = format!(r#"{{"KeyId":"{own}"}}"#);
    w.ok(&bob, "GetKeyPolicy", &own).await;
}

#[tokio::test]
async fn re_encrypt_tells_nothing_of_foreign_keys() {
    let mut w = World::new();
    let foreign = w.key(HOME, &[HOME], KeyState::Enabled).to_string();
    let own = w.key(AWAY, &[AWAY], KeyState::Enabled).to_string();
    let missing = format!("arn:aws:kms:us-east-1:{HOME}:key/{MISSING}");
    let body = |source: &str, target: &str| {
        format!(
            r#"{{"CiphertextBlob":"AAAA","SourceKeyId":"{source}","DestinationKeyId":"{target}"}}"#
        )
    };
    let bob = root(AWAY);
    for (there, not_there) in
        [(body(&own, &foreign), body(&own, &missing)), (body(&foreign, &own), body(&missing, &own))]
    {
        let there = w.err(&bob, "ReEncrypt", &there).await;
        let not_there = w.err(&bob, "ReEncrypt", &not_there).await;
        assert_eq!(there.code, "AccessDeniedException");
        assert_eq!(there.to_string(), not_there.to_string());
    }
}

#[tokio::test]
async fn create_key_is_decided_before_its_principals_are_looked_up() {
    let mut w = World::new();
    let nobody = w.user(AWAY, "nobody");
    for user in ["nobody", "missing"] {
        let policy = format!(
            r#"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"arn:aws:iam::{AWAY}:user/{user}\"}},\"Action\":\"kms:*\",\"Resource\":\"*\"}}]}}"#
        );
        let body = format!(r#"{{"Policy":"{policy}"}}"#);
        let refused = w.err(&nobody, "CreateKey", &body).await;
        assert_eq!(refused.code, "AccessDeniedException", "{user}: {refused}");
        let late = w.err(&root(AWAY), "CreateKey", &body).await;
        assert_eq!(late.code, "MalformedPolicyDocumentException", "{user}: {late}");
    }
}

#[tokio::test]
async fn perimeter_by_resource_account_holds_for_keys() {
    let mut w = World::new();
    let own = w.key(HOME, &[HOME], KeyState::Enabled);
    w.deny(&own, r#"{"StringNotEquals":{"aws:ResourceAccount":"111122223333"}}"#);
    w.ok(&root(HOME), "DescribeKey", &format!(r#"{{"KeyId":"{own}"}}"#)).await;
    w.deny(&own, r#"{"StringEquals":{"aws:ResourceAccount":"111122223333"}}"#);
    let denied = w.err(&root(HOME), "DescribeKey", &format!(r#"{{"KeyId":"{own}"}}"#)).await;
    assert_eq!(denied.code, "AccessDeniedException");
}
