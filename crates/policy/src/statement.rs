//! One compiled statement and how its elements match a request.

use crate::condition::Condition;
use crate::context::Context;
use crate::error::Problem;
use crate::limits::ACTION_MAX_BYTES;
use crate::pattern::{ArnPattern, Pattern, Syntax};
use crate::principal::{Forms, Principal, Spec, exempt_from_deny, forms_of};

/// What a statement does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// `Allow`
    Allow,
    /// `Deny`
    Deny,
}

/// A request's action, folded to lower case on the stack.
#[derive(Clone, Copy)]
pub(crate) struct ActionName {
    bytes: [u8; ACTION_MAX_BYTES],
    length: usize,
    colon: usize,
}

impl ActionName {
    /// `None` for what cannot be an action; nothing matches it, so it is denied.
    pub(crate) fn fold(action: &str) -> Option<ActionName> {
        let mut bytes = [0u8; ACTION_MAX_BYTES];
        let target = bytes.get_mut(..action.len())?;
        target.copy_from_slice(action.as_bytes());
        target.make_ascii_lowercase();
        let colon = action.find(':')?;
        Some(ActionName { bytes, length: action.len(), colon })
    }

    /// Service and name.
    pub(crate) fn parts(&self) -> (&str, &str) {
        (self.slice(0, self.colon), self.slice(self.colon + 1, self.length))
    }

    fn slice(&self, from: usize, to: usize) -> &str {
        self.bytes.get(from..to).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

/// `service:pattern` in lower case; without a service for `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActionPattern {
    pub(crate) service: Option<Box<str>>,
    name: Pattern,
}

impl ActionPattern {
    pub(crate) fn parse(text: &str) -> Result<ActionPattern, Problem> {
        let wrong = || Problem::value(text, "an action such as `s3:Get*`, or `*`");
        let folded = text.to_ascii_lowercase();
        let (service, name) = match folded.split_once(':') {
            None if folded == "*" => ("*", "*"),
            None => return Err(wrong()),
            Some(parts) => parts,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let service_fits = service == "*" || (!service.is_empty() && service.chars().all(plain));
        let name_fits =
            !name.is_empty() && name.chars().all(|c| plain(c) || matches!(c, '*' | '?'));
        if !service_fits || !name_fits {
            return Err(wrong());
        }
        let name = Pattern::parse(name, Syntax { wildcards: true, variables: false })?;
        let service = (service != "*").then(|| service.into());
        Ok(ActionPattern { service, name })
    }

    fn matches(&self, service: &str, name: &str) -> bool {
        self.service.as_deref().is_none_or(|s| s == service) && self.name.matches_plain(name)
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.service.is_none() && self.name.is_everything()
    }
}

/// A list of which one must match, or (`not`) none may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule<T> {
    pub(crate) not: bool,
    pub(crate) items: Box<[T]>,
}

impl<T> Rule<T> {
    fn accepts(&self, matches: impl Fn(&T) -> bool) -> bool {
        self.items.iter().any(matches) != self.not
    }
}

/// A compiled statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<Box<str>>,
    pub(crate) effect: Effect,
    /// `None` in policies that have no such element.
    pub(crate) principals: Option<Rule<Spec>>,
    pub(crate) actions: Rule<ActionPattern>,
    /// `None` where the resource is what the policy belongs to, as in role trust policies.
    pub(crate) resources: Option<Rule<ArnPattern>>,
    pub(crate) conditions: Box<[Condition]>,
}

/// What a statement is matched against.
pub(crate) struct Subject<'a> {
    pub(crate) principal: Option<&'a Principal>,
    /// The action's two parts in lower case.
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
    /// The caller has a permissions boundary: `NotPrincipal` with `Deny` then always denies.
    pub(crate) bounded: bool,
}

/// The first element of a statement that does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss<'a> {
    Action,
    Principal,
    Resource,
    Condition(&'a Condition),
}

impl Statement {
    /// How the statement names the caller if all of its elements match. Statements without a
    /// principal element speak of whomever they are attached to.
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> Result<Forms, Miss<'_>> {
        if !self.actions.accepts(|p| p.matches(subject.service, subject.name)) {
            return Err(Miss::Action);
        }
        let forms = self.forms(subject);
        if forms.is_empty() {
            return Err(Miss::Principal);
        }
        if !self.fits_resource(subject) {
            return Err(Miss::Resource);
        }
        match self.conditions.iter().find(|c| !c.holds(subject.context)) {
            Some(condition) => Err(Miss::Condition(condition)),
            None => Ok(forms),
        }
    }

    /// A variable without a value makes an element match nothing. In `NotResource` that would be
    /// everything: an allow misses ("If AWS cannot resolve a variable this might cause the entire
    /// statement to be invalid", "IAM policy elements: Variables and tags"), a deny applies.
    fn fits_resource(&self, subject: &Subject<'_>) -> bool {
        let Some(rule) = &self.resources else { return true };
        let resolved = || rule.items.iter().all(|pattern| pattern.resolves(subject.context));
        if rule.not && self.effect == Effect::Allow && !resolved() {
            return false;
        }
        rule.accepts(|pattern| pattern.matches(subject.resource, subject.context))
    }

    fn forms(&self, subject: &Subject<'_>) -> Forms {
        let Some(rule) = &self.principals else { return Forms::ANYONE };
        if !rule.not {
            return forms_of(&rule.items, subject.principal);
        }
        let left_out = match self.effect {
            Effect::Allow => !forms_of(&rule.items, subject.principal).is_empty(),
            Effect::Deny => !subject.bounded && exempt_from_deny(&rule.items, subject.principal),
        };
        if left_out { Forms::NONE } else { Forms::ANYONE }
    }
}
