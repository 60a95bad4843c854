//! Whether a key's sealed policy allows something: the one place that asks it.

use std::sync::Arc;

use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor};
use writ_keyd_client::protocol::{Refusal, UsedKey};
use writ_model::UniqueId;
use writ_policy::{Context, Policy, PolicyKind, ResourceKind};
use writ_proof::hash::sha256;
use writ_proof::use_record::Basis;

use crate::engine::Engine;
use crate::handles::Admitted;
use crate::policies::{Bound, Compiled, Question, decide};
use crate::refuse::{self, forbidden};
use crate::seal::Opened;
use crate::{facts, limits};

/// What front says, and keyd cannot check.
#[derive(Clone, Default)]
pub(crate) struct Word {
    /// The caller's identity policies allow it.
    pub(crate) allows: bool,
    /// Tags, as condition keys.
    pub(crate) tags: Vec<(String, String)>,
}

impl Word {
    /// Front's word on identity policies, and on the tags of the caller and of the key.
    pub(crate) fn new(
        allows: bool,
        principal_tags: &[(String, String)],
        resource_tags: &[(String, String)],
    ) -> Word {
        let named = |prefix: &'static str, tags: &[(String, String)]| {
            let tags = tags.iter().take(limits::TAGS_MAX);
            tags.map(|(k, v)| (format!("aws:{prefix}/{k}"), v.clone())).collect::<Vec<_>>()
        };
        let mut tags = named("PrincipalTag", principal_tags);
        tags.extend(named("ResourceTag", resource_tags));
        Word { allows, tags }
    }

    /// The same, with identity policies that allow.
    pub(crate) fn allowing(mut self) -> Word {
        self.allows = true;
        self
    }
}

/// A key that front gives, its descriptor and policy the newest.
pub(crate) struct GivenKey {
    pub(crate) key: Box<KeyDescriptor>,
    /// Of the descriptor.
    pub(crate) digest: [u8; 32],
    pub(crate) policy: Arc<Compiled>,
}

/// What is asked of a key's policy.
pub(crate) struct Wish<'a> {
    pub(crate) action: &'a str,
    /// How the request names the key.
    pub(crate) named: Option<&'a str>,
    /// Condition keys of this operation.
    pub(crate) facts: &'a dyn Fn(&mut Context),
    pub(crate) word: &'a Word,
}

impl Engine {
    /// A key that front gives, with its descriptor and policy the newest.
    pub(crate) fn given_key(&self, given: &UsedKey) -> Result<GivenKey, Refusal> {
        let Opened { descriptor, digest } = self.subject(&given.descriptor)?;
        let Descriptor::Key(key) = descriptor else {
            return Err(forbidden("the descriptor is not a key's"));
        };
        if sha256(given.policy.as_bytes()).0 != key.policy_digest {
            return Err(forbidden("the policy is not the one that is sealed to the key"));
        }
        let kind = PolicyKind::Resource(ResourceKind::Key);
        let policy = self.policies.load(&given.policy, kind, &key.principals);
        Ok(GivenKey { key, digest, policy })
    }

    /// What the policy's allow rests on.
    ///
    /// # Errors
    /// It does not allow it.
    pub(crate) fn policy_allows(
        &self,
        admitted: &Admitted,
        key: &KeyDescriptor,
        policy: &Compiled,
        wish: &Wish<'_>,
    ) -> Result<Basis, Refusal> {
        let mut context = facts::context(admitted, self.env.now());
        facts::of_key(&mut context, key, admitted, wish.named);
        let aliases = self.catalogue.read().aliases(&key.arn);
        if !aliases.is_empty() {
            context.insert_many("kms:ResourceAliases", aliases);
        }
        (wish.facts)(&mut context);
        let question = Question {
            policy,
            principal: &facts::principal(&admitted.caller),
            action: wish.action,
            resource: key.arn.as_str(),
            same_account: key.account == admitted.caller.account,
            front_allows: wish.word.allows,
            told: &wish.word.tags,
        };
        decide(&question, &mut context).ok_or_else(|| {
            refuse::kms_denied(admitted.caller.arn.as_str(), wish.action, Some(&key.arn))
        })
    }

    /// The users and roles that a new policy names, each with its unique id now; `None` if one of them
    /// is nobody.
    pub(crate) fn bind(&self, policy: &Policy) -> Option<Vec<(writ_model::Arn, UniqueId)>> {
        let catalogue = self.catalogue.read();
        let id = |arn| catalogue.unique_id(arn)?.parse::<UniqueId>().ok();
        let mut bound: Vec<_> = policy
            .principals()
            .map(|(arn, _)| Some((arn.clone(), id(arn)?)))
            .collect::<Option<_>>()?;
        bound.sort_unstable_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        bound.dedup();
        Some(bound)
    }

    /// The policy of a key that is being made or changed, bound.
    pub(crate) fn compiled(&self, text: &str, bound: &Bound) -> Arc<Compiled> {
        self.policies.load(text, PolicyKind::Resource(ResourceKind::Key), bound)
    }
}
