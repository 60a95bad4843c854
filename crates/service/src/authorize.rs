//! The authorizer: finds the policies that bear on a caller in a snapshot, and asks crate `policy`.
//!
//! This is where policies are decided for front and s3. keyd decides key policies once more itself.

use std::sync::Arc;

use writ_keyd_client::caller::{Caller, CallerKind, Session};
use writ_keyd_client::facts::Facts;
use writ_model::{AccountId, Arn};
use writ_policy::{
    Access, Authorizer, Context, Denied, Layers, Named, Permit, Policy, PolicyKind, Principal,
    Request, authorize, keys,
};
use writ_store::Snapshot;
use writ_store::derived::InlinePolicies;

/// The caller as the policy language knows it.
pub fn principal(caller: &Caller) -> Principal {
    let role = caller.session.as_ref().and_then(|session| session.role.as_ref());
    match (caller.kind, role) {
        (CallerKind::AssumedRole, Some(role)) => Principal::role_session(
            role.arn.clone(),
            caller.account,
            &role.unique_id,
            &role.session_name,
        ),
        (CallerKind::Root, _) => Principal::root(caller.account),
        _ => Principal::user(caller.arn.clone(), caller.account, &caller.unique_id),
    }
}

/// The condition keys of a request. Add those of the resource.
pub fn context(facts: &Facts<'_>) -> Context {
    let mut context = Context::new();
    facts.each(|key, values| {
        context.insert_many(key, values.iter().copied());
    });
    context
}

/// The tags of the user or role behind a caller; session tags come on top of them.
pub fn principal_tags(caller: &Caller, snapshot: &Snapshot) -> Vec<(String, String)> {
    let tags = match caller.kind {
        CallerKind::User => {
            caller_user(caller, snapshot).map(|user| user.tags.clone()).unwrap_or_default()
        }
        CallerKind::AssumedRole => {
            caller_role(caller, snapshot).map(|role| role.tags.clone()).unwrap_or_default()
        }
        CallerKind::Root => Default::default(),
    };
    tags.into_iter().collect()
}

/// Decides for one caller on one snapshot.
pub struct SnapshotAuthorizer<'a> {
    principal: Principal,
    identity: Vec<Owned>,
    boundary: Option<Owned>,
    session: Option<Vec<Owned>>,
    snapshot: &'a Snapshot,
}

struct Owned {
    name: String,
    policy: Arc<Policy>,
}

impl Owned {
    fn named(&self) -> Named<'_> {
        Named { name: &self.name, policy: &self.policy }
    }
}

impl<'a> SnapshotAuthorizer<'a> {
    /// Collects the policies of `caller`.
    pub fn new(caller: &Caller, snapshot: &'a Snapshot) -> SnapshotAuthorizer<'a> {
        let mut found = SnapshotAuthorizer {
            principal: principal(caller),
            identity: Vec::new(),
            boundary: None,
            session: None,
            snapshot,
        };
        match caller.kind {
            CallerKind::Root => {}
            CallerKind::User => found.add_user(caller),
            CallerKind::AssumedRole => found.add_role(caller),
        }
        if let Some(session) = caller.session.as_ref().filter(|s| s.role.is_some()) {
            found.add_session(session);
        }
        found
    }

    /// The keys of one access. **`aws:ResourceAccount` is set here**, for every service, so that no
    /// service can forget it: "included in the request context for most service actions" ("AWS global
    /// condition context keys"). What has no owner of its own belongs to the caller's account.
    fn context_of(&self, access: &Access<'_>, call: &Context) -> Context {
        let owner = access.resource_account.unwrap_or(self.principal.account);
        access.context.unwrap_or(call).clone().with(keys::RESOURCE_ACCOUNT, owner.to_string())
    }

    fn add_user(&mut self, caller: &Caller) {
        let Some(user) = caller_user(caller, self.snapshot) else {
            return self.deny_all();
        };
        self.add_inline(&user.derived);
        self.add_managed(user.attached_policies.iter());
        for group in &user.groups {
            if let Some(group) = self.snapshot.group(caller.account, group) {
                self.add_inline(&group.derived);
                self.add_managed(group.attached_policies.iter());
            }
        }
        self.boundary = user.boundary.as_ref().map(|arn| managed(arn, self.snapshot));
    }

    fn add_role(&mut self, caller: &Caller) {
        let Some(role) = caller_role(caller, self.snapshot) else {
            return self.deny_all();
        };
        self.add_inline(&role.derived.inline);
        self.add_managed(role.attached_policies.iter());
        self.boundary = role.boundary.as_ref().map(|arn| managed(arn, self.snapshot));
    }

    /// Whoever is gone has nothing, whatever a policy of a key, bucket or role says: an absent identity
    /// policy or boundary would not outweigh a resource's grant to the principal, a denial does.
    fn deny_all(&mut self) {
        let policy = Arc::new(Policy::load("gone", PolicyKind::Identity));
        self.identity.push(Owned { name: "principal that no longer exists".to_owned(), policy });
    }

    fn add_session(&mut self, session: &Session) {
        if session.policy.is_none() && session.policy_arns.is_empty() {
            return;
        }
        let inline = session.policy.iter().map(|text| Owned {
            name: "session policy".to_owned(),
            policy: Arc::new(Policy::load(text, PolicyKind::Session)),
        });
        let managed = session.policy_arns.iter().map(|arn| managed(arn, self.snapshot));
        self.session = Some(inline.chain(managed).collect());
    }

    fn add_inline(&mut self, policies: &InlinePolicies) {
        let owned = policies
            .iter()
            .map(|(name, policy)| Owned { name: name.clone(), policy: Arc::clone(policy) });
        self.identity.extend(owned);
    }

    fn add_managed<'p>(&mut self, arns: impl Iterator<Item = &'p Arn>) {
        self.identity.extend(arns.map(|arn| managed(arn, self.snapshot)));
    }
}

