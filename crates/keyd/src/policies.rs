//! Compiled policies by the digest of their text, and what a policy says to keyd.

use std::collections::HashMap;
use std::sync::Arc;

use writ_policy::{
    Context, Policy, PolicyKind, Principal, Request, ResourceOutcome, evaluate_resource,
};

use writ_model::{Arn, UniqueId};
use writ_proof::cbor;
use writ_proof::hash::{Hash, sha256, sha256_of};
use writ_proof::use_record::Basis;

use crate::limits;
use crate::locked::Locked;

/// The condition key by which a policy can refuse what only identity policies decide.
pub(crate) const DELEGATED: &str = "writ:Delegated";

/// See the module.
#[derive(Default)]
pub(crate) struct Policies(Locked<HashMap<Name, Arc<Compiled>>>);

/// The digest of a text and of what its principals are bound to, and whether it is a trust policy.
type Name = (Hash, bool);

/// The users and roles that a policy names, as they were when it was written.
pub(crate) type Bound = [(Arn, UniqueId)];

/// A policy that is ready to decide.
pub(crate) struct Compiled {
    policy: Policy,
    /// It speaks of tags, which keyd knows from front alone.
    speaks_of_tags: bool,
}

impl Policies {
    /// The policy of this text, compiled once, with its users and roles bound to unique ids. What
    /// cannot be read, or names others than it was bound to, denies everything.
    pub(crate) fn load(&self, text: &str, kind: PolicyKind, bound: &Bound) -> Arc<Compiled> {
        let digest = sha256_of(&[&sha256(text.as_bytes()).0, &cbor::to_vec(&bound.to_vec())]);
        let name = (digest, kind == PolicyKind::Trust);
        let mut cache = self.0.lock();
        if let Some(policy) = cache.get(&name) {
            return Arc::clone(policy);
        }
        if cache.len() >= limits::POLICIES_CACHED {
            cache.clear();
        }
        let compiled = Arc::new(Compiled::new(text, kind, bound));
        cache.insert(name, Arc::clone(&compiled));
        compiled
    }
}

impl Compiled {
    fn new(text: &str, kind: PolicyKind, bound: &Bound) -> Compiled {
        let mut policy = Policy::load(text, kind);
        let id = |arn: &Arn| bound.iter().find(|(known, _)| known == arn).map(|(_, id)| id.clone());
        if policy.bind_principals(&id).is_err() {
            policy = Policy::load("", kind);
        }
        Compiled { policy, speaks_of_tags: speaks_of_tags(text) }
    }
}

/// True if any name or text of the document, however it is escaped, has a key of tags in it: as a
/// condition's key or as a variable.
fn speaks_of_tags(text: &str) -> bool {
    fn any(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => names_tag(text),
            serde_json::Value::Array(values) => values.iter().any(any),
            serde_json::Value::Object(members) => {
                members.iter().any(|(name, value)| names_tag(name) || any(value))
            }
            _ => false,
        }
    }
    // What cannot be read denies everything.
    serde_json::from_str(text).is_ok_and(|value| any(&value))
}

fn names_tag(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("aws:principaltag/") || text.contains("aws:resourcetag/")
}

/// What is asked of a resource's policy.
pub(crate) struct Question<'a> {
    pub(crate) policy: &'a Compiled,
    pub(crate) principal: &'a Principal,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    /// True if caller and resource have one owner; across accounts both sides must allow.
    pub(crate) same_account: bool,
    /// Front's word that the caller's identity policies allow it.
    pub(crate) front_allows: bool,
    /// Front's word on tags, as condition keys. It decides only where the policy speaks of tags.
    pub(crate) told: &'a [(String, String)],
}

