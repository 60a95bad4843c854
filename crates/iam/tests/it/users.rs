//! Users: names, paths, renames, conflicts, quotas, tags.

use std::collections::{BTreeMap, BTreeSet};

use writ_keyd_client::protocol::End;
use writ_model::{UniqueId, UniqueIdKind};
use writ_store::state::User;
use writ_store::{Blob, Object};

use crate::world::{ALL, HOME, World, account, at, enc, names, root};

#[tokio::test]
async fn user_is_created_shown_and_deleted() {
    let (mut w, me) = (World::new(), root(HOME));
    let reply = w
        .ok(&me, "CreateUser", "UserName=Ann&Path=/a/b/&Tags.member.1.Key=k&Tags.member.1.Value=v")
        .await;
    assert_eq!(at(&reply, "User.Arn"), "arn:aws:iam::111122223333:user/a/b/Ann");
    assert_eq!(at(&reply, "User.Tags.0.Value"), "v");
    assert!(at(&reply, "User.UserId").starts_with("AIDA"));
    assert_eq!(w.asked(), ["seal"]);
    let shown = w.ok(&me, "GetUser", "UserName=ann").await;
    assert_eq!(at(&shown, "User.UserName"), "Ann");
    assert_eq!(at(&shown, "User.CreateDate"), "2027-01-15T08:00:00Z");
    w.ok(&me, "DeleteUser", "UserName=ANN").await;
    assert_eq!(w.ends, [End::Principal(at(&reply, "User.UserId"))]);
    assert_eq!(
        w.err(&me, "GetUser", "UserName=Ann").await,
        "NoSuchEntity: The user with name Ann cannot be found."
    );
}

#[tokio::test]
async fn user_name_is_taken_in_any_case() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    w.ok(&me, "CreateUser", "UserName=bob").await;
    let _ = w.asked();
    let table = [
        ("CreateUser", "UserName=ANN", "EntityAlreadyExists: User with name ANN already exists."),
        (
            "CreateUser",
            "UserName=ANN&Path=/x/",
            "EntityAlreadyExists: User with name ANN already exists.",
        ),
        (
            "UpdateUser",
            "UserName=bob&NewUserName=Ann",
            "EntityAlreadyExists: User with name Ann already exists.",
        ),
        (
            "UpdateUser",
            "UserName=eve&NewUserName=Ann",
            "NoSuchEntity: The user with name eve cannot be found.",
        ),
    ];
    for (operation, form, expected) in table {
        assert_eq!(w.err(&me, operation, form).await, expected, "{form}");
    }
    // Another account has its own names, and nothing that fails is sealed.
    assert!(w.asked().is_empty());
    w.ok(&root(crate::world::AWAY), "CreateUser", "UserName=ANN").await;
}

#[tokio::test]
async fn renamed_user_keeps_id_keys_groups_and_policies() {
    let (mut w, me) = (World::new(), root(HOME));
    let id = at(&w.ok(&me, "CreateUser", "UserName=ann").await, "User.UserId");
    w.ok(&me, "CreateGroup", "GroupName=g").await;
    w.ok(&me, "AddUserToGroup", "UserName=ann&GroupName=G").await;
    w.ok(&me, "PutUserPolicy", &format!("UserName=ann&PolicyName=p&PolicyDocument={}", enc(ALL)))
        .await;
    let key = at(&w.ok(&me, "CreateAccessKey", "UserName=ann").await, "AccessKey.AccessKeyId");
    w.ok(&me, "UpdateUser", "UserName=ANN&NewUserName=Zoe&NewPath=/z/").await;
    assert!(w.err(&me, "GetUser", "UserName=ann").await.starts_with("NoSuchEntity"));
    let zoe = w.ok(&me, "GetUser", "UserName=zoe").await;
    assert_eq!((at(&zoe, "User.UserId"), at(&zoe, "User.Path")), (id, "/z/".to_owned()));
    let keys = w.ok(&me, "ListAccessKeys", "UserName=Zoe").await;
    assert_eq!(names(&keys, "AccessKeyMetadata", "AccessKeyId"), [key]);
    assert_eq!(names(&w.ok(&me, "GetGroup", "GroupName=g").await, "Users", "UserName"), ["Zoe"]);
    w.ok(&me, "GetUserPolicy", "UserName=zoe&PolicyName=p").await;
    // Only the case, or only the path: the same object.
    w.ok(&me, "UpdateUser", "UserName=Zoe&NewUserName=ZOE").await;
    w.ok(&me, "UpdateUser", "UserName=Zoe&NewPath=/").await;
    assert_eq!(
        at(&w.ok(&me, "GetUser", "UserName=zoe").await, "User.Arn"),
        "arn:aws:iam::111122223333:user/ZOE"
    );
}