impl Authorizer for SnapshotAuthorizer<'_> {
    fn authorize(&self, call: &writ_policy::Call<'_>) -> Result<Permit, Denied> {
        let identity: Vec<Named<'_>> = self.identity.iter().map(Owned::named).collect();
        let boundary: Option<Vec<Named<'_>>> = self.boundary.as_ref().map(|b| vec![b.named()]);
        let session: Option<Vec<Named<'_>>> =
            self.session.as_ref().map(|s| s.iter().map(Owned::named).collect());
        let contexts: Vec<Context> =
            call.accesses.iter().map(|access| self.context_of(access, call.context)).collect();
        let mut pairs = Vec::with_capacity(call.accesses.len());
        for (access, context) in call.accesses.iter().zip(&contexts) {
            let request = Request {
                principal: Some(&self.principal),
                action: access.action,
                resource: access.resource,
                resource_account: access.resource_account,
                context,
            };
            let layers = Layers {
                identity: &identity,
                boundary: boundary.as_deref(),
                session: session.as_deref(),
                resource: access.resource_policy,
                scps: &[],
                rcps: &[],
                vpce: call.vpce,
                mode: access.mode,
            };
            pairs.push((request, layers));
        }
        authorize(&pairs)
    }
}

/// A managed policy's version in force. One that is missing or unreadable allows nothing: it stands
/// there as a policy that denies.
fn managed(arn: &Arn, snapshot: &Snapshot) -> Owned {
    let policy = crate::managed::compiled(arn)
        .or_else(|| snapshot.managed_policy(arn).map(|entry| Arc::clone(&entry.derived)));
    let policy = policy.unwrap_or_else(|| Arc::new(Policy::load("missing", PolicyKind::Identity)));
    Owned { name: arn.to_string(), policy }
}

fn caller_user<'s>(
    caller: &Caller,
    snapshot: &'s Snapshot,
) -> Option<&'s Arc<writ_store::Entry<writ_store::state::User>>> {
    let id = caller.unique_id.parse().ok()?;
    snapshot.user_by_unique_id(caller.account, &id)
}

fn caller_role<'s>(
    caller: &Caller,
    snapshot: &'s Snapshot,
) -> Option<&'s Arc<writ_store::Entry<writ_store::state::Role>>> {
    let role = caller.session.as_ref()?.role.as_ref()?;
    snapshot.role_by_unique_id(caller.account, &role.unique_id.parse().ok()?)
}

/// The account whose root an ARN names, if it is one.
pub fn account_of_root(arn: &Arn) -> Option<AccountId> {
    (arn.service() == "iam" && arn.resource() == "root").then(|| arn.account()).flatten()
}

#[cfg(test)]
mod tests {
    use writ_keyd_client::caller::SessionRole;
    use writ_keyd_client::protocol::Network;
    use writ_model::{Timestamp, Uuid};
    use writ_policy::{Mode, ResourceKind};

    use super::*;

    fn caller(account: AccountId) -> Caller {
        Caller {
            account,
            arn: Arn::iam(account, "user/gone"),
            kind: CallerKind::User,
            unique_id: "AIDAAAAAAAAAAAAAAAAAA".to_owned(),
            user_name: Some("gone".to_owned()),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            session: None,
            delegated: false,
        }
    }

