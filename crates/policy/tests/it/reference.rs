//! A second, naive evaluator, written from AWS's pages alone. It reads documents as plain JSON, has
//! no compiled form and shares no code with the engine; random cases must give the same verdict.

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) struct Caller {
    /// root, user, role, federated, service, anonymous
    pub(crate) kind: &'static str,
    pub(crate) account: &'static str,
    pub(crate) arn: &'static str,
    /// The role of a session, the user behind a federated user.
    pub(crate) owner: &'static str,
    pub(crate) linked: bool,
}

pub(crate) type Keys = BTreeMap<String, Vec<String>>;

#[derive(Default)]
pub(crate) struct Question<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) resource_account: &'a str,
    pub(crate) identity: Vec<&'a Value>,
    pub(crate) boundary: Option<Vec<&'a Value>>,
    pub(crate) session: Option<Vec<&'a Value>>,
    pub(crate) resource_policy: Option<&'a Value>,
    pub(crate) scps: Vec<Vec<&'a Value>>,
    pub(crate) rcps: Vec<Vec<&'a Value>>,
    pub(crate) vpce: Option<Vec<&'a Value>>,
}

fn list(value: Option<&Value>) -> Vec<String> {
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    match value {
        None => vec![],
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(one) => vec![text(one)],
    }
}

fn statements(doc: &Value) -> Vec<&Value> {
    match &doc["Statement"] {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

/// A pattern character: itself, `*` or `?`.
#[derive(Clone, Copy, PartialEq)]
enum P {
    C(char),
    Star,
    One,
}

fn glob(pattern: &[P], text: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(P::Star), _) => {
            glob(&pattern[1..], text) || (!text.is_empty() && glob(pattern, &text[1..]))
        }
        (Some(P::One), Some(_)) => glob(&pattern[1..], &text[1..]),
        (Some(P::C(p)), Some(t)) if p == t => glob(&pattern[1..], &text[1..]),
        _ => false,
    }
}

/// Writes out the variables; `None` if one has no usable value.
fn expand(text: &str, variables: bool, wild: bool, keys: &Keys) -> Option<Vec<P>> {
    let mut out = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        if variables && rest.starts_with("${") {
            let end = rest.find('}').unwrap();
            let inside = &rest[2..end];
            rest = &rest[end + 1..];
            if matches!(inside, "*" | "?" | "$") {
                out.push(P::C(inside.chars().next().unwrap()));
                continue;
            }
            let (key, default) = match inside.split_once(',') {
                Some((k, d)) => (k, Some(d.trim().trim_matches('\'').to_owned())),
                None => (inside, None),
            };
            let value = match keys.get(&key.to_lowercase()).map(Vec::as_slice) {
                None | Some([]) => default?,
                Some([one]) => one.clone(),
                Some(_) => return None,
            };
            out.extend(value.chars().map(P::C));
            continue;
        }
        let c = rest.chars().next().unwrap();
        out.push(match c {
            '*' if wild => P::Star,
            '?' if wild => P::One,
            c => P::C(c),
        });
        rest = &rest[c.len_utf8()..];
    }
    Some(out)
}

fn like(pattern: &str, text: &str, variables: bool, wild: bool, keys: &Keys) -> bool {
    let Some(pattern) = expand(pattern, variables, wild, keys) else { return false };
    glob(&pattern, &text.chars().collect::<Vec<_>>())
}

/// Splits at the first five colons, not inside `${..}`.
fn six(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ':' if depth == 0 && parts.len() < 6 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    parts
}

fn arn_like(pattern: &str, arn: &str, variables: bool, keys: &Keys) -> bool {
    if pattern == "*" {
        return true;
    }
    let mut patterns = six(pattern);
    while patterns.len() < 6 {
        patterns.push("*".into());
    }
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    parts.len() == 6 && patterns.iter().zip(parts).all(|(p, t)| like(p, t, variables, true, keys))
}

fn compare(op: &str, left: f64, right: f64) -> bool {
    match op {
        "Equals" => left == right,
        "LessThan" => left < right,
        "LessThanEquals" => left <= right,
        "GreaterThan" => left > right,
        "GreaterThanEquals" => left >= right,
        _ => unreachable!("{op}"),
    }
}

/// Only the forms that the generator makes.
fn seconds(text: &str) -> Option<f64> {
    match text {
        "2024-01-01T00:00:00Z" => Some(1_704_067_200.0),
        "2025-06-01" => Some(1_748_736_000.0),
        other => other.parse().ok().filter(|_| other.len() != 4),
    }
}

fn ip(text: &str) -> Option<(u32, u32)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let mut octets = vec![];
    for part in address.split('.') {
        octets.push(part.parse::<u8>().ok()?);
    }
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some((u32::from_be_bytes(octets), prefix.parse().ok()?))
}

