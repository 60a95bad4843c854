//! IAM.

use serde_json::{Value, json};
use writ_aws::Service;
use writ_tests::site::ANN;
use writ_tests::{Client, Credentials, Site};

use super::{Actor, covers, text, texts};

#[test]
fn iam_by_cli_and_boto3() {
    let site = Site::start();
    for client in Client::BOTH {
        let root = Actor::root(&site, client, ANN);
        let policy = policies(&root);
        users(&root, &policy);
        access_keys(&root);
        groups(&root, &policy);
        roles(&root, &policy);
        clean(&root, &policy);
    }
    covers(&site, Service::Iam);
}

fn document(action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": "*"}]})
    .to_string()
}

/// A document as a reply holds it: boto3 and the CLI give it parsed.
#[track_caller]
fn is_document(reply: &Value, pointer: &str, action: &str) {
    let found = reply.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {reply}"));
    let expected: Value = serde_json::from_str(&document(action)).unwrap();
    assert_eq!(*found, expected);
}

fn policies(root: &Actor<'_>) -> String {
    let name = root.name("Readers");
    let made = root.ok(
        "iam",
        "CreatePolicy",
        json!({"PolicyName": name, "PolicyDocument": document("s3:GetObject")}),
    );
    let arn = text(&made, "/Policy/Arn");
    assert_eq!(arn, format!("arn:aws:iam::{ANN}:policy/{name}"));
    root.ok(
        "iam",
        "CreatePolicyVersion",
        json!({"PolicyArn": arn, "PolicyDocument": document("s3:ListBucket")}),
    );
    let versions = root.ok("iam", "ListPolicyVersions", json!({"PolicyArn": arn}));
    assert_eq!(texts(&versions, "Versions", "VersionId"), ["v2", "v1"]);
    root.ok("iam", "SetDefaultPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v2"}));
    let shown = root.ok("iam", "GetPolicy", json!({"PolicyArn": arn}));
    assert_eq!(text(&shown, "/Policy/DefaultVersionId"), "v2");
    let version = root.ok("iam", "GetPolicyVersion", json!({"PolicyArn": arn, "VersionId": "v2"}));
    is_document(&version, "/PolicyVersion/Document", "s3:ListBucket");
    root.ok("iam", "DeletePolicyVersion", json!({"PolicyArn": arn, "VersionId": "v1"}));
    let listed = root.ok("iam", "ListPolicies", json!({"Scope": "Local"}));
    assert!(texts(&listed, "Policies", "Arn").contains(&arn));
    let bad = json!({"PolicyName": "Bad", "PolicyDocument": "{\"Version\":\"2012-10-17\"}"});
    root.refused("iam", "CreatePolicy", bad, "MalformedPolicyDocument");
    arn
}

fn users(root: &Actor<'_>, policy: &str) {
    let ann = root.name("ann");
    let made = root.ok(
        "iam",
        "CreateUser",
        json!({"UserName": ann, "Path": "/team/", "Tags": [{"Key": "a", "Value": "1"}]}),
    );
    assert_eq!(text(&made, "/User/Arn"), format!("arn:aws:iam::{ANN}:user/team/{ann}"));
    root.refused("iam", "CreateUser", json!({"UserName": ann}), "EntityAlreadyExists");
    let shown = root.ok("iam", "GetUser", json!({"UserName": ann}));
    assert_eq!(text(&shown, "/User/UserId"), text(&made, "/User/UserId"));
    let listed = root.ok("iam", "ListUsers", json!({"PathPrefix": "/team/"}));
    assert!(texts(&listed, "Users", "UserName").contains(&ann));
    root.ok("iam", "TagUser", json!({"UserName": ann, "Tags": [{"Key": "b", "Value": "2"}]}));
    root.ok("iam", "UntagUser", json!({"UserName": ann, "TagKeys": ["a"]}));
    let tags = root.ok("iam", "ListUserTags", json!({"UserName": ann}));
    assert_eq!(texts(&tags, "Tags", "Key"), ["b"]);

    let inline = json!({"UserName": ann, "PolicyName": "in", "PolicyDocument": document("iam:*")});
    root.ok("iam", "PutUserPolicy", inline);
    let shown = root.ok("iam", "GetUserPolicy", json!({"UserName": ann, "PolicyName": "in"}));
    is_document(&shown, "/PolicyDocument", "iam:*");
    let names = root.ok("iam", "ListUserPolicies", json!({"UserName": ann}));
    assert_eq!(names["PolicyNames"], json!(["in"]));
    root.ok("iam", "DeleteUserPolicy", json!({"UserName": ann, "PolicyName": "in"}));

    root.ok("iam", "AttachUserPolicy", json!({"UserName": ann, "PolicyArn": policy}));
    let attached = root.ok("iam", "ListAttachedUserPolicies", json!({"UserName": ann}));
    assert_eq!(texts(&attached, "AttachedPolicies", "PolicyArn"), [policy]);
    root.refused("iam", "DeletePolicy", json!({"PolicyArn": policy}), "DeleteConflict");
    root.ok("iam", "DetachUserPolicy", json!({"UserName": ann, "PolicyArn": policy}));

    root.ok(
        "iam",
        "PutUserPermissionsBoundary",
        json!({"UserName": ann, "PermissionsBoundary": policy}),
    );
    let shown = root.ok("iam", "GetUser", json!({"UserName": ann}));
    assert_eq!(text(&shown, "/User/PermissionsBoundary/PermissionsBoundaryArn"), policy);
    root.ok("iam", "DeleteUserPermissionsBoundary", json!({"UserName": ann}));

    let anna = root.name("anna");
    root.ok("iam", "UpdateUser", json!({"UserName": ann, "NewUserName": anna}));
    root.refused("iam", "GetUser", json!({"UserName": ann}), "NoSuchEntity");
    root.ok("iam", "DeleteUser", json!({"UserName": anna}));
}

