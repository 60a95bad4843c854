//! What follows from an object and is computed when the object changes, never at request time.
//!
//! A stored policy that cannot be read compiles to one that denies everything and says why
//! ([`Policy::load`]): it was accepted once, so dropping it could widen access.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use writ_model::{Arn, UniqueId};
use writ_policy::{InlineOwner, Policy, PolicyKind, ResourceKind};
use writ_proof::access::Request;
use writ_proof::cbor;
use writ_proof::statement::Signed;

use crate::state::{
    AccessApproval, AccessGrant, AccessKey, AccessRequest, Account, Alias, Consent, Enrolment,
    Group, HrFeed, Key, Lockbox, ManagedPolicy, Person, Revocation, Role, RosterEntry, Run,
    Runbook, Stored, Support, Ticket, User,
};

/// A stored type and what a snapshot keeps beside it.
pub trait Derive: Stored {
    /// What is kept.
    type Derived: fmt::Debug + Send + Sync;

    /// Computes it.
    fn derive(&self) -> Self::Derived;
}

/// Compiled inline policies by name.
pub type InlinePolicies = BTreeMap<String, Arc<Policy>>;

/// A role's compiled policies.
#[derive(Debug)]
pub struct RolePolicies {
    /// Who may assume it.
    pub trust: Arc<Policy>,
    /// Its inline policies by name.
    pub inline: InlinePolicies,
}

impl Derive for User {
    type Derived = InlinePolicies;

    fn derive(&self) -> InlinePolicies {
        inline(&self.inline_policies, InlineOwner::User)
    }
}

impl Derive for Group {
    type Derived = InlinePolicies;

    fn derive(&self) -> InlinePolicies {
        inline(&self.inline_policies, InlineOwner::Group)
    }
}

impl Derive for Role {
    type Derived = RolePolicies;

    fn derive(&self) -> RolePolicies {
        let trust = bound(&self.trust_policy, PolicyKind::Trust, &self.principals);
        RolePolicies { trust, inline: inline(&self.inline_policies, InlineOwner::Role) }
    }
}

impl Derive for ManagedPolicy {
    /// The version in force; also used where the policy is a permissions boundary. If the version
    /// in force is missing, a policy that denies everything.
    type Derived = Arc<Policy>;

    fn derive(&self) -> Arc<Policy> {
        let document = self.in_force().map(|version| version.document.as_str());
        Arc::new(Policy::load(document.unwrap_or_default(), PolicyKind::Identity))
    }
}

impl Derive for Key {
    /// The key policy.
    type Derived = Arc<Policy>;

    fn derive(&self) -> Arc<Policy> {
        bound(&self.policy, PolicyKind::Resource(ResourceKind::Key), &self.principals)
    }
}

macro_rules! plain {
    ($($type:ident),*) => {$(
        impl Derive for $type {
            type Derived = ();

            fn derive(&self) {}
        }
    )*};
}

plain!(
    AccessApproval,
    AccessGrant,
    AccessKey,
    Account,
    Alias,
    Consent,
    Enrolment,
    HrFeed,
    Lockbox,
    Person,
    Revocation,
    RosterEntry,
    Run,
    Runbook,
    Support,
    Ticket
);

impl Derive for AccessRequest {
    /// What was signed, read; `None` if it cannot be. Its signature was checked when it came, and is checked
    /// again before anything follows from it.
    type Derived = Option<Arc<Request>>;

    fn derive(&self) -> Option<Arc<Request>> {
        let signed = Signed::from_bytes(self.statement.as_slice()).ok()?;
        cbor::from_slice(signed.body()).ok().map(Arc::new)
    }
}

fn inline(documents: &BTreeMap<String, String>, owner: InlineOwner) -> InlinePolicies {
    let compile = |text: &String| Arc::new(Policy::load(text, PolicyKind::Inline(owner)));
    documents.iter().map(|(name, text)| (name.clone(), compile(text))).collect()
}

fn bound(text: &str, kind: PolicyKind, principals: &BTreeMap<Arn, UniqueId>) -> Arc<Policy> {
    let mut policy = Policy::load(text, kind);
    if !principals.is_empty()
        && let Err(errors) = policy.bind_principals(&|arn| principals.get(arn).cloned())
    {
        // Binding is all or nothing. A document with an unknown principal was never accepted
        // together with these ids, so it is damaged: deny rather than match by name.
        tracing::error!(%errors, "a stored policy does not fit its bound principals; it denies");
        policy = Policy::load("", kind);
    }
    Arc::new(policy)
}
