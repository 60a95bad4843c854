//! Tables of "Policy evaluation logic": layers, principals of resource policies, accounts, and the
//! roots of trust. Each denial is checked for its reason too.

use serde_json::{Value, json};
use writ_policy::cases::eval_case;

pub(crate) fn answer(case: &Value) -> Value {
    serde_json::from_str(&eval_case(&case.to_string())).unwrap()
}

/// The decision is as expected, and the reason begins or ends with what belongs to it.
pub(crate) fn check(case: &Value, expected: &str) -> Value {
    let answer = answer(case);
    assert_eq!(answer["decision"], expected, "{case:#}\n{answer:#}");
    answer
}

fn check_reason(case: &Value, expected: &str, reason: &str) {
    let answer = check(case, expected);
    let found = answer["reason"].as_str().unwrap();
    assert!(found.ends_with(reason), "{found} should end with {reason}\n{case:#}");
}

const A: &str = "111111111111";
const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const ROOT: &str = "arn:aws:iam::111111111111:root";
const ROLE: &str = "arn:aws:iam::111111111111:role/R";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/R/s";
const FEDERATED: &str = "arn:aws:sts::111111111111:federated-user/f";
const LINKED: &str = "arn:aws:iam::111111111111:role/aws-service-role/x.amazonaws.com/R";
const CAROL: &str = "arn:aws:iam::222222222222:user/carol";
const OBJECT: &str = "arn:aws:s3:::b/k";
const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/k";
const TARGET: &str = "arn:aws:iam::111111111111:role/T";

fn document(statement: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statement})
}

fn allow(action: &str) -> Value {
    document(&json!({"Sid": "Yes", "Effect": "Allow", "Action": action, "Resource": "*"}))
}

fn deny(action: &str) -> Value {
    document(&json!({"Sid": "No", "Effect": "Deny", "Action": action, "Resource": "*"}))
}

fn resource(effect: &str, principal: &Value) -> Value {
    document(&json!({"Effect": effect, "Principal": principal, "Action": "*", "Resource": "*"}))
}

fn trust(principal: &Value) -> Value {
    document(&json!({"Effect": "Allow", "Principal": principal, "Action": "sts:*"}))
}

/// A case with `members` on top of a caller, an action and a resource of account A.
fn case(principal: &str, action: &str, resource: &str, members: Value) -> Value {
    let mut case = json!({"principal": principal, "action": action, "resource": resource,
        "resourceAccount": A});
    case.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    case
}

fn get(principal: &str, members: Value) -> Value {
    case(principal, "s3:GetObject", OBJECT, members)
}

const NO_IDENTITY: &str = "because no identity-based policy allows the s3:GetObject action";
const NO_BOUNDARY: &str = "because no permissions boundary allows the s3:GetObject action";
const NO_SESSION: &str = "because no session policy allows the s3:GetObject action";
const NO_RESOURCE: &str = "because no resource-based policy allows the s3:GetObject action";
const NO_SCP: &str = "because no service control policy allows the s3:GetObject action";
const NO_VPCE: &str = "because no VPC endpoint policy allows the s3:GetObject action";

#[test]
fn default_is_an_implicit_deny_except_for_root() {
    check_reason(&get(ALICE, json!({})), "ImplicitlyDenied", NO_IDENTITY);
    check(&get(ROOT, json!({})), "Allowed");
    check(&get(ALICE, json!({"identity": [allow("s3:*")]})), "Allowed");
    check(&get(ALICE, json!({"identity": [allow("ec2:*"), allow("s3:Get*")]})), "Allowed");
    check(&get(SESSION, json!({"identity": [allow("*")]})), "Allowed");
}