fn access_keys(root: &Actor<'_>) {
    let user = root.name("kim");
    root.ok("iam", "CreateUser", json!({"UserName": user}));
    let made = root.ok("iam", "CreateAccessKey", json!({"UserName": user}));
    let id = text(&made, "/AccessKey/AccessKeyId");
    assert_eq!(text(&made, "/AccessKey/SecretAccessKey").len(), 40);
    let kim = root.with(Credentials::of_reply(ANN, &made["AccessKey"]));
    kim.ok("sts", "GetCallerIdentity", json!({}));
    let listed = root.ok("iam", "ListAccessKeys", json!({"UserName": user}));
    assert_eq!(texts(&listed, "AccessKeyMetadata", "AccessKeyId"), [id.as_str()]);
    let used = root.ok("iam", "GetAccessKeyLastUsed", json!({"AccessKeyId": id}));
    assert_eq!(text(&used, "/UserName"), user);
    let set = |status: &str| json!({"UserName": user, "AccessKeyId": id, "Status": status});
    root.ok("iam", "UpdateAccessKey", set("Inactive"));
    let failure = kim.call("sts", "GetCallerIdentity", &json!({})).unwrap_err();
    assert_eq!(failure.code, "InvalidClientTokenId");
    root.ok("iam", "UpdateAccessKey", set("Active"));
    kim.ok("sts", "GetCallerIdentity", json!({}));
    root.ok("iam", "DeleteAccessKey", json!({"UserName": user, "AccessKeyId": id}));
    kim.refused("sts", "GetCallerIdentity", json!({}), "InvalidClientTokenId");
    root.ok("iam", "DeleteUser", json!({"UserName": user}));
}

fn groups(root: &Actor<'_>, policy: &str) {
    let (group, user) = (root.name("Staff"), root.name("joe"));
    let made = root.ok("iam", "CreateGroup", json!({"GroupName": group}));
    assert_eq!(text(&made, "/Group/GroupName"), group);
    root.ok("iam", "CreateUser", json!({"UserName": user}));
    let both = json!({"GroupName": group, "UserName": user});
    root.ok("iam", "AddUserToGroup", both.clone());
    let shown = root.ok("iam", "GetGroup", json!({"GroupName": group}));
    assert_eq!(texts(&shown, "Users", "UserName"), [user.as_str()]);
    let listed = root.ok("iam", "ListGroupsForUser", json!({"UserName": user}));
    assert_eq!(texts(&listed, "Groups", "GroupName"), [group.as_str()]);
    let listed = root.ok("iam", "ListGroups", json!({}));
    assert!(texts(&listed, "Groups", "GroupName").contains(&group));

    let inline =
        json!({"GroupName": group, "PolicyName": "in", "PolicyDocument": document("iam:List*")});
    root.ok("iam", "PutGroupPolicy", inline);
    let shown = root.ok("iam", "GetGroupPolicy", json!({"GroupName": group, "PolicyName": "in"}));
    is_document(&shown, "/PolicyDocument", "iam:List*");
    let names = root.ok("iam", "ListGroupPolicies", json!({"GroupName": group}));
    assert_eq!(names["PolicyNames"], json!(["in"]));
    root.ok("iam", "AttachGroupPolicy", json!({"GroupName": group, "PolicyArn": policy}));
    let attached = root.ok("iam", "ListAttachedGroupPolicies", json!({"GroupName": group}));
    assert_eq!(texts(&attached, "AttachedPolicies", "PolicyArn"), [policy]);
    let entities = root.ok("iam", "ListEntitiesForPolicy", json!({"PolicyArn": policy}));
    assert_eq!(texts(&entities, "PolicyGroups", "GroupName"), [group.as_str()]);

    root.refused("iam", "DeleteGroup", json!({"GroupName": group}), "DeleteConflict");
    root.ok("iam", "DetachGroupPolicy", json!({"GroupName": group, "PolicyArn": policy}));
    root.ok("iam", "DeleteGroupPolicy", json!({"GroupName": group, "PolicyName": "in"}));
    root.ok("iam", "RemoveUserFromGroup", both);
    root.ok("iam", "DeleteGroup", json!({"GroupName": group}));
    root.ok("iam", "DeleteUser", json!({"UserName": user}));
}

