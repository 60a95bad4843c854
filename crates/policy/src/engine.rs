//! The decision: every layer is consulted, then what the layers say is combined.
//!
//! Source: "Policy evaluation logic" of the IAM user guide, with its pages on requests within one
//! account, across accounts, and on permissions boundaries.

use writ_model::AccountId;

use crate::context::Context;
use crate::document::Policy;
use crate::limits::RCP_SERVICES;
use crate::principal::{Forms, Principal, PrincipalKind};
use crate::statement::{ActionName, Subject};

/// What is asked: one action on one resource.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The caller; `None` for an unsigned request.
    pub principal: Option<&'a Principal>,
    /// For example `s3:GetObject`; case does not matter.
    pub action: &'a str,
    /// An ARN, or `*` for actions that have no resource.
    pub resource: &'a str,
    /// The owner of the resource; `None` means the caller's account.
    pub resource_account: Option<AccountId>,
    /// Condition keys. The caller of this crate supplies all of them, those of the principal too.
    pub context: &'a Context,
}

/// A policy and the name under which explanations speak of it: its ARN or inline name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The name.
    pub name: &'a str,
    /// The compiled policy.
    pub policy: &'a Policy,
}

/// Which side has to say yes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Within an account identity or resource policy suffices; across accounts both are needed.
    #[default]
    Normal,
    /// KMS keys and roles: without their key or trust policy nothing is allowed; identity policies
    /// count only if it names the account.
    RootOfTrust,
    /// `s3:GetBucketPolicy`, `s3:PutBucketPolicy` and `s3:DeleteBucketPolicy`: as normal, but the
    /// bucket policy has no say about the root of the bucket's own account, who would else be locked
    /// out by it ("Bucket owner root principals can only be blocked from performing these API actions by
    /// VPC endpoint policies and AWS Organizations policies", API reference, PutBucketPolicy).
    RootRecovers,
    /// `sts:GetCallerIdentity` and `sts:GetSessionToken`, which need no permission and which no
    /// policy can deny ("You cannot use policies to control authentication operations").
    Unconditional,
}

impl Mode {
    /// The mode of AWS's own actions on a resource. KMS actions that concern no single key are
    /// normal ones: the key policy has no say in them.
    pub fn of(action: &str, resource: &str) -> Mode {
        let Some(action) = ActionName::fold(action) else { return Mode::Normal };
        match action.parts() {
            ("sts", "getcalleridentity" | "getsessiontoken") => Mode::Unconditional,
            ("sts", "setcontext" | "setsourceidentity" | "tagsession") => Mode::RootOfTrust,
            ("s3", "deletebucketpolicy" | "getbucketpolicy" | "putbucketpolicy") => {
                Mode::RootRecovers
            }
            ("sts", name) if name.starts_with("assumerole") => Mode::RootOfTrust,
            (
                "kms",
                "createkey"
                | "generaterandom"
                | "listaliases"
                | "listkeys"
                | "connectcustomkeystore"
                | "createcustomkeystore"
                | "deletecustomkeystore"
                | "describecustomkeystores"
                | "disconnectcustomkeystore"
                | "updatecustomkeystore",
            ) => Mode::Normal,
            ("kms", _) if is_alias(resource) => Mode::Normal,
            ("kms", _) => Mode::RootOfTrust,
            _ => Mode::Normal,
        }
    }
}

/// Aliases have no policy of their own: identity policies decide.
fn is_alias(resource: &str) -> bool {
    resource.splitn(6, ':').nth(5).is_some_and(|part| part.starts_with("alias/"))
}

