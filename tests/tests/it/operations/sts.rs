//! STS.

use serde_json::json;
use writ_aws::Service;
use writ_tests::site::{ANN, BOB};
use writ_tests::{Client, Credentials, Site};

use super::{Actor, covers, text};

#[test]
fn sts_by_cli_and_boto3() {
    let site = Site::start();
    for client in Client::BOTH {
        scenario(&Actor::root(&site, client, ANN));
    }
    covers(&site, Service::Sts);
}

fn scenario(root: &Actor<'_>) {
    let me = root.ok("sts", "GetCallerIdentity", json!({}));
    assert_eq!(text(&me, "/Arn"), format!("arn:aws:iam::{ANN}:root"));
    assert_eq!(text(&me, "/UserId"), ANN);

    let info = root.ok("sts", "GetAccessKeyInfo", json!({"AccessKeyId": root.who.id}));
    assert_eq!(text(&info, "/Account"), ANN);

    let user = root.name("sam");
    root.ok("iam", "CreateUser", json!({"UserName": user}));
    let allow = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:GetAccessKeyInfo"], "Resource": "*"}]});
    root.ok(
        "iam",
        "PutUserPolicy",
        json!({"UserName": user, "PolicyName": "p", "PolicyDocument": allow.to_string()}),
    );
    let key = root.ok("iam", "CreateAccessKey", json!({"UserName": user}));
    let sam = root.with(Credentials::of_reply(ANN, &key["AccessKey"]));

    let session = sam.ok("sts", "GetSessionToken", json!({"DurationSeconds": 900}));
    let session = sam.with(Credentials::of_reply(ANN, &session["Credentials"]));
    let me = session.ok("sts", "GetCallerIdentity", json!({}));
    assert_eq!(text(&me, "/Arn"), format!("arn:aws:iam::{ANN}:user/{user}"));

    let role = root.name("reader");
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ANN}:user/{user}")},
        "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "x-7"}}}]});
    let made = root.ok(
        "iam",
        "CreateRole",
        json!({"RoleName": role, "AssumeRolePolicyDocument": trust.to_string()}),
    );
    let arn = text(&made, "/Role/Arn");
    let ask = json!({"RoleArn": arn, "RoleSessionName": "night"});
    sam.refused("sts", "AssumeRole", ask, "AccessDenied");
    let ask = json!({"RoleArn": arn, "RoleSessionName": "night", "ExternalId": "x-7",
        "DurationSeconds": 900});
    let assumed = sam.ok("sts", "AssumeRole", ask.clone());
    assert!(text(&assumed, "/AssumedRoleUser/Arn").ends_with(&format!("{role}/night")));
    let reader = sam.with(Credentials::of_reply(ANN, &assumed["Credentials"]));
    let me = reader.ok("sts", "GetCallerIdentity", json!({}));
    assert_eq!(text(&me, "/Arn"), format!("arn:aws:sts::{ANN}:assumed-role/{role}/night"));
    reader.refused("iam", "ListUsers", json!({}), "AccessDenied");

    let stranger = root.with(site_free(root, BOB));
    stranger.refused("sts", "AssumeRole", ask, "AccessDenied");
    root.refused(
        "sts",
        "DecodeAuthorizationMessage",
        json!({"EncodedMessage": "nonsense"}),
        "InvalidAuthorizationMessageException",
    );
}

/// Credentials that name an access key which does not exist look like any others.
fn site_free(root: &Actor<'_>, profile: &str) -> Credentials {
    let mut who = root.who.clone();
    who.profile = profile.to_owned();
    who.secret.push('x');
    root.with(who.clone()).refused("sts", "GetCallerIdentity", json!({}), "SignatureDoesNotMatch");
    who.secret.pop();
    who.id = "AKIAQQQQQQQQQQQQQQQQ".to_owned();
    root.with(who.clone()).refused("sts", "GetCallerIdentity", json!({}), "InvalidClientTokenId");
    root.who.clone()
}
