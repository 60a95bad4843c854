//! Statement matching: actions, resources, variables, versions; and the case format itself.

use serde_json::{Value, json};
use writ_policy::cases::eval_case;

use crate::layers::{answer, check};

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";

fn statement(version: &str, change: Value) -> Value {
    let mut statement = json!({"Effect": "Allow"});
    statement.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({"Version": version, "Statement": statement})
}

/// The outcome when this statement is the caller's only policy.
fn alone(action: &str, resource: &str, change: Value, allowed: bool) {
    let case = json!({"principal": ALICE, "action": action, "resource": resource,
        "identity": [statement("2012-10-17", change)]});
    check(&case, if allowed { "Allowed" } else { "ImplicitlyDenied" });
}

#[test]
fn actions_match_without_case_and_with_wildcards() {
    for (pattern, action, allowed) in [
        (json!("s3:getobject"), "S3:GetObject", true),
        (json!("S3:Get*"), "s3:GetObjectAcl", true),
        (json!("s3:*Object"), "s3:GetObject", true),
        (json!("s3:Get?bject"), "s3:GetObject", true),
        (json!("s3:GetObject"), "s3:GetObjectAcl", false),
        (json!("s3:*"), "s3-object-lambda:GetObject", false),
        (json!("*"), "anything:AtAll", true),
        (json!("*:*"), "anything:AtAll", true),
        (json!("*:Get*"), "ec2:GetX", true),
        (json!(["ec2:*", "s3:PutObject"]), "s3:PutObject", true),
    ] {
        alone(action, "*", json!({"Action": pattern, "Resource": "*"}), allowed);
        let not = json!({"NotAction": pattern, "Resource": "*"});
        alone(action, "*", not, !allowed);
    }
}

#[test]
fn resources_match_with_case_part_by_part() {
    let key = "arn:aws:s3:::b/dir/a:b";
    for (pattern, resource, allowed) in [
        (json!("*"), key, true),
        (json!("*"), "*", true),
        (json!("arn:aws:s3:::b/*"), key, true),
        (json!("arn:aws:s3:::b/*b"), key, true),
        (json!("arn:aws:s3:::B/*"), key, false),
        (json!("arn:aws:s3:::b"), key, false),
        (json!("arn:aws:s3:::?/dir/a?b"), key, true),
        (json!("arn:aws:s3:*:*:b/*"), key, true),
        (json!("arn:*:s3:::b/*"), key, true),
        (json!("arn:aws:*:::b/*"), key, true),
        (json!("arn:aws:s3"), key, true),
        (json!("arn:aws:sqs:*:1*:q"), "arn:aws:sqs:eu-west-1:111111111111:q", true),
        (json!("arn:aws:sqs:eu*:q"), "arn:aws:sqs:eu-west-1:111111111111:q", false),
        (json!("arn:aws:s3:::*"), "*", false),
        (json!(["arn:aws:s3:::a", "arn:aws:s3:::b/*"]), key, true),
    ] {
        alone("s3:X", resource, json!({"Action": "*", "Resource": pattern}), allowed);
        alone("s3:X", resource, json!({"Action": "*", "NotResource": pattern}), !allowed);
    }
}

/// Policy variables in resources: "IAM policy elements: Variables and tags".
#[test]
fn variables_need_the_new_version_and_a_single_value() {
    let run = |version: Option<&str>, resource: &str, object: &str, context: Value| {
        let mut document = statement("2012-10-17", json!({"Action": "*", "Resource": resource}));
        match version {
            Some(version) => document["Version"] = json!(version),
            None => {
                document.as_object_mut().unwrap().remove("Version");
            }
        }
        let case = json!({"principal": ALICE, "action": "s3:GetObject", "resource": object,
            "context": context, "identity": [document]});
        answer(&case)["decision"] == "Allowed"
    };
    let new = Some("2012-10-17");
    let home = "arn:aws:s3:::b/${aws:username}/*";
    assert!(run(new, home, "arn:aws:s3:::b/alice/x", json!({})));
    assert!(!run(new, home, "arn:aws:s3:::b/bob/x", json!({})));
    assert!(!run(None, home, "arn:aws:s3:::b/alice/x", json!({})));
    assert!(!run(Some("2008-10-17"), home, "arn:aws:s3:::b/alice/x", json!({})));
    assert!(run(None, home, "arn:aws:s3:::b/${aws:username}/x", json!({})));
    let team = "arn:aws:s3:::b/${aws:PrincipalTag/team}/*";
    assert!(run(new, team, "arn:aws:s3:::b/red/x", json!({"AWS:principaltag/TEAM": "red"})));
    assert!(!run(new, team, "arn:aws:s3:::b//x", json!({})));
    // A value's own wildcards are no wildcards.
    assert!(!run(new, team, "arn:aws:s3:::b/red/x", json!({"aws:PrincipalTag/team": "*"})));
    assert!(!run(new, team, "arn:aws:s3:::b/a/x", json!({"aws:PrincipalTag/team": ["a", "b"]})));
    let default = "arn:aws:s3:::b/${aws:PrincipalTag/team, 'all'}/*";
    assert!(run(new, default, "arn:aws:s3:::b/all/x", json!({})));
    assert!(!run(new, default, "arn:aws:s3:::b/all/x", json!({"aws:PrincipalTag/team": "red"})));
    assert!(run(new, "arn:aws:s3:::b/a${*}b${?}${$}", "arn:aws:s3:::b/a*b?$", json!({})));
    assert!(!run(new, "arn:aws:s3:::b/a${*}", "arn:aws:s3:::b/ab", json!({})));
}

