//! Policy documents: the strict parse, validation at write time, and the compiled form.

use writ_model::{Arn, UniqueId};

use crate::error::{ParseErrors, Problem};
use crate::json::Json;
use crate::limits;
use crate::principal::Spec;
use crate::read::Reader;
use crate::statement::{Effect, Statement};

/// The service that a resource policy belongs to, because each checks its own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceKind {
    /// An S3 bucket.
    Bucket,
    /// Any other resource with a policy.
    Generic,
    /// A KMS key.
    Key,
}

/// Who owns an inline policy, because the quota differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InlineOwner {
    /// A group.
    Group,
    /// A role.
    Role,
    /// A user.
    User,
}

/// What a document is for. It decides which elements are allowed and how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyKind {
    /// A permissions boundary.
    Boundary,
    /// A managed policy of a user, group or role.
    Identity,
    /// An inline policy of a user, group or role.
    Inline(InlineOwner),
    /// A resource control policy.
    Rcp,
    /// A policy of a resource.
    Resource(ResourceKind),
    /// A service control policy.
    Scp,
    /// A session policy.
    Session,
    /// A role's trust policy.
    Trust,
    /// A VPC endpoint's policy.
    VpcEndpoint,
}

impl PolicyKind {
    /// The kind with its article, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            PolicyKind::Boundary => "a permissions boundary",
            PolicyKind::Identity | PolicyKind::Inline(_) => "an identity-based policy",
            PolicyKind::Rcp => "a resource control policy",
            PolicyKind::Resource(_) => "a resource-based policy",
            PolicyKind::Scp => "a service control policy",
            PolicyKind::Session => "a session policy",
            PolicyKind::Trust => "a role trust policy",
            PolicyKind::VpcEndpoint => "a VPC endpoint policy",
        }
    }

    pub(crate) fn takes_principal(self) -> bool {
        use PolicyKind::{Rcp, Resource, Trust, VpcEndpoint};
        matches!(self, Rcp | Resource(_) | Trust | VpcEndpoint)
    }

    /// IAM and Organizations own these; they check statement ids and characters more strictly than
    /// services do for resource policies.
    pub(crate) fn is_iam(self) -> bool {
        !matches!(self, PolicyKind::Resource(_) | PolicyKind::VpcEndpoint)
    }

    fn size(self, text: &str) -> (usize, usize, &'static str) {
        let dense = || text.chars().filter(|c| !c.is_whitespace()).count();
        let chars = || text.chars().count();
        let without = "characters without whitespace";
        match self {
            PolicyKind::Boundary | PolicyKind::Identity => {
                (dense(), limits::MANAGED_POLICY_MAX_CHARS, without)
            }
            PolicyKind::Inline(InlineOwner::Group) => {
                (dense(), limits::GROUP_INLINE_MAX_CHARS, without)
            }
            PolicyKind::Inline(InlineOwner::Role) => {
                (dense(), limits::ROLE_INLINE_MAX_CHARS, without)
            }
            PolicyKind::Inline(InlineOwner::User) => {
                (dense(), limits::USER_INLINE_MAX_CHARS, without)
            }
            PolicyKind::Trust => (dense(), limits::TRUST_POLICY_MAX_CHARS, without),
            PolicyKind::Session => (chars(), limits::SESSION_POLICY_MAX_CHARS, "characters"),
            PolicyKind::Rcp | PolicyKind::Scp => {
                (chars(), limits::ORGANIZATION_POLICY_MAX_CHARS, "characters")
            }
            PolicyKind::VpcEndpoint => {
                (chars(), limits::VPC_ENDPOINT_POLICY_MAX_CHARS, "characters")
            }
            PolicyKind::Resource(ResourceKind::Bucket) => {
                (text.len(), limits::BUCKET_POLICY_MAX_BYTES, "bytes")
            }
            PolicyKind::Resource(ResourceKind::Key) => {
                (text.len(), limits::KEY_POLICY_MAX_BYTES, "bytes")
            }
            PolicyKind::Resource(ResourceKind::Generic) => {
                (chars(), limits::DOCUMENT_MAX_CHARS, "characters")
            }
        }
    }
}

