//! Why: the same decision once more, with a trace of every statement.

use std::fmt;

use crate::document::PolicyKind;
use crate::engine::{
    Applicable, Decision, DenyKind, Facts, Layer, Layers, Mode, Named, Request, Verdict, combine,
    resource_policy, subject,
};
use crate::principal::Forms;
use crate::statement::{ActionName, Effect, Miss, Statement, Subject};

/// How a statement is named: its `Sid`, else its place in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementName {
    /// Its place, from 0.
    Index(usize),
    /// Its statement id.
    Sid(String),
}

impl fmt::Display for StatementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatementName::Index(at) => at.fmt(f),
            StatementName::Sid(sid) => f.write_str(sid),
        }
    }
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The action is not one of the statement's.
    ActionDiffers,
    /// A condition does not hold.
    ConditionFails {
        /// The operator as written.
        operator: String,
        /// The key in lower case.
        key: String,
        /// The request has no such key.
        missing: bool,
    },
    /// Everything fits: the statement has its effect.
    Matches,
    /// The statement does not name the caller.
    PrincipalDiffers,
    /// The resource is not one of the statement's.
    ResourceDiffers,
    /// The document cannot be read, which denies; why.
    Unreadable(String),
}

/// One statement of one policy and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its layer.
    pub layer: Layer,
    /// For SCPs and RCPs the level, 0 at the root of the organization; 0 elsewhere.
    pub level: usize,
    /// The policy's name as given in [`Named`].
    pub policy: String,
    /// The statement.
    pub statement: StatementName,
    /// What it does if it matches.
    pub effect: Effect,
    /// What became of it.
    pub outcome: Outcome,
    forms: Forms,
}

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision, computed from the trace; [`crate::verdict`] gives the same.
    pub verdict: Verdict,
    /// Every statement of every layer that has a say, in order of evaluation: SCP, RCP, endpoint,
    /// resource, identity, boundary, session.
    pub statements: Vec<Trace>,
    /// The resource policy is a role trust policy, which messages call by its name.
    trust: bool,
}

