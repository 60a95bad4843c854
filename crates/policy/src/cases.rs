//! Decision cases as lines of JSON: one case in, one decision out, without any state.
//!
//! Input: `{"id", "principal": ARN or null, "action", "resource", "resourceAccount", "context":
//! {key: value or [values]}, "identity": [doc], "boundary": [doc], "session": doc, "resourcePolicy":
//! doc, "scps": [[doc..] a level, root first], "rcps": [[doc..]..], "vpce": [doc]}`; all but
//! `principal`, `action` and `resource` may be absent. A document is an object or its text. An empty
//! `boundary` or `vpce` counts as absent; an empty level of SCPs allows nothing.
//!
//! Output: `{"id", "decision": "Allowed" | "ImplicitlyDenied" | "ExplicitlyDenied" | "error",
//! "reason", "matched": [{"policy", "statement"}], "errors"}`.

use serde::Serialize;
use serde_json::{Map, Value, json};
use writ_model::{AccountId, Arn};

use crate::context::Context;
use crate::document::{InlineOwner, Policy, PolicyKind, ResourceKind};
use crate::engine::{Decision, DenyKind, Layers, Mode, Named, Request};
use crate::explain::{Explanation, StatementName, explain};
use crate::json::Json;
use crate::keys;
use crate::limits::{CASE_LINE_MAX_BYTES, PARSE_ERRORS_MAX};
use crate::principal::{Principal, PrincipalKind};

const MEMBERS: [&str; 13] = [
    "id",
    "principal",
    "action",
    "resource",
    "resourceAccount",
    "context",
    "identity",
    "boundary",
    "session",
    "resourcePolicy",
    "scps",
    "rcps",
    "vpce",
];

/// Decides one case. Whatever the line is, the answer is one line of JSON.
pub fn eval_case(line: &str) -> String {
    if line.len() > CASE_LINE_MAX_BYTES {
        let error = format!("$: the line has {} bytes, at most {CASE_LINE_MAX_BYTES}", line.len());
        return error_line(&Value::Null, vec![error]);
    }
    let case = match Json::parse(line) {
        Ok(case) => case,
        Err(errors) => return error_line(&Value::Null, vec![errors.to_string()]),
    };
    let id = case.get("id").map_or(Value::Null, value_of);
    let mut reader = CaseReader::default();
    let loaded = reader.read(&case);
    match loaded {
        Some(loaded) if reader.errors.is_empty() => loaded.decide(&id),
        _ => error_line(&id, reader.errors),
    }
}

/// One line of output; serialized in this order.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a Value,
    decision: &'static str,
    reason: String,
    matched: Vec<Value>,
    errors: Vec<String>,
}

impl Answer<'_> {
    fn line(&self) -> String {
        // INVARIANT: values of strings, numbers and lists always have a JSON text.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn error_line(id: &Value, mut errors: Vec<String>) -> String {
    errors.truncate(PARSE_ERRORS_MAX);
    let reason = errors.first().cloned().unwrap_or_default();
    Answer { id, decision: "error", reason, matched: Vec::new(), errors }.line()
}

/// The policies of one layer with their names.
type Documents = Vec<(String, Policy)>;

/// A case that is ready to be decided.
struct Case {
    principal: Option<Principal>,
    action: String,
    resource: String,
    resource_account: Option<AccountId>,
    context: Context,
    mode: Mode,
    identity: Documents,
    boundary: Option<Documents>,
    session: Option<Documents>,
    resource_policy: Option<Documents>,
    scps: Vec<Documents>,
    rcps: Vec<Documents>,
    vpce: Option<Documents>,
}

impl Case {
    fn decide(&self, id: &Value) -> String {
        let identity = named(&self.identity);
        let boundary = self.boundary.as_ref().map(named);
        let session = self.session.as_ref().map(named);
        let resource = self.resource_policy.as_ref().map(named).unwrap_or_default();
        let scps: Vec<Vec<Named<'_>>> = self.scps.iter().map(named).collect();
        let rcps: Vec<Vec<Named<'_>>> = self.rcps.iter().map(named).collect();
        let vpce = self.vpce.as_ref().map(named);
        let layers = Layers {
            identity: &identity,
            boundary: boundary.as_deref(),
            session: session.as_deref(),
            resource: resource.first().copied(),
            scps: &scps,
            rcps: &rcps,
            vpce: vpce.as_deref(),
            mode: self.mode,
        };
        let request = Request {
            principal: self.principal.as_ref(),
            action: &self.action,
            resource: &self.resource,
            resource_account: self.resource_account,
            context: &self.context,
        };
        self.answer(id, &explain(&request, &layers))
    }