/// Every policy that may bear on a request. What does not exist is left empty; what does not apply
/// to the caller (a boundary to root, an SCP to a service-linked role) is skipped here. Pass no SCPs
/// for principals, and no RCPs for resources, of the management account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layers<'a> {
    /// Inline and managed policies of the user or role, and of the user's groups.
    pub identity: &'a [Named<'a>],
    /// The permissions boundary, if one is set.
    pub boundary: Option<&'a [Named<'a>]>,
    /// Session policies, if the session was made with any.
    pub session: Option<&'a [Named<'a>]>,
    /// The policy of the resource: bucket policy, key policy, trust policy.
    pub resource: Option<Named<'a>>,
    /// Service control policies of the caller's account, a list for each level, the root's first.
    /// Each level must allow.
    pub scps: &'a [Vec<Named<'a>>],
    /// Resource control policies of the resource's account, the same way. `RCPFullAWSAccess`, which
    /// cannot be detached, is implied, so they can only deny.
    pub rcps: &'a [Vec<Named<'a>>],
    /// Policies of the VPC endpoint, if the request came through one.
    pub vpce: Option<&'a [Named<'a>]>,
    /// Which side has to say yes.
    pub mode: Mode,
}

/// One kind of policy that has a say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Layer {
    /// Permissions boundary.
    Boundary,
    /// Identity-based policies.
    Identity,
    /// Resource control policies.
    Rcp,
    /// Resource-based policy, key policy or trust policy.
    Resource,
    /// Service control policies.
    Scp,
    /// Session policies.
    Session,
    /// VPC endpoint policy.
    VpcEndpoint,
}

/// How a request was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyKind {
    /// A statement denies it.
    Explicit,
    /// No statement of a layer that must allow it does.
    Implicit,
}

/// The answer. The default is a deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allow,
    /// Do not.
    Deny(DenyKind),
}

impl Default for Decision {
    fn default() -> Decision {
        Decision::Deny(DenyKind::Implicit)
    }
}

/// What an allow rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The resource policy names the caller's account, and the account's identity policies allow.
    Delegated,
    /// The caller's identity policies.
    Identity,
    /// The resource policy itself names the caller.
    Resource,
    /// The action needs no permission.
    Unconditional,
}

/// The decision with what it rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub decision: Decision,
    /// What an allow rests on.
    pub basis: Option<Basis>,
    /// The layer that denies.
    pub layer: Option<Layer>,
}

impl Verdict {
    pub(crate) fn allow(basis: Basis) -> Verdict {
        Verdict { decision: Decision::Allow, basis: Some(basis), layer: None }
    }

    pub(crate) fn deny(kind: DenyKind, layer: Layer) -> Verdict {
        Verdict { decision: Decision::Deny(kind), basis: None, layer: Some(layer) }
    }
}

/// What a resource policy alone says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceOutcome {
    /// A statement allows the account; identity policies decide.
    DelegatesToAccount,
    /// A statement allows the caller by `*`, as user, role, session, service or federated caller.
    DirectAllow,
    /// A statement denies, or the policy cannot be read.
    ExplicitDeny,
    /// No statement speaks of the request.
    NoMatch,
}

/// Decides. Allocates nothing.
pub fn evaluate(request: &Request<'_>, layers: &Layers<'_>) -> Decision {
    verdict(request, layers).decision
}

/// Decides, and says what the decision rests on. Allocates nothing.
pub fn verdict(request: &Request<'_>, layers: &Layers<'_>) -> Verdict {
    combine(request, layers, &gather(request, layers))
}

/// What a resource's policy says by itself, for those who hold nothing but that policy. The caller's
/// boundary is not known here, so a `NotPrincipal` deny spares whom it lists.
pub fn evaluate_resource(request: &Request<'_>, policy: &Policy) -> ResourceOutcome {
    let Some(action) = ActionName::fold(request.action) else {
        return ResourceOutcome::NoMatch;
    };
    let mut scan = Scan { subject: subject(request, &action, false), denied: None };
    let forms = scan.policy(Layer::Resource, policy);
    if scan.denied.is_some() {
        ResourceOutcome::ExplicitDeny
    } else if forms.is_empty() {
        ResourceOutcome::NoMatch
    } else if forms == Forms::ACCOUNT {
        ResourceOutcome::DelegatesToAccount
    } else {
        ResourceOutcome::DirectAllow
    }
}

