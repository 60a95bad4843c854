//! How long a decision takes: 1, 10 and 100 attached policies, all layers together, and an account
//! of 10,000 policies of which ten are attached. Allocations are counted: the allow path has none.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop")]

use std::collections::HashMap;

use divan::{Bencher, black_box};
use writ_policy::{
    Context, Decision, Layers, Mode, Named, Policy, PolicyKind, Principal, Request, ResourceKind,
    evaluate, explain,
};

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// Five statements with conditions; those of policy `n` speak of bucket `n` alone.
fn document(n: usize, principal: &str) -> String {
    let statement = |effect: &str, action: &str, condition: &str| {
        format!(
            r#"{{"Effect":"{effect}",{principal}"Action":{action},
            "Resource":["arn:aws:s3:::bucket-{n}","arn:aws:s3:::bucket-{n}/${{aws:username}}/*"],
            "Condition":{condition}}}"#
        )
    };
    let statements = [
        statement(
            "Allow",
            r#"["s3:Get*","s3:ListBucket"]"#,
            r#"{"Bool":{"aws:SecureTransport":true}}"#,
        ),
        statement(
            "Allow",
            r#""s3:PutObject""#,
            r#"{"StringEquals":{"aws:PrincipalTag/team":"red"}}"#,
        ),
        statement("Allow", r#""ec2:*""#, r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8"]}}"#),
        statement(
            "Deny",
            r#""s3:Delete*""#,
            r#"{"NumericGreaterThan":{"aws:MultiFactorAuthAge":3600}}"#,
        ),
        statement(
            "Deny",
            r#""s3:*""#,
            r#"{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}}"#,
        ),
    ];
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

fn allow_all(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Effect":"Allow",{principal}"Action":"*","Resource":"*"}},
        {{"Effect":"Deny",{principal}"Action":["s3:*","kms:*"],"Resource":"*",
          "Condition":{{"StringNotEquals":{{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}}}}}]}}"#
    )
}

fn parse(text: &str, kind: PolicyKind) -> Policy {
    Policy::load(text, kind)
}

struct World {
    attached: Vec<Policy>,
    guard: Policy,
    bucket: Policy,
    rcp: Policy,
    alice: Principal,
    context: Context,
    object: String,
}

impl World {
    fn new(policies: usize) -> World {
        let identity =
            (0..policies).map(|n| parse(&document(n, ""), PolicyKind::Identity)).collect();
        World::with(identity)
    }

    fn with(attached: Vec<Policy>) -> World {
        let account = "111111111111".parse().unwrap();
        let arn = "arn:aws:iam::111111111111:user/alice".parse().unwrap();
        let context = Context::new()
            .with("aws:SecureTransport", "true")
            .with("aws:PrincipalTag/team", "red")
            .with("aws:SourceIp", "10.1.2.3")
            .with("aws:username", "alice")
            .with("aws:userid", "AIDAALICE")
            .with("aws:PrincipalArn", "arn:aws:iam::111111111111:user/alice")
            .with("aws:PrincipalAccount", "111111111111")
            .with("aws:PrincipalType", "User")
            .with("aws:RequestedRegion", "eu-west-1")
            .with("aws:CurrentTime", "2026-01-01T00:00:00Z");
        let owner = r#""Principal":{"AWS":"111111111111"},"#;
        let deny = allow_all(r#""Principal":"*","#);
        World {
            object: format!("arn:aws:s3:::bucket-{}/alice/report", attached.len() - 1),
            attached,
            guard: parse(&allow_all(""), PolicyKind::Boundary),
            bucket: parse(&document(0, owner), PolicyKind::Resource(ResourceKind::Generic)),
            rcp: parse(&deny, PolicyKind::Rcp),
            alice: Principal::user(arn, account, "AIDAALICE"),
            context,
        }
    }

    fn request<'a>(&'a self, action: &'a str) -> Request<'a> {
        Request {
            principal: Some(&self.alice),
            action,
            resource: &self.object,
            resource_account: Some(self.alice.account),
            context: &self.context,
        }
    }

    fn identity(&self) -> Vec<Named<'_>> {
        self.attached.iter().map(|policy| Named { name: "p", policy }).collect()
    }

