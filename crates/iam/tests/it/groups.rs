//! Groups: members, conflicts, quotas.

use crate::world::{ALL, HOME, World, at, enc, names, root};

#[tokio::test]
async fn group_has_members_and_goes_only_when_empty() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    let group = w.ok(&me, "CreateGroup", "GroupName=Dev&Path=/d/").await;
    assert_eq!(at(&group, "Group.Arn"), "arn:aws:iam::111122223333:group/d/Dev");
    assert!(at(&group, "Group.GroupId").starts_with("AGPA"));
    w.ok(&me, "AddUserToGroup", "GroupName=dev&UserName=ANN").await;
    // Once more is no error and changes nothing.
    let again = w.run(&me, "AddUserToGroup", "GroupName=dev&UserName=ann").await.unwrap();
    assert!(again.changes.is_none());
    let listed = w.ok(&me, "ListGroupsForUser", "UserName=ann").await;
    assert_eq!(names(&listed, "Groups", "GroupName"), ["Dev"]);
    w.ok(&me, "PutGroupPolicy", &format!("GroupName=dev&PolicyName=p&PolicyDocument={}", enc(ALL)))
        .await;
    w.ok(&me, "AttachGroupPolicy", "GroupName=dev&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess")
        .await;
    let steps = [
        ("remove users from group", "RemoveUserFromGroup", "GroupName=dev&UserName=ann"),
        ("delete policies", "DeleteGroupPolicy", "GroupName=dev&PolicyName=p"),
        (
            "detach all policies",
            "DetachGroupPolicy",
            "GroupName=dev&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess",
        ),
    ];
    for (what, operation, form) in steps {
        let expected = format!("DeleteConflict: Cannot delete entity, must {what} first.");
        assert_eq!(w.err(&me, "DeleteGroup", "GroupName=DEV").await, expected);
        w.ok(&me, operation, form).await;
    }
    w.ok(&me, "DeleteGroup", "GroupName=DEV").await;
}

#[tokio::test]
async fn group_errors_have_the_words_of_aws() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    w.ok(&me, "CreateGroup", "GroupName=g").await;
    let table = [
        ("CreateGroup", "GroupName=G", "EntityAlreadyExists: Group with name G already exists."),
        ("GetGroup", "GroupName=x", "NoSuchEntity: The group with name x cannot be found."),
        (
            "AddUserToGroup",
            "GroupName=x&UserName=ann",
            "NoSuchEntity: The group with name x cannot be found.",
        ),
        (
            "AddUserToGroup",
            "GroupName=g&UserName=x",
            "NoSuchEntity: The user with name x cannot be found.",
        ),
        (
            "RemoveUserFromGroup",
            "GroupName=g&UserName=ann",
            "NoSuchEntity: The user with name ann cannot be found.",
        ),
        (
            "GetGroupPolicy",
            "GroupName=g&PolicyName=p",
            "NoSuchEntity: The group policy with name p cannot be found.",
        ),
    ];
    for (operation, form, expected) in table {
        assert_eq!(w.err(&me, operation, form).await, expected, "{operation} {form}");
    }
}

#[tokio::test]
async fn user_is_in_ten_groups_at_most() {
    let (mut w, me) = (World::new(), root(HOME));
    w.ok(&me, "CreateUser", "UserName=ann").await;
    for n in 0..11 {
        w.ok(&me, "CreateGroup", &format!("GroupName=g{n}")).await;
        let form = format!("GroupName=g{n}&UserName=ann");
        if n < 10 {
            w.ok(&me, "AddUserToGroup", &form).await;
        } else {
            let error = w.err(&me, "AddUserToGroup", &form).await;
            assert_eq!(error, "LimitExceeded: Cannot exceed quota for GroupsPerUser: 10");
        }
    }
}
