//! Aliases: sealed, so that nobody points `alias/prod` at a key of their own.

use writ_aws::generated::kms::{CreateAliasRequest, DeleteAliasRequest, UpdateAliasRequest};
use writ_keyd_client::descriptor::{AliasDescriptor, Descriptor, KeyState};
use writ_keyd_client::protocol::{Refusal, Seal};
use writ_model::{Arn, KeyId};
use writ_proof::hash::Hash;
use writ_proof::use_record::{self, Basis};

use super::Change;
use crate::allow::{GivenKey, Wish, Word};
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::issue::input;
use crate::kms::KeyName;
use crate::narrate;
use crate::refuse::{client, forbidden};
use crate::using::{not_found, pending_deletion};

/// Names that services keep for their managed keys.
const RESERVED: &str = "alias/aws/";

impl Engine {
    pub(super) fn change_alias(&self, admitted: &Admitted, seal: &Seal) -> Result<Change, Refusal> {
        if admitted.forwarded.is_some() {
            return Err(forbidden("a ticket is no proof for this change"));
        }
        let (name, target) = match admitted.operation {
            "CreateAlias" => {
                let request: CreateAliasRequest = input(&admitted.input)?;
                (request.alias_name, Some(request.target_key_id))
            }
            "UpdateAlias" => {
                let request: UpdateAliasRequest = input(&admitted.input)?;
                (request.alias_name, Some(request.target_key_id))
            }
            _ => (input::<DeleteAliasRequest>(&admitted.input)?.alias_name, None),
        };
        check_name(&name)?;
        let account = admitted.caller.account;
        let arn = Arn::build("kms", admitted.region.as_str(), Some(account), &name);
        let known = self.catalogue.read().alias(&arn).cloned();
        let deleted = target.is_none();
        let before = known.clone();
        let target = match (admitted.operation, known, target) {
            ("CreateAlias", Some(_), _) => {
                let text = format!("An alias with the name {arn} already exists");
                return Err(client("AlreadyExistsException", text));
            }
            ("CreateAlias", None, Some(target)) | (_, Some(_), Some(target)) => {
                self.target(admitted, &target)?
            }
            (_, Some(old), None) => old,
            _ => return Err(client("NotFoundException", format!("Alias {arn} is not found."))),
        };
        let key_arn =
            |id: &KeyId| Arn::build("kms", arn.region(), Some(account), &format!("key/{id}"));
        let key = key_arn(&target);
        let mut keys = vec![key.clone()];
        keys.extend(before.filter(|_| !deleted).map(|before| key_arn(&before)));
        let (basis, policy) = self.alias_allowed(admitted, seal, &keys, deleted)?;
        let id = format!("alias/{arn}");
        let revision = self.catalogue.read().revision(&id) + 1;
        let descriptor =
            Descriptor::Alias(AliasDescriptor { arn, account, target, revision, deleted });
        let record = use_record::Use {
            key: Some(key),
            policy: Some(Hash(policy)),
            basis,
            ..narrate::of(admitted)
        };
        Ok(Change { descriptor, tokens: Vec::new(), policy: None, record })
    }

    fn target(&self, admitted: &Admitted, name: &str) -> Result<KeyId, Refusal> {
        let account = admitted.caller.account;
        let arn = self.resolve_key(name, account, &admitted.region);
        let missing = || not_found(&KeyName::Given(name.to_owned()));
        let arn = arn.filter(|arn| arn.account() == Some(account)).ok_or_else(missing)?;
        let id = arn.resource().strip_prefix("key/").and_then(|id| id.parse().ok());
        id.ok_or_else(missing)
    }

    /// The policy of each key that the alias shall mean and means allows it (AWS KMS, "Controlling
    /// access to aliases"); the weakest basis counts.
    fn alias_allowed(
        &self,
        admitted: &Admitted,
        seal: &Seal,
        keys: &[Arn],
        deleting: bool,
    ) -> Result<(Basis, [u8; 32]), Refusal> {
        if keys.len() != seal.keys.len() {
            return Err(forbidden("the keys must come that the alias shall mean and means"));
        }
        let action = format!("kms:{}", admitted.operation);
        let mut weakest = Basis::Policy;
        let mut digest = None;
        for (arn, given) in keys.iter().zip(&seal.keys) {
            if self.catalogue.read().key(arn).is_none() {
                return Err(not_found(&KeyName::Given(arn.to_string())));
            }
            let GivenKey { key, policy, .. } = self.given_key(given)?;
            if key.arn != *arn {
                return Err(forbidden("the descriptor is not that of the key of the alias"));
            }
            let pending = matches!(key.state, KeyState::PendingDeletion | KeyState::Destroyed);
            if pending && !deleting && digest.is_none() {
                return Err(pending_deletion(arn));
            }
            let word = Word::new(true, &seal.principal_tags, &given.tags);
            let wish = Wish { action: &action, named: None, facts: &|_| {}, word: &word };
            if self.policy_allows(admitted, &key, &policy, &wish)? == Basis::Delegated {
                weakest = Basis::Delegated;
            }
            digest = digest.or(Some(key.policy_digest));
        }
        Ok((weakest, digest.unwrap_or_default()))
    }

    /// The alias of a service's managed key.
    pub(super) fn managed_alias(
        &self,
        admitted: &Admitted,
        target: KeyId,
    ) -> Result<Descriptor, Refusal> {
        let account = admitted.caller.account;
        let arn = Arn::build("kms", admitted.region.as_str(), Some(account), "alias/aws/s3");
        if self.catalogue.read().alias(&arn).is_some() {
            return Err(client("AlreadyExistsException", format!("{arn} already exists")));
        }
        let revision = self.catalogue.read().revision(&format!("alias/{arn}")) + 1;
        Ok(Descriptor::Alias(AliasDescriptor { arn, account, target, revision, deleted: false }))
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'_' | b'-');
    if !name.strip_prefix("alias/").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(fits)) {
        let text = "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html";
        return Err(client("InvalidAliasNameException", text));
    }
    if name.starts_with(RESERVED) {
        return Err(client("NotAuthorizedException", "Alias names may not begin with alias/aws/"));
    }
    Ok(())
}