/// "A Deny that uses a missing key does not apply", and NotResource with one applies to all.
#[test]
fn deny_with_a_missing_variable_does_not_apply() {
    for (element, expected) in [("Resource", "Allowed"), ("NotResource", "ExplicitlyDenied")] {
        let deny = json!({"Effect": "Deny", "Action": "*", element: "arn:aws:s3:::b/${aws:none}"});
        let case = json!({"principal": ALICE, "action": "s3:GetObject", "resource":
            "arn:aws:s3:::b/", "identity": [{"Version": "2012-10-17", "Statement":
            [{"Effect": "Allow", "Action": "*", "Resource": "*"}, deny]}]});
        check(&case, expected);
    }
}

/// "If AWS cannot resolve a variable this might cause the entire statement to be invalid": an allow for
/// all but what cannot be told allows nothing.
#[test]
fn allow_with_not_resource_and_a_missing_variable_does_not_apply() {
    let own = "arn:aws:s3:::b/${aws:none}/*";
    for (element, allowed) in [
        (json!(own), false),
        (json!(["arn:aws:s3:::other/*", own]), false),
        (json!("arn:aws:s3:::b/${aws:none, 'x'}/*"), true),
        (json!("arn:aws:s3:::b/${aws:username}/*"), true),
        (json!("arn:aws:s3:::b/${*}/*"), true),
    ] {
        let change = json!({"Action": "*", "NotResource": element});
        alone("s3:GetObject", "arn:aws:s3:::b/k", change, allowed);
    }
}

#[test]
fn keys_of_the_principal_are_filled_in_unless_given() {
    let run = |principal: &str, context: Value, conditions: Value, allowed: bool| {
        let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
            "Action": "*", "Resource": "*", "Condition": conditions}});
        let case = json!({"principal": principal, "action": "a:B", "resource": "*",
            "context": context, "identity": [document], "session": {"Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}});
        check(&case, if allowed { "Allowed" } else { "ImplicitlyDenied" });
    };
    let equal = |key: &str, value: &str| json!({"StringEquals": {key: value}});
    let session = "arn:aws:sts::111111111111:assumed-role/R/s";
    let role = "arn:aws:iam::111111111111:role/R";
    let federated = "arn:aws:sts::111111111111:federated-user/f";
    let user = "arn:aws:iam::111111111111:user/a/b/alice";
    for (principal, key, value) in [
        (user, "aws:PrincipalArn", user),
        (user, "aws:PrincipalAccount", "111111111111"),
        (user, "aws:PrincipalType", "User"),
        (user, "aws:username", "alice"),
        (session, "aws:PrincipalArn", role),
        (session, "aws:PrincipalType", "AssumedRole"),
        (role, "aws:PrincipalArn", role),
        (federated, "aws:PrincipalArn", federated),
        (federated, "aws:PrincipalType", "FederatedUser"),
        (federated, "aws:userid", "111111111111:f"),
    ] {
        run(principal, json!({}), equal(key, value), true);
        run(principal, json!({key: "given"}), equal(key, "given"), true);
    }
    run(session, json!({}), json!({"Null": {"aws:username": "true"}}), true);
    run(session, json!({}), json!({"StringLike": {"aws:userid": "AROA*:s"}}), true);
    run(user, json!({}), json!({"StringLike": {"aws:userid": "AIDA*"}}), true);
    let deny_root = json!({"principal": "arn:aws:iam::111111111111:root", "action": "a:B",
        "resource": "*", "scps": [[{"Statement": [{"Effect": "Allow", "Action": "*", "Resource":
        "*"}, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringLike":
        {"aws:PrincipalArn": "arn:aws:iam::*:root"}, "StringEquals": {"aws:PrincipalType":
        "Account", "aws:userid": "111111111111"}}}]}]]});
    check(&deny_root, "ExplicitlyDenied");
}

