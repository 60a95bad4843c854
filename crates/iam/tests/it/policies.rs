//! Managed and inline policies: documents, versions, attachments, quotas.

use crate::world::{ALL, HOME, World, allow, at, enc, names, root};

const MINE: &str = "arn:aws:iam::111122223333:policy/p/Mine";

async fn with_policy() -> World {
    let (mut w, me) = (World::new(), root(HOME));
    let form = format!("PolicyName=Mine&Path=/p/&PolicyDocument={}", enc(ALL));
    let made = w.ok(&me, "CreatePolicy", &form).await;
    assert_eq!(at(&made, "Policy.Arn"), MINE);
    assert!(at(&made, "Policy.PolicyId").starts_with("ANPA"));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    w.ok(&me, "CreateGroup", "GroupName=g").await;
    w
}

#[tokio::test]
async fn documents_come_back_percent_encoded_and_otherwise_unchanged() {
    let (mut w, me) = (with_policy().await, root(HOME));
    let text = "{\n \"Version\": \"2012-10-17\", \"Statement\": {\"Sid\": \"A\", \"Effect\": \"Allow\", \
                \"Action\": \"s3:Get*\", \"Resource\": \"arn:aws:s3:::b/~x y+z/é\"}}";
    let form = format!("UserName=ann&PolicyName=Pol&PolicyDocument={}", enc(text));
    w.ok(&me, "PutUserPolicy", &form).await;
    let shown = w.ok(&me, "GetUserPolicy", "UserName=ANN&PolicyName=Pol").await;
    assert_eq!(at(&shown, "PolicyDocument"), enc(text));
    assert!(at(&shown, "PolicyDocument").starts_with("%7B%0A%20%22Version%22%3A%20"));
    assert_eq!(at(&shown, "UserName"), "ann");
    let version = w.ok(&me, "GetPolicyVersion", &format!("PolicyArn={MINE}&VersionId=v1")).await;
    assert_eq!(at(&version, "PolicyVersion.Document"), enc(ALL));
}

#[tokio::test]
async fn documents_that_are_no_policies_are_refused_with_the_place() {
    let (mut w, me) = (with_policy().await, root(HOME));
    let misspelt = allow("s3:Get*", "*").replace("Action", "Acton");
    let table = [
        ("7", "MalformedPolicyDocument: $"),
        ("{", "MalformedPolicyDocument: $: not valid JSON"),
        (misspelt.as_str(), "MalformedPolicyDocument: $.Statement[0]"),
        (
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}]}"#,
            "MalformedPolicyDocument: $.Statement[0].Principal",
        ),
    ];
    for (text, expected) in table {
        for (operation, form) in [
            ("PutUserPolicy", "UserName=ann&PolicyName=x&PolicyDocument="),
            ("PutGroupPolicy", "GroupName=g&PolicyName=x&PolicyDocument="),
            ("CreatePolicy", "PolicyName=x&PolicyDocument="),
            ("CreatePolicyVersion", &format!("PolicyArn={MINE}&PolicyDocument=")),
        ] {
            let error = w.err(&me, operation, &format!("{form}{}", enc(text))).await;
            assert!(error.starts_with(expected), "{operation} {text}: {error}");
        }
    }
}

#[tokio::test]
async fn sizes_are_counted_without_whitespace_up_to_the_quota() {
    let (mut w, me) = (with_policy().await, root(HOME));
    w.ok(
        &me,
        "CreateRole",
        &format!(
            "RoleName=r&AssumeRolePolicyDocument={}",
            enc(&crate::world::trust(HOME, "\"sts:AssumeRole\"", ""))
        ),
    )
    .await;
    let sized = |size: usize| {
        let empty = allow("s3:GetObject", "arn:aws:s3:::");
        let fill = "x".repeat(size - empty.len());
        // Whitespace is free.
        allow("s3:GetObject", &format!("arn:aws:s3:::{fill}")).replacen('{', "{ \n\t ", 2)
    };
    let inline = |owner: &str, name: &str, size: usize| {
        format!("{owner}&PolicyName={name}&PolicyDocument={}", enc(&sized(size)))
    };
    let table = [
        (
            "PutUserPolicy",
            "UserName=ann",
            2048,
            "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user ann",
        ),
        (
            "PutGroupPolicy",
            "GroupName=g",
            5120,
            "LimitExceeded: Maximum policy size of 5120 bytes exceeded for group g",
        ),
        (
            "PutRolePolicy",
            "RoleName=r",
            10_240,
            "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role r",
        ),
    ];
    for (operation, owner, max, expected) in table {
        assert_eq!(w.err(&me, operation, &inline(owner, "a", max + 1)).await, expected);
        w.ok(&me, operation, &inline(owner, "a", max - 1000)).await;
        w.ok(&me, operation, &inline(owner, "b", 1000)).await;
        // All together count, what is replaced does not.
        w.ok(&me, operation, &inline(owner, "a", max - 1000)).await;
        assert_eq!(w.err(&me, operation, &inline(owner, "b", 1001)).await, expected);
    }
    w.ok(&me, "CreatePolicy", &inline("", "full", 6144)).await;
    let error = w.err(&me, "CreatePolicy", &inline("", "over", 6145)).await;
    assert_eq!(error, "LimitExceeded: Cannot exceed quota for PolicySize: 6144");
}

