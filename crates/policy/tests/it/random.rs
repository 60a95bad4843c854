//! Random policies and contexts: engine, explanation and the naive evaluator must agree.

use serde_json::{Map, Value, json};
use writ_model::{AccountId, Arn};
use writ_policy::{
    Context, Decision, DenyKind, Layers, Mode, Named, Policy, PolicyKind, Principal, Request,
    ResourceKind, evaluate, explain, verdict,
};

use crate::reference::{Caller, Keys, Question, decide};

/// Requests a run.
const CASES: usize = 30_000;
/// Documents of each kind.
const DOCUMENTS: usize = 500;

const A: &str = "111111111111";
const B: &str = "222222222222";

const CALLERS: [Caller; 12] = [
    caller("root", A, "arn:aws:iam::111111111111:root", "", false),
    caller("user", A, "arn:aws:iam::111111111111:user/alice", "", false),
    caller("user", A, "arn:aws:iam::111111111111:user/bob", "", false),
    caller("role", A, "arn:aws:sts::111111111111:assumed-role/R/s1", ROLE, false),
    caller("role", A, "arn:aws:sts::111111111111:assumed-role/R/s2", ROLE, false),
    caller("role", A, "arn:aws:sts::111111111111:assumed-role/L/s1", LINKED, true),
    caller("federated", A, "arn:aws:sts::111111111111:federated-user/f", ALICE, false),
    caller("root", B, "arn:aws:iam::222222222222:root", "", false),
    caller("user", B, "arn:aws:iam::222222222222:user/carol", "", false),
    caller("role", B, "arn:aws:sts::222222222222:assumed-role/Q/s1", OTHER_ROLE, false),
    caller("service", "", "s3.amazonaws.com", "", false),
    caller("anonymous", "", "", "", false),
];
const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const ROLE: &str = "arn:aws:iam::111111111111:role/R";
const LINKED: &str = "arn:aws:iam::111111111111:role/aws-service-role/x.amazonaws.com/L";
const OTHER_ROLE: &str = "arn:aws:iam::222222222222:role/Q";

const fn caller(
    kind: &'static str,
    account: &'static str,
    arn: &'static str,
    owner: &'static str,
    linked: bool,
) -> Caller {
    Caller { kind, account, arn, owner, linked }
}

const ACTIONS: [(&str, &[&str]); 7] = [
    ("s3:GetObject", &["arn:aws:s3:::b/k", "arn:aws:s3:::b/alice/x", "arn:aws:s3:::b/a*c"]),
    ("S3:PutObject", &["arn:aws:s3:::b/k", "arn:aws:s3:::c/red/k"]),
    ("s3:ListAllMyBuckets", &["*"]),
    ("s3:PutBucketPolicy", &["arn:aws:s3:::b"]),
    ("kms:Decrypt", &["arn:aws:kms:eu-west-1:111111111111:key/1"]),
    ("ec2:RunInstances", &["arn:aws:ec2:eu-west-1:111111111111:instance/i-1"]),
    ("sts:AssumeRole", &["arn:aws:iam::111111111111:role/T"]),
];

const ACTION_PATTERNS: [&str; 13] = [
    "*",
    "*:*",
    "s3:*",
    "s3:Get*",
    "s3:getobject",
    "s3:?etObject",
    "s3:*Object",
    "kms:*",
    "kms:Decrypt",
    "sts:AssumeRole",
    "ec2:*",
    "ec2:Run*nces",
    "iam:*",
];

const RESOURCE_PATTERNS: [&str; 14] = [
    "*",
    "*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::?/k",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::c/${aws:PrincipalTag/team, 'red'}/k",
    "arn:aws:s3:::b/a${*}c",
    "arn:aws:kms:*:111111111111:key/*",
    "arn:aws:kms:eu-west-1:*",
    "arn:aws:ec2:*:*:instance/*",
    "arn:aws:iam::111111111111:role/*",
    "arn:*:s3:::b/${aws:nothing}",
];

