//! The same question to both engines: 1, 10 and 100 policies, parsed once; and an account of 10,000
//! policies in which ten concern the caller.

use std::collections::HashMap;

use cedar_policy::{
    Authorizer, Context as CedarContext, Entities, PolicySet, Request as CedarRequest,
};
use divan::{Bencher, black_box};
use writ_policy::{
    Context, Decision, Layers, Named, Policy, PolicyKind, Principal, Request, evaluate,
};

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 10, 100])]
fn writ(bencher: Bencher<'_, '_>, policies: usize) {
    let document = |n: usize| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::bucket-{n}/k","Condition":{{
            "Bool":{{"aws:SecureTransport":"true"}},
            "StringEquals":{{"aws:PrincipalTag/team":"red"}}}}}}}}"#
        )
    };
    let parsed: Vec<Policy> =
        (0..policies).map(|n| Policy::parse(&document(n), PolicyKind::Identity).unwrap()).collect();
    let identity: Vec<Named<'_>> =
        parsed.iter().map(|policy| Named { name: "p", policy }).collect();
    let context =
        Context::new().with("aws:SecureTransport", "true").with("aws:PrincipalTag/team", "red");
    let account = "111111111111".parse().unwrap();
    let arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let alice = Principal::user(arn, account, "AIDAALICE");
    let resource = format!("arn:aws:s3:::bucket-{}/k", policies - 1);
    let request = Request {
        principal: Some(&alice),
        action: "s3:GetObject",
        resource: &resource,
        resource_account: None,
        context: &context,
    };
    let layers = Layers { identity: &identity, ..Layers::default() };
    assert_eq!(evaluate(&request, &layers), Decision::Allow);
    bencher.bench_local(|| evaluate(black_box(&request), black_box(&layers)));
}

#[divan::bench(args = [1, 10, 100])]
fn cedar(bencher: Bencher<'_, '_>, policies: usize) {
    let text: String = (0..policies)
        .map(|n| {
            format!(
                "permit(principal, action == Action::\"GetObject\", resource == Object::\"bucket-{n}/k\")
                 when {{ context.secure == true && context.team == \"red\" }};\n"
            )
        })
        .collect();
    let set: PolicySet = text.parse().unwrap();
    let context = CedarContext::from_json_value(cedar_json(), None).unwrap();
    let request = CedarRequest::new(
        "User::\"alice\"".parse().unwrap(),
        "Action::\"GetObject\"".parse().unwrap(),
        format!("Object::\"bucket-{}/k\"", policies - 1).parse().unwrap(),
        context,
        None,
    )
    .unwrap();
    let (authorizer, entities) = (Authorizer::new(), Entities::empty());
    let decide = || authorizer.is_authorized(&request, &set, &entities).decision();
    assert_eq!(decide(), cedar_policy::Decision::Allow);
    bencher.bench_local(|| black_box(decide()));
}

/// Policies in the large account, and how many of them are attached to each user.
const ACCOUNT_POLICIES: usize = 10_000;
const ATTACHED: usize = 10;

/// Ours: the attached ones are looked up by name, then evaluated; the account's size is not seen.
#[divan::bench]
fn writ_large_account(bencher: Bencher<'_, '_>) {
    let document = |n: usize| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::bucket-{n}/k","Condition":{{
            "Bool":{{"aws:SecureTransport":"true"}},
            "StringEquals":{{"aws:PrincipalTag/team":"red"}}}}}}}}"#
        )
    };
    let account: HashMap<String, Policy> = (0..ACCOUNT_POLICIES)
        .map(|n| (format!("p{n}"), Policy::parse(&document(n), PolicyKind::Identity).unwrap()))
        .collect();
    let attached: Vec<String> =
        (ACCOUNT_POLICIES - ATTACHED..ACCOUNT_POLICIES).map(|n| format!("p{n}")).collect();
    let context =
        Context::new().with("aws:SecureTransport", "true").with("aws:PrincipalTag/team", "red");
    let number = "111111111111".parse().unwrap();
    let arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let alice = Principal::user(arn, number, "AIDAALICE");
    let resource = format!("arn:aws:s3:::bucket-{}/k", ACCOUNT_POLICIES - 1);
    let request = Request {
        principal: Some(&alice),
        action: "s3:GetObject",
        resource: &resource,
        resource_account: None,
        context: &context,
    };
    bencher.bench_local(|| {
        let identity: Vec<Named<'_>> =
            attached.iter().map(|name| Named { name, policy: &account[name] }).collect();
        let layers = Layers { identity: &identity, ..Layers::default() };
        let decision = evaluate(black_box(&request), black_box(&layers));
        assert_eq!(decision, Decision::Allow);
        decision
    });
}

/// Cedar: one set holds the account, each policy names its principal; the set is evaluated whole.
#[divan::bench]
fn cedar_large_account(bencher: Bencher<'_, '_>) {
    let text: String = (0..ACCOUNT_POLICIES)
        .map(|n| {
            let user = (ACCOUNT_POLICIES - 1 - n) / ATTACHED;
            format!(
                "permit(principal == User::\"user-{user}\", action == Action::\"GetObject\",
                 resource == Object::\"bucket-{n}/k\")
                 when {{ context.secure == true && context.team == \"red\" }};\n"
            )
        })
        .collect();
    let set: PolicySet = text.parse().unwrap();
    let request = CedarRequest::new(
        "User::\"user-0\"".parse().unwrap(),
        "Action::\"GetObject\"".parse().unwrap(),
        format!("Object::\"bucket-{}/k\"", ACCOUNT_POLICIES - 1).parse().unwrap(),
        CedarContext::from_json_value(cedar_json(), None).unwrap(),
        None,
    )
    .unwrap();
    let (authorizer, entities) = (Authorizer::new(), Entities::empty());
    let decide = || authorizer.is_authorized(&request, &set, &entities).decision();
    assert_eq!(decide(), cedar_policy::Decision::Allow);
    bencher.bench_local(|| black_box(decide()));
}

fn cedar_json() -> serde_json::Value {
    serde_json::json!({"secure": true, "team": "red"})
}