/// Evaluates again and keeps a trace.
pub fn explain(request: &Request<'_>, layers: &Layers<'_>) -> Explanation {
    let applies = Applicable::new(request);
    let boundary = layers.boundary.filter(|_| applies.boundary);
    let action = ActionName::fold(request.action);
    let subject = action.as_ref().map(|action| subject(request, action, boundary.is_some()));
    let mut statements = Vec::new();
    let mut trace = |layer: Layer, level: usize, policies: &[Named<'_>]| {
        for named in policies {
            trace_policy(&mut statements, layer, level, named, subject.as_ref());
        }
    };
    let levels = |applies: bool, levels| if applies { levels } else { &[] as &[Vec<Named<'_>>] };
    for (at, level) in levels(applies.scp, layers.scps).iter().enumerate() {
        trace(Layer::Scp, at, level);
    }
    for (at, level) in levels(applies.rcp, layers.rcps).iter().enumerate() {
        trace(Layer::Rcp, at, level);
    }
    trace(Layer::VpcEndpoint, 0, layers.vpce.unwrap_or_default());
    trace(Layer::Resource, 0, resource_policy(request, layers).as_slice());
    if applies.identity {
        trace(Layer::Identity, 0, layers.identity);
        trace(Layer::Boundary, 0, boundary.unwrap_or_default());
        trace(Layer::Session, 0, layers.session.unwrap_or_default());
    }
    let has_action = action.is_some();
    let allows = |layer: Layer| statements.iter().any(|t| t.has_effect(layer, Effect::Allow));
    let level_allows = |at: usize| {
        statements.iter().any(|t| t.level == at && t.has_effect(Layer::Scp, Effect::Allow))
    };
    let scp_levels = if has_action { levels(applies.scp, layers.scps).len() } else { 0 };
    let facts = Facts {
        denied: statements.iter().find(|t| t.denies()).map(|t| t.layer),
        identity: allows(Layer::Identity),
        boundary: boundary.map(|_| allows(Layer::Boundary)).filter(|_| has_action),
        session: layers.session.filter(|_| applies.identity).map(|_| allows(Layer::Session)),
        resource: statements
            .iter()
            .filter(|t| t.has_effect(Layer::Resource, Effect::Allow))
            .fold(Forms::NONE, |forms, t| forms.with(t.forms)),
        scp: (0..scp_levels).all(level_allows),
        vpce: layers.vpce.map(|_| allows(Layer::VpcEndpoint)).filter(|_| has_action),
    };
    let verdict = combine(request, layers, &facts);
    let trust = layers.resource.is_some_and(|named| named.policy.kind() == PolicyKind::Trust)
        || (layers.mode == Mode::RootOfTrust && request.action.starts_with("sts:"));
    Explanation { verdict, statements, trust }
}

fn trace_policy(
    statements: &mut Vec<Trace>,
    layer: Layer,
    level: usize,
    named: &Named<'_>,
    subject: Option<&Subject<'_>>,
) {
    let entry = |statement, effect, outcome, forms| Trace {
        layer,
        level,
        policy: named.name.to_owned(),
        statement,
        effect,
        outcome,
        forms,
    };
    if let Some(errors) = named.policy.unreadable() {
        let outcome = Outcome::Unreadable(errors.to_string());
        statements.push(entry(StatementName::Index(0), Effect::Deny, outcome, Forms::NONE));
        return;
    }
    for (at, statement) in named.policy.statements().iter().enumerate() {
        let name = match &statement.sid {
            Some(sid) => StatementName::Sid(sid.to_string()),
            None => StatementName::Index(at),
        };
        let (outcome, forms) = subject
            .map_or((Outcome::ActionDiffers, Forms::NONE), |subject| outcome(statement, subject));
        statements.push(entry(name, statement.effect, outcome, forms));
    }
}

fn outcome(statement: &Statement, subject: &Subject<'_>) -> (Outcome, Forms) {
    let outcome = match statement.matches(subject) {
        Ok(forms) => return (Outcome::Matches, forms),
        Err(Miss::Action) => Outcome::ActionDiffers,
        Err(Miss::Principal) => Outcome::PrincipalDiffers,
        Err(Miss::Resource) => Outcome::ResourceDiffers,
        Err(Miss::Condition(condition)) => Outcome::ConditionFails {
            operator: condition.operator().to_string(),
            key: condition.key().as_str().to_owned(),
            missing: subject.context.lookup(condition.key()).is_none_or(<[_]>::is_empty),
        },
    };
    (outcome, Forms::NONE)
}

impl Trace {
    fn has_effect(&self, layer: Layer, effect: Effect) -> bool {
        self.layer == layer && self.effect == effect && self.outcome == Outcome::Matches
    }

    fn denies(&self) -> bool {
        self.effect == Effect::Deny
            && matches!(self.outcome, Outcome::Matches | Outcome::Unreadable(_))
    }
}

impl Explanation {
    /// The decision.
    pub fn decision(&self) -> Decision {
        self.verdict.decision
    }

    /// The statements that had their effect: the denying ones after an explicit deny, else the
    /// allowing ones.
    pub fn matched(&self) -> impl Iterator<Item = &Trace> {
        let explicit = self.verdict.decision == Decision::Deny(DenyKind::Explicit);
        self.statements.iter().filter(move |t| match explicit {
            true => t.denies(),
            false => t.effect == Effect::Allow && t.outcome == Outcome::Matches,
        })
    }

    /// The statement that denies, after an explicit deny.
    pub fn denied_by(&self) -> Option<&Trace> {
        self.statements.iter().find(|t| t.denies())
    }

    /// AWS's text for an access-denied error ("Troubleshoot access denied error messages"). The
    /// resource is left out when it is empty. `None` for `user_arn` means an unsigned request.
    pub fn message(&self, user_arn: Option<&str>, action: &str, resource: &str) -> String {
        let user = user_arn.unwrap_or("anonymous");
        let on =
            if resource.is_empty() { String::new() } else { format!(" on resource: {resource}") };
        format!("User: {user} is not authorized to perform: {action}{on} {}", self.reason(action))
    }

    /// The last part of the message, from "because" or "with"; for an allow, what it rests on.
    pub fn reason(&self, action: &str) -> String {
        let layer = self.verdict.layer.unwrap_or(Layer::Identity);
        match self.verdict.decision {
            Decision::Allow => match self.verdict.basis {
                Some(crate::Basis::Delegated) => {
                    "allowed by the account that the resource-based policy names".to_owned()
                }
                Some(crate::Basis::Resource) => "allowed by a resource-based policy".to_owned(),
                Some(crate::Basis::Unconditional) => "the action needs no permission".to_owned(),
                _ => "allowed by an identity-based policy".to_owned(),
            },
            Decision::Deny(DenyKind::Explicit) => {
                format!("with an explicit deny in {}", self.layer_with_article(layer))
            }
            Decision::Deny(DenyKind::Implicit) => {
                format!("because no {} allows the {action} action", self.layer_name(layer))
            }
        }
    }

    fn layer_name(&self, layer: Layer) -> &'static str {
        match layer {
            Layer::Boundary => "permissions boundary",
            Layer::Identity => "identity-based policy",
            Layer::Rcp => "resource control policy",
            Layer::Resource if self.trust => "role trust policy",
            Layer::Resource => "resource-based policy",
            Layer::Scp => "service control policy",
            Layer::Session => "session policy",
            Layer::VpcEndpoint => "VPC endpoint policy",
        }
    }

    fn layer_with_article(&self, layer: Layer) -> String {
        let name = self.layer_name(layer);
        match layer {
            Layer::Identity => format!("an {name}"),
            Layer::Resource if self.trust => format!("the {name}"),
            _ => format!("a {name}"),
        }
    }
}
