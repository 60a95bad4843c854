//! Compiled policies by the digest of their text, and what a policy says to keyd.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use writ_policy::{
    Context, Policy, PolicyKind, Principal, Request, ResourceOutcome, evaluate_resource,
};

use crate::crypto::sha256;
use crate::limits;

/// The condition key by which a policy can refuse what only identity policies decide.
pub(crate) const DELEGATED: &str = "writ:Delegated";

/// See the module.
#[derive(Default)]
pub(crate) struct Policies(Mutex<HashMap<Name, Arc<Policy>>>);

/// The digest of a text, and whether it is read as a trust policy.
type Name = ([u8; 32], bool);

impl Policies {
    /// The policy of this text, compiled once. What cannot be read denies everything.
    pub(crate) fn load(&self, text: &str, kind: PolicyKind) -> Arc<Policy> {
        let name = (sha256(&[text.as_bytes()]), kind == PolicyKind::Trust);
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = cache.get(&name) {
            return Arc::clone(policy);
        }
        if cache.len() >= limits::POLICIES_CACHED {
            cache.clear();
        }
        let policy = Arc::new(Policy::load(text, kind));
        cache.insert(name, Arc::clone(&policy));
        policy
    }
}

/// What is asked of a resource's policy.
pub(crate) struct Question<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) principal: &'a Principal,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    /// True if caller and resource have one owner; across accounts both sides must allow.
    pub(crate) same_account: bool,
    /// Front's word that the caller's identity policies allow it.
    pub(crate) front_allows: bool,
}

/// What an allow rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The policy names the caller.
    Policy,
    /// The policy leaves it to the account, and front says that the account's policies allow it.
    Delegated,
}

impl Basis {
    /// The name in the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Basis::Policy => "policy",
            Basis::Delegated => "delegated",
        }
    }
}

/// Decides from the policy alone, and from front's word where the policy delegates. `None` is a deny.
///
/// The policy is asked first with `writ:Delegated` false, as for a use that rests on the policy
/// itself; only if that gives no direct allow it is asked again with true, as for a delegated one.
pub(crate) fn decide(question: &Question<'_>, context: &mut Context) -> Option<Basis> {
    let mut ask = |delegated: &str| {
        context.insert(DELEGATED, delegated);
        let request = Request {
            principal: Some(question.principal),
            action: question.action,
            resource: question.resource,
            resource_account: None,
            context,
        };
        evaluate_resource(&request, question.policy)
    };
    let direct = ask("false") == ResourceOutcome::DirectAllow;
    if direct && (question.same_account || question.front_allows) {
        return Some(Basis::Policy);
    }
    let delegates = !direct
        && matches!(
            ask("true"),
            ResourceOutcome::DelegatesToAccount | ResourceOutcome::DirectAllow
        );
    (delegates && question.front_allows).then_some(Basis::Delegated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_model::{AccountId, Arn};

    fn decide_for(statement: &str, same_account: bool, front_allows: bool) -> Option<Basis> {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        let policies = Policies::default();
        let policy = policies.load(&text, PolicyKind::Resource(writ_policy::ResourceKind::Key));
        let account = AccountId::from_number(111_122_223_333).unwrap();
        let arn = Arn::iam(account, "user/ann");
        let principal = Principal::user(arn, account, "AIDAAAAAAAAAAAAAAAAAA");
        let resource = "arn:aws:kms:us-east-1:111122223333:key/k";
        let action = "kms:Decrypt";
        let question = Question {
            policy: &policy,
            principal: &principal,
            action,
            resource,
            same_account,
            front_allows,
        };
        decide(&question, &mut Context::new())
    }

    #[test]
    fn policy_decides_and_front_only_where_the_policy_delegates() {
        let ann = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},"Action":"kms:Decrypt","Resource":"*"}"#;
        let root = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}"#;
        let undelegated = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},
            {"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"Bool":{"writ:Delegated":"true"}}}"#;
        let deny = r#"{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}"#;
        let other = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"},"Action":"kms:*","Resource":"*"}"#;
        let table = [
            ("named", ann, true, false, Some(Basis::Policy)),
            ("named, other account, identity silent", ann, false, false, None),
            ("named, other account, identity allows", ann, false, true, Some(Basis::Policy)),
            ("account, identity silent", root, true, false, None),
            ("account, identity allows", root, true, true, Some(Basis::Delegated)),
            ("account, delegation refused", undelegated, true, true, None),
            ("denied", deny, true, true, None),
            ("somebody else", other, true, true, None),
            ("not a policy", "7", true, true, None),
        ];
        for (name, statement, same, front, expected) in table {
            assert_eq!(decide_for(statement, same, front), expected, "{name}");
        }
    }
}