#[test]
fn explicit_deny_of_every_layer_beats_every_allow() {
    let everyone = json!("*");
    let everything = json!({"identity": [allow("*")], "boundary": [allow("*")],
        "session": allow("*"), "resourcePolicy": resource("Allow", &everyone),
        "scps": [[allow("*")], [allow("*")]], "rcps": [], "vpce": [resource("Allow", &everyone)]});
    check(&get(SESSION, everything.clone()), "Allowed");
    let denied = resource("Deny", &everyone);
    for (layer, value, policy, name) in [
        ("identity", json!([allow("*"), deny("s3:*")]), "identity[1]", "an identity-based policy"),
        ("boundary", json!([allow("*"), deny("*")]), "boundary[1]", "a permissions boundary"),
        ("session", deny("s3:GetObject"), "session", "a session policy"),
        ("resourcePolicy", denied.clone(), "resourcePolicy", "a resource-based policy"),
        (
            "scps",
            json!([[allow("*")], [allow("*"), deny("*")]]),
            "scps[1][1]",
            "a service control policy",
        ),
        ("rcps", json!([[], [denied.clone()]]), "rcps[1][0]", "a resource control policy"),
        ("vpce", json!([denied.clone()]), "vpce[0]", "a VPC endpoint policy"),
    ] {
        let mut members = everything.clone();
        members[layer] = value;
        let answer = check(&get(SESSION, members), "ExplicitlyDenied");
        assert_eq!(
            answer["reason"],
            format!(
                "User: {SESSION} is not authorized to perform: s3:GetObject on resource: {OBJECT} \
                 with an explicit deny in {name}"
            )
        );
        let statement =
            if policy.contains("rcps") || name.contains("VPC") || name.contains("resource-") {
                json!(0)
            } else {
                json!("No")
            };
        assert_eq!(answer["matched"], json!([{"policy": policy, "statement": statement}]));
    }
}

#[test]
fn every_level_of_scps_must_allow() {
    let with = |scps: Value| json!({"identity": [allow("*")], "scps": scps});
    for (scps, expected) in [
        (json!([]), "Allowed"),
        (json!([[allow("*")], [allow("s3:*")], [allow("s3:GetObject")]]), "Allowed"),
        (json!([[allow("ec2:*"), allow("s3:*")]]), "Allowed"),
        (json!([[allow("*")], [allow("ec2:*")]]), "ImplicitlyDenied"),
        (json!([[]]), "ImplicitlyDenied"),
        // Since 2025 SCPs take resources, conditions and inner wildcards on Allow.
        (
            json!([[document(&json!({"Effect": "Allow", "Action": "s3:*Object", "NotResource":
            "arn:aws:s3:::c/*", "Condition": {"Null": {"aws:x": "true"}}}))]]),
            "Allowed",
        ),
        (
            json!([[document(&json!({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}))]]),
            "ImplicitlyDenied",
        ),
    ] {
        let reason = if expected == "Allowed" { "policy" } else { NO_SCP };
        check_reason(&get(ALICE, with(scps.clone())), expected, reason);
        check(&get(ROOT, with(scps.clone())), expected);
        // A grant of the resource policy does not pass an SCP.
        let mut members = with(scps);
        members["resourcePolicy"] = resource("Allow", &json!({"AWS": ALICE}));
        check(&get(ALICE, members), expected);
    }
    let deny_all = json!({"identity": [allow("*")], "scps": [[deny("*")]], "rcps":
        [[resource("Deny", &json!("*"))]], "context": {"aws:PrincipalArn": LINKED}});
    check(&get(SESSION, deny_all), "Allowed");
    let linked = "arn:aws:sts::111111111111:assumed-role/AWSServiceRoleForSupport/s";
    check(&get(linked, json!({"identity": [allow("*")], "scps": [[deny("*")]]})), "Allowed");
    let service = json!({"scps": [[deny("*")]], "resourcePolicy":
        resource("Allow", &json!({"Service": "s3.amazonaws.com"}))});
    check(&get("s3.amazonaws.com", service), "Allowed");
}

#[test]
fn rcps_only_deny_and_only_for_services_that_have_them() {
    let deny_all = json!([[resource("Deny", &json!("*"))]]);
    let full = json!([[resource("Allow", &json!("*"))], []]);
    let with = |rcps: &Value| json!({"identity": [allow("*")], "rcps": rcps});
    check(&get(ALICE, with(&full)), "Allowed");
    check(&get(ALICE, with(&json!([[], []]))), "Allowed");
    check_reason(&get(ALICE, with(&deny_all)), "ExplicitlyDenied", "in a resource control policy");
    check(&get(ROOT, with(&deny_all)), "ExplicitlyDenied");
    check(&case(ALICE, "ec2:RunInstances", "*", with(&deny_all)), "Allowed");
    let mut anonymous = get(
        "",
        json!({"rcps": deny_all, "resourcePolicy":
        resource("Allow", &json!("*"))}),
    );
    anonymous["principal"] = Value::Null;
    check(&anonymous, "ExplicitlyDenied");
}

