//! What is refused when a policy is written, with the path of the offending element; quotas; and
//! stored documents that cannot be read.

use serde_json::{Value, json};
use writ_model::{Arn, UniqueId};
use writ_policy::{
    Context, Decision, DenyKind, InlineOwner, Layers, Named, Outcome, Policy, PolicyKind,
    Principal, Problem, Request, ResourceKind, ResourceOutcome, evaluate, evaluate_resource,
    explain,
};

const IDENTITY: PolicyKind = PolicyKind::Identity;
const GENERIC: PolicyKind = PolicyKind::Resource(ResourceKind::Generic);
const BUCKET: PolicyKind = PolicyKind::Resource(ResourceKind::Bucket);
const KEY: PolicyKind = PolicyKind::Resource(ResourceKind::Key);

fn refused(text: &str, kind: PolicyKind, expected: &[&str]) {
    let errors = Policy::parse(text, kind).expect_err(text);
    let found: Vec<String> = errors.errors().iter().map(ToString::to_string).collect();
    let all = expected.iter().all(|e| found.iter().any(|f| f.starts_with(e)));
    assert!(all && found.len() == expected.len(), "{text}\n{found:#?}\nexpected {expected:#?}");
}

fn accepted(document: &Value, kind: PolicyKind) -> Policy {
    let text = document.to_string();
    Policy::parse(&text, kind).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// A good statement with `change` on top; null removes a member.
fn with(change: Value) -> Value {
    let mut statement = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let members = statement.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn bad(change: Value, kind: PolicyKind, expected: &[&str]) {
    refused(&with(change).to_string(), kind, expected);
}

#[test]
fn document_of_the_wrong_shape_is_refused() {
    for (text, error) in [
        ("", "$: not valid JSON"),
        ("{", "$: not valid JSON"),
        ("{} {}", "$: not valid JSON"),
        ("anything", "$: not valid JSON"),
        ("[]", "$: expected an object"),
        ("{}", "$: missing element `Statement`"),
        (r#"{"Statement": []}"#, "$.Statement: expected a statement"),
        (r#"{"Statement": "x"}"#, "$.Statement: expected a statement"),
        (r#"{"Statement": [1]}"#, "$.Statement[0]: expected an object"),
    ] {
        refused(text, IDENTITY, &[error]);
    }
    let deep = "[".repeat(200);
    refused(&deep, IDENTITY, &["$: not valid JSON"]);
    let mut document = with(json!({}));
    document["Version"] = json!("2020-01-01");
    refused(&document.to_string(), IDENTITY, &["$.Version: `2020-01-01` is not a version"]);
    document["Version"] = json!(2012);
    refused(&document.to_string(), IDENTITY, &["$.Version: expected a string"]);
    document["Version"] = json!("2008-10-17");
    document["Id"] = json!("an id");
    accepted(&document, IDENTITY);
    document["Extra"] = json!(1);
    refused(&document.to_string(), IDENTITY, &["$.Extra: unknown element `Extra`"]);
}

#[test]
fn duplicate_key_is_refused_at_any_depth() {
    refused(
        r#"{"Statement": [{"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}]}"#,
        IDENTITY,
        &["$.Statement[0].Effect: the name occurs twice"],
    );
    refused(
        r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"Bool": {"a:b": "true", "a:b": "false"}}}}"#,
        IDENTITY,
        &["$.Statement.Condition.Bool.a:b: the name occurs twice"],
    );
}

#[test]
fn statement_element_that_is_wrong_is_refused_with_its_path() {
    let s = |rest: &str| format!("$.Statement[0]{rest}");
    for (change, errors) in [
        (json!({"Unknown": 1}), vec![s(".Unknown: unknown element `Unknown`")]),
        (json!({"effect": "Allow"}), vec![s(".effect: unknown element")]),
        (json!({"Effect": null}), vec![s(": missing element `Effect`")]),
        (json!({"Effect": "allow"}), vec![s(".Effect: `allow` is not `Allow` or `Deny`")]),
        (json!({"Effect": 1}), vec![s(".Effect: expected a string")]),
        (json!({"Action": null}), vec![s(": missing element `Action`")]),
        (json!({"NotAction": "*"}), vec![s(": `Action` and `NotAction` exclude")]),
        (json!({"NotResource": "*"}), vec![s(": `Resource` and `NotResource` exclude")]),
        (json!({"Resource": null}), vec![s(": missing element `Resource`")]),
        (json!({"Action": []}), vec![s(".Action: expected a string or a list")]),
        (json!({"Action": 1}), vec![s(".Action: expected a string")]),
        (
            json!({"Action": ["s3:*", "GetObject"]}),
            vec![s(".Action[1]: `GetObject` is not an action")],
        ),
        (json!({"Action": "s3*:Get"}), vec![s(".Action: `s3*:Get` is not an action")]),
        (json!({"Action": "s3:"}), vec![s(".Action: `s3:` is not an action")]),
        (json!({"Action": "s3:Get Object"}), vec![s(".Action: `s3:Get Object`")]),
        (json!({"Resource": "bucket/*"}), vec![s(".Resource: `bucket/*` is not an ARN or `*`")]),
        (json!({"Resource": ["*", 1]}), vec![s(".Resource[1]: expected a string")]),
        (json!({"Resource": "arn:aws:s3:::${aws:x"}), vec![s(".Resource: ")]),
        (
            json!({"Resource": "arn:aws:iam::${aws:PrincipalAccount}:role/x"}),
            vec![s(".Resource: `arn:aws:iam::${aws:PrincipalAccount}:role/x` is not an ARN with")],
        ),
        (json!({"Resource": "arn:aw*:s3:::b"}), vec![s(".Resource: ")]),
        (json!({"Sid": "no spaces"}), vec![s(".Sid: `no spaces` is not a statement id")]),
        (json!({"Sid": 1}), vec![s(".Sid: expected a string")]),
        (
            json!({"Principal": "*"}),
            vec![s(".Principal: `Principal` is not supported in an identity-based policy")],
        ),
        (json!({"NotPrincipal": "*"}), vec![s(".NotPrincipal: `NotPrincipal` is not supported")]),
        (json!({"Condition": []}), vec![s(".Condition: expected an object")]),
        (json!({"Condition": {"Bool": []}}), vec![s(".Condition.Bool: expected an object")]),
        (
            json!({"Condition": {"Boool": {"a:b": 1}}}),
            vec![s(".Condition.Boool: unknown condition operator `Boool`")],
        ),
        (
            json!({"Condition": {"NullIfExists": {"a:b": true}}}),
            vec![s(".Condition.NullIfExists: unk")],
        ),
        (
            json!({"Condition": {"ForSomeValue:Bool": {"a:b": true}}}),
            vec![s(".Condition.ForSomeValue:Bool: unknown")],
        ),
        (
            json!({"Condition": {"Bool": {"a": true}}}),
            vec![s(".Condition.Bool.a: `a` is not a cond")],
        ),
        (
            json!({"Condition": {"Bool": {"a:b": {"x": 1}}}}),
            vec![s(".Condition.Bool.a:b: expected")],
        ),
        (json!({"Condition": {"Bool": {"a:b": null}}}), vec![s(".Condition.Bool.a:b: expected")]),
        (
            json!({"Condition": {"Bool": {"a:b": "yes"}}}),
            vec![s(".Condition.Bool.a:b: `yes` is not")],
        ),
        (
            json!({"Condition": {"NumericEquals": {"a:b": ["1", "x"]}}}),
            vec![s(".Condition.NumericEquals.a:b[1]: `x` is not a number")],
        ),
        (
            json!({"Condition": {"DateEquals": {"a:b": "soon"}}}),
            vec![s(".Condition.DateEquals.a:b: ")],
        ),
        (
            json!({"Condition": {"IpAddress": {"a:b": "10.0.0.0/64"}}}),
            vec![s(".Condition.IpAddress")],
        ),
        (json!({"Condition": {"ArnLike": {"a:b": "bucket"}}}), vec![s(".Condition.ArnLike.a:b: ")]),
        (json!({"Condition": {"BinaryEquals": {"a:b": "%"}}}), vec![s(".Condition.BinaryEquals")]),
        (
            json!({"Effect": "x", "Action": "y", "Resource": "z"}),
            vec![s(".Effect"), s(".Action"), s(".Resource")],
        ),
    ] {
        let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
        bad(change, IDENTITY, &errors);
    }
}

#[test]
fn statement_ids_are_unique_and_plain_in_iam_only() {
    let two = |first: &str, second: &str| {
        let of = |sid| {
            json!({"Sid": sid, "Effect": "Allow", "Action": "kms:*", "Resource": "*",
            "Principal": "*"})
        };
        json!({"Version": "2012-10-17", "Statement": [of(first), of(second)]})
    };
    refused(
        &two("a", "a").to_string(),
        KEY,
        &["$.Statement[1].Sid: statement id `a` is used twice"],
    );
    accepted(&two("", ""), KEY);
    accepted(&two("Enable IAM User Permissions", "b"), KEY);
}

#[test]
fn principal_of_the_wrong_form_is_refused() {
    let p = |principal: Value| json!({"Principal": principal});
    for good in [
        json!("*"),
        json!({"AWS": "*"}),
        json!({"AWS": ["111111111111", "arn:aws:iam::111111111111:root"]}),
        json!({"AWS": "arn:aws:iam::111111111111:user/a/b/alice"}),
        json!({"AWS": "arn:aws:sts::111111111111:assumed-role/R/s"}),
        json!({"AWS": "arn:aws:sts::111111111111:federated-user/f"}),
        json!({"AWS": "AROAABCDEFGHIJKLMNOPQ"}),
        json!({"Service": ["s3.amazonaws.com"], "Federated": "accounts.google.com"}),
        json!({"Federated": "arn:aws:iam::111111111111:saml-provider/p"}),
        json!({"CanonicalUser": "0".repeat(64)}),
    ] {
        accepted(&with(p(good)), GENERIC);
    }
    let path = "$.Statement[0].Principal";
    for (principal, at) in [
        (json!("alice"), ""),
        (json!(["*"]), ""),
        (json!({}), ""),
        (json!({"aws": "*"}), ".aws"),
        (json!({"AWS": []}), ".AWS"),
        (json!({"AWS": 111_111_111_111_u64}), ".AWS"),
        (json!({"AWS": "11111111111"}), ".AWS"),
        (json!({"AWS": ["*", "arn:aws:iam::111111111111:user/*"]}), ".AWS[1]"),
        (json!({"AWS": "arn:aws:iam::111111111111:*"}), ".AWS"),
        (json!({"AWS": "arn:aws:iam::*:root"}), ".AWS"),
        (json!({"AWS": "arn:aws:iam::111111111111:group/g"}), ".AWS"),
        (json!({"AWS": "arn:aws:iam::111111111111:user/"}), ".AWS"),
        (json!({"AWS": "arn:aws:sts::111111111111:assumed-role/R"}), ".AWS"),
        (json!({"AWS": "arn:aws:s3:::b"}), ".AWS"),
        (json!({"Service": "*"}), ".Service"),
        (json!({"Service": "s3"}), ".Service"),
        (json!({"Federated": "*"}), ".Federated"),
        (json!({"CanonicalUser": "x"}), ".CanonicalUser"),
    ] {
        bad(p(principal), GENERIC, &[&format!("{path}{at}: ")]);
    }
    let text = "$.Statement[0].Principal: `alice` is not a principal: `*`, or an object such as";
    bad(p(json!("alice")), GENERIC, &[text]);
    bad(json!({}), GENERIC, &["$.Statement[0]: missing element `Principal`"]);
    bad(
        json!({"Principal": "*", "NotPrincipal": "*"}),
        GENERIC,
        &["$.Statement[0]: `Principal` and `NotPrincipal` exclude"],
    );
}

#[test]
fn each_kind_takes_its_own_elements() {
    let everyone = json!({"Principal": "*"});
    for kind in [IDENTITY, PolicyKind::Boundary, PolicyKind::Session, PolicyKind::Scp] {
        accepted(&with(json!({})), kind);
        assert!(Policy::parse(&with(everyone.clone()).to_string(), kind).is_err(), "{kind:?}");
    }
    for kind in [GENERIC, PolicyKind::VpcEndpoint] {
        accepted(&with(json!({"NotPrincipal": {"AWS": "111111111111"}})), kind);
        assert!(Policy::parse(&with(json!({})).to_string(), kind).is_err(), "{kind:?}");
    }
    let bare = json!({"Principal": "*", "Resource": null});
    accepted(&with(bare.clone()), GENERIC);
    bad(bare, BUCKET, &["$.Statement[0]: missing element `Resource`"]);
    let trust = json!({"Principal": "*", "Action": "sts:AssumeRole", "Resource": null});
    accepted(&with(trust), PolicyKind::Trust);
    bad(
        json!({"Principal": "*", "Action": "sts:AssumeRole"}),
        PolicyKind::Trust,
        &["$.Statement[0].Resource: `Resource` is not supported in a role trust policy"],
    );
    bad(
        json!({"Principal": "*", "Action": "s3:GetObject", "Resource": null}),
        PolicyKind::Trust,
        &["$.Statement[0].Action: `s3:GetObject` is not an action of sts"],
    );
    bad(
        json!({"NotPrincipal": "*", "Action": "sts:AssumeRole", "Resource": null}),
        PolicyKind::Trust,
        &["$.Statement[0].NotPrincipal: `NotPrincipal` is not supported in a role trust policy"],
    );
    let rcp = |change: Value| {
        let mut statement = json!({"Effect": "Deny", "Principal": "*"});
        statement.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        statement
    };
    accepted(&with(rcp(json!({}))), PolicyKind::Rcp);
    accepted(&with(rcp(json!({"Effect": "Allow", "Action": "*"}))), PolicyKind::Rcp);
    bad(rcp(json!({"Effect": "Allow"})), PolicyKind::Rcp, &["$.Statement[0].Effect: `Allow`"]);
    bad(
        rcp(json!({"Action": null, "NotAction": "s3:*"})),
        PolicyKind::Rcp,
        &["$.Statement[0].NotAction: `NotAction` is not supported in a resource control policy"],
    );
    bad(
        rcp(json!({"Principal": {"AWS": "111111111111"}})),
        PolicyKind::Rcp,
        &["$.Statement[0].Principal: "],
    );
    bad(
        json!({"Effect": "Deny", "NotPrincipal": "*"}),
        PolicyKind::Rcp,
        &["$.Statement[0].NotPrincipal: `NotPrincipal` is not supported in a resource control"],
    );
    bad(everyone.clone(), BUCKET, &["$.Statement[0].Resource: `*` is not the ARN of the bucket"]);
    let arn = json!({"Principal": "*", "Resource": "arn:aws:s3:::b/*"});
    accepted(&with(arn), BUCKET);
    bad(everyone, KEY, &["$.Statement[0].Action: `s3:GetObject` is not an action of kms"]);
}

/// Quotas: at the limit passes, one over fails.
#[test]
fn document_longer_than_its_quota_is_refused() {
    use InlineOwner::{Group, Role, User};
    let trust = json!({"Principal": "*", "Action": "sts:*", "Resource": null});
    let rcp = json!({"Principal": "*", "Effect": "Deny"});
    let everyone = json!({"Principal": "*"});
    let bucket = json!({"Principal": "*", "Resource": "arn:aws:s3:::b"});
    let key = json!({"Principal": "*", "Action": "kms:*"});
    for (kind, change, limit, dense) in [
        (IDENTITY, json!({}), 6_144, true),
        (PolicyKind::Boundary, json!({}), 6_144, true),
        (PolicyKind::Inline(User), json!({}), 2_048, true),
        (PolicyKind::Inline(Role), json!({}), 10_240, true),
        (PolicyKind::Inline(Group), json!({}), 5_120, true),
        (PolicyKind::Trust, trust, 2_048, true),
        (PolicyKind::Session, json!({}), 2_048, false),
        (PolicyKind::Scp, json!({}), 5_120, false),
        (PolicyKind::Rcp, rcp, 5_120, false),
        (KEY, key, 32_768, false),
        (BUCKET, bucket, 20_480, false),
        (PolicyKind::VpcEndpoint, everyone.clone(), 20_480, false),
        (GENERIC, everyone, 131_072, false),
    ] {
        let mut document = with(change);
        document["Id"] = json!("");
        let room = limit - document.to_string().len();
        document["Id"] = json!("x".repeat(room));
        let text = document.to_string();
        assert_eq!(Policy::parse(&text, kind).expect("at the limit").size(), limit);
        let spaced = text.replacen('{', "{ \n\t ", 1);
        assert_eq!(Policy::parse(&spaced, kind).is_ok(), dense, "{kind:?}: whitespace");
        document["Id"] = json!("x".repeat(room + 1));
        let errors = Policy::parse(&document.to_string(), kind).unwrap_err();
        assert!(errors.is_only_size(), "{kind:?}: {errors}");
    }
    let blank = format!("{}{}", with(json!({})), " ".repeat(131_072));
    assert!(Policy::parse(&blank, IDENTITY).unwrap_err().is_only_size());
}

#[test]
fn character_outside_the_set_of_iam_is_refused() {
    let document = |text: &str| with(json!({"Condition": {"StringEquals": {"a:b": text}}}));
    accepted(&document("caf\u{e9} \u{ff}"), IDENTITY);
    refused(&document("\u{100}").to_string(), IDENTITY, &["$: character U+0100 is not allowed"]);
    let bucket = json!({"Principal": "*", "Resource": "arn:aws:s3:::b/\u{4e16}"});
    accepted(&with(bucket), BUCKET);
}

fn user(id: &str) -> Principal {
    let arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    Principal::user(arn, "111111111111".parse().unwrap(), id)
}

/// A stored policy that this version cannot read denies, and the explanation says so (C-13).
#[test]
fn unreadable_stored_policy_denies_everything() {
    let text = with(json!({"Obligation": "notify"})).to_string();
    let policy = Policy::load(&text, IDENTITY);
    assert!(policy.unreadable().is_some());
    let good = accepted(&with(json!({})), IDENTITY);
    let identity =
        [Named { name: "good", policy: &good }, Named { name: "from later", policy: &policy }];
    let layers = Layers { identity: &identity, ..Layers::default() };
    let (alice, context) = (user("AIDAALICE"), Context::new());
    let request = Request {
        principal: Some(&alice),
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        resource_account: None,
        context: &context,
    };
    assert_eq!(evaluate(&request, &layers), Decision::Deny(DenyKind::Explicit));
    let why = explain(&request, &layers);
    let trace = why.denied_by().unwrap();
    assert_eq!(trace.policy, "from later");
    let Outcome::Unreadable(reason) = &trace.outcome else { panic!("{trace:?}") };
    assert!(reason.contains("$.Statement[0].Obligation"), "{reason}");
    assert_eq!(evaluate_resource(&request, &policy), ResourceOutcome::ExplicitDeny);
}

/// "The ARN is transformed to the principal's unique id when you save the policy."
#[test]
fn bound_principal_made_anew_does_not_match() {
    let document = with(json!({"Principal": {"AWS": ["arn:aws:iam::111111111111:user/alice",
        "arn:aws:iam::111111111111:role/R", "222222222222"]}}));
    let mut policy = accepted(&document, GENERIC);
    let context = Context::new();
    let outcome = |policy: &Policy, principal: &Principal| {
        let request = Request {
            principal: Some(principal),
            action: "s3:GetObject",
            resource: "*",
            resource_account: None,
            context: &context,
        };
        evaluate_resource(&request, policy)
    };
    let (old, new) = ("AIDAAAAAAAAAAAAAAAAAA", "AIDABBBBBBBBBBBBBBBBB");
    assert_eq!(outcome(&policy, &user(new)), ResourceOutcome::DirectAllow);
    let known = |arn: &Arn| -> Option<UniqueId> {
        let id = if arn.resource().starts_with("user/") { old } else { "AROAAAAAAAAAAAAAAAAAA" };
        id.parse().ok()
    };
    let errors =
        policy.bind_principals(&|arn| known(arn).filter(|_| arn.as_str().contains("user")));
    let errors = errors.unwrap_err();
    assert!(errors.is_principal());
    assert_eq!(
        errors.errors()[0].problem,
        Problem::UnknownPrincipal("arn:aws:iam::111111111111:role/R".to_owned())
    );
    assert_eq!(outcome(&policy, &user(new)), ResourceOutcome::DirectAllow, "unchanged");
    policy.bind_principals(&known).unwrap();
    assert!(policy.principals().all(|(_, id)| id.is_some()));
    assert_eq!(outcome(&policy, &user(old)), ResourceOutcome::DirectAllow);
    assert_eq!(outcome(&policy, &user(new)), ResourceOutcome::NoMatch);
    let role: Arn = "arn:aws:iam::111111111111:role/R".parse().unwrap();
    let session =
        |id| Principal::role_session(role.clone(), "111111111111".parse().unwrap(), id, "s");
    assert_eq!(outcome(&policy, &session("AROAAAAAAAAAAAAAAAAAA")), ResourceOutcome::DirectAllow);
    assert_eq!(outcome(&policy, &session("AROABBBBBBBBBBBBBBBBB")), ResourceOutcome::NoMatch);
    let root = Principal::root("222222222222".parse().unwrap());
    assert_eq!(outcome(&policy, &root), ResourceOutcome::DelegatesToAccount);
}

#[test]
fn plain_operator_on_a_multi_valued_key_is_linted() {
    let condition = |op: &str| json!({"Condition": {op: {"aws:TagKeys": "a"}}});
    assert_eq!(accepted(&with(condition("StringEquals")), IDENTITY).lints().len(), 1);
    for quiet in ["ForAllValues:StringEquals", "ForAnyValue:StringLike"] {
        assert!(accepted(&with(condition(quiet)), IDENTITY).lints().is_empty());
    }
}