/// Decides from the policy alone, and from front's word where the policy delegates or speaks of tags;
/// the answer is what the allow rests on. `None` is a deny.
///
/// The policy is asked first with `writ:Delegated` false, as for a use that rests on the policy
/// itself; only if that gives no direct allow it is asked again with true, as for a delegated one. A
/// policy that speaks of tags is asked with true alone: a front could give tags that the caller has
/// not, or leave out what a deny looks for.
pub(crate) fn decide(question: &Question<'_>, context: &mut Context) -> Option<Basis> {
    if question.policy.speaks_of_tags {
        for (key, value) in question.told {
            if context.get(key).is_none() {
                context.insert(key, value.as_str());
            }
        }
    }
    let mut ask = |delegated: &str| {
        context.insert(DELEGATED, delegated);
        let request = Request {
            principal: Some(question.principal),
            action: question.action,
            resource: question.resource,
            resource_account: None,
            context,
        };
        evaluate_resource(&request, &question.policy.policy)
    };
    let named = question.same_account || question.front_allows;
    let direct = ask("false") == ResourceOutcome::DirectAllow;
    if direct && !question.policy.speaks_of_tags {
        return named.then_some(Basis::Policy);
    }
    let allowed = match ask("true") {
        ResourceOutcome::DirectAllow if direct => named,
        ResourceOutcome::DelegatesToAccount | ResourceOutcome::DirectAllow => question.front_allows,
        _ => false,
    };
    allowed.then_some(Basis::Delegated)
}

/// The name of a basis in the protocol.
pub(crate) fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Delegated => "delegated",
        Basis::Grant => "grant",
        Basis::None => "none",
        Basis::Policy => "policy",
        Basis::Roster => "roster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_model::AccountId;

    fn decide_for(
        statement: &str,
        same_account: bool,
        front_allows: bool,
        told: &[(String, String)],
    ) -> Option<Basis> {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        let policies = Policies::default();
        let ids = [("ann", 'A'), ("bob", 'B')].map(|(name, letter)| {
            let id = format!("AIDA{}", letter.to_string().repeat(17)).parse().unwrap();
            (format!("arn:aws:iam::111122223333:user/{name}").parse().unwrap(), id)
        });
        let kind = PolicyKind::Resource(writ_policy::ResourceKind::Key);
        let policy = policies.load(&text, kind, &ids);
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
            told,
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
            assert_eq!(decide_for(statement, same, front, &[]), expected, "{name}");
        }
    }

    #[test]
    fn policy_that_speaks_of_tags_rests_on_fronts_word_as_a_whole() {
        let by = |principal: &str, condition: &str| {
            format!(
                r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"kms:*","Resource":"*","Condition":{condition}}}"#
            )
        };
        let ann = "arn:aws:iam::111122223333:user/ann";
        let team = r#"{"StringEquals":{"aws:PrincipalTag/team":"blue"}}"#;
        let escaped = r#"{"StringEquals":{"aws:Princip\u0061lTag\/team":"blue"}}"#;
        let variable = r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}"#;
        let deny_word = r#"{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"Bool":{"writ:Delegated":"true"}}}"#;
        let secret = r#"{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/class":"secret"}}}"#;
        let refused = format!("{},{deny_word}", by(ann, team));
        let denied = format!("{},{secret}", by(ann, "{}"));
        let tag = |key: &str, value: &str| (format!("aws:{key}"), value.to_owned());
        let blue = [tag("PrincipalTag/team", "blue"), tag("ResourceTag/team", "blue")];
        let red = [tag("PrincipalTag/team", "red"), tag("ResourceTag/team", "blue")];
        let classified = [tag("ResourceTag/class", "secret")];
        let delegated = Some(Basis::Delegated);
        type Row<'a> = (&'a str, &'a str, bool, &'a [(String, String)], Option<Basis>);
        let table: [Row<'_>; 10] = [
            ("the right tag", &by(ann, team), false, &blue, delegated),
            ("another tag", &by(ann, team), false, &red, None),
            ("no tag", &by(ann, team), false, &[], None),
            ("an escaped key", &by(ann, escaped), false, &blue, delegated),
            ("a variable", &by(ann, variable), false, &blue, delegated),
            ("a variable of another value", &by(ann, variable), false, &red, None),
            ("by the account, front silent", &by("111122223333", team), false, &blue, None),
            ("by the account, front allows", &by("111122223333", team), true, &blue, delegated),
            ("front's word refused", &refused, true, &blue, None),
            ("denied by a tag", &denied, true, &classified, None),
        ];
        for (name, statement, front, told, expected) in table {
            assert_eq!(decide_for(statement, true, front, told), expected, "{name}");
        }
        assert_eq!(decide_for(&denied, true, false, &[]), delegated, "a tag that front leaves out");
        let direct = decide_for(&by(ann, "{}"), true, false, &blue);
        assert_eq!(direct, Some(Basis::Policy), "tags of which the policy does not speak");
    }
}