#[test]
fn vpc_endpoint_policy_must_allow() {
    let with = |policy: Value| json!({"identity": [allow("*")], "vpce": [policy]});
    check(&get(ALICE, with(resource("Allow", &json!("*")))), "Allowed");
    check(&get(ALICE, with(resource("Allow", &json!({"AWS": A})))), "Allowed");
    check_reason(
        &get(ALICE, with(resource("Allow", &json!({"AWS": CAROL})))),
        "ImplicitlyDenied",
        NO_VPCE,
    );
    check(&get(ROOT, with(resource("Allow", &json!({"AWS": CAROL})))), "ImplicitlyDenied");
}

/// Rows: caller, principal element; columns: nothing but the grant, boundary without allow, session
/// policy without allow. "Resource-based policies" in "Evaluation for a single account".
#[test]
fn grants_of_resource_policies_survive_what_the_table_says() {
    let none = allow("none:*");
    let rows = [
        (ALICE, json!({"AWS": ALICE}), true, true, true),
        (SESSION, json!({"AWS": ROLE}), true, false, false),
        (SESSION, json!({"AWS": SESSION}), true, true, true),
        (FEDERATED, json!({"AWS": FEDERATED}), true, true, true),
        (ALICE, json!({"AWS": ROOT}), false, false, false),
        (ALICE, json!({"AWS": A}), false, false, false),
        (SESSION, json!({"AWS": A}), false, false, false),
        (ALICE, json!("*"), true, true, true),
        (SESSION, json!({"AWS": "*"}), true, true, true),
        (SESSION, json!({"AWS": ["*"]}), true, true, true),
        (SESSION, json!({"AWS": [ROLE, SESSION]}), true, true, true),
        (ALICE, json!({"Service": "s3.amazonaws.com"}), false, false, false),
        (ALICE, json!({"AWS": "arn:aws:iam::111111111111:user/bob"}), false, false, false),
    ];
    for (caller, principal, alone, boundary, session) in rows {
        let grant = resource("Allow", &principal);
        let says = |allowed| if allowed { "Allowed" } else { "ImplicitlyDenied" };
        let policy = json!({"resourcePolicy": grant});
        check(&get(caller, policy), says(alone));
        let policy = json!({"resourcePolicy": grant, "boundary": [none]});
        check(&get(caller, policy), says(boundary));
        let policy = json!({"resourcePolicy": grant, "session": none});
        check(&get(caller, policy), says(session));
        let policy = json!({"resourcePolicy": grant, "identity": [deny("*")]});
        check(&get(caller, policy), "ExplicitlyDenied");
    }
    // What limits a grant to a role is named as the reason.
    let grant = resource("Allow", &json!({"AWS": ROLE}));
    for (layer, value, reason) in
        [("boundary", json!([none]), NO_BOUNDARY), ("session", none.clone(), NO_SESSION)]
    {
        let mut members = json!({"resourcePolicy": grant});
        members[layer] = value;
        check_reason(&get(SESSION, members), "ImplicitlyDenied", reason);
    }
    // With an account as principal the identity policy decides.
    let account = json!({"resourcePolicy": resource("Allow", &json!({"AWS": A})), "identity":
        [allow("s3:*")]});
    check(&get(ALICE, account), "Allowed");
    let service = json!({"resourcePolicy": resource("Allow", &json!({"Service":
        ["ec2.amazonaws.com", "s3.amazonaws.com"]}))});
    check(&get("s3.amazonaws.com", service), "Allowed");
}

#[test]
fn identity_boundary_and_session_intersect() {
    let some = |action: &str| json!([allow(action)]);
    let cases = [
        ("s3:*", "s3:*", "s3:*", "Allowed", "policy"),
        ("ec2:*", "s3:*", "s3:*", "ImplicitlyDenied", NO_IDENTITY),
        ("s3:*", "ec2:*", "s3:*", "ImplicitlyDenied", NO_BOUNDARY),
        ("s3:*", "s3:*", "ec2:*", "ImplicitlyDenied", NO_SESSION),
    ];
    for (identity, boundary, session, expected, reason) in cases {
        let members = json!({"identity": some(identity), "boundary": some(boundary), "session":
            allow(session)});
        check_reason(&get(SESSION, members), expected, reason);
    }
    // A boundary does not grant, and does not bound root or service-linked roles.
    check(&get(ALICE, json!({"boundary": some("*")})), "ImplicitlyDenied");
    check(&get(ALICE, json!({"identity": some("*"), "boundary": [], "vpce": []})), "Allowed");
    check(&get(ROOT, json!({"boundary": some("ec2:*")})), "Allowed");
    let linked = json!({"identity": some("*"), "boundary": some("ec2:*"), "context":
        {"aws:PrincipalArn": LINKED}});
    check(&get(SESSION, linked), "Allowed");
}