#[tokio::test]
async fn versions_count_on_and_five_are_the_most() {
    let (mut w, me) = (with_policy().await, root(HOME));
    let new = format!("PolicyArn={MINE}&PolicyDocument={}", enc(&allow("s3:*", "*")));
    for n in 2..=5 {
        let made = w.ok(&me, "CreatePolicyVersion", &format!("{new}&SetAsDefault=true")).await;
        assert_eq!(at(&made, "PolicyVersion.VersionId"), format!("v{n}"));
        assert_eq!(at(&made, "PolicyVersion.IsDefaultVersion"), "true");
    }
    assert_eq!(
        w.err(&me, "CreatePolicyVersion", &new).await,
        "LimitExceeded: A managed policy can have up to 5 versions. Before you create a new \
         version, you must delete an existing version."
    );
    let version = |id: &str| format!("PolicyArn={MINE}&VersionId={id}");
    assert_eq!(
        w.err(&me, "DeletePolicyVersion", &version("v5")).await,
        "DeleteConflict: Cannot delete the default version of a policy."
    );
    w.ok(&me, "DeletePolicyVersion", &version("v3")).await;
    let missing =
        format!("NoSuchEntity: Policy {MINE} version v3 does not exist or is not attachable.");
    for operation in ["DeletePolicyVersion", "GetPolicyVersion", "SetDefaultPolicyVersion"] {
        assert_eq!(w.err(&me, operation, &version("v3")).await, missing);
    }
    // A number is never used again.
    let made = w.ok(&me, "CreatePolicyVersion", &new).await;
    assert_eq!(at(&made, "PolicyVersion.VersionId"), "v6");
    assert_eq!(at(&made, "PolicyVersion.IsDefaultVersion"), "false");
    w.ok(&me, "SetDefaultPolicyVersion", &version("v2")).await;
    let listed = w.ok(&me, "ListPolicyVersions", &format!("PolicyArn={MINE}")).await;
    assert_eq!(names(&listed, "Versions", "VersionId"), ["v6", "v5", "v4", "v2", "v1"]);
    let policy = w.ok(&me, "GetPolicy", &format!("PolicyArn={MINE}")).await;
    assert_eq!(at(&policy, "Policy.DefaultVersionId"), "v2");
    let error = w.err(&me, "DeletePolicy", &format!("PolicyArn={MINE}")).await;
    assert!(error.starts_with("DeleteConflict: This policy has more than one version."), "{error}");
}

#[tokio::test]
async fn attachments_are_counted_and_hold_the_policy() {
    let (mut w, me) = (with_policy().await, root(HOME));
    w.ok(&me, "AttachUserPolicy", &format!("UserName=ann&PolicyArn={MINE}")).await;
    let again = w.run(&me, "AttachUserPolicy", &format!("UserName=ann&PolicyArn={MINE}")).await;
    assert!(again.unwrap().changes.is_none());
    w.ok(&me, "AttachGroupPolicy", &format!("GroupName=g&PolicyArn={MINE}")).await;
    w.ok(&me, "PutUserPermissionsBoundary", &format!("UserName=ann&PermissionsBoundary={MINE}"))
        .await;
    let policy = w.ok(&me, "GetPolicy", &format!("PolicyArn={MINE}")).await;
    assert_eq!(at(&policy, "Policy.AttachmentCount"), "2");
    assert_eq!(at(&policy, "Policy.PermissionsBoundaryUsageCount"), "1");
    let user = w.ok(&me, "GetUser", "UserName=ann").await;
    assert_eq!(at(&user, "User.PermissionsBoundary.PermissionsBoundaryArn"), MINE);
    let entities = |filter: &str| format!("PolicyArn={MINE}{filter}");
    let listed = w.ok(&me, "ListEntitiesForPolicy", &entities("")).await;
    assert_eq!(names(&listed, "PolicyUsers", "UserName"), ["ann"]);
    assert_eq!(names(&listed, "PolicyGroups", "GroupName"), ["g"]);
    let listed = w.ok(&me, "ListEntitiesForPolicy", &entities("&EntityFilter=Group")).await;
    assert_eq!(at(&listed, "PolicyUsers"), "0");
    let bounds = entities("&PolicyUsageFilter=PermissionsBoundary");
    let listed = w.ok(&me, "ListEntitiesForPolicy", &bounds).await;
    assert_eq!((at(&listed, "PolicyUsers"), at(&listed, "PolicyGroups")), ("1".into(), "0".into()));
    let steps = [
        ("DetachUserPolicy", format!("UserName=ann&PolicyArn={MINE}")),
        ("DetachGroupPolicy", format!("GroupName=g&PolicyArn={MINE}")),
        ("DeleteUserPermissionsBoundary", "UserName=ann".to_owned()),
    ];
    for (operation, form) in steps {
        assert_eq!(
            w.err(&me, "DeletePolicy", &format!("PolicyArn={MINE}")).await,
            "DeleteConflict: Cannot delete a policy attached to entities."
        );
        w.ok(&me, operation, &form).await;
    }
    w.ok(&me, "DeletePolicy", &format!("PolicyArn={MINE}")).await;
    let gone = format!("NoSuchEntity: Policy {MINE} was not found.");
    assert_eq!(w.err(&me, "GetPolicy", &format!("PolicyArn={MINE}")).await, gone);
    assert_eq!(
        w.err(&me, "DetachUserPolicy", &format!("UserName=ann&PolicyArn={MINE}")).await,
        gone
    );
}

