//! Access keys: the secret once, two a user, whose they are.

use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_keyd_client::protocol::End;
use writ_store::state::AccessKey;

use crate::world::{ALL, AWAY, HOME, World, account, at, enc, names, root};

#[tokio::test]
async fn key_has_its_secret_once_and_its_status_is_sealed() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=Ann").await;
    let _ = w.asked();
    let made = w.ok(&me, "CreateAccessKey", "UserName=ann").await;
    let id = at(&made, "AccessKey.AccessKeyId");
    assert_eq!(at(&made, "AccessKey.SecretAccessKey"), "s".repeat(40));
    assert_eq!(at(&made, "AccessKey.UserName"), "Ann");
    assert_eq!(w.asked(), ["issue delegated=true"]);
    let stored = format!("{:?}", w.snapshot.get::<AccessKey>(account(HOME), &id));
    assert!(!stored.contains("ssss"), "{stored}");
    let form = format!("UserName=ann&AccessKeyId={id}");
    w.ok(&me, "UpdateAccessKey", &format!("{form}&Status=Inactive")).await;
    assert_eq!(w.asked(), ["seal"]);
    let listed = w.ok(&me, "ListAccessKeys", "UserName=ann").await;
    assert_eq!(names(&listed, "AccessKeyMetadata", "Status"), ["Inactive"]);
    let key = w.snapshot.get::<AccessKey>(account(HOME), &id).unwrap();
    let Descriptor::AccessKey(sealed) = peek(key.descriptor.as_slice()).unwrap() else { panic!() };
    assert_eq!((sealed.active, sealed.revision), (false, 2));
    w.ok(&me, "DeleteAccessKey", &form).await;
    assert_eq!(w.ends, [End::AccessKey(id.parse().unwrap())]);
    let gone = format!("NoSuchEntity: The Access Key with id {id} cannot be found.");
    assert_eq!(w.err(&me, "DeleteAccessKey", &form).await, gone);
    assert_eq!(w.err(&me, "GetAccessKeyLastUsed", &format!("AccessKeyId={id}")).await, gone);
}

#[tokio::test]
async fn user_and_root_have_two_keys_at_most() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    for form in ["UserName=ann", ""] {
        w.ok(&me, "CreateAccessKey", form).await;
        w.ok(&me, "CreateAccessKey", form).await;
        assert_eq!(
            w.err(&me, "CreateAccessKey", form).await,
            "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2"
        );
    }
    let listed = w.ok(&me, "ListAccessKeys", "").await;
    assert_eq!(at(&listed, "AccessKeyMetadata"), "2");
    let summary = w.ok(&me, "GetAccountSummary", "").await;
    assert_eq!(at(&summary, "SummaryMap.AccountAccessKeysPresent"), "1");
}

#[tokio::test]
async fn key_of_somebody_else_is_not_found() {
    let (mut w, me, away) = (World::new(), root(HOME), root(AWAY));
    for name in ["ann", "bob"] {
        w.ok(&me, "CreateUser", &format!("UserName={name}")).await;
    }
    let id = at(&w.ok(&me, "CreateAccessKey", "UserName=ann").await, "AccessKey.AccessKeyId");
    let gone = format!("NoSuchEntity: The Access Key with id {id} cannot be found.");
    let _ = w.asked();
    for (caller, form) in [(&me, "UserName=bob&"), (&me, ""), (&away, "")] {
        for (operation, more) in [("UpdateAccessKey", "&Status=Active"), ("DeleteAccessKey", "")] {
            let form = format!("{form}AccessKeyId={id}{more}");
            assert_eq!(w.err(caller, operation, &form).await, gone, "{operation} {form}");
        }
    }
    assert_eq!(w.err(&away, "GetAccessKeyLastUsed", &format!("AccessKeyId={id}")).await, gone);
    assert!(w.asked().is_empty(), "nothing that is refused reaches the key module");
    let used = w.ok(&me, "GetAccessKeyLastUsed", &format!("AccessKeyId={id}")).await;
    assert_eq!(at(&used, "UserName"), "ann");
    assert_eq!(at(&used, "AccessKeyLastUsed.ServiceName"), "N/A");
}

#[tokio::test]
async fn status_that_only_aws_sets_is_refused() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    let id = at(&w.ok(&me, "CreateAccessKey", "UserName=ann").await, "AccessKey.AccessKeyId");
    let form = format!("UserName=ann&AccessKeyId={id}&Status=Expired");
    let error = w.err(&me, "UpdateAccessKey", &form).await;
    assert!(error.starts_with("ValidationError: 1 validation error detected: Value 'Expired'"));
}

#[tokio::test]
async fn user_without_name_manages_its_own_keys_only() {
    let (mut w, me) = (World::new(), root(HOME));
    for name in ["ann", "bob"] {
        w.ok(&me, "CreateUser", &format!("UserName={name}")).await;
    }
    let text =
        ALL.replace("\"Resource\":\"*\"", "\"Resource\":\"arn:aws:iam::*:user/${aws:username}\"");
    w.ok(&me, "PutUserPolicy", &format!("UserName=ann&PolicyName=p&PolicyDocument={}", enc(&text)))
        .await;
    let ann = w.user("ann");
    w.ok(&ann, "CreateAccessKey", "").await;
    w.ok(&ann, "CreateAccessKey", "UserName=ANN").await;
    let error = w.err(&ann, "CreateAccessKey", "UserName=bob").await;
    assert!(error.starts_with("AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: iam:CreateAccessKey on resource: arn:aws:iam::111122223333:user/bob"), "{error}");
}