#[test]
fn federated_user_without_session_policy_has_only_resource_grants() {
    check_reason(
        &get(FEDERATED, json!({"identity": [allow("*")]})),
        "ImplicitlyDenied",
        NO_SESSION,
    );
    let both = json!({"identity": [allow("*")], "session": allow("s3:*")});
    check(&get(FEDERATED, both), "Allowed");
    let grant = json!({"resourcePolicy": resource("Allow", &json!({"AWS": FEDERATED}))});
    check(&get(FEDERATED, grant), "Allowed");
}

/// "Cross-account policy evaluation logic": C-12.
#[test]
fn across_accounts_both_sides_must_allow() {
    let identity = |members: Value| {
        let mut all = json!({"identity": [allow("*")]});
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        all
    };
    let principals = [json!({"AWS": CAROL}), json!({"AWS": "222222222222"}), json!("*")];
    for principal in principals {
        let grant = json!({"resourcePolicy": resource("Allow", &principal)});
        check(&get(CAROL, identity(grant.clone())), "Allowed");
        check_reason(&get(CAROL, grant.clone()), "ImplicitlyDenied", NO_IDENTITY);
        for (layer, value, reason) in [
            ("boundary", json!([allow("ec2:*")]), NO_BOUNDARY),
            ("session", allow("ec2:*"), NO_SESSION),
            ("scps", json!([[allow("ec2:*")]]), NO_SCP),
        ] {
            let mut members = identity(grant.clone());
            members[layer] = value;
            check_reason(&get(CAROL, members), "ImplicitlyDenied", reason);
        }
        let mut members = identity(grant);
        members["rcps"] = json!([[resource("Deny", &json!("*"))]]);
        check(&get(CAROL, members), "ExplicitlyDenied");
    }
    check_reason(&get(CAROL, identity(json!({}))), "ImplicitlyDenied", NO_RESOURCE);
    let other = json!({"resourcePolicy": resource("Allow", &json!({"AWS": A}))});
    check_reason(&get(CAROL, identity(other)), "ImplicitlyDenied", NO_RESOURCE);
    check(&get("arn:aws:iam::222222222222:root", json!({})), "ImplicitlyDenied");
}

#[test]
fn anonymous_callers_have_only_what_a_resource_policy_gives_to_all() {
    let with = |members: Value| {
        let mut case = get("", members);
        case["principal"] = Value::Null;
        case
    };
    let answer = check(&with(json!({})), "ImplicitlyDenied");
    assert_eq!(
        answer["reason"],
        format!(
            "User: anonymous is not authorized to perform: s3:GetObject on resource: {OBJECT} \
                 {NO_RESOURCE}"
        )
    );
    check(&with(json!({"resourcePolicy": resource("Allow", &json!("*"))})), "Allowed");
    check(
        &with(json!({"resourcePolicy": resource("Allow", &json!({"AWS": A}))})),
        "ImplicitlyDenied",
    );
    let closed = document(&json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource":
        "*", "Condition": {"Null": {"aws:PrincipalArn": "false"}}}));
    check(&with(json!({"resourcePolicy": closed})), "ImplicitlyDenied");
    let typed = document(&json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource":
        "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": "anonymous",
        "aws:PrincipalType": "Anonymous"}}}));
    check(&with(json!({"resourcePolicy": typed})), "Allowed");
}