    fn answer(&self, id: &Value, explanation: &Explanation) -> String {
        let user = self.principal.as_ref().map(Principal::display);
        let message = || explanation.message(user, &self.action, &self.resource);
        let (decision, reason) = match explanation.decision() {
            Decision::Allow => ("Allowed", explanation.reason(&self.action)),
            Decision::Deny(DenyKind::Explicit) => ("ExplicitlyDenied", message()),
            Decision::Deny(DenyKind::Implicit) => ("ImplicitlyDenied", message()),
        };
        let matched: Vec<Value> = explanation
            .matched()
            .map(|trace| {
                let statement = match &trace.statement {
                    StatementName::Index(at) => json!(at),
                    StatementName::Sid(sid) => json!(sid),
                };
                json!({"policy": trace.policy, "statement": statement})
            })
            .collect();
        Answer { id, decision, reason, matched, errors: Vec::new() }.line()
    }
}

fn named(documents: &Documents) -> Vec<Named<'_>> {
    documents.iter().map(|(name, policy)| Named { name, policy }).collect()
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => json!(value),
        Json::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Json::String(text) => json!(text),
        Json::Array(items) => items.iter().map(value_of).collect(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), value_of(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// Reads a case and collects what is wrong with it.
#[derive(Default)]
struct CaseReader {
    errors: Vec<String>,
}

impl CaseReader {
    fn fail(&mut self, path: &str, problem: impl std::fmt::Display) {
        self.errors.push(format!("{path}: {problem}"));
    }

    fn read(&mut self, case: &Json) -> Option<Case> {
        let Json::Object(members) = case else {
            self.fail("$", "expected an object");
            return None;
        };
        for (at, (name, _)) in members.iter().enumerate() {
            if !MEMBERS.contains(&name.as_str()) {
                self.fail(&format!("$.{name}"), format!("unknown member `{name}`"));
            }
            if members.iter().take(at).any(|(earlier, _)| earlier == name) {
                self.fail(&format!("$.{name}"), "the name occurs twice in one object");
            }
        }
        let action = self.text(case, "action");
        let resource = self.text(case, "resource");
        if let Some(action) = &action
            && !action.split_once(':').is_some_and(|(s, n)| !s.is_empty() && !n.is_empty())
        {
            self.fail("$.action", format!("`{action}` is not an action such as `s3:GetObject`"));
        }
        if let Some(resource) = &resource
            && resource != "*"
            && let Err(error) = resource.parse::<Arn>()
        {
            self.fail("$.resource", error);
        }
        let mut context = self.context(case);
        let principal = self.principal(case, &context);
        fill(&mut context, principal.as_ref().and_then(Option::as_ref));
        let (action, resource) = (action?, resource?);
        let mode = Mode::of(&action, &resource);
        let resource_account = self
            .account(case)
            .or_else(|| resource.parse::<Arn>().ok().and_then(|arn| arn.account()));
        let role = PolicyKind::Inline(InlineOwner::Role);
        Some(Case {
            principal: principal?,
            resource_account,
            context,
            mode,
            identity: self.list(case, "identity", role).unwrap_or_default(),
            boundary: self.some(case, "boundary", PolicyKind::Boundary),
            session: self.single(case, "session", PolicyKind::Session),
            resource_policy: self.single(case, "resourcePolicy", resource_kind(&action, mode)),
            scps: self.levels(case, "scps", PolicyKind::Scp),
            rcps: self.levels(case, "rcps", PolicyKind::Rcp),
            vpce: self.some(case, "vpce", PolicyKind::VpcEndpoint),
            action,
            resource,
        })
    }

    fn text(&mut self, case: &Json, name: &str) -> Option<String> {
        match case.get(name) {
            Some(Json::String(text)) => return Some(text.clone()),
            Some(_) => self.fail(&format!("$.{name}"), "expected a string"),
            None => self.fail("$", format!("missing member `{name}`")),
        }
        None
    }

    fn account(&mut self, case: &Json) -> Option<AccountId> {
        let (Json::String(text) | Json::Number(text)) = present(case, "resourceAccount")? else {
            self.fail("$.resourceAccount", "expected a string");
            return None;
        };
        match text.parse() {
            Ok(account) => Some(account),
            Err(error) => {
                self.fail("$.resourceAccount", error);
                None
            }
        }
    }

    fn context(&mut self, case: &Json) -> Context {
        let mut context = Context::new();
        let members = match present(case, "context") {
            None => return context,
            Some(Json::Object(members)) => members,
            Some(_) => {
                self.fail("$.context", "expected an object of condition keys");
                return context;
            }
        };
        for (key, value) in members {
            let path = format!("$.context.{key}");
            if context.get(key).is_some() {
                self.fail(&path, "the key is given twice (keys have no case)");
            }
            match value {
                Json::Array(items) => {
                    let texts: Option<Vec<&str>> = items.iter().map(scalar).collect();
                    match texts {
                        Some(texts) => {
                            context.insert_many(key, texts);
                        }
                        None => self.fail(&path, "expected a list of strings"),
                    }
                }
                Json::Null => {}
                one => match scalar(one) {
                    Some(text) => {
                        context.insert(key, text);
                    }
                    None => self.fail(&path, "expected a string or a list of strings"),
                },
            }
        }
        context
    }

    /// The outer `None` is a fault, the inner one an unsigned request.
    fn principal(&mut self, case: &Json, context: &Context) -> Option<Option<Principal>> {
        match case.get("principal") {
            Some(Json::Null) => return Some(None),
            Some(Json::String(text)) => match principal_of(text, context) {
                Some(principal) => return Some(Some(principal)),
                None => self.fail(
                    "$.principal",
                    format!("`{text}` is not the ARN of a root user, user, role or session"),
                ),
            },
            Some(_) => self.fail("$.principal", "expected an ARN or null"),
            None => self.fail("$", "missing member `principal`"),
        }
        None
    }

    fn document(&mut self, name: &str, json: &Json, kind: PolicyKind) -> Option<(String, Policy)> {
        let parsed = match json {
            Json::String(text) => Policy::parse(text, kind),
            other => Policy::parse(&other.to_text(), kind),
        };
        match parsed {
            Ok(policy) => Some((name.to_owned(), policy)),
            Err(errors) => {
                for error in errors.errors() {
                    let path = error.path.strip_prefix('$').unwrap_or(&error.path);
                    self.fail(&format!("{name}{path}"), &error.problem);
                }
                None
            }
        }
    }

    fn single(&mut self, case: &Json, name: &str, kind: PolicyKind) -> Option<Documents> {
        let json = present(case, name)?;
        self.document(name, json, kind).map(|document| vec![document])
    }

    fn list(&mut self, case: &Json, name: &str, kind: PolicyKind) -> Option<Documents> {
        let json = present(case, name)?;
        Some(self.items(name, json, kind))
    }

    /// As `list`; an empty list means that there is none, for a boundary or an endpoint without any
    /// policy does not exist.
    fn some(&mut self, case: &Json, name: &str, kind: PolicyKind) -> Option<Documents> {
        self.list(case, name, kind).filter(|documents| !documents.is_empty())
    }

    fn items(&mut self, name: &str, json: &Json, kind: PolicyKind) -> Documents {
        let Json::Array(items) = json else {
            self.fail(name, "expected a list of documents");
            return Vec::new();
        };
        let documents = items.iter().enumerate();
        documents
            .filter_map(|(at, item)| self.document(&format!("{name}[{at}]"), item, kind))
            .collect()
    }

    fn levels(&mut self, case: &Json, name: &str, kind: PolicyKind) -> Vec<Documents> {
        match present(case, name) {
            None => Vec::new(),
            Some(Json::Array(levels)) => {
                let levels = levels.iter().enumerate();
                levels
                    .map(|(at, level)| self.items(&format!("{name}[{at}]"), level, kind))
                    .collect()
            }
            Some(_) => {
                self.fail(name, "expected a list of levels");
                Vec::new()
            }
        }
    }
}

/// A member that is given and not null.
fn present<'j>(case: &'j Json, name: &str) -> Option<&'j Json> {
    case.get(name).filter(|json| **json != Json::Null)
}

