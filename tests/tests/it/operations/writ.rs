//! The Writ API, by the model that `writ up` puts into the data directory.

use serde_json::{Value, json};
use writ_aws::Service;
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Site, until};

use super::{Actor, covers, text, texts};
use crate::operators::access::Shift;

#[test]
fn lockbox_and_support_role_by_cli_and_boto3() {
    let site = Site::start();
    for client in Client::BOTH {
        lockbox(&site, client);
        support_role(&site, client);
        permissions(&site, client);
    }
}

#[test]
fn writ_by_cli_and_boto3() {
    let site = Site::start();
    let shift = Shift::at(&site);
    for client in Client::BOTH {
        decisions(&shift, client);
    }
    let ann = Actor::root(&site, Client::Boto, ANN);
    let operation = ("writ", "ListOperatorAccess");
    let pages = ann.clients.pages(&ann.who, operation, &json!({"MaxResults": 1})).unwrap();
    let ids: Vec<String> =
        pages.iter().flat_map(|page| texts(page, "OperatorAccess", "RequestId")).collect();
    assert_eq!(ids.len(), 4, "one a page: {ids:?}");
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "the newest first: {ids:?}");
    covers(&site, Service::Writ);
}

fn decisions(shift: &Shift<'_>, client: Client) {
    let ann = Actor::root(shift.site, client, ANN);
    for operation in ["DisableSupportRole", "EnableSupportRole", "GetSupportRole", "GetLockbox"] {
        ann.ok("writ", operation, json!({}));
    }
    ann.ok("writ", "PutLockbox", json!({"Mode": "STREAMLINED"}));
    let [first, second] = [shift.ask(&[]), shift.ask(&[])];
    let listed = ann.ok("writ", "ListOperatorAccess", json!({"State": "PENDING"}));
    assert_eq!(texts(&listed, "OperatorAccess", "RequestId"), [second.as_str(), first.as_str()]);
    let named = |id: &str| {
        let shown = ann.ok("writ", "GetOperatorAccess", json!({"RequestId": id}));
        json!({"RequestId": id, "RequestDigest": text(&shown, "/OperatorAccess/RequestDigest")})
    };
    ann.ok("writ", "ApproveOperatorAccess", named(&first));
    let done = ann.ok("writ", "WithdrawOperatorAccess", named(&first));
    assert_eq!(text(&done, "/OperatorAccess/State"), "DENIED");
    let done = ann.ok("writ", "RefuseOperatorAccess", named(&second));
    assert_eq!(text(&done, "/OperatorAccess/Decision/Decision"), "REFUSED");
    let unknown = json!({"RequestId": "01JD8Z3X5QJ6T4W0RZV9K2M7AB"});
    ann.refused("writ", "GetOperatorAccess", unknown, "ResourceNotFoundException");
}

fn lockbox(site: &Site, client: Client) {
    let ann = Actor::root(site, client, ANN);
    let bob = Actor::root(site, client, BOB);
    let mode =
        |actor: &Actor<'_>| text(&actor.ok("writ", "GetLockbox", json!({})), "/Lockbox/Mode");
    ann.ok("writ", "PutLockbox", json!({"Mode": "OFF"}));
    let on = ann.ok("writ", "PutLockbox", json!({"Mode": "STREAMLINED"}));
    assert_eq!(text(&on, "/Lockbox/Mode"), "STREAMLINED");
    assert_eq!(text(&on, "/Lockbox/LastModifiedBy"), format!("arn:aws:iam::{ANN}:root"));
    assert_eq!((mode(&ann).as_str(), mode(&bob).as_str()), ("STREAMLINED", "OFF"));
    ann.refused("writ", "PutLockbox", json!({"Mode": "SOMETIMES"}), "ValidationException");
    let event = until("the event of PutLockbox", || {
        let by_name =
            json!([{"AttributeKey": "EventSource", "AttributeValue": "writ.amazonaws.com"}]);
        let events = ann.ok("cloudtrail", "LookupEvents", json!({"LookupAttributes": by_name}));
        let events = events["Events"].as_array().unwrap().clone();
        events.into_iter().find(|event| event["EventName"] == "PutLockbox")
    });
    let record: Value = serde_json::from_str(&text(&event, "/CloudTrailEvent")).unwrap();
    assert_eq!(record["eventSource"], "writ.amazonaws.com");
    assert!(record["requestParameters"]["mode"].is_string(), "{record}");
}