const OPERATORS: [(&str, &[&str]); 27] = [
    ("StringEquals", TEXTS),
    ("StringNotEquals", TEXTS),
    ("StringEqualsIgnoreCase", TEXTS),
    ("StringNotEqualsIgnoreCase", TEXTS),
    ("StringLike", TEXTS),
    ("StringNotLike", TEXTS),
    ("NumericEquals", NUMBERS),
    ("NumericNotEquals", NUMBERS),
    ("NumericLessThan", NUMBERS),
    ("NumericLessThanEquals", NUMBERS),
    ("NumericGreaterThan", NUMBERS),
    ("NumericGreaterThanEquals", NUMBERS),
    ("DateEquals", DATES),
    ("DateNotEquals", DATES),
    ("DateLessThan", DATES),
    ("DateLessThanEquals", DATES),
    ("DateGreaterThan", DATES),
    ("DateGreaterThanEquals", DATES),
    ("Bool", BOOLS),
    ("BinaryEquals", BINARIES),
    ("IpAddress", NETWORKS),
    ("NotIpAddress", NETWORKS),
    ("ArnEquals", ARNS),
    ("ArnLike", ARNS),
    ("ArnNotEquals", ARNS),
    ("ArnNotLike", ARNS),
    ("Null", BOOLS),
];
const TEXTS: &[&str] =
    &["red", "RED", "r*", "?ed", "blue", "", "${aws:PrincipalTag/team}", "${aws:username, 'red'}"];
const NUMBERS: &[&str] = &["1", "10", "10.5", "-3"];
const DATES: &[&str] = &["2024-01-01T00:00:00Z", "2025-06-01", "1704067200"];
const BOOLS: &[&str] = &["true", "false"];
const BINARIES: &[&str] = &["aGk=", "aGV5"];
const NETWORKS: &[&str] = &["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "192.168.0.0/16"];
const ARNS: &[&str] = &["arn:aws:s3:::b", "arn:aws:s3:::*", "arn:aws:*", "arn:aws:sns:*:1*:t", "*"];

const KEYS: [(&str, &[&str]); 9] = [
    ("aws:PrincipalTag/team", &["red", "RED", "blue", ""]),
    ("aws:TagKeys", &["red", "blue", "green"]),
    ("s3:max-keys", &["1", "10", "11", "many"]),
    ("aws:CurrentTime", &["2024-01-01T00:00:00Z", "2025-06-01", "1704067201", "soon"]),
    ("aws:SecureTransport", &["true", "FALSE", "maybe"]),
    ("test:binary", &["aGk=", "aGV5", "%"]),
    ("aws:SourceIp", &["10.1.2.3", "192.168.7.7", "8.8.8.8", "here"]),
    ("aws:SourceArn", &["arn:aws:s3:::b", "arn:aws:sns:eu-west-1:111:t", "b"]),
    ("aws:username", &["alice", "a*c", "red"]),
];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    fn some(&mut self, from: &[&str]) -> Value {
        let count = 1 + self.roll(2);
        let items: Vec<&str> = (0..count).map(|_| *self.pick(from)).collect();
        if items.len() == 1 && self.roll(2) == 0 { json!(items[0]) } else { json!(items) }
    }

    fn conditions(&mut self) -> Value {
        let mut operators = Map::new();
        for _ in 0..1 + self.roll(2) {
            let (operator, values) = self.pick(&OPERATORS);
            let set = self.pick(&["", "", "ForAllValues:", "ForAnyValue:"]);
            let suffix = if *operator != "Null" && self.roll(4) == 0 { "IfExists" } else { "" };
            // Mostly a key whose values fit the operator, so that conditions hold often enough.
            let fitting = match operator.as_bytes()[0] {
                b'S' => self.roll(2),
                b'D' => 3,
                b'B' if *operator == "Bool" => 4,
                b'B' => 5,
                b'I' => 6,
                b'A' => 7,
                b'N' if operator.starts_with("Numeric") => 2,
                b'N' if operator.starts_with("NotIp") => 6,
                _ => self.roll(KEYS.len()),
            };
            let at = if self.roll(5) == 0 { self.roll(KEYS.len()) } else { fitting };
            let key = KEYS[at].0;
            let name = format!("{set}{operator}{suffix}");
            operators.insert(name, json!({ key: self.some(values) }));
        }
        Value::Object(operators)
    }

    fn principals(&mut self, kind: PolicyKind) -> Value {
        if kind == PolicyKind::Rcp || self.roll(3) == 0 {
            return if self.roll(2) == 0 { json!("*") } else { json!({"AWS": "*"}) };
        }
        let arns: Vec<&str> = CALLERS
            .iter()
            .filter(|c| c.arn.starts_with("arn:"))
            .flat_map(|c| [c.arn, c.owner, c.account])
            .filter(|text| !text.is_empty())
            .collect();
        if self.roll(8) == 0 {
            json!({"Service": "s3.amazonaws.com", "AWS": self.some(&arns)})
        } else {
            let count = 1 + self.roll(4);
            json!({"AWS": (0..count).map(|_| *self.pick(&arns)).collect::<Vec<_>>()})
        }
    }

    fn statement(&mut self, kind: PolicyKind) -> Value {
        let mut s = Map::new();
        let deny = kind == PolicyKind::Rcp || self.roll(5) == 0;
        s.insert("Effect".into(), json!(if deny { "Deny" } else { "Allow" }));
        let trust = kind == PolicyKind::Trust;
        let patterns: Vec<&str> =
            ACTION_PATTERNS.into_iter().filter(|p| !trust || p.starts_with(['*', 't'])).collect();
        let not = if kind != PolicyKind::Rcp && self.roll(6) == 0 { "NotAction" } else { "Action" };
        s.insert(not.into(), self.some(&patterns));
        if !trust {
            let not = if self.roll(6) == 0 { "NotResource" } else { "Resource" };
            s.insert(not.into(), self.some(&RESOURCE_PATTERNS));
        }
        let resource = matches!(kind, PolicyKind::Resource(_) | PolicyKind::VpcEndpoint);
        if resource || matches!(kind, PolicyKind::Trust | PolicyKind::Rcp) {
            let not = resource && self.roll(5) == 0;
            let name = if not { "NotPrincipal" } else { "Principal" };
            s.insert(name.into(), self.principals(kind));
        }
        if self.roll(2) == 0 {
            s.insert("Condition".into(), self.conditions());
        }
        Value::Object(s)
    }

    fn document(&mut self, kind: PolicyKind) -> (Value, Policy, String) {
        let count = 1 + self.roll(3);
        let statements: Vec<Value> = (0..count).map(|_| self.statement(kind)).collect();
        let version = if self.roll(6) == 0 { "2008-10-17" } else { "2012-10-17" };
        let document = json!({"Version": version, "Statement": statements});
        let policy = Policy::parse(&document.to_string(), kind)
            .unwrap_or_else(|e| panic!("{e}\n{document:#}"));
        let text = document.to_string();
        (document, policy, text)
    }
}

