//! Permits: only `authorize` makes them, for what was allowed and nothing else; and explanations.

use serde_json::json;
use writ_policy::{
    Access, Authorizer, Basis, Call, Context, Denied, DenyKind, Layer, Layers, Mode, Named,
    Operation, Outcome, Permit, Policy, PolicyKind, Principal, Request, StatementName, Verdict,
    authorize,
};

struct CopyObject;

impl Operation for CopyObject {
    const ACTION: &'static str = "s3:PutObject";
}

struct DeleteObject;

impl Operation for DeleteObject {
    const ACTION: &'static str = "s3:DeleteObject";
}

/// An authorizer with one policy for everybody, as a service's test would have.
struct OnePolicy(Policy);

impl Authorizer for OnePolicy {
    fn authorize(&self, call: &Call<'_>) -> Result<Permit, Denied> {
        let identity = [Named { name: "inline", policy: &self.0 }];
        let pairs: Vec<_> = call
            .accesses
            .iter()
            .map(|access| {
                let request = Request {
                    principal: call.principal,
                    action: access.action,
                    resource: access.resource,
                    resource_account: access.resource_account,
                    context: access.context.unwrap_or(call.context),
                };
                let layers = Layers {
                    identity: &identity,
                    session: call.session,
                    resource: access.resource_policy,
                    vpce: call.vpce,
                    mode: access.mode,
                    ..Layers::default()
                };
                (request, layers)
            })
            .collect();
        authorize(&pairs)
    }
}

fn authorizer() -> OnePolicy {
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::a/*"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*", "Condition":
            {"Bool": {"aws:SecureTransport": "true"}}}]});
    OnePolicy(Policy::parse(&document.to_string(), PolicyKind::Identity).unwrap())
}

fn ask(context: &Context, accesses: &[Access<'_>]) -> Result<Permit, Denied> {
    let arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
    let alice = Principal::user(arn, "111111111111".parse().unwrap(), "AIDAALICE");
    let call = Call { principal: Some(&alice), context, session: None, vpce: None, accesses };
    let port: &dyn Authorizer = &authorizer();
    port.authorize(&call)
}

const SOURCE: &str = "arn:aws:s3:::a/k";
const TARGET: &str = "arn:aws:s3:::b/k";

#[test]
fn permit_lists_every_pair_and_its_basis() {
    let context = Context::new().with("aws:SecureTransport", "true");
    let pairs = [Access::new("s3:GetObject", SOURCE), Access::new("s3:PutObject", TARGET)];
    let permit = ask(&context, &pairs).unwrap();
    assert_eq!(permit.pairs().len(), 2);
    assert_eq!(permit.basis(), Some(Basis::Identity));
    assert!(permit.covers("S3:putobject", TARGET) && !permit.covers("s3:PutObject", SOURCE));
    let permit = permit.narrow::<DeleteObject>().expect_err("no such action in it");
    let permit: Permit<CopyObject> = permit.narrow().unwrap();
    assert!(permit.covers("s3:GetObject", SOURCE));
}

#[test]
fn one_refused_pair_refuses_the_call_and_says_why() {
    let context = Context::new();
    let pairs = [Access::new("s3:GetObject", SOURCE), Access::new("s3:PutObject", TARGET)];
    let denied = ask(&context, &pairs).unwrap_err();
    assert_eq!(
        denied.message(),
        "User: arn:aws:iam::111111111111:user/alice is not authorized to perform: s3:PutObject on \
         resource: arn:aws:s3:::b/k because no identity-based policy allows the s3:PutObject action"
    );
    let expected = Verdict {
        decision: writ_policy::Decision::Deny(DenyKind::Implicit),
        basis: None,
        layer: Some(Layer::Identity),
    };
    assert_eq!(denied.explanation.verdict, expected);
    let traces: Vec<_> = denied
        .explanation
        .statements
        .iter()
        .map(|t| (t.layer, &*t.policy, t.statement.clone(), t.outcome.clone()))
        .collect();
    let failed = Outcome::ConditionFails {
        operator: "Bool".to_owned(),
        key: "aws:securetransport".to_owned(),
        missing: true,
    };
    let read = StatementName::Sid("Read".to_owned());
    assert_eq!(
        traces,
        [
            (Layer::Identity, "inline", read, Outcome::ActionDiffers),
            (Layer::Identity, "inline", StatementName::Index(1), failed),
        ]
    );
    let denied = ask(&context, &[Access::new("s3:GetObject", TARGET)]).unwrap_err();
    assert_eq!(denied.explanation.statements[0].outcome, Outcome::ResourceDiffers);
}

#[test]
fn call_that_asks_for_nothing_is_refused() {
    assert!(ask(&Context::new(), &[]).is_err());
}

#[test]
fn mode_of_an_action_is_that_of_its_resource() {
    let key = "arn:aws:kms:eu-west-1:111111111111:key/k";
    for (action, resource, mode) in [
        ("s3:GetObject", SOURCE, Mode::Normal),
        ("s3:PutBucketPolicy", "arn:aws:s3:::b", Mode::RootRecovers),
        ("s3:PutBucketAcl", "arn:aws:s3:::b", Mode::Normal),
        ("KMS:Decrypt", key, Mode::RootOfTrust),
        ("kms:ListKeys", "*", Mode::Normal),
        ("kms:UpdateAlias", "arn:aws:kms:eu-west-1:111111111111:alias/a", Mode::Normal),
        ("sts:AssumeRoleWithSAML", "*", Mode::RootOfTrust),
        ("sts:TagSession", "*", Mode::RootOfTrust),
        ("sts:AssumeRoot", "*", Mode::Normal),
        ("sts:getcalleridentity", "*", Mode::Unconditional),
        ("nonsense", "*", Mode::Normal),
    ] {
        assert_eq!(Mode::of(action, resource), mode, "{action}");
    }
}

#[test]
fn permit_cannot_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