/// Which layers have a say about this caller and action.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applicable {
    pub(crate) identity: bool,
    pub(crate) boundary: bool,
    pub(crate) scp: bool,
    pub(crate) rcp: bool,
}

impl Applicable {
    pub(crate) fn new(request: &Request<'_>) -> Applicable {
        let linked = request.principal.is_some_and(|p| p.service_linked);
        let owned = request.principal.is_some_and(Principal::has_account);
        let root = request.principal.is_some_and(|p| p.kind == PrincipalKind::Root);
        let service = request.action.split_once(':').map_or("", |(service, _)| service);
        let covered = || RCP_SERVICES.iter().any(|known| known.eq_ignore_ascii_case(service));
        Applicable {
            identity: owned,
            boundary: owned && !linked && !root,
            scp: owned && !linked,
            rcp: !linked && covered(),
        }
    }
}

/// What the layers say, before it is combined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The first layer with a deny.
    pub(crate) denied: Option<Layer>,
    pub(crate) identity: bool,
    /// `None`: there is no boundary.
    pub(crate) boundary: Option<bool>,
    pub(crate) session: Option<bool>,
    pub(crate) resource: Forms,
    /// Every level allows.
    pub(crate) scp: bool,
    pub(crate) vpce: Option<bool>,
}

/// One pass over policies.
struct Scan<'a> {
    subject: Subject<'a>,
    denied: Option<Layer>,
}

impl Scan<'_> {
    /// How the policy's allows name the caller. A deny is noted and ends the matter.
    fn policy(&mut self, layer: Layer, policy: &Policy) -> Forms {
        if self.denied.is_some() {
            return Forms::NONE;
        }
        let subject = &self.subject;
        let (mut denies, allows) = policy.candidates(subject.service);
        if policy.unreadable().is_some() || denies.any(|s| s.matches(subject).is_ok()) {
            self.denied = Some(layer);
            return Forms::NONE;
        }
        let mut matches = allows.filter_map(|s| s.matches(subject).ok());
        if layer == Layer::Resource {
            matches.fold(Forms::NONE, Forms::with)
        } else {
            matches.next().unwrap_or_default()
        }
    }

    fn any(&mut self, layer: Layer, policies: &[Named<'_>]) -> bool {
        let mut allowed = false;
        for named in policies {
            allowed |= !self.policy(layer, named.policy).is_empty();
        }
        allowed
    }
}

pub(crate) fn subject<'a>(
    request: &Request<'a>,
    action: &'a ActionName,
    bounded: bool,
) -> Subject<'a> {
    let (service, name) = action.parts();
    Subject {
        principal: request.principal,
        service,
        name,
        resource: request.resource,
        context: request.context,
        bounded,
    }
}

/// The resource's policy, where it has a say about this caller.
pub(crate) fn resource_policy<'a>(request: &Request<'_>, layers: &Layers<'a>) -> Option<Named<'a>> {
    let own_root = request.principal.is_some_and(|principal| {
        principal.kind == PrincipalKind::Root && is_owner(request, principal)
    });
    layers.resource.filter(|_| !(layers.mode == Mode::RootRecovers && own_root))
}

fn is_owner(request: &Request<'_>, principal: &Principal) -> bool {
    request.resource_account.is_none_or(|account| account == principal.account)
}

fn gather(request: &Request<'_>, layers: &Layers<'_>) -> Facts {
    let applies = Applicable::new(request);
    let boundary = layers.boundary.filter(|_| applies.boundary);
    let mut facts = Facts { scp: true, ..Facts::default() };
    let Some(action) = ActionName::fold(request.action) else { return facts };
    let mut scan = Scan { subject: subject(request, &action, boundary.is_some()), denied: None };
    if applies.scp {
        for level in layers.scps {
            facts.scp &= scan.any(Layer::Scp, level);
        }
    }
    if applies.rcp {
        for level in layers.rcps {
            scan.any(Layer::Rcp, level);
        }
    }
    facts.vpce = layers.vpce.map(|policies| scan.any(Layer::VpcEndpoint, policies));
    if let Some(named) = resource_policy(request, layers) {
        facts.resource = scan.policy(Layer::Resource, named.policy);
    }
    if applies.identity {
        facts.identity = scan.any(Layer::Identity, layers.identity);
        facts.boundary = boundary.map(|policies| scan.any(Layer::Boundary, policies));
        facts.session = layers.session.map(|policies| scan.any(Layer::Session, policies));
    }
    facts.denied = scan.denied;
    facts
}