/// Documents as JSON, compiled, and as text, which serves as their name.
type Pool = Vec<(Value, Policy, String)>;

struct Pools {
    identity: Pool,
    resource: Pool,
    trust: Pool,
    scp: Pool,
    rcp: Pool,
    vpce: Pool,
}

/// Picks up to `most` documents for both evaluators.
fn choose<'a>(dice: &mut Dice, pool: &'a Pool, most: usize) -> (Vec<&'a Value>, Vec<Named<'a>>) {
    let count = dice.roll(most + 1);
    let chosen: Vec<&(Value, Policy, String)> = (0..count).map(|_| dice.pick(pool)).collect();
    let named = chosen.iter().map(|(_, policy, name)| Named { name, policy }).collect();
    (chosen.iter().map(|(document, ..)| document).collect(), named)
}

fn sometimes<'a>(
    dice: &mut Dice,
    pool: &'a Pool,
) -> (Option<Vec<&'a Value>>, Option<Vec<Named<'a>>>) {
    if dice.roll(3) > 0 {
        return (None, None);
    }
    let (documents, named) = choose(dice, pool, 3);
    (Some(documents), Some(named))
}

fn levels<'a>(dice: &mut Dice, pool: &'a Pool) -> (Vec<Vec<&'a Value>>, Vec<Vec<Named<'a>>>) {
    if dice.roll(3) > 0 {
        return (vec![], vec![]);
    }
    (0..1 + dice.roll(2)).map(|_| choose(dice, pool, 4)).unzip()
}

fn principal(caller: &Caller) -> Option<Principal> {
    let arn = |text: &str| text.parse::<Arn>().unwrap();
    let account = || caller.account.parse::<AccountId>().unwrap();
    let name = || caller.arn.rsplit('/').next().unwrap();
    match caller.kind {
        "anonymous" => None,
        "service" => Some(Principal::service(caller.arn)),
        "root" => Some(Principal::root(account())),
        "user" => Some(Principal::user(arn(caller.arn), account(), "AIDAX")),
        "role" => Some(Principal::role_session(arn(caller.owner), account(), "AROAX", name())),
        _ => Some(Principal::federated_user(Some(arn(caller.owner)), account(), None, name())),
    }
}