fn support_role(site: &Site, client: Client) {
    let ann = Actor::root(site, client, ANN);
    let named = json!({"RoleName": "WritSupport"});
    let role = ann.ok("iam", "GetRole", named.clone());
    let arn = format!("arn:aws:iam::{ANN}:role/writ/WritSupport");
    assert_eq!(text(&role, "/Role/Arn"), arn);
    let listed = ann.ok("iam", "ListRoles", json!({"PathPrefix": "/writ/"}));
    assert_eq!(texts(&listed, "Roles", "RoleName"), ["WritSupport"]);
    let policy = json!({"RoleName": "WritSupport", "PolicyName": "WritSupportReadOnly"});
    ann.ok("iam", "GetRolePolicy", policy);
    for (operation, params) in [
        (
            "DeleteRolePolicy",
            json!({"RoleName": "WritSupport", "PolicyName": "WritSupportReadOnly"}),
        ),
        ("TagRole", json!({"RoleName": "WritSupport", "Tags": [{"Key": "a", "Value": "b"}]})),
        ("UpdateRole", json!({"RoleName": "WritSupport", "Description": "ours"})),
        ("UpdateAssumeRolePolicy", json!({"RoleName": "WritSupport", "PolicyDocument": trust()})),
    ] {
        ann.refused("iam", operation, params, "UnmodifiableEntity");
    }
    let own = json!({"RoleName": "WritSupport", "AssumeRolePolicyDocument": trust()});
    ann.refused("iam", "CreateRole", own, "InvalidInput");
    let assume = json!({"RoleArn": arn, "RoleSessionName": "some"});
    ann.with(user(&ann)).refused("sts", "AssumeRole", assume, "AccessDenied");

    let enabled = || ann.ok("writ", "GetSupportRole", json!({}))["SupportRole"]["Enabled"].clone();
    assert_eq!(enabled(), true);
    ann.ok("writ", "DisableSupportRole", json!({}));
    assert_eq!(enabled(), false);
    ann.ok("writ", "EnableSupportRole", json!({}));
    assert_eq!(enabled(), true);
    ann.ok("iam", "DeleteRole", named.clone());
    assert_eq!(enabled(), false, "a role that is deleted is disabled");
    ann.refused("iam", "GetRole", named.clone(), "NoSuchEntity");
    ann.ok("writ", "EnableSupportRole", json!({}));
    ann.ok("iam", "GetRole", named);
}

fn permissions(site: &Site, client: Client) {
    let ann = Actor::root(site, client, ANN);
    let tom = ann.with(user(&ann));
    let name = user_name(&ann);
    tom.refused("writ", "PutLockbox", json!({"Mode": "OFF"}), "AccessDeniedException");
    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": "writ:PutLockbox", "Resource": format!("arn:aws:writ::{ANN}:lockbox")}]});
    let put = json!({"UserName": name, "PolicyName": "p", "PolicyDocument": policy.to_string()});
    ann.ok("iam", "PutUserPolicy", put);
    tom.ok("writ", "PutLockbox", json!({"Mode": "OFF"}));
    tom.refused("writ", "DisableSupportRole", json!({}), "AccessDeniedException");
}

fn user_name(root: &Actor<'_>) -> String {
    root.name("tom")
}

/// A user without any policy, with a key; made anew each time.
fn user(root: &Actor<'_>) -> writ_tests::Credentials {
    let name = user_name(root);
    if root.call("iam", "GetUser", &json!({"UserName": name})).is_err() {
        root.ok("iam", "CreateUser", json!({"UserName": name}));
    }
    let key = root.ok("iam", "CreateAccessKey", json!({"UserName": name}));
    writ_tests::Credentials::of_reply(ANN, &key["AccessKey"])
}

fn trust() -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ANN}:root")}, "Action": "sts:AssumeRole"}]})
    .to_string()
}
