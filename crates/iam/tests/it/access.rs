//! What each operation asks for: the action, the resource with its path, the condition keys.

use writ_aws::{Service, operations};

use crate::world::{ALL, AWAY, HOME, World, enc, root, trust};

/// Ann with this policy.
async fn ann(policy: &str) -> World {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    w.ok(
        &me,
        "CreateUser",
        "UserName=bob&Path=/team/&Tags.member.1.Key=Owner&Tags.member.1.Value=ann",
    )
    .await;
    w.ok(&me, "CreateUser", "UserName=eve").await;
    w.ok(
        &me,
        "PutUserPolicy",
        &format!("UserName=ann&PolicyName=p&PolicyDocument={}", enc(policy)),
    )
    .await;
    w
}

fn when(action: &str, resource: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"{resource}","Condition":{condition}}}]}}"#
    )
}

#[tokio::test]
async fn conditions_see_paths_tags_policies_and_boundaries() {
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    let reader = "arn:aws:iam::aws:policy/IAMReadOnlyAccess";
    let user = format!("arn:aws:iam::{HOME}:user/");
    let attach = |arn: &str| format!("UserName=eve&PolicyArn={arn}");
    let tagged = |key: &str, value: &str| {
        format!("UserName=new&Tags.member.1.Key={key}&Tags.member.1.Value={value}")
    };
    // A policy; an operation; a form that it allows, and one that it does not.
    let table = [
        (
            crate::world::allow("iam:GetUser", &format!("{user}team/*")),
            "GetUser",
            "UserName=bob".to_owned(),
            "UserName=eve".to_owned(),
        ),
        (
            crate::world::allow("iam:CreateUser", &format!("{user}team/*")),
            "CreateUser",
            "UserName=n&Path=/team/".to_owned(),
            "UserName=n".to_owned(),
        ),
        (
            when(
                "iam:GetUser",
                "*",
                r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:username}"}}"#,
            ),
            "GetUser",
            "UserName=bob".to_owned(),
            "UserName=eve".to_owned(),
        ),
        (
            when("iam:GetUser", "*", r#"{"StringEquals":{"iam:ResourceTag/Owner":"ann"}}"#),
            "GetUser",
            "UserName=bob".to_owned(),
            "UserName=eve".to_owned(),
        ),
        (
            when(
                "iam:AttachUserPolicy",
                "*",
                &format!(r#"{{"ArnEquals":{{"iam:PolicyARN":"{reader}"}}}}"#),
            ),
            "AttachUserPolicy",
            attach(reader),
            attach(admin),
        ),
        (
            when(
                "iam:CreateUser",
                "*",
                &format!(r#"{{"StringEquals":{{"iam:PermissionsBoundary":"{reader}"}}}}"#),
            ),
            "CreateUser",
            format!("UserName=n&PermissionsBoundary={reader}"),
            "UserName=n".to_owned(),
        ),
        (
            when(
                "iam:PutUserPermissionsBoundary",
                "*",
                &format!(r#"{{"StringEquals":{{"iam:PermissionsBoundary":"{reader}"}}}}"#),
            ),
            "PutUserPermissionsBoundary",
            format!("UserName=eve&PermissionsBoundary={reader}"),
            format!("UserName=eve&PermissionsBoundary={admin}"),
        ),
        (
            when("iam:*", "*", r#"{"StringEquals":{"aws:RequestTag/Team":"a"}}"#),
            "CreateUser",
            tagged("Team", "a"),
            tagged("Team", "b"),
        ),
        (
            when("iam:UntagUser", "*", r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["Team"]}}"#),
            "UntagUser",
            "UserName=bob&TagKeys.member.1=Team".to_owned(),
            "UserName=bob&TagKeys.member.1=Owner".to_owned(),
        ),
        // Tags at creation need the right to tag as well; a rename the right on both names.
        (
            crate::world::allow("iam:CreateUser", "*"),
            "CreateUser",
            "UserName=n".to_owned(),
            tagged("Team", "a"),
        ),
        (
            crate::world::allow("iam:UpdateUser", &format!("{user}e*")),
            "UpdateUser",
            "UserName=eve&NewUserName=eva".to_owned(),
            "UserName=eve&NewUserName=adam".to_owned(),
        ),
        (
            crate::world::allow("iam:GetAccountSummary", "*"),
            "GetAccountSummary",
            String::new(),
            "!ListUsers".to_owned(),
        ),
        (
            crate::world::allow("iam:ListUsers", &format!("{user}team/*")),
            "ListUsers",
            "PathPrefix=/team/".to_owned(),
            String::new(),
        ),
    ];
    for (policy, operation, allowed, denied) in table {
        let mut w = ann(&policy).await;
        let caller = w.user("ann");
        let (other, form) =
            denied.strip_prefix('!').map_or((operation, denied.as_str()), |o| (o, ""));
        let error = w.err(&caller, other, form).await;
        assert!(error.starts_with("AccessDenied: User: "), "{operation} {form}: {error}");
        assert!(error.contains("because no identity-based policy allows the iam:"), "{error}");
        w.ok(&caller, operation, &allowed).await;
    }
}

#[tokio::test]
async fn who_may_not_ask_does_not_learn_what_exists() {
    let mut w = ann(&crate::world::allow("s3:*", "*")).await;
    let caller = w.user("ann");
    for name in ["bob", "nobody"] {
        let error = w.err(&caller, "GetUser", &format!("UserName={name}")).await;
        assert!(error.starts_with("AccessDenied"), "{error}");
    }
}

#[tokio::test]
async fn policies_of_another_account_are_out_of_reach() {
    let (mut w, me, away) = (World::new(), root(HOME), root(AWAY));
    w.ok(&away, "CreatePolicy", &format!("PolicyName=P&PolicyDocument={}", enc(ALL))).await;
    w.ok(&me, "CreateUser", "UserName=ann").await;
    let theirs = format!("arn:aws:iam::{AWAY}:policy/P");
    for operation in ["GetPolicy", "DeletePolicy", "ListPolicyVersions", "ListEntitiesForPolicy"] {
        let error = w.err(&me, operation, &format!("PolicyArn={theirs}")).await;
        assert!(error.starts_with("AccessDenied"), "{operation}: {error}");
    }
    for (operation, name) in
        [("AttachUserPolicy", "PolicyArn"), ("PutUserPermissionsBoundary", "PermissionsBoundary")]
    {
        let error = w.err(&me, operation, &format!("UserName=ann&{name}={theirs}")).await;
        assert!(error.starts_with("NoSuchEntity"), "{operation}: {error}");
    }
}

/// Goal: no operation works without permission. Method: each operation of the manifest, with input
/// that is right, by a user without any policy; only the two that need none are let through.
#[tokio::test]
async fn user_without_policies_may_do_nothing() {
    let mut w = ann(&crate::world::allow("s3:*", "*")).await;
    let me = root(HOME);
    w.ok(
        &me,
        "CreateRole",
        &format!(
            "RoleName=r&AssumeRolePolicyDocument={}",
            enc(&trust(HOME, "\"sts:AssumeRole\"", ""))
        ),
    )
    .await;
    w.ok(&me, "CreateGroup", "GroupName=g").await;
    let form = format!(
        "UserName=bob&RoleName=r&GroupName=g&PolicyName=p&PolicyDocument={0}&AssumeRolePolicyDocument={0}\
         &PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess&PermissionsBoundary=arn:aws:iam::aws:policy/IAMFullAccess\
         &VersionId=v1&AccessKeyId=AKIAAAAAAAAAAAAAAAAA&Status=Active&Tags.member.1.Key=a&Tags.member.1.Value=b\
         &TagKeys.member.1=a&RoleArn=arn:aws:iam::{HOME}:role/r&RoleSessionName=sess&EncodedMessage=m",
        enc(ALL)
    );
    let caller = w.user("ann");
    for service in [Service::Iam, Service::Sts] {
        for operation in operations(service) {
            if matches!(operation.name, "GetCallerIdentity" | "GetSessionToken") {
                continue;
            }
            let known: Vec<&str> = form
                .split('&')
                .filter(|pair| {
                    let name = pair.split(['=', '.']).next().unwrap_or_default();
                    let writ_aws::shape::Kind::Structure(input) = &operation.input.kind else {
                        return false;
                    };
                    input.members.iter().any(|member| member.name == name)
                })
                .collect();
            let error = w.err(&caller, operation.name, &known.join("&")).await;
            assert!(
                error.starts_with(
                    "AccessDenied: User: arn:aws:iam::111122223333:user/ann is not authorized"
                ),
                "{}: {error}",
                operation.name
            );
        }
    }
}
