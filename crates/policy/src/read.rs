//! From JSON to statements: every element is checked, every fault collected with its path.

use crate::condition::{Condition, Operator};
use crate::document::{PolicyKind, ResourceKind};
use crate::error::{ParseError, ParseErrors, Problem};
use crate::json::Json;
use crate::limits::PARSE_ERRORS_MAX;
use crate::pattern::ArnPattern;
use crate::principal::Spec;
use crate::statement::{ActionPattern, Effect, Rule, Statement};

const DOCUMENT_ELEMENTS: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT_ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Reads one document and collects what is wrong with it.
pub(crate) struct Reader {
    kind: PolicyKind,
    /// Version 2012-10-17: `${...}` are policy variables.
    variables: bool,
    errors: Vec<ParseError>,
}

impl Reader {
    pub(crate) fn new(kind: PolicyKind) -> Reader {
        Reader { kind, variables: false, errors: Vec::new() }
    }

    pub(crate) fn read(mut self, json: &Json) -> Result<Vec<Statement>, ParseErrors> {
        self.duplicates("$", json);
        let statements = self.document(json);
        if self.errors.is_empty() { Ok(statements) } else { Err(ParseErrors::new(self.errors)) }
    }

    fn fail(&mut self, path: &str, problem: Problem) {
        if self.errors.len() < PARSE_ERRORS_MAX {
            self.errors.push(ParseError { path: path.to_owned(), problem });
        }
    }