    #[test]
    fn keys_of_a_request_are_known_and_agree_with_the_principal() {
        let account: AccountId = "111122223333".parse().unwrap();
        let mut caller = caller(account);
        caller.kind = CallerKind::AssumedRole;
        caller.session = Some(Session {
            role: Some(SessionRole {
                arn: Arn::iam(account, "role/app/reader"),
                unique_id: "AROAAAAAAAAAAAAAAAAAA".to_owned(),
                name: "reader".to_owned(),
                session_name: "job".to_owned(),
            }),
            issued: Timestamp::from_secs(1_800_000_000),
            expires: Timestamp::from_secs(1_800_003_600),
            mfa_at: Some(Timestamp::from_secs(1_800_000_000)),
            source_identity: Some("ann".to_owned()),
            tags: vec![("team".to_owned(), "session's".to_owned())],
            transitive_tag_keys: Vec::new(),
            policy: None,
            policy_arns: Vec::new(),
            chained: false,
        });
        let network = Network {
            source_ip: "192.0.2.7".to_owned(),
            tls: Some("TLSv1.3".to_owned()),
            vpce: Some("vpce-1".to_owned()),
        };
        let context = context(&Facts {
            caller: &caller,
            principal_tags: &[("team".to_owned(), "role's".to_owned())],
            now: Timestamp::from_secs(1_800_000_060),
            region: &"us-east-1".parse().unwrap(),
            network: &network,
            user_agent: Some("aws-cli"),
            referer: Some("https://app.example/"),
            via: &["s3.amazonaws.com".to_owned()],
        });
        for (key, _) in context.iter() {
            let known = keys::KNOWN.iter().any(|known| match known.ends_with('/') {
                true => key.starts_with(&known.to_ascii_lowercase()),
                false => known.eq_ignore_ascii_case(key),
            });
            assert!(known, "{key}");
        }
        let one = |key: &str| context.get(key).and_then(|values| values.first()).map(|v| &**v);
        let principal = principal(&caller);
        assert_eq!(one(keys::PRINCIPAL_TYPE), Some(principal.principal_type()));
        assert_eq!(one(keys::PRINCIPAL_ARN), principal.principal_arn().map(Arn::as_str));
        assert_eq!(one("aws:PrincipalTag/team"), Some("session's"));
        assert_eq!(one(keys::MULTI_FACTOR_AUTH_AGE), Some("60"));
        assert_eq!(one(keys::CALLED_VIA), Some("s3.amazonaws.com"));
        assert_eq!(one(keys::WRIT_CREDENTIAL_DELEGATED), Some("false"));
    }

    #[test]
    fn deleted_user_is_denied_also_where_a_resource_grants_to_everybody() {
        let account: AccountId = "111122223333".parse().unwrap();
        let snapshot = Snapshot::empty(Uuid::from_bytes([1; 16]));
        let caller = caller(account);
        let everybody = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
            "Principal":{"AWS":["*","arn:aws:iam::111122223333:user/gone"]},"Action":"*","Resource":"*"}]}"#;
        let policy = Policy::load(everybody, PolicyKind::Resource(ResourceKind::Key));
        let key = "arn:aws:kms:us-east-1:111122223333:key/k";
        for mode in [Mode::Normal, Mode::RootOfTrust] {
            let mut access = Access::new("kms:Decrypt", key).with_policy("key policy", &policy);
            access.mode = mode;
            let accesses = [access];
            let context = Context::new();
            let call = writ_policy::Call {
                principal: None,
                context: &context,
                session: None,
                vpce: None,
                accesses: &accesses,
            };
            assert!(SnapshotAuthorizer::new(&caller, &snapshot).authorize(&call).is_err());
        }
    }

    #[test]
    fn perimeter_policies_see_the_owner_of_each_access() {
        let account: AccountId = "111122223333".parse().unwrap();
        let snapshot = Snapshot::empty(Uuid::from_bytes([1; 16]));
        let mut caller = caller(account);
        caller.kind = CallerKind::Root;
        let perimeter = format!(
            r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}},
            {{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
                "Condition":{{"StringNotEquals":{{"aws:ResourceAccount":"{account}"}}}}}}]}}"#
        );
        let policy = Policy::load(&perimeter, PolicyKind::Resource(ResourceKind::Key));
        let own = Context::new();
        // An owner, none, and an access with a context of its own.
        let table = [
            (Some("111122223333"), false, true),
            (Some("444455556666"), false, false),
            (Some("444455556666"), true, false),
            (Some("111122223333"), true, true),
            (None, false, true),
        ];
        for (owner, with_own, allowed) in table {
            let mut access =
                Access::new("kms:Decrypt", "arn:aws:kms:::key/k").with_policy("key", &policy);
            access.resource_account = owner.map(|owner| owner.parse().unwrap());
            access.context = with_own.then_some(&own);
            let context = Context::new();
            let call = writ_policy::Call {
                principal: None,
                context: &context,
                session: None,
                vpce: None,
                accesses: &[access],
            };
            let answer = SnapshotAuthorizer::new(&caller, &snapshot).authorize(&call);
            assert_eq!(answer.is_ok(), allowed, "{owner:?} {with_own}");
        }
    }
}