#[tokio::test]
async fn ten_policies_are_attached_at_most() {
    let (mut w, me) = (with_policy().await, root(HOME));
    for n in 0..11 {
        w.ok(&me, "CreatePolicy", &format!("PolicyName=p{n}&PolicyDocument={}", enc(ALL))).await;
        let form = format!("GroupName=g&PolicyArn=arn:aws:iam::{HOME}:policy/p{n}");
        if n < 10 {
            w.ok(&me, "AttachGroupPolicy", &form).await;
        } else {
            let error = w.err(&me, "AttachGroupPolicy", &form).await;
            assert_eq!(error, "LimitExceeded: Cannot exceed quota for PoliciesPerGroup: 10");
        }
    }
}

#[tokio::test]
async fn policies_of_aws_are_there_and_nobody_can_change_them() {
    let (mut w, me) = (with_policy().await, root(HOME));
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    let policy = w.ok(&me, "GetPolicy", &format!("PolicyArn={admin}")).await;
    assert_eq!(at(&policy, "Policy.DefaultVersionId"), "v1");
    w.ok(&me, "GetPolicyVersion", &format!("PolicyArn={admin}&VersionId=v1")).await;
    let new = format!("PolicyArn={admin}&PolicyDocument={}", enc(ALL));
    for (operation, form) in [
        ("CreatePolicyVersion", new),
        ("DeletePolicy", format!("PolicyArn={admin}")),
        ("SetDefaultPolicyVersion", format!("PolicyArn={admin}&VersionId=v1")),
    ] {
        let error = w.err(&me, operation, &form).await;
        assert!(
            error.starts_with("AccessDenied: User: arn:aws:iam::111122223333:root is not"),
            "{error}"
        );
    }
    for (scope, count) in [("AWS", 5), ("Local", 1), ("All", 6)] {
        let listed = w.ok(&me, "ListPolicies", &format!("Scope={scope}")).await;
        assert_eq!(names(&listed, "Policies", "Arn").len(), count);
    }
    w.ok(&me, "AttachUserPolicy", &format!("UserName=ann&PolicyArn={admin}")).await;
    let listed = w.ok(&me, "ListPolicies", "OnlyAttached=true").await;
    assert_eq!(names(&listed, "Policies", "Arn"), [admin]);
}

#[tokio::test]
async fn policies_that_do_not_exist_are_named_as_aws_names_them() {
    let (mut w, me) = (with_policy().await, root(HOME));
    let none = "arn:aws:iam::111122223333:policy/none";
    let table = [
        ("AttachUserPolicy", format!("UserName=ann&PolicyArn={none}"), format!("NoSuchEntity: Policy {none} does not exist or is not attachable.")),
        // The path is part of the name here.
        ("GetPolicy", "PolicyArn=arn:aws:iam::111122223333:policy/Mine".to_owned(), "NoSuchEntity: Policy arn:aws:iam::111122223333:policy/Mine was not found.".to_owned()),
        ("PutUserPermissionsBoundary", format!("UserName=ann&PermissionsBoundary={none}"), format!("NoSuchEntity: Scope ARN: {none} does not exist or is not attachable.")),
        ("CreateUser", format!("UserName=x&PermissionsBoundary={none}"), format!("NoSuchEntity: Scope ARN: {none} does not exist or is not attachable.")),
        ("CreatePolicy", format!("PolicyName=MINE&PolicyDocument={}", enc(ALL)), "EntityAlreadyExists: A policy called MINE already exists. Duplicate names are not allowed.".to_owned()),
        ("GetPolicy", "PolicyArn=this-is-not-an-arn-at-all".to_owned(), "InvalidInput: ARN this-is-not-an-arn-at-all is not valid.".to_owned()),
        ("GetUserPolicy", "UserName=ann&PolicyName=q".to_owned(), "NoSuchEntity: The user policy with name q cannot be found.".to_owned()),
    ];
    for (operation, form, expected) in table {
        assert_eq!(w.err(&me, operation, &form).await, expected, "{operation} {form}");
    }
}