fn keys(dice: &mut Dice) -> (Keys, Context) {
    let (mut keys, mut context) = (Keys::new(), Context::new());
    for (key, values) in KEYS {
        if dice.roll(4) == 0 {
            continue;
        }
        let many = if key == "aws:TagKeys" || dice.roll(12) == 0 { dice.roll(4) } else { 1 };
        let values: Vec<String> = (0..many).map(|_| (*dice.pick(values)).to_owned()).collect();
        keys.insert(key.to_lowercase(), values.clone());
        context.insert_many(key, values);
    }
    (keys, context)
}

fn check_one(dice: &mut Dice, pools: &Pools, principals: &[Option<Principal>]) -> &'static str {
    let who = dice.roll(CALLERS.len());
    let (action, resources) = dice.pick(&ACTIONS);
    let resource = *dice.pick(resources);
    let owner = *dice.pick(&[A, A, B]);
    let trust = action.starts_with("sts");
    let resource_pool = if trust { &pools.trust } else { &pools.resource };
    let (identity, named_identity) = choose(dice, &pools.identity, 4);
    let (boundary, named_boundary) = sometimes(dice, &pools.identity);
    let (session, named_session) = sometimes(dice, &pools.identity);
    let (scps, named_scps) = levels(dice, &pools.scp);
    let (rcps, named_rcps) = levels(dice, &pools.rcp);
    let (vpce, named_vpce) = sometimes(dice, &pools.vpce);
    let chosen = (dice.roll(4) > 0).then(|| dice.pick(resource_pool));
    let (keys, context) = keys(dice);
    let question = Question {
        action,
        resource,
        resource_account: owner,
        identity,
        boundary,
        session,
        resource_policy: chosen.map(|(document, ..)| document),
        scps,
        rcps,
        vpce,
    };
    let layers = Layers {
        identity: &named_identity,
        boundary: named_boundary.as_deref(),
        session: named_session.as_deref(),
        resource: chosen.map(|(_, policy, name)| Named { name, policy }),
        scps: &named_scps,
        rcps: &named_rcps,
        vpce: named_vpce.as_deref(),
        mode: Mode::of(action, resource),
    };
    let request = Request {
        principal: principals[who].as_ref(),
        action,
        resource,
        resource_account: Some(owner.parse().unwrap()),
        context: &context,
    };
    let expected = decide(&question, &CALLERS[who], &keys);
    let found = match evaluate(&request, &layers) {
        Decision::Allow => "Allowed",
        Decision::Deny(DenyKind::Explicit) => "ExplicitlyDenied",
        Decision::Deny(DenyKind::Implicit) => "ImplicitlyDenied",
    };
    let why = explain(&request, &layers);
    let matched: Vec<_> = why.matched().collect();
    assert_eq!(
        expected, found,
        "{} {action} {resource} of {owner}\n{keys:?}\n{:?}\nmatched: {matched:#?}",
        CALLERS[who].arn, why.verdict
    );
    assert_eq!(why.verdict, verdict(&request, &layers), "the trace gives the same verdict");
    assert_eq!(why.denied_by().is_some(), found == "ExplicitlyDenied");
    found
}

/// Goal: the engine decides as AWS's pages say, in combinations that nobody would write by hand.
/// Method: documents, callers, keys and layers are drawn from a small vocabulary; the engine, its
/// explanation and the naive evaluator must agree on each.
#[test]
fn random_cases_get_the_verdict_of_the_naive_evaluator() {
    let seed = 0x5eed_2026_u64;
    println!("seed {seed:#x}");
    let mut dice = Dice(seed);
    let mut pool = |kind| (0..DOCUMENTS).map(|_| dice.document(kind)).collect::<Pool>();
    let pools = Pools {
        identity: pool(PolicyKind::Identity),
        resource: pool(PolicyKind::Resource(ResourceKind::Generic)),
        trust: pool(PolicyKind::Trust),
        scp: pool(PolicyKind::Scp),
        rcp: pool(PolicyKind::Rcp),
        vpce: pool(PolicyKind::VpcEndpoint),
    };
    let principals: Vec<Option<Principal>> = CALLERS.iter().map(principal).collect();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..CASES {
        *counts.entry(check_one(&mut dice, &pools, &principals)).or_insert(0usize) += 1;
    }
    println!("{counts:?}");
    assert!(counts.values().all(|n| *n > CASES / 20), "each verdict is common: {counts:?}");
    assert_eq!(counts.len(), 3);
}
