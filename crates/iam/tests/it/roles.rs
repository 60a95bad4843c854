//! Roles: trust policies and the principals in them, sessions, conflicts.

use writ_keyd_client::protocol::End;

use crate::world::{ALL, AWAY, HOME, World, account, at, enc, names, root, trust};

const ASSUME: &str = "\"sts:AssumeRole\"";

fn role(name: &str, principal: &str) -> String {
    format!("RoleName={name}&AssumeRolePolicyDocument={}", enc(&trust(principal, ASSUME, "")))
}

#[tokio::test]
async fn role_is_created_changed_and_deleted() {
    let (mut w, me) = (World::new(), root(HOME));
    let form = format!("{}&Path=/x/&Description=d&MaxSessionDuration=7200", role("R", HOME));
    let made = w.ok(&me, "CreateRole", &form).await;
    assert_eq!(at(&made, "Role.Arn"), "arn:aws:iam::111122223333:role/x/R");
    assert_eq!(at(&made, "Role.AssumeRolePolicyDocument"), enc(&trust(HOME, ASSUME, "")));
    w.ok(&me, "UpdateRole", "RoleName=r&MaxSessionDuration=43200").await;
    let shown = w.ok(&me, "GetRole", "RoleName=r").await;
    assert_eq!(at(&shown, "Role.MaxSessionDuration"), "43200");
    assert_eq!(at(&shown, "Role.Description"), "d");
    let new = trust(AWAY, ASSUME, "");
    w.ok(&me, "UpdateAssumeRolePolicy", &format!("RoleName=r&PolicyDocument={}", enc(&new))).await;
    let listed = w.ok(&me, "ListRoles", "PathPrefix=/x/").await;
    assert_eq!(names(&listed, "Roles", "AssumeRolePolicyDocument"), [enc(&new)]);
    w.ok(&me, "PutRolePolicy", &format!("RoleName=r&PolicyName=p&PolicyDocument={}", enc(ALL)))
        .await;
    w.ok(&me, "AttachRolePolicy", "RoleName=r&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess")
        .await;
    let steps = [
        (
            "detach all policies",
            "DetachRolePolicy",
            "RoleName=r&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
        ),
        ("delete policies", "DeleteRolePolicy", "RoleName=r&PolicyName=p"),
    ];
    for (what, operation, form) in steps {
        let expected = format!("DeleteConflict: Cannot delete entity, must {what} first.");
        assert_eq!(w.err(&me, "DeleteRole", "RoleName=R").await, expected);
        w.ok(&me, operation, form).await;
    }
    w.ok(&me, "DeleteRole", "RoleName=R").await;
    assert_eq!(w.ends, [End::Principal(at(&made, "Role.RoleId"))]);
}

#[tokio::test]
async fn role_errors_have_the_words_of_aws() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateRole", &role("R", HOME)).await;
    let _ = w.asked();
    let bob = "arn:aws:iam::111122223333:user/bob";
    let long = trust(HOME, ASSUME, &format!(",\"Sid\":\"{}\"", "x".repeat(2048)));
    let none =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}"#;
    let table = [
        ("CreateRole", role("r", HOME), "EntityAlreadyExists: Role with name r already exists."),
        (
            "CreateRole",
            role("q", bob),
            "MalformedPolicyDocument: Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:user/bob\"",
        ),
        (
            "CreateRole",
            format!("{}&Path=/aws-service-role/x/", role("q", HOME)),
            "InvalidInput: The path /aws-service-role/x/ is reserved",
        ),
        (
            "CreateRole",
            format!("{}&MaxSessionDuration=43201", role("q", HOME)),
            "ValidationError: 1 validation error",
        ),
        (
            "CreateRole",
            format!("RoleName=q&AssumeRolePolicyDocument={}", enc(&long)),
            "LimitExceeded: Cannot exceed quota for ACLSizePerRole: 2048",
        ),
        (
            "CreateRole",
            format!("RoleName=q&AssumeRolePolicyDocument={}", enc(none)),
            "MalformedPolicyDocument: $.Statement[0]",
        ),
        (
            "UpdateAssumeRolePolicy",
            format!("RoleName=r&PolicyDocument={}", enc(ALL)),
            "MalformedPolicyDocument: $.Statement[0]",
        ),
        ("GetRole", "RoleName=x".to_owned(), "NoSuchEntity: The role with name x cannot be found."),
        (
            "GetRolePolicy",
            "RoleName=r&PolicyName=p".to_owned(),
            "NoSuchEntity: The role policy with name p cannot be found.",
        ),
    ];
    for (operation, form, expected) in table {
        let error = w.err(&me, operation, &form).await;
        assert!(error.starts_with(expected), "{operation} {form}: {error}");
    }
    assert!(w.asked().is_empty(), "nothing that is refused reaches the key module");
}

#[tokio::test]
async fn principal_that_was_deleted_stands_there_with_its_unique_id() {
    let (mut w, me) = (World::new(), root(HOME));
    // A user of another account can be named as well.
    let id = at(&w.ok(&root(AWAY), "CreateUser", "UserName=bob&Path=/p/").await, "User.UserId");
    let bob = "arn:aws:iam::444455556666:user/p/bob";
    assert!(
        w.err(&me, "CreateRole", &role("R", "arn:aws:iam::444455556666:user/bob"))
            .await
            .contains("Invalid principal")
    );
    w.ok(&me, "CreateRole", &role("R", bob)).await;
    let bound = &w.snapshot.role(account(HOME), "r").unwrap().principals;
    assert_eq!(
        bound.iter().map(|(a, i)| (a.as_str(), i.as_str())).collect::<Vec<_>>(),
        [(bob, id.as_str())]
    );
    let shown = |reply| at(&reply, "Role.AssumeRolePolicyDocument");
    assert_eq!(shown(w.ok(&me, "GetRole", "RoleName=R").await), enc(&trust(bob, ASSUME, "")));
    w.ok(&root(AWAY), "UpdateUser", "UserName=bob&NewUserName=rob").await;
    let rob = "arn:aws:iam::444455556666:user/p/rob";
    assert_eq!(shown(w.ok(&me, "GetRole", "RoleName=R").await), enc(&trust(rob, ASSUME, "")));
    w.ok(&root(AWAY), "DeleteUser", "UserName=rob").await;
    assert_eq!(shown(w.ok(&me, "GetRole", "RoleName=R").await), enc(&trust(&id, ASSUME, "")));
    // The name alone does not bring the right back.
    w.ok(&root(AWAY), "CreateUser", "UserName=bob&Path=/p/").await;
    assert_eq!(shown(w.ok(&me, "GetRole", "RoleName=R").await), enc(&trust(&id, ASSUME, "")));
    w.ok(
        &root(AWAY),
        "PutUserPolicy",
        &format!("UserName=bob&PolicyName=p&PolicyDocument={}", enc(ALL)),
    )
    .await;
    let bob = w.user_of(AWAY, "bob");
    let form = format!("RoleArn=arn:aws:iam::{HOME}:role/R&RoleSessionName=s1");
    assert!(w.err(&bob, "AssumeRole", &form).await.starts_with("AccessDenied"));
}