fn one_matches(op: &str, wanted: &str, value: &str, variables: bool, keys: &Keys) -> bool {
    match op {
        "StringEquals" => like(wanted, value, variables, false, keys),
        "StringEqualsIgnoreCase" => {
            let Some(wanted) = expand(wanted, variables, false, keys) else { return false };
            let lower = |c: char| c.to_lowercase().collect::<String>();
            let wanted: String =
                wanted.iter().map(|p| if let P::C(c) = p { lower(*c) } else { panic!() }).collect();
            wanted == value.to_lowercase()
        }
        "StringLike" => like(wanted, value, variables, true, keys),
        "Bool" => {
            let value = value.to_lowercase();
            (value == "true" || value == "false") && wanted.to_lowercase() == value
        }
        "BinaryEquals" => wanted == value,
        "IpAddress" => match (ip(wanted), ip(value)) {
            (Some((net, bits)), Some((address, 32))) => {
                (0..bits).all(|b| (net >> (31 - b)) & 1 == (address >> (31 - b)) & 1)
            }
            _ => false,
        },
        // What is no ARN is of the wrong type and matches nothing.
        "ArnEquals" | "ArnLike" => {
            value.starts_with("arn:") && arn_like(wanted, value, variables, keys)
        }
        _ => {
            if let Some(op) = op.strip_prefix("Numeric") {
                match (wanted.parse(), value.parse()) {
                    (Ok(w), Ok(v)) => compare(op, v, w),
                    _ => false,
                }
            } else if let Some(op) = op.strip_prefix("Date") {
                match (seconds(wanted), seconds(value)) {
                    (Some(w), Some(v)) => compare(op, v, w),
                    _ => false,
                }
            } else {
                panic!("{op}")
            }
        }
    }
}

fn condition(op: &str, key: &str, wanted: &[String], variables: bool, keys: &Keys) -> bool {
    let (set, op) = match op.split_once(':') {
        Some((set, op)) => (set, op),
        None => ("", op),
    };
    let (op, if_exists) = match op.strip_suffix("IfExists") {
        Some(op) => (op, true),
        None => (op, false),
    };
    let values = keys.get(&key.to_lowercase()).cloned().unwrap_or_default();
    let nothing = values.iter().all(String::is_empty);
    if op == "Null" {
        return wanted.iter().any(|w| (w == "true") == nothing);
    }
    if values.is_empty() && if_exists {
        return true;
    }
    let negated = op.contains("Not");
    let op = op.replace("Not", "");
    let good = |value: &String| {
        let hit = wanted.iter().any(|w| one_matches(&op, w, value, variables, keys));
        if negated { !hit } else { hit }
    };
    match set {
        "ForAllValues" => nothing || values.iter().all(good),
        "ForAnyValue" => !nothing && values.iter().any(good),
        _ if values.is_empty() => negated,
        _ => values.iter().any(good),
    }
}

/// How one principal entry names the caller: "", or any / account / user / role / session / other.
fn names(kind: &str, entry: &str, caller: &Caller) -> &'static str {
    if entry == "*" {
        return "any";
    }
    let owned = matches!(caller.kind, "root" | "user" | "role" | "federated");
    match kind {
        "Service" if caller.kind == "service" && entry == caller.arn => return "other",
        "AWS" => {}
        _ => return "",
    }
    let root = format!("arn:aws:iam::{}:root", caller.account);
    if owned && (entry == caller.account || entry == root) {
        return "account";
    }
    match caller.kind {
        "user" if entry == caller.arn => "user",
        "role" | "federated" if entry == caller.arn => "session",
        "role" | "federated" if entry == caller.owner => "role",
        _ => "",
    }
}

fn all_names(element: &Value, caller: &Caller) -> Vec<&'static str> {
    let mut found = vec![];
    match element {
        Value::String(text) => found.push(names("AWS", text, caller)),
        Value::Object(kinds) => {
            for (kind, entries) in kinds {
                found.extend(list(Some(entries)).iter().map(|e| names(kind, e, caller)));
            }
        }
        _ => panic!(),
    }
    found.retain(|n| !n.is_empty());
    found
}

/// The ways in which a statement applies to the caller; empty if it does not.
fn principal(statement: &Value, caller: &Caller, bounded: bool) -> Vec<&'static str> {
    if let Some(element) = statement.get("Principal") {
        return all_names(element, caller);
    }
    let Some(element) = statement.get("NotPrincipal") else { return vec!["any"] };
    let found = all_names(element, caller);
    let spared = if statement["Effect"] == "Allow" {
        !found.is_empty()
    } else if bounded {
        false
    } else {
        let has = |n| found.contains(&n);
        has("any")
            || match caller.kind {
                "root" => has("account"),
                "user" => has("account") && has("user"),
                "role" => has("account") && has("role") && has("session"),
                "federated" => has("account") && has("session"),
                "anonymous" => false,
                _ => !found.is_empty(),
            }
    };
    if spared { vec![] } else { vec!["any"] }
}

struct Evaluation<'a> {
    q: &'a Question<'a>,
    caller: &'a Caller,
    keys: &'a Keys,
    bounded: bool,
}