fn scalar(json: &Json) -> Option<&str> {
    match json {
        Json::String(text) | Json::Number(text) => Some(text),
        Json::Bool(true) => Some("true"),
        Json::Bool(false) => Some("false"),
        _ => None,
    }
}

fn resource_kind(action: &str, mode: Mode) -> PolicyKind {
    let is_sts = action.get(..4).is_some_and(|vendor| vendor.eq_ignore_ascii_case("sts:"));
    match mode {
        Mode::RootOfTrust if is_sts => PolicyKind::Trust,
        Mode::RootOfTrust => PolicyKind::Resource(ResourceKind::Key),
        _ => PolicyKind::Resource(ResourceKind::Generic),
    }
}

/// The principal that an ARN stands for. A role's own ARN stands for a session of it. The role of a
/// session is taken from `aws:PrincipalArn` if given, because a session's ARN lacks the path.
fn principal_of(text: &str, context: &Context) -> Option<Principal> {
    if text.ends_with(".amazonaws.com") && !text.starts_with("arn:") {
        return Some(Principal::service(text));
    }
    let arn: Arn = text.parse().ok()?;
    let account = arn.account()?;
    let (kind, name) = arn.resource().split_once('/').unwrap_or((arn.resource(), ""));
    let given = |key| context.get(key).and_then(|values| values.first()).map(|v| &**v);
    match (arn.service(), kind) {
        ("iam", "root") if name.is_empty() => Some(Principal::root(account)),
        ("iam", "user") if !name.is_empty() => {
            let id = given(keys::USER_ID).map_or_else(|| invented_id("AIDA", text), str::to_owned);
            Some(Principal::user(arn, account, &id))
        }
        ("iam", "role") if !name.is_empty() => {
            let mut principal =
                Principal::role_session(arn.clone(), account, &invented_id("AROA", text), "");
            principal.unique_id = principal.role_unique_id.clone()?;
            principal.session_name = None;
            principal.arn = arn;
            Some(principal)
        }
        ("sts", "assumed-role") => {
            let (role, session) = name.split_once('/')?;
            if role.is_empty() || session.is_empty() || session.contains('/') {
                return None;
            }
            let ends = |a: &Arn| {
                a.account() == Some(account)
                    && a.resource().starts_with("role/")
                    && a.resource().rsplit('/').next() == Some(role)
            };
            let role_arn = given(keys::PRINCIPAL_ARN)
                .and_then(|t| t.parse().ok())
                .filter(ends)
                .unwrap_or_else(|| Arn::iam(account, &format!("role/{role}")));
            let invented = || invented_id("AROA", role_arn.as_str());
            let id = given(keys::USER_ID)
                .and_then(|id| id.split_once(':'))
                .map_or_else(invented, |(id, _)| id.to_owned());
            let mut principal = Principal::role_session(role_arn, account, &id, session);
            // IAM names service-linked roles so; the session's ARN lacks the path that shows it.
            principal.service_linked |= role.starts_with("AWSServiceRoleFor");
            principal.arn = arn;
            Some(principal)
        }
        ("sts", "federated-user") if !name.is_empty() => {
            let mut principal = Principal::federated_user(None, account, None, name);
            principal.arn = arn;
            Some(principal)
        }
        ("iam", "saml-provider" | "oidc-provider") => Some(Principal::federated(text)),
        _ => None,
    }
}