/// "Key policies in AWS KMS": the key policy is the root of trust.
#[test]
fn key_policy_decides_and_may_delegate_to_its_account() {
    let no_key = "because no resource-based policy allows the kms:Decrypt action";
    let no_identity = "because no identity-based policy allows the kms:Decrypt action";
    let decrypt = |caller: &str, members: Value| case(caller, "kms:Decrypt", KEY, members);
    let identity = [allow("kms:*")];
    for (caller, principal, alone, with_identity) in [
        (ALICE, json!({"AWS": ROOT}), false, true),
        (ALICE, json!({"AWS": A}), false, true),
        (ALICE, json!({"AWS": ALICE}), true, true),
        (SESSION, json!({"AWS": ROLE}), true, true),
        (SESSION, json!({"AWS": SESSION}), true, true),
        (ALICE, json!("*"), true, true),
        (ALICE, json!({"AWS": ROLE}), false, false),
        (ROOT, json!({"AWS": ROOT}), true, true),
        (ROOT, json!({"AWS": ALICE}), false, false),
        (CAROL, json!({"AWS": CAROL}), false, true),
        (CAROL, json!({"AWS": "222222222222"}), false, true),
        (CAROL, json!({"AWS": A}), false, false),
    ] {
        let says = |allowed| if allowed { "Allowed" } else { "ImplicitlyDenied" };
        let grant = resource("Allow", &principal);
        check(&decrypt(caller, json!({"resourcePolicy": grant})), says(alone));
        let both = json!({"resourcePolicy": grant, "identity": identity});
        check(&decrypt(caller, both), says(with_identity));
    }
    check_reason(&decrypt(ALICE, json!({"identity": identity})), "ImplicitlyDenied", no_key);
    let delegated = json!({"resourcePolicy": resource("Allow", &json!({"AWS": A}))});
    check_reason(&decrypt(ALICE, delegated), "ImplicitlyDenied", no_identity);
    let denied = json!({"identity": identity, "resourcePolicy": document(&json!([
        {"Effect": "Allow", "Principal": {"AWS": A}, "Action": "kms:*", "Resource": "*"},
        {"Sid": "Not here", "Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt",
         "Resource": "*", "Condition": {"Bool": {"writ:Delegated": "true"}}}])),
        "context": {"writ:Delegated": "true"}});
    let answer = check(&decrypt(ALICE, denied), "ExplicitlyDenied");
    assert_eq!(answer["matched"], json!([{"policy": "resourcePolicy", "statement": "Not here"}]));
    // Actions that concern no key are the identity policies' alone.
    for (action, resource) in
        [("kms:CreateKey", "*"), ("kms:CreateAlias", "arn:aws:kms:eu-west-1:111111111111:alias/a")]
    {
        check(&case(ALICE, action, resource, json!({"identity": identity})), "Allowed");
    }
}

/// "Policy evaluation for role trust policies".
#[test]
fn trust_policy_decides_who_assumes_a_role() {
    let assume = |caller: &str, members: Value| case(caller, "sts:AssumeRole", TARGET, members);
    let no_trust = "because no role trust policy allows the sts:AssumeRole action";
    let identity = [allow("sts:AssumeRole")];
    for (caller, principal, alone, with_identity) in [
        (ALICE, json!({"AWS": ALICE}), true, true),
        (ALICE, json!({"AWS": A}), false, true),
        (SESSION, json!({"AWS": ROLE}), true, true),
        (CAROL, json!({"AWS": CAROL}), false, true),
        (CAROL, json!({"AWS": "222222222222"}), false, true),
        (ALICE, json!({"Service": "ec2.amazonaws.com"}), false, false),
    ] {
        let says = |allowed| if allowed { "Allowed" } else { "ImplicitlyDenied" };
        let grant = trust(&principal);
        check(&assume(caller, json!({"resourcePolicy": grant})), says(alone));
        let both = json!({"resourcePolicy": grant, "identity": identity});
        check(&assume(caller, both), says(with_identity));
    }
    check_reason(&assume(ALICE, json!({"identity": identity})), "ImplicitlyDenied", no_trust);
    check_reason(&assume(CAROL, json!({"identity": identity})), "ImplicitlyDenied", no_trust);
    let denied = document(&json!({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}));
    let deny = json!({"resourcePolicy": denied, "identity": identity});
    check_reason(
        &assume(ALICE, deny),
        "ExplicitlyDenied",
        "with an explicit deny in the role trust policy",
    );
    let service = json!({"resourcePolicy": trust(&json!({"Service": "ec2.amazonaws.com"}))});
    check(&assume("ec2.amazonaws.com", service), "Allowed");
    let provider = "arn:aws:iam::111111111111:oidc-provider/token.example.com";
    let federated = document(&json!({"Effect": "Allow", "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals":
        {"token.example.com:sub": "repo"}}}));
    for (subject, expected) in [("repo", "Allowed"), ("other", "ImplicitlyDenied")] {
        let members = json!({"resourcePolicy": federated, "context":
            {"token.example.com:sub": subject}});
        check(&case(provider, "sts:AssumeRoleWithWebIdentity", TARGET, members), expected);
    }
}