/// A compiled policy. Compile it once a version and share it in an `Arc`.
#[derive(Debug, Clone)]
pub struct Policy {
    kind: PolicyKind,
    body: Body,
    size: usize,
}

#[derive(Debug, Clone)]
enum Body {
    Statements {
        statements: Box<[Statement]>,
        dispatch: Dispatch,
    },
    /// A stored document that this version cannot read: it denies everything and says why.
    Unreadable(ParseErrors),
}

impl Policy {
    /// Parses a document that somebody writes now: strict, with the quota of its kind.
    ///
    /// # Errors
    /// Everything that is wrong, each with the JSON path of the element that has it.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Policy, ParseErrors> {
        let (size, limit, unit) = kind.size(text);
        let chars = text.chars().count();
        if chars > limits::DOCUMENT_MAX_CHARS {
            let (size, limit, unit) = (chars, limits::DOCUMENT_MAX_CHARS, "characters");
            return Err(ParseErrors::one("$", Problem::TooLong { size, limit, unit }));
        }
        if size > limit {
            return Err(ParseErrors::one("$", Problem::TooLong { size, limit, unit }));
        }
        Policy::compile(text, kind)
    }

    /// Compiles a document that was accepted earlier, perhaps under a raised quota or by another
    /// version. What cannot be read denies everything, and the explanation says so.
    pub fn load(text: &str, kind: PolicyKind) -> Policy {
        Policy::compile(text, kind).unwrap_or_else(|errors| Policy {
            kind,
            body: Body::Unreadable(errors),
            size: text.chars().count(),
        })
    }

    fn compile(text: &str, kind: PolicyKind) -> Result<Policy, ParseErrors> {
        let is_key = kind == PolicyKind::Resource(ResourceKind::Key);
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
        if (kind.is_iam() || is_key)
            && let Some(bad) = text.chars().find(|c| !allowed(*c))
        {
            return Err(ParseErrors::one("$", Problem::BadCharacter(u32::from(bad))));
        }
        let statements = Reader::new(kind).read(&Json::parse(text)?)?;
        let dispatch = Dispatch::new(&statements);
        let body = Body::Statements { statements: statements.into(), dispatch };
        Ok(Policy { kind, body, size: kind.size(text).0 })
    }

    /// What the document is for.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Its size as the quota of its kind counts it, for totals over several inline policies.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number of statements.
    pub fn statement_count(&self) -> usize {
        self.statements().len()
    }

    /// Replaces the ARNs of users and roles in `Principal` elements by unique ids, as IAM does when
    /// a policy is written, so that a principal that is deleted and made anew does not match. Keep
    /// what [`Policy::principals`] gives beside the text and bind again with it after a reload.
    ///
    /// # Errors
    /// [`Problem::UnknownPrincipal`] for each ARN that `resolver` does not know; the policy is then
    /// unchanged. IAM answers `MalformedPolicyDocument` with "Invalid principal in policy".
    pub fn bind_principals(
        &mut self,
        resolver: &dyn Fn(&Arn) -> Option<UniqueId>,
    ) -> Result<(), ParseErrors> {
        let mut unknown = Vec::new();
        let mut bound = self.clone();
        for (at, rule) in bound.rules_mut() {
            for spec in rule {
                let (Spec::User(arn, id) | Spec::Role(arn, id)) = spec else { continue };
                *id = resolver(arn);
                if id.is_none() {
                    let problem = Problem::UnknownPrincipal(arn.to_string());
                    let path = format!("$.Statement[{at}].Principal");
                    unknown.push(crate::error::ParseError { path, problem });
                }
            }
        }
        if !unknown.is_empty() {
            return Err(ParseErrors::new(unknown));
        }
        *self = bound;
        Ok(())
    }

    /// The users and roles that the document names as principals, with what they were bound to.
    pub fn principals(&self) -> impl Iterator<Item = (&Arn, Option<&UniqueId>)> {
        let rules = self.statements().iter().filter_map(|s| s.principals.as_ref());
        rules.flat_map(|rule| rule.items.iter()).filter_map(|spec| match spec {
            Spec::User(arn, id) | Spec::Role(arn, id) => Some((arn, id.as_ref())),
            _ => None,
        })
    }

    /// Advice that is no error: for now, an operator without a set prefix on a key that has several
    /// values, whose meaning AWS leaves open. Each line begins with the statement.
    pub fn lints(&self) -> Vec<String> {
        let mut lints = Vec::new();
        for (at, statement) in self.statements().iter().enumerate() {
            for condition in &statement.conditions {
                let key = condition.key().as_str();
                if condition.operator().is_plain() && crate::keys::is_multi_valued(key) {
                    lints.push(format!(
                        "$.Statement[{at}]: `{key}` can have several values; \
                         use ForAllValues or ForAnyValue with {}",
                        condition.operator()
                    ));
                }
            }
        }
        lints
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        match &self.body {
            Body::Statements { statements, .. } => statements,
            Body::Unreadable(_) => &[],
        }
    }

    /// Why the document cannot be read, if it cannot.
    pub fn unreadable(&self) -> Option<&ParseErrors> {
        match &self.body {
            Body::Statements { .. } => None,
            Body::Unreadable(errors) => Some(errors),
        }
    }

    /// The statements that may speak of the service's actions: those that deny, those that allow.
    pub(crate) fn candidates(
        &self,
        service: &str,
    ) -> (impl Iterator<Item = &Statement>, impl Iterator<Item = &Statement>) {
        static NONE: Buckets = Buckets { allow: Vec::new(), deny: Vec::new() };
        let (statements, buckets): (&[Statement], &Buckets) = match &self.body {
            Body::Statements { statements, dispatch } => (statements, dispatch.buckets(service)),
            Body::Unreadable(_) => (&[], &NONE),
        };
        let pick = |at: &u16| statements.get(usize::from(*at));
        (buckets.deny.iter().filter_map(pick), buckets.allow.iter().filter_map(pick))
    }

    fn rules_mut(&mut self) -> impl Iterator<Item = (usize, &mut [Spec])> {
        let statements: &mut [Statement] = match &mut self.body {
            Body::Statements { statements, .. } => statements,
            Body::Unreadable(_) => &mut [],
        };
        let rules = statements.iter_mut().enumerate();
        rules.filter_map(|(at, s)| s.principals.as_mut().map(|rule| (at, &mut *rule.items)))
    }
}