/// What the layers say together.
pub(crate) fn combine(request: &Request<'_>, layers: &Layers<'_>, facts: &Facts) -> Verdict {
    use DenyKind::{Explicit, Implicit};
    if layers.mode == Mode::Unconditional {
        return Verdict::allow(Basis::Unconditional);
    }
    if let Some(layer) = facts.denied {
        return Verdict::deny(Explicit, layer);
    }
    if !facts.scp {
        return Verdict::deny(Implicit, Layer::Scp);
    }
    if facts.vpce == Some(false) {
        return Verdict::deny(Implicit, Layer::VpcEndpoint);
    }
    let Some(principal) = request.principal.filter(|p| p.has_account()) else {
        // Unsigned requests, services and federated callers have nothing but the resource policy.
        return match facts.resource.is_empty() {
            true => Verdict::deny(Implicit, Layer::Resource),
            false => Verdict::allow(Basis::Resource),
        };
    };
    let limits = Limits::new(principal, facts);
    if is_owner(request, principal) {
        within(layers.mode, facts, &limits)
    } else {
        across(facts, &limits)
    }
}

/// What bounds the caller's own permissions, and whether it has any.
struct Limits {
    /// The first of identity, boundary and session that does not allow.
    own: Option<Layer>,
    /// The first of boundary and session that does not allow.
    session: Option<Layer>,
}

impl Limits {
    fn new(principal: &Principal, facts: &Facts) -> Limits {
        // Without a session policy a federated user has no permissions but those that resource
        // policies give it (API reference, GetFederationToken).
        let bare = principal.kind == PrincipalKind::FederatedUser && facts.session.is_none();
        let session = if facts.boundary == Some(false) {
            Some(Layer::Boundary)
        } else {
            (bare || facts.session == Some(false)).then_some(Layer::Session)
        };
        let allowed = facts.identity || principal.kind == PrincipalKind::Root;
        Limits { own: if allowed { session } else { Some(Layer::Identity) }, session }
    }
}

fn within(mode: Mode, facts: &Facts, limits: &Limits) -> Verdict {
    let forms = facts.resource;
    let unlimited = [Forms::ANYONE, Forms::USER, Forms::SESSION];
    let direct = unlimited.iter().any(|form| forms.has(*form))
        || (forms.has(Forms::ROLE) && limits.session.is_none());
    if direct {
        return Verdict::allow(Basis::Resource);
    }
    let delegated = mode != Mode::RootOfTrust || forms.has(Forms::ACCOUNT);
    let missing = match (delegated, limits.own) {
        (true, None) if mode != Mode::RootOfTrust => return Verdict::allow(Basis::Identity),
        (true, None) => return Verdict::allow(Basis::Delegated),
        // A grant to the role stands, and what limits it is the reason.
        (_, Some(_)) if forms.has(Forms::ROLE) => limits.session,
        (false, _) => Some(Layer::Resource),
        (true, own) => own,
    };
    Verdict::deny(DenyKind::Implicit, missing.unwrap_or(Layer::Resource))
}

/// Across accounts both sides must allow, whatever the mode.
fn across(facts: &Facts, limits: &Limits) -> Verdict {
    if let Some(layer) = limits.own {
        return Verdict::deny(DenyKind::Implicit, layer);
    }
    match facts.resource {
        forms if forms.is_empty() => Verdict::deny(DenyKind::Implicit, Layer::Resource),
        Forms::ACCOUNT => Verdict::allow(Basis::Delegated),
        _ => Verdict::allow(Basis::Resource),
    }
}
