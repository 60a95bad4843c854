//! After its deletion date a key is none any more ("Deleting AWS KMS keys"); the tombstone is keyd's.

use writ_keyd_client::descriptor::KeyState;

use crate::world::{HOME, World, count, root};

#[tokio::test]
async fn destroyed_key_is_not_found_and_not_listed() {
    let mut w = World::new();
    let gone = w.key(HOME, &[HOME], KeyState::Destroyed).to_string();
    let pending = w.key(HOME, &[HOME], KeyState::PendingDeletion).to_string();
    let ann = root(HOME);
    let id = gone.rsplit('/').next().unwrap();
    for (operation, more) in [
        ("DescribeKey", ""),
        ("Encrypt", r#","Plaintext":"AAAA""#),
        ("GenerateDataKey", r#","KeySpec":"AES_256""#),
        ("GetKeyPolicy", ""),
        ("EnableKey", ""),
        ("CancelKeyDeletion", ""),
        ("ScheduleKeyDeletion", ""),
        ("TagResource", r#","Tags":[]"#),
    ] {
        for name in [&*gone, id] {
            let body = format!(r#"{{"KeyId":"{name}"{more}}}"#);
            let refused = w.err(&ann, operation, &body).await;
            assert_eq!(refused.code, "NotFoundException", "{operation}: {refused}");
        }
    }
    let shown = w.ok(&ann, "DescribeKey", &format!(r#"{{"KeyId":"{pending}"}}"#)).await;
    let state = shown.member("KeyMetadata").and_then(|m| m.member("KeyState")).unwrap();
    assert_eq!(state.text(), Some("PendingDeletion"));
    assert_eq!(count(&w.ok(&ann, "ListKeys", "{}").await, "Keys"), 1);
}