    fn duplicates(&mut self, path: &str, json: &Json) {
        match json {
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.duplicates(&format!("{path}[{at}]"), item);
                }
            }
            Json::Object(members) => {
                let mut seen = std::collections::BTreeSet::new();
                for (name, value) in members {
                    let path = format!("{path}.{name}");
                    if !seen.insert(name) {
                        self.fail(&path, Problem::DuplicateKey);
                    }
                    self.duplicates(&path, value);
                }
            }
            _ => {}
        }
    }

    fn document(&mut self, json: &Json) -> Vec<Statement> {
        let Some(members) = self.object("$", json, &DOCUMENT_ELEMENTS) else { return Vec::new() };
        for (name, value) in members {
            match (name.as_str(), value.as_str()) {
                ("Version", Some("2012-10-17")) => self.variables = true,
                ("Version", Some("2008-10-17")) => {}
                ("Version", Some(other)) => {
                    let problem = Problem::value(other, "a version: `2012-10-17` or `2008-10-17`");
                    self.fail("$.Version", problem);
                }
                ("Version" | "Id", None) => {
                    self.fail(&format!("$.{name}"), Problem::WrongType("a string"));
                }
                _ => {}
            }
        }
        let items: Vec<(String, &Json)> = match json.get("Statement") {
            None => {
                self.fail("$", Problem::Missing("Statement"));
                return Vec::new();
            }
            Some(Json::Array(items)) if !items.is_empty() => {
                let path = |at| format!("$.Statement[{at}]");
                items.iter().enumerate().map(|(at, item)| (path(at), item)).collect()
            }
            Some(one @ Json::Object(_)) => vec![("$.Statement".to_owned(), one)],
            Some(_) => {
                let expected = "a statement or a list of at least one statement";
                self.fail("$.Statement", Problem::WrongType(expected));
                return Vec::new();
            }
        };
        let mut statements: Vec<Statement> = Vec::new();
        for (path, item) in items {
            let Some(statement) = self.statement(&path, item) else { continue };
            let same = |s: &Statement| s.sid.is_some() && s.sid == statement.sid;
            if statements.iter().any(same) {
                let sid = statement.sid.as_deref().unwrap_or_default().to_owned();
                self.fail(&format!("{path}.Sid"), Problem::DuplicateSid(sid));
            }
            statements.push(statement);
        }
        statements
    }

    fn statement(&mut self, path: &str, json: &Json) -> Option<Statement> {
        let faults = self.errors.len();
        self.object(path, json, &STATEMENT_ELEMENTS)?;
        let sid = self.sid(path, json);
        let effect = self.effect(path, json);
        let principals = self.principals(path, json);
        let actions = self.actions(path, json);
        let resources = self.resources(path, json);
        let conditions = self.conditions(path, json);
        let statement = Statement {
            sid,
            effect: effect?,
            principals: principals?,
            actions: actions?,
            resources: resources?,
            conditions: conditions.into(),
        };
        self.rcp_rules(path, &statement);
        (self.errors.len() == faults).then_some(statement)
    }

    fn sid(&mut self, path: &str, json: &Json) -> Option<Box<str>> {
        let path = format!("{path}.Sid");
        let Some(text) = json.get("Sid")?.as_str() else {
            self.fail(&path, Problem::WrongType("a string"));
            return None;
        };
        if self.kind.is_iam() && !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            self.fail(&path, Problem::value(text, "a statement id of letters and digits"));
        }
        (!text.is_empty()).then(|| text.into())
    }

    fn effect(&mut self, path: &str, json: &Json) -> Option<Effect> {
        let Some(value) = json.get("Effect") else {
            self.fail(path, Problem::Missing("Effect"));
            return None;
        };
        let path = format!("{path}.Effect");
        match value.as_str() {
            Some("Allow") => return Some(Effect::Allow),
            Some("Deny") => return Some(Effect::Deny),
            Some(other) => self.fail(&path, Problem::value(other, "`Allow` or `Deny`")),
            None => self.fail(&path, Problem::WrongType("a string")),
        }
        None
    }

    /// The element and whether it is the negated one; a fault if there are both or, when it is
    /// required, none.
    fn either<'j>(
        &mut self,
        path: &str,
        json: &'j Json,
        names: (&'static str, &'static str),
        required: bool,
    ) -> Option<(String, bool, &'j Json)> {
        let (plain, not) = names;
        match (json.get(plain), json.get(not)) {
            (Some(_), Some(_)) => self.fail(path, Problem::Conflict(plain, not)),
            (Some(value), None) => return Some((format!("{path}.{plain}"), false, value)),
            (None, Some(value)) => return Some((format!("{path}.{not}"), true, value)),
            (None, None) if required => self.fail(path, Problem::Missing(plain)),
            (None, None) => {}
        }
        None
    }

    fn forbid(&mut self, path: &str, json: &Json, names: &[&'static str]) {
        for name in names {
            if json.get(name).is_some() {
                let kind = self.kind.describe();
                let problem = Problem::NotSupported { element: name, kind };
                self.fail(&format!("{path}.{name}"), problem);
            }
        }
    }

    fn principals(&mut self, path: &str, json: &Json) -> Option<Option<Rule<Spec>>> {
        if !self.kind.takes_principal() {
            self.forbid(path, json, &["Principal", "NotPrincipal"]);
            return Some(None);
        }
        if matches!(self.kind, PolicyKind::Trust | PolicyKind::Rcp) {
            self.forbid(path, json, &["NotPrincipal"]);
        }
        let (path, not, value) = self.either(path, json, ("Principal", "NotPrincipal"), true)?;
        let mut specs = Vec::new();
        match value {
            Json::String(text) if text == "*" => specs.push(Spec::Anyone),
            Json::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    self.principal_member(&format!("{path}.{name}"), name, value, &mut specs);
                }
            }
            Json::String(text) => {
                let expected = "a principal: `*`, or an object such as {\"AWS\": ..}";
                self.fail(&path, Problem::value(text, expected));
            }
            _ => self.fail(&path, Problem::WrongType("`*` or an object of principals")),
        }
        Some(Some(Rule { not, items: specs.into() }))
    }

    fn principal_member(&mut self, path: &str, name: &str, value: &Json, specs: &mut Vec<Spec>) {
        let parse = match name {
            "AWS" => Spec::parse_aws,
            "CanonicalUser" => Spec::parse_canonical,
            "Federated" => Spec::parse_federated,
            "Service" => Spec::parse_service,
            other => {
                self.fail(path, Problem::UnknownElement(other.chars().take(128).collect()));
                return;
            }
        };
        for (path, text) in self.strings(path, value, false) {
            match parse(text) {
                Ok(spec) => specs.push(spec),
                Err(problem) => self.fail(&path, problem),
            }
        }
    }

    fn actions(&mut self, path: &str, json: &Json) -> Option<Rule<ActionPattern>> {
        if self.kind == PolicyKind::Rcp {
            self.forbid(path, json, &["NotAction"]);
        }
        let (path, not, value) = self.either(path, json, ("Action", "NotAction"), true)?;
        let mut items = Vec::new();
        for (path, text) in self.strings(&path, value, false) {
            match ActionPattern::parse(text) {
                Ok(pattern) => {
                    self.action_fits_kind(&path, text, &pattern);
                    items.push(pattern);
                }
                Err(problem) => self.fail(&path, problem),
            }
        }
        Some(Rule { not, items: items.into() })
    }

    /// Policies of one service's resources speak of that service only.
    fn action_fits_kind(&mut self, path: &str, text: &str, pattern: &ActionPattern) {
        let (service, expected) = match self.kind {
            PolicyKind::Trust => ("sts", "an action of sts"),
            PolicyKind::Resource(ResourceKind::Bucket) => ("s3", "an action of s3"),
            PolicyKind::Resource(ResourceKind::Key) => ("kms", "an action of kms"),
            _ => return,
        };
        if pattern.service.as_deref().is_some_and(|s| s != service) {
            self.fail(path, Problem::value(text, expected));
        }
    }

    fn resources(&mut self, path: &str, json: &Json) -> Option<Option<Rule<ArnPattern>>> {
        if self.kind == PolicyKind::Trust {
            self.forbid(path, json, &["Resource", "NotResource"]);
            return Some(None);
        }
        // Queue and topic policies may leave the resource out: it is the one that they belong to.
        let optional = self.kind == PolicyKind::Resource(ResourceKind::Generic);
        let names = ("Resource", "NotResource");
        if optional && json.get(names.0).is_none() && json.get(names.1).is_none() {
            return Some(None);
        }
        let (path, not, value) = self.either(path, json, names, true)?;
        let mut items = Vec::new();
        for (path, text) in self.strings(&path, value, false) {
            match ArnPattern::parse(text, self.variables, true) {
                Ok(pattern) => {
                    let bucket = self.kind == PolicyKind::Resource(ResourceKind::Bucket);
                    if bucket && pattern.service() != Some("s3") {
                        self.fail(
                            &path,
                            Problem::value(text, "the ARN of the bucket or its objects"),
                        );
                    }
                    items.push(pattern);
                }
                Err(problem) => self.fail(&path, problem),
            }
        }
        Some(Some(Rule { not, items: items.into() }))
    }

    /// Customers' RCPs can only deny, and only everybody; the full-access policy alone allows.
    fn rcp_rules(&mut self, path: &str, statement: &Statement) {
        if self.kind != PolicyKind::Rcp {
            return;
        }
        let only = |rule: &Rule<Spec>| matches!(*rule.items, [Spec::Anyone]);
        if !statement.principals.as_ref().is_some_and(only) {
            let problem = Problem::value("Principal", "`*`, the only principal of an RCP");
            self.fail(&format!("{path}.Principal"), problem);
        }
        let everything = !statement.actions.not
            && statement.actions.items.iter().any(ActionPattern::is_everything)
            && statement.conditions.is_empty()
            && matches!(&statement.resources, Some(rule) if !rule.not
                && rule.items.contains(&ArnPattern::Everything));
        if statement.effect == Effect::Allow && !everything {
            let problem = Problem::value("Allow", "`Deny`, the only effect of a customer's RCP");
            self.fail(&format!("{path}.Effect"), problem);
        }
    }

    fn conditions(&mut self, path: &str, json: &Json) -> Vec<Condition> {
        let path = format!("{path}.Condition");
        let mut conditions = Vec::new();
        let operators = match json.get("Condition") {
            None => return conditions,
            Some(Json::Object(operators)) => operators,
            Some(_) => {
                self.fail(&path, Problem::WrongType("an object of condition operators"));
                return conditions;
            }
        };
        for (name, keys) in operators {
            let path = format!("{path}.{name}");
            let operator = match Operator::parse(name) {
                Ok(operator) => operator,
                Err(problem) => {
                    self.fail(&path, problem);
                    continue;
                }
            };
            let Json::Object(keys) = keys else {
                self.fail(&path, Problem::WrongType("an object of condition keys"));
                continue;
            };
            for (key, values) in keys {
                let path = format!("{path}.{key}");
                conditions.extend(self.condition(&path, operator, key, values));
            }
        }
        conditions
    }

    fn condition(
        &mut self,
        path: &str,
        operator: Operator,
        key: &str,
        values: &Json,
    ) -> Option<Condition> {
        let shaped = key.split_once(':').is_some_and(|(vendor, name)| {
            !vendor.is_empty() && !name.is_empty() && !vendor.contains(['*', '?', '$'])
        });
        if !shaped {
            let expected = "a condition key with its vendor, such as `aws:SourceIp`";
            self.fail(path, Problem::value(key, expected));
            return None;
        }
        let values = self.strings(path, values, true);
        let texts: Vec<&str> = values.iter().map(|(_, text)| *text).collect();
        match Condition::compile(operator, key, &texts, self.variables) {
            Ok(condition) => Some(condition),
            Err((at, problem)) => {
                let path = values.get(at).map_or(path, |(path, _)| path);
                self.fail(path, problem);
                None
            }
        }
    }

    /// A string or a list of strings, each with its path. Condition values (`scalars`) may also be
    /// numbers and booleans, and their list may be empty.
    fn strings<'j>(&mut self, path: &str, json: &'j Json, scalars: bool) -> Vec<(String, &'j str)> {
        let items: Vec<(String, &Json)> = match json {
            Json::Array(items) => {
                let path = |at| format!("{path}[{at}]");
                items.iter().enumerate().map(|(at, item)| (path(at), item)).collect()
            }
            one => vec![(path.to_owned(), one)],
        };
        if items.is_empty() && !scalars {
            self.fail(path, Problem::WrongType("a string or a list of at least one string"));
        }
        let mut texts = Vec::new();
        for (path, item) in items {
            match item {
                Json::String(text) => texts.push((path, text.as_str())),
                Json::Number(text) if scalars => texts.push((path, text.as_str())),
                Json::Bool(value) if scalars => {
                    texts.push((path, if *value { "true" } else { "false" }));
                }
                _ => self.fail(&path, Problem::WrongType("a string or a list of strings")),
            }
        }
        texts
    }

    fn object<'j>(
        &mut self,
        path: &str,
        json: &'j Json,
        known: &[&str],
    ) -> Option<&'j [(String, Json)]> {
        let Json::Object(members) = json else {
            self.fail(path, Problem::WrongType("an object"));
            return None;
        };
        for (name, _) in members {
            if !known.contains(&name.as_str()) {
                let problem = Problem::UnknownElement(name.chars().take(128).collect());
                self.fail(&format!("{path}.{name}"), problem);
            }
        }
        Some(members)
    }
}