impl Evaluation<'_> {
    fn hit(&self, doc: &Value, statement: &Value) -> Vec<&'static str> {
        let variables = doc["Version"] == "2012-10-17";
        let action = |p: &String| {
            like(&p.to_lowercase(), &self.q.action.to_lowercase(), false, true, self.keys)
        };
        let actions = match statement.get("NotAction") {
            Some(not) => !list(Some(not)).iter().any(action),
            None => list(statement.get("Action")).iter().any(action),
        };
        let resource = |p: &String| arn_like(p, self.q.resource, variables, self.keys);
        let resources = match (statement.get("Resource"), statement.get("NotResource")) {
            (None, None) => true,
            (Some(r), _) => list(Some(r)).iter().any(resource),
            // What cannot be written out widens no allow.
            (_, Some(not)) => {
                let clear = |p: &String| expand(p, variables, true, self.keys).is_some();
                let open = statement["Effect"] == "Deny" || list(Some(not)).iter().all(clear);
                open && !list(Some(not)).iter().any(resource)
            }
        };
        let empty = serde_json::Map::new();
        let operators = statement.get("Condition").and_then(Value::as_object).unwrap_or(&empty);
        let conditions = operators.iter().all(|(op, keys)| {
            keys.as_object()
                .unwrap()
                .iter()
                .all(|(key, v)| condition(op, key, &list(Some(v)), variables, self.keys))
        });
        if actions && resources && conditions {
            principal(statement, self.caller, self.bounded)
        } else {
            vec![]
        }
    }

    fn says(&self, effect: &str, docs: &[&Value]) -> Vec<&'static str> {
        let mut found = vec![];
        for doc in docs {
            for statement in statements(doc) {
                if statement["Effect"] == effect {
                    found.extend(self.hit(doc, statement));
                }
            }
        }
        found
    }

    fn yes(&self, docs: &[&Value]) -> bool {
        !self.says("Allow", docs).is_empty()
    }
}

pub(crate) fn decide(q: &Question<'_>, caller: &Caller, keys: &Keys) -> &'static str {
    const DENIED: &str = "ImplicitlyDenied";
    if q.action.eq_ignore_ascii_case("sts:GetCallerIdentity")
        || q.action.eq_ignore_ascii_case("sts:GetSessionToken")
    {
        return "Allowed";
    }
    let owned = matches!(caller.kind, "root" | "user" | "role" | "federated");
    let boundary = q.boundary.as_ref().filter(|_| owned && !caller.linked && caller.kind != "root");
    let e = Evaluation { q, caller, keys, bounded: boundary.is_some() };
    let action = q.action.to_lowercase();
    let service = action.split(':').next().unwrap();
    let scps = if owned && !caller.linked { &q.scps[..] } else { &[] };
    let rcp_service = matches!(service, "s3" | "kms" | "sts");
    let rcps = if !caller.linked && rcp_service { &q.rcps[..] } else { &[] };

    // The owner's root gets back at a bucket policy that shuts it out.
    let on_policy =
        matches!(&*action, "s3:getbucketpolicy" | "s3:putbucketpolicy" | "s3:deletebucketpolicy");
    let own_root = caller.kind == "root" && caller.account == q.resource_account;
    let resource_policy = q.resource_policy.filter(|_| !(on_policy && own_root));

    let mut everything: Vec<&Value> = vec![];
    everything.extend(scps.iter().flatten().chain(rcps.iter().flatten()));
    everything.extend(q.vpce.iter().flatten().chain(resource_policy.iter()));
    if owned {
        everything.extend(q.identity.iter().chain(q.session.iter().flatten()));
        everything.extend(boundary.iter().flat_map(|docs| docs.iter()));
    }
    if !e.says("Deny", &everything).is_empty() {
        return "ExplicitlyDenied";
    }
    if !scps.iter().all(|level| e.yes(level)) {
        return DENIED;
    }
    if q.vpce.as_ref().is_some_and(|docs| !e.yes(docs)) {
        return DENIED;
    }
    let resource: Vec<&Value> = resource_policy.into_iter().collect();
    let grants = e.says("Allow", &resource);
    if !owned {
        return if grants.is_empty() { DENIED } else { "Allowed" };
    }
    let identity = caller.kind == "root" || e.yes(&q.identity);
    let inside = boundary.is_none_or(|docs| e.yes(docs));
    let session = match &q.session {
        Some(docs) => e.yes(docs),
        None => caller.kind != "federated",
    };
    let own = identity && inside && session;
    let trust_root = (service == "kms" && q.resource != "*") || service == "sts";
    let allowed = if q.resource_account != caller.account {
        own && !grants.is_empty()
    } else {
        let direct = grants.iter().any(|g| matches!(*g, "any" | "user" | "session"))
            || (grants.contains(&"role") && inside && session);
        direct || (own && (!trust_root || grants.contains(&"account")))
    };
    if allowed { "Allowed" } else { DENIED }
}