fn roles(root: &Actor<'_>, policy: &str) {
    let role = root.name("Deployer");
    let trust = |account: &str| {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
            "Action": "sts:AssumeRole"}]})
        .to_string()
    };
    let made = root.ok(
        "iam",
        "CreateRole",
        json!({"RoleName": role,
        "AssumeRolePolicyDocument": trust(ANN), "Description": "ships"}),
    );
    assert_eq!(text(&made, "/Role/Arn"), format!("arn:aws:iam::{ANN}:role/{role}"));
    root.ok(
        "iam",
        "UpdateAssumeRolePolicy",
        json!({"RoleName": role, "PolicyDocument": trust("222222222222")}),
    );
    root.ok(
        "iam",
        "UpdateRole",
        json!({"RoleName": role, "Description": "lands", "MaxSessionDuration": 7200}),
    );
    let shown = root.ok("iam", "GetRole", json!({"RoleName": role}));
    assert_eq!(text(&shown, "/Role/Description"), "lands");
    assert_eq!(shown["Role"]["MaxSessionDuration"], 7200);
    let expected: Value = serde_json::from_str(&trust("222222222222")).unwrap();
    assert_eq!(shown["Role"]["AssumeRolePolicyDocument"], expected);
    let listed = root.ok("iam", "ListRoles", json!({}));
    assert!(texts(&listed, "Roles", "RoleName").contains(&role));
    root.ok("iam", "TagRole", json!({"RoleName": role, "Tags": [{"Key": "b", "Value": "2"}]}));
    let tags = root.ok("iam", "ListRoleTags", json!({"RoleName": role}));
    assert_eq!(texts(&tags, "Tags", "Value"), ["2"]);
    root.ok("iam", "UntagRole", json!({"RoleName": role, "TagKeys": ["b"]}));
    let profiles = root.ok("iam", "ListInstanceProfilesForRole", json!({"RoleName": role}));
    assert!(texts(&profiles, "InstanceProfiles", "Arn").is_empty());
    let missing = json!({"RoleName": "nobody"});
    root.refused("iam", "ListInstanceProfilesForRole", missing, "NoSuchEntity");

    root.ok(
        "iam",
        "PutRolePolicy",
        json!({"RoleName": role, "PolicyName": "in", "PolicyDocument": document("kms:*")}),
    );
    let shown = root.ok("iam", "GetRolePolicy", json!({"RoleName": role, "PolicyName": "in"}));
    is_document(&shown, "/PolicyDocument", "kms:*");
    let names = root.ok("iam", "ListRolePolicies", json!({"RoleName": role}));
    assert_eq!(names["PolicyNames"], json!(["in"]));
    root.ok("iam", "AttachRolePolicy", json!({"RoleName": role, "PolicyArn": policy}));
    let attached = root.ok("iam", "ListAttachedRolePolicies", json!({"RoleName": role}));
    assert_eq!(texts(&attached, "AttachedPolicies", "PolicyArn"), [policy]);
    root.ok(
        "iam",
        "PutRolePermissionsBoundary",
        json!({"RoleName": role, "PermissionsBoundary": policy}),
    );
    root.ok("iam", "DeleteRolePermissionsBoundary", json!({"RoleName": role}));
    root.ok("iam", "DetachRolePolicy", json!({"RoleName": role, "PolicyArn": policy}));
    root.refused("iam", "DeleteRole", json!({"RoleName": role}), "DeleteConflict");
    root.ok("iam", "DeleteRolePolicy", json!({"RoleName": role, "PolicyName": "in"}));
    root.ok("iam", "DeleteRole", json!({"RoleName": role}));
}

fn clean(root: &Actor<'_>, policy: &str) {
    let aliases = root.ok("iam", "ListAccountAliases", json!({}));
    assert_eq!(aliases["AccountAliases"], json!([]));
    let summary = root.ok("iam", "GetAccountSummary", json!({}));
    assert_eq!(summary["SummaryMap"]["Users"], 0, "{summary}");
    assert_eq!(summary["SummaryMap"]["Policies"], 1, "{summary}");
    root.ok("iam", "DeletePolicy", json!({"PolicyArn": policy}));
    root.refused("iam", "GetPolicy", json!({"PolicyArn": policy}), "NoSuchEntity");
}
