//! Authorization as a proof value.
//!
//! A function that changes something takes a [`Permit`]; nothing but [`authorize`] makes one, and it
//! makes one only when every pair of action and resource is allowed. Skipping the check does not
//! compile.

use std::fmt;
use std::marker::PhantomData;

use writ_model::AccountId;

use crate::context::Context;
use crate::document::Policy;
use crate::engine::{Basis, Decision, Layers, Mode, Named, Request, verdict};
use crate::explain::{Explanation, explain};
use crate::principal::Principal;

/// An operation and the action that a permit for it must hold.
pub trait Operation {
    /// For example `kms:Encrypt`.
    const ACTION: &'static str;
}

/// One pair that was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permitted {
    /// The action.
    pub action: Box<str>,
    /// The ARN, or `*`.
    pub resource: Box<str>,
    /// What the allow rests on.
    pub basis: Basis,
}

/// Proof that a caller may do what it lists. `A` is the operation that it is for; a fresh permit is
/// for none yet ([`Permit::narrow`]). It cannot be cloned: one check, one call.
pub struct Permit<A = ()> {
    pairs: Vec<Permitted>,
    operation: PhantomData<fn() -> A>,
}

impl<A> fmt::Debug for Permit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.pairs).finish()
    }
}

impl<A> Permit<A> {
    /// What was allowed, in the order in which it was asked; never empty.
    pub fn pairs(&self) -> &[Permitted] {
        &self.pairs
    }

    /// What the first pair rests on.
    pub fn basis(&self) -> Option<Basis> {
        self.pairs.first().map(|pair| pair.basis)
    }

    /// True if the permit holds this pair; the action without case, the resource exactly.
    pub fn covers(&self, action: &str, resource: &str) -> bool {
        self.pairs.iter().any(|p| p.action.eq_ignore_ascii_case(action) && *p.resource == *resource)
    }
}

impl Permit {
    /// The permit for operation `B`, if it holds `B`'s action; else it comes back unchanged.
    ///
    /// # Errors
    /// The permit itself, when none of its pairs has the action.
    pub fn narrow<B: Operation>(self) -> Result<Permit<B>, Permit> {
        let holds = |pair: &Permitted| pair.action.eq_ignore_ascii_case(B::ACTION);
        if self.pairs.iter().any(holds) {
            Ok(Permit { pairs: self.pairs, operation: PhantomData })
        } else {
            Err(self)
        }
    }
}

/// A refusal with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The caller as messages name it; `None` for an unsigned request.
    pub user: Option<String>,
    /// The action that was refused.
    pub action: String,
    /// Its resource.
    pub resource: String,
    /// Why.
    pub explanation: Box<Explanation>,
}

impl Denied {
    /// AWS's text for the error. It names the layer; only callers who may see policies should be
    /// shown the trace.
    pub fn message(&self) -> String {
        self.explanation.message(self.user.as_deref(), &self.action, &self.resource)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Denied {}

/// Decides all pairs; each must be allowed. The order is the order of the checks, and the first
/// refusal is the one that is reported.
///
/// # Errors
/// [`Denied`] for the first pair that is not allowed. An empty list is refused as well: a call that
/// asks for nothing is a fault of the code that made it.
pub fn authorize(pairs: &[(Request<'_>, Layers<'_>)]) -> Result<Permit, Denied> {
    let mut permitted = Vec::with_capacity(pairs.len());
    for (request, layers) in pairs {
        let verdict = verdict(request, layers);
        match (verdict.decision, verdict.basis) {
            (Decision::Allow, Some(basis)) => permitted.push(Permitted {
                action: request.action.into(),
                resource: request.resource.into(),
                basis,
            }),
            _ => return Err(denied(request, layers)),
        }
    }
    if permitted.is_empty() {
        let context = Context::new();
        let (action, resource) = ("", "");
        let nothing = Request {
            principal: None,
            action,
            resource,
            resource_account: None,
            context: &context,
        };
        return Err(denied(&nothing, &Layers::default()));
    }
    Ok(Permit { pairs: permitted, operation: PhantomData })
}

fn denied(request: &Request<'_>, layers: &Layers<'_>) -> Denied {
    Denied {
        user: request.principal.map(|p| p.display().to_owned()),
        action: request.action.to_owned(),
        resource: request.resource.to_owned(),
        explanation: Box::new(explain(request, layers)),
    }
}

/// One thing that a call needs: an action on a resource, with what its service knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// For example `s3:GetObject`.
    pub action: &'a str,
    /// An ARN, or `*`.
    pub resource: &'a str,
    /// The owner of the resource; `None` means the caller's account.
    pub resource_account: Option<AccountId>,
    /// The policy of the resource.
    pub resource_policy: Option<Named<'a>>,
    /// Keys of this resource, such as its tags; they come in place of the call's own.
    pub context: Option<&'a Context>,
    /// Which side has to say yes.
    pub mode: Mode,
}

impl<'a> Access<'a> {
    /// An access without resource policy, in the mode of its action.
    pub fn new(action: &'a str, resource: &'a str) -> Access<'a> {
        Access {
            action,
            resource,
            resource_account: None,
            resource_policy: None,
            context: None,
            mode: Mode::of(action, resource),
        }
    }

    /// The same, of another owner.
    #[must_use]
    pub fn owned_by(mut self, account: AccountId) -> Access<'a> {
        self.resource_account = Some(account);
        self
    }

    /// The same with the resource's policy.
    #[must_use]
    pub fn with_policy(mut self, name: &'a str, policy: &'a Policy) -> Access<'a> {
        self.resource_policy = Some(Named { name, policy });
        self
    }

    /// The same with a context of its own.
    #[must_use]
    pub fn with_context(mut self, context: &'a Context) -> Access<'a> {
        self.context = Some(context);
        self
    }
}

/// One API call: who calls, in what circumstances, and all that the call needs.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The caller; `None` for an unsigned request.
    pub principal: Option<&'a Principal>,
    /// Condition keys of the request; the authorizer adds those of the principal.
    pub context: &'a Context,
    /// Session policies that came with the credential; `None` if it was made without any.
    pub session: Option<&'a [Named<'a>]>,
    /// Policies of the VPC endpoint, if the request came through one.
    pub vpce: Option<&'a [Named<'a>]>,
    /// Everything that must be allowed, in the order in which AWS checks it.
    pub accesses: &'a [Access<'a>],
}

/// The port through which services ask. The implementation finds the caller's policies and calls
/// [`authorize`], the only maker of permits.
pub trait Authorizer: Send + Sync {
    /// Decides the whole call.
    ///
    /// # Errors
    /// [`Denied`] for the first access that is not allowed.
    fn authorize(&self, call: &Call<'_>) -> Result<Permit, Denied>;
}