/// Which statements may speak of a service's actions.
#[derive(Debug, Clone)]
struct Dispatch {
    /// Each service with the statements that name it and those that name every service.
    services: Box<[(Box<str>, Buckets)]>,
    /// For services that no statement names.
    others: Buckets,
}

#[derive(Debug, Clone, Default)]
struct Buckets {
    allow: Vec<u16>,
    deny: Vec<u16>,
}

impl Dispatch {
    fn new(statements: &[Statement]) -> Dispatch {
        let patterns =
            || statements.iter().filter(|s| !s.actions.not).flat_map(|s| &s.actions.items);
        let mut names: Vec<&str> = patterns().filter_map(|p| p.service.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let bucket = |name: Option<&str>| {
            let mut buckets = Buckets::default();
            for (at, statement) in statements.iter().enumerate() {
                let Ok(at) = u16::try_from(at) else { break };
                let any = |p: &crate::statement::ActionPattern| {
                    p.service.is_none() || (name.is_some() && p.service.as_deref() == name)
                };
                if statement.actions.not || statement.actions.items.iter().any(any) {
                    match statement.effect {
                        Effect::Allow => buckets.allow.push(at),
                        Effect::Deny => buckets.deny.push(at),
                    }
                }
            }
            buckets
        };
        let services = names.iter().map(|name| ((*name).into(), bucket(Some(name)))).collect();
        Dispatch { services, others: bucket(None) }
    }

    /// A document names few services, so that looking at each in turn is the fastest.
    fn buckets(&self, service: &str) -> &Buckets {
        let found = self.services.iter().find(|(name, _)| **name == *service);
        found.map_or(&self.others, |(_, buckets)| buckets)
    }
}
