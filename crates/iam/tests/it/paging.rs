//! Pages: every item once, in order, whatever the size; path prefixes.

use crate::world::{HOME, World, at, names, root};

#[tokio::test]
async fn lists_give_every_item_once_for_every_page_size() {
    let (mut w, me) = (World::new(), root(HOME));
    let arn = "arn:aws:iam::aws:policy/";
    w.ok(&me, "CreateUser", "UserName=z").await;
    for n in 0..7 {
        w.ok(&me, "CreateUser", &format!("UserName=User{n}&Path=/p{}/", n % 2)).await;
        w.ok(&me, "CreateGroup", &format!("GroupName=g{n}")).await;
        w.ok(&me, "AddUserToGroup", &format!("GroupName=g0&UserName=user{n}")).await;
        w.ok(&me, "AddUserToGroup", &format!("GroupName=g{n}&UserName=z")).await;
    }
    for name in ["IAMFullAccess", "AdministratorAccess", "IAMReadOnlyAccess"] {
        w.ok(&me, "AttachUserPolicy", &format!("UserName=z&PolicyArn={arn}{name}")).await;
        w.ok(&me, "AttachGroupPolicy", &format!("GroupName=g1&PolicyArn={arn}{name}")).await;
    }
    let entities = format!("PolicyArn={arn}IAMFullAccess");
    let table = [
        ("ListUsers", "", "Users", "UserName", 8),
        ("ListUsers", "PathPrefix=/p1/", "Users", "UserName", 3),
        ("ListUsers", "PathPrefix=/none/", "Users", "UserName", 0),
        ("ListGroups", "", "Groups", "GroupName", 7),
        ("GetGroup", "GroupName=g0", "Users", "UserName", 8),
        ("ListGroupsForUser", "UserName=z", "Groups", "GroupName", 7),
        ("ListAttachedUserPolicies", "UserName=z", "AttachedPolicies", "PolicyName", 3),
        ("ListPolicies", "Scope=AWS", "Policies", "PolicyName", 5),
        ("ListEntitiesForPolicy", &entities, "PolicyUsers", "UserName", 1),
        ("ListRoles", "", "Roles", "RoleName", 0),
    ];
    for (operation, form, list, field, count) in table {
        for max in [1, 2, 3, 100] {
            let (mut all, mut marker) = (Vec::new(), String::new());
            loop {
                let form = format!("{form}&MaxItems={max}{marker}");
                let reply = w.ok(&me, operation, &form).await;
                all.extend(names(&reply, list, field));
                assert!(all.len() <= count, "{operation} {form}: {all:?}");
                if at(&reply, "IsTruncated") == "false" {
                    break;
                }
                marker = format!("&Marker={}", at(&reply, "Marker"));
            }
            assert_eq!(all.len(), count, "{operation} {form} by {max}: {all:?}");
            assert!(all.is_sorted_by_key(|name| name.to_lowercase()), "{operation}: {all:?}");
        }
    }
}

#[tokio::test]
async fn page_goes_on_after_its_last_item_was_deleted() {
    let (mut w, me) = (World::new(), root(HOME));
    for name in ["a", "b", "c"] {
        w.ok(&me, "CreateUser", &format!("UserName={name}")).await;
    }
    let first = w.ok(&me, "ListUsers", "MaxItems=2").await;
    w.ok(&me, "DeleteUser", "UserName=b").await;
    let rest = w.ok(&me, "ListUsers", &format!("Marker={}", at(&first, "Marker"))).await;
    assert_eq!(names(&rest, "Users", "UserName"), ["c"]);
}

#[tokio::test]
async fn bad_marker_and_bad_page_size_are_refused() {
    let (mut w, me) = (World::new(), root(HOME));
    assert_eq!(w.err(&me, "ListUsers", "Marker=%21").await, "ValidationError: Invalid Marker.");
    for max in ["0", "1001"] {
        let error = w.err(&me, "ListUsers", &format!("MaxItems={max}")).await;
        assert!(error.starts_with("ValidationError: 1 validation error detected"), "{error}");
    }
}