    /// Every layer that there is.
    fn full(&self, bencher: Bencher<'_, '_>) {
        let identity = self.identity();
        let guard = [Named { name: "guard", policy: &self.guard }];
        let scps = [guard.to_vec(), guard.to_vec()];
        let rcps = [vec![Named { name: "rcp", policy: &self.rcp }]];
        let layers = Layers {
            identity: &identity,
            boundary: Some(&guard),
            session: Some(&guard),
            resource: Some(Named { name: "bucket", policy: &self.bucket }),
            scps: &scps,
            rcps: &rcps,
            vpce: None,
            mode: Mode::Normal,
        };
        let request = self.request("s3:GetObject");
        assert_eq!(evaluate(&request, &layers), Decision::Allow);
        bencher.bench_local(|| evaluate(black_box(&request), black_box(&layers)));
    }
}

/// Identity policies alone.
#[divan::bench(args = [1, 10, 100], sample_size = 64)]
fn attached_policies(bencher: Bencher<'_, '_>, policies: usize) {
    let world = World::new(policies);
    let identity = world.identity();
    let layers = Layers { identity: &identity, ..Layers::default() };
    let request = world.request("s3:GetObject");
    assert_eq!(evaluate(&request, &layers), Decision::Allow);
    bencher.bench_local(|| evaluate(black_box(&request), black_box(&layers)));
}

/// Ten policies with fifty statements, and every other layer.
#[divan::bench(sample_size = 64)]
fn full_layers(bencher: Bencher<'_, '_>) {
    World::new(10).full(bencher);
}

/// The same in an account of 10,000 policies: finding those attached is part of the work.
#[divan::bench(sample_size = 64)]
fn full_layers_in_a_large_account(bencher: Bencher<'_, '_>) {
    let account: HashMap<usize, Policy> =
        (0..10_000).map(|n| (n, parse(&document(n, ""), PolicyKind::Identity))).collect();
    let attached: Vec<usize> = (0..10).map(|n| n * 997).collect();
    let world = World::new(1);
    let object = "arn:aws:s3:::bucket-8973/alice/report";
    let guard = [Named { name: "guard", policy: &world.guard }];
    let scps = [guard.to_vec(), guard.to_vec()];
    let rcps = [vec![Named { name: "rcp", policy: &world.rcp }]];
    let mut request = world.request("s3:GetObject");
    request.resource = object;
    bencher.bench_local(|| {
        let mut identity = [guard[0]; 10];
        for (slot, n) in identity.iter_mut().zip(&attached) {
            *slot = Named { name: "p", policy: &account[n] };
        }
        let layers = Layers {
            identity: &identity,
            boundary: Some(&guard),
            session: Some(&guard),
            resource: Some(Named { name: "bucket", policy: &world.bucket }),
            scps: &scps,
            rcps: &rcps,
            vpce: None,
            mode: Mode::Normal,
        };
        let decision = evaluate(black_box(&request), black_box(&layers));
        assert_eq!(decision, Decision::Allow);
        decision
    });
}

/// A denial, and its explanation.
#[divan::bench]
fn denial_with_explanation(bencher: Bencher<'_, '_>) {
    let world = World::new(10);
    let identity = world.identity();
    let layers = Layers { identity: &identity, ..Layers::default() };
    let request = world.request("s3:DeleteBucket");
    assert_ne!(evaluate(&request, &layers), Decision::Allow);
    bencher.bench_local(|| explain(black_box(&request), black_box(&layers)));
}

/// Parsing and compiling one policy.
#[divan::bench]
fn parse_and_compile(bencher: Bencher<'_, '_>) {
    let text = document(0, "");
    bencher.bench_local(|| Policy::parse(black_box(&text), PolicyKind::Identity));
}