#[tokio::test]
async fn user_with_something_left_cannot_be_deleted() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    w.ok(&me, "CreateGroup", "GroupName=g").await;
    w.ok(&me, "AddUserToGroup", "UserName=ann&GroupName=g").await;
    let key = at(&w.ok(&me, "CreateAccessKey", "UserName=ann").await, "AccessKey.AccessKeyId");
    w.ok(&me, "PutUserPolicy", &format!("UserName=ann&PolicyName=p&PolicyDocument={}", enc(ALL)))
        .await;
    w.ok(&me, "AttachUserPolicy", "UserName=ann&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess")
        .await;
    let delete_key = format!("UserName=ann&AccessKeyId={key}");
    let steps = [
        ("remove users from group", "RemoveUserFromGroup", "UserName=ann&GroupName=g"),
        ("delete access keys", "DeleteAccessKey", delete_key.as_str()),
        ("delete policies", "DeleteUserPolicy", "UserName=ann&PolicyName=p"),
        (
            "detach all policies",
            "DetachUserPolicy",
            "UserName=ann&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
        ),
    ];
    for (what, operation, form) in steps {
        let expected = format!("DeleteConflict: Cannot delete entity, must {what} first.");
        assert_eq!(w.err(&me, "DeleteUser", "UserName=ann").await, expected);
        w.ok(&me, operation, form).await;
    }
    w.ok(&me, "DeleteUser", "UserName=ann").await;
}

#[tokio::test]
async fn users_up_to_the_quota_and_none_more() {
    let (mut w, me) = (World::new(), root(HOME));
    let user = |n: usize| User {
        name: format!("u{n}"),
        path: "/".to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::User, &*w.env),
        created: Default::default(),
        descriptor: Blob::default(),
        inline_policies: BTreeMap::new(),
        attached_policies: BTreeSet::new(),
        groups: BTreeSet::new(),
        boundary: None,
        tags: BTreeMap::new(),
    };
    let users: Vec<Object> =
        (1..writ_iam::limits::USERS_MAX).map(|n| Object::new(account(HOME), user(n))).collect();
    w.put(&users);
    w.ok(&me, "CreateUser", "UserName=last").await;
    assert_eq!(
        w.err(&me, "CreateUser", "UserName=more").await,
        "LimitExceeded: Cannot exceed quota for UsersPerAccount: 5000"
    );
    let summary = w.ok(&me, "GetAccountSummary", "").await;
    assert_eq!(at(&summary, "SummaryMap.Users"), "5000");
    assert_eq!(at(&summary, "SummaryMap.UsersQuota"), "5000");
}

#[tokio::test]
async fn tags_are_one_without_case_and_fifty_at_most() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    let tags = |names: &[String]| -> String {
        let one = |(n, key): (usize, &String)| {
            format!("&Tags.member.{0}.Key={key}&Tags.member.{0}.Value=v", n + 1)
        };
        names.iter().enumerate().map(one).collect()
    };
    let fifty: Vec<String> = (0..50).map(|n| format!("key{n}")).collect();
    w.ok(&me, "TagUser", &format!("UserName=ann{}", tags(&fifty))).await;
    w.ok(&me, "TagUser", &format!("UserName=ann{}", tags(&["KEY0".to_owned()]))).await;
    let over = format!("UserName=ann{}", tags(&["more".to_owned()]));
    assert_eq!(
        w.err(&me, "TagUser", &over).await,
        "LimitExceeded: The number of tags has reached the maximum limit."
    );
    let twice = format!("UserName=ann{}", tags(&["a".to_owned(), "A".to_owned()]));
    assert!(w.err(&me, "TagUser", &twice).await.starts_with("InvalidInput: Duplicate tag keys"));
    w.ok(&me, "UntagUser", "UserName=ann&TagKeys.member.1=Key1&TagKeys.member.2=nothing").await;
    let first = w.ok(&me, "ListUserTags", "UserName=ann&MaxItems=40").await;
    assert_eq!(at(&first, "IsTruncated"), "true");
    let form = format!("UserName=ann&Marker={}", at(&first, "Marker"));
    let rest = w.ok(&me, "ListUserTags", &form).await;
    let mut keys = names(&first, "Tags", "Key");
    keys.extend(names(&rest, "Tags", "Key"));
    assert_eq!(keys.len(), 49);
    assert!(keys.contains(&"KEY0".to_owned()) && !keys.contains(&"key0".to_owned()));
}

#[tokio::test]
async fn user_name_left_out_means_the_caller() {
    let (mut w, me) = (World::new(), root(HOME));
    let shown = w.ok(&me, "GetUser", "").await;
    assert_eq!(at(&shown, "User.Arn"), "arn:aws:iam::111122223333:root");
    assert!(shown.member("User").unwrap().member("UserName").is_none());
    w.ok(&me, "CreateUser", "UserName=ann").await;
    w.ok(&me, "PutUserPolicy", &format!("UserName=ann&PolicyName=p&PolicyDocument={}", enc(ALL)))
        .await;
    let ann = w.user("ann");
    assert_eq!(at(&w.ok(&ann, "GetUser", "").await, "User.UserName"), "ann");
    // A name that was changed since: the unique id counts.
    w.ok(&me, "UpdateUser", "UserName=ann&NewUserName=zoe").await;
    assert_eq!(at(&w.ok(&ann, "GetUser", "").await, "User.UserName"), "zoe");
}