#[test]
fn resource_account_defaults_to_the_arns_then_to_the_principals() {
    let carol = "arn:aws:iam::222222222222:user/carol";
    let allow = json!([{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]);
    let case = |resource: &str| {
        json!({"principal": carol, "action": "sqs:SendMessage", "resource": resource,
            "identity": allow})
    };
    check(&case("arn:aws:sqs:eu-west-1:111111111111:q"), "ImplicitlyDenied");
    check(&case("arn:aws:sqs:eu-west-1:222222222222:q"), "Allowed");
    check(&case("arn:aws:s3:::b"), "Allowed");
    let mut other = case("arn:aws:s3:::b");
    other["resourceAccount"] = json!("111111111111");
    check(&other, "ImplicitlyDenied");
}

#[test]
fn line_that_is_no_case_is_an_error_and_never_a_panic() {
    let good = json!({"id": 7, "principal": ALICE, "action": "s3:GetObject", "resource": "*"});
    let with = |name: &str, value: Value| {
        let mut case = good.clone();
        case[name] = value;
        case.to_string()
    };
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "X": 1}});
    for (line, error) in [
        (String::new(), "$: not valid JSON"),
        ("null".to_owned(), "$: expected an object"),
        ("{}".to_owned(), "$: missing member `action`"),
        (with("extra", json!(1)), "$.extra: unknown member"),
        (with("principal", json!(5)), "$.principal: expected an ARN or null"),
        (with("principal", json!("alice")), "$.principal: `alice` is not"),
        (with("principal", json!("arn:aws:iam::111111111111:group/g")), "$.principal: "),
        (with("action", json!("GetObject")), "$.action: `GetObject` is not an action"),
        (with("action", json!("s3:")), "$.action: `s3:` is not an action"),
        (with("action", json!(":GetObject")), "$.action: `:GetObject` is not an action"),
        (with("resource", json!("b/k")), "$.resource: `b/k` is not an ARN"),
        (with("resourceAccount", json!("1")), "$.resourceAccount: "),
        (with("context", json!([])), "$.context: expected an object"),
        (with("context", json!({"a:b": {"c": 1}})), "$.context.a:b: expected"),
        (with("context", json!({"a:b": "1", "A:B": "2"})), "$.context.a:b: the key is given twice"),
        (with("identity", json!({})), "identity: expected a list"),
        (with("identity", json!([policy])), "identity[0].Statement.X: unknown element `X`"),
        (with("identity", json!([policy.to_string()])), "identity[0].Statement.X: unknown"),
        (with("identity", json!(["{"])), "identity[0]: not valid JSON"),
        (with("scps", json!([1])), "scps[0]: expected a list"),
        (with("scps", json!([[], [policy]])), "scps[1][0].Statement.X: unknown"),
        (with("session", json!(1)), "session: expected an object"),
        (with("resourcePolicy", policy.clone()), "resourcePolicy.Statement.X: unknown"),
        ("[".repeat(100_000), "$: not valid JSON"),
    ] {
        let answer: Value = serde_json::from_str(&eval_case(&line)).unwrap();
        assert_eq!(answer["decision"], "error", "{line}");
        let errors = answer["errors"].as_array().unwrap();
        let found = errors.iter().any(|e| e.as_str().unwrap().starts_with(error));
        assert!(found, "{answer:#} lacks {error}");
        assert_eq!(answer["matched"], json!([]));
    }
    let answer = answer(&good);
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["errors"], json!([]));
    let text = json!({"Statement": {"Sid": "One", "Effect": "Allow", "Action": "*",
        "Resource": "*"}})
    .to_string();
    let line = with("identity", json!([text]));
    assert_eq!(
        eval_case(&line),
        r#"{"id":7,"decision":"Allowed","reason":"allowed by an identity-based policy","matched":[{"policy":"identity[0]","statement":"One"}],"errors":[]}"#
    );
}

#[test]
fn mangled_cases_never_panic() {
    use proptest::prelude::*;
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": [ALICE, "*"]}, "Action":
        "kms:*", "Resource": "arn:aws:kms:*:*:key/${aws:username, 'x'}", "Condition":
        {"ForAllValues:DateLessThanIfExists": {"aws:CurrentTime": "2024-01-01T00:00:00Z"}}});
    let line = json!({"principal": ALICE, "action": "kms:Decrypt", "resource":
        "arn:aws:kms:eu-west-1:111111111111:key/k", "context": {"aws:CurrentTime": ["2023", "5"]},
        "resourcePolicy": {"Version": "2012-10-17", "Statement": [statement]}})
    .to_string();
    let at = 0..line.len();
    proptest!(ProptestConfig::with_cases(2000), |(cuts in prop::collection::vec((at, any::<char>()), 1..4))| {
        let mut chars: Vec<char> = line.chars().collect();
        for (at, c) in cuts {
            let at = at.min(chars.len() - 1);
            chars[at] = c;
        }
        let answer: Value = serde_json::from_str(&eval_case(&chars.into_iter().collect::<String>())).unwrap();
        prop_assert!(answer["decision"].is_string());
    });
    proptest!(|(text in any::<String>())| {
        let answer: Value = serde_json::from_str(&eval_case(&text)).unwrap();
        prop_assert!(answer["decision"] == "error");
    });
}