/// A well-formed unique id for a principal of which only the ARN is known: the same for the same
/// ARN, so that cases are repeatable.
fn invented_id(prefix: &str, arn: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut hash = 0xcbf2_9ce4_8422_2325_u128;
    for byte in arn.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    let mut id = prefix.to_owned();
    for at in 0..17 {
        let index = usize::try_from((hash >> (at * 5)) & 31).unwrap_or(0);
        id.push(char::from(*ALPHABET.get(index).unwrap_or(&b'A')));
    }
    id
}

/// Adds the keys that follow from the principal, unless the case gives them.
fn fill(context: &mut Context, principal: Option<&Principal>) {
    let mut put = |key: &str, value: &str| {
        if context.get(key).is_none() {
            context.insert(key, value);
        }
    };
    let Some(p) = principal else {
        put(keys::PRINCIPAL_ACCOUNT, "anonymous");
        put(keys::PRINCIPAL_TYPE, "Anonymous");
        put(keys::USER_ID, "anonymous");
        return;
    };
    put(keys::PRINCIPAL_TYPE, p.principal_type());
    if let PrincipalKind::Service(name) = &p.kind {
        put(keys::PRINCIPAL_IS_AWS_SERVICE, "true");
        put(keys::PRINCIPAL_SERVICE_NAME, name);
    }
    if !p.has_account() {
        return;
    }
    put(keys::PRINCIPAL_ACCOUNT, &p.account.to_string());
    put(keys::USER_ID, &p.unique_id);
    if let Some(arn) = p.principal_arn() {
        put(keys::PRINCIPAL_ARN, arn.as_str());
    }
    if let Some(name) = p.user_name() {
        put(keys::USER_NAME, name);
    }
}