#[test]
fn get_caller_identity_cannot_be_denied() {
    let members = json!({"identity": [deny("*")], "scps": [[deny("*")]]});
    check(&case(ALICE, "sts:GetCallerIdentity", "*", members.clone()), "Allowed");
    check(&case(ALICE, "sts:GetSessionToken", "*", members), "Allowed");
}

/// "AWS JSON policy elements: NotPrincipal".
#[test]
fn not_principal_with_deny_spares_only_who_is_listed_in_full() {
    let session = format!("arn:aws:sts::{A}:assumed-role/R/s");
    let other = format!("arn:aws:sts::{A}:assumed-role/R/t");
    for (caller, list, denied) in [
        (ALICE, vec![ALICE, ROOT], false),
        (ALICE, vec![ALICE, A], false),
        (ALICE, vec![ALICE], true),
        (ALICE, vec![ROOT], true),
        (ROOT, vec![ROOT], false),
        (SESSION, vec![ROOT, ROLE, &session], false),
        (SESSION, vec![ROOT, ROLE], true),
        (SESSION, vec![ROLE, &session], true),
        (SESSION, vec![ROOT, ROLE, &other], true),
        (FEDERATED, vec![ROOT, FEDERATED], false),
    ] {
        let policy = document(&json!({"Effect": "Deny", "NotPrincipal": {"AWS": list}, "Action":
            "*", "Resource": "*"}));
        let members = json!({"identity": [allow("*")], "session": allow("*"), "resourcePolicy":
            policy});
        let expected = if denied { "ExplicitlyDenied" } else { "Allowed" };
        check(&get(caller, members.clone()), expected);
        // A caller with a boundary is always denied; root cannot have one.
        let mut bounded = members;
        bounded["boundary"] = json!([allow("*")]);
        let expected = if denied || caller != ROOT { "ExplicitlyDenied" } else { "Allowed" };
        check(&get(caller, bounded), expected);
    }
    let all_but_alice = document(&json!({"Effect": "Allow", "NotPrincipal": {"AWS": ALICE},
        "Action": "*", "Resource": "*"}));
    let bob = "arn:aws:iam::111111111111:user/bob";
    check(&get(bob, json!({"resourcePolicy": all_but_alice})), "Allowed");
    check(&get(ALICE, json!({"resourcePolicy": all_but_alice})), "ImplicitlyDenied");
}

/// "Even if their bucket policy explicitly denies the root principal's access", PutBucketPolicy.
#[test]
fn root_of_the_owner_gets_at_a_bucket_policy_that_denies_everybody() {
    let nobody = resource("Deny", &json!("*"));
    let bucket = "arn:aws:s3:::b";
    let foreign = "arn:aws:iam::222222222222:root";
    let wide = json!([allow("*")]);
    for (principal, action, expected) in [
        (ROOT, "s3:GetBucketPolicy", "Allowed"),
        (ROOT, "s3:PutBucketPolicy", "Allowed"),
        (ROOT, "s3:DeleteBucketPolicy", "Allowed"),
        (ROOT, "s3:GetObject", "ExplicitlyDenied"),
        (ROOT, "s3:DeleteBucket", "ExplicitlyDenied"),
        (foreign, "s3:PutBucketPolicy", "ExplicitlyDenied"),
        (ALICE, "s3:PutBucketPolicy", "ExplicitlyDenied"),
    ] {
        let members = json!({"resourcePolicy": nobody, "identity": wide});
        check(&case(principal, action, bucket, members), expected);
    }
    // Without a bucket policy the mode is the normal one.
    for (principal, identity, expected) in [
        (ALICE, wide.clone(), "Allowed"),
        (ALICE, json!([]), "ImplicitlyDenied"),
        (foreign, wide.clone(), "ImplicitlyDenied"),
    ] {
        let members = json!({"identity": identity});
        check(&case(principal, "s3:PutBucketPolicy", bucket, members), expected);
    }
    let closed = json!({"vpce": [resource("Deny", &json!("*"))]});
    check(&case(ROOT, "s3:PutBucketPolicy", bucket, closed), "ExplicitlyDenied");
}
