//! Aliases: sealed, so that nobody points `alias/prod` at a key of their own.

use writ_aws::generated::kms::{CreateAliasRequest, DeleteAliasRequest, UpdateAliasRequest};
use writ_keyd_client::descriptor::{AliasDescriptor, Descriptor, KeyState};
use writ_keyd_client::protocol::{Refusal, Seal};
use writ_model::{Arn, KeyId};
use writ_proof::hash::Hash;
use writ_proof::use_record;

use super::Change;
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::issue::input;
use crate::kms::KeyName;
use crate::policies::{Basis, Question, decide};
use crate::refuse::{self, client, forbidden};
use crate::using::{not_found, pending_deletion};
use crate::{facts, narrate};

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
        let known = self.catalogue().alias(&arn).cloned();
        let deleted = target.is_none();
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
        let key = Arn::build("kms", arn.region(), Some(account), &format!("key/{target}"));
        let (basis, policy) = self.alias_allowed(admitted, seal, &key, deleted)?;
        let id = format!("alias/{arn}");
        let revision = self.catalogue().revision(&id) + 1;
        let descriptor =
            Descriptor::Alias(AliasDescriptor { arn, account, target, revision, deleted });
        let record = use_record::Use {
            key: Some(key),
            policy: Some(Hash(policy)),
            basis: match basis {
                Basis::Policy => use_record::Basis::Policy,
                Basis::Delegated => use_record::Basis::Delegated,
            },
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

    /// The policy of the key that the alias names (the new one, for an update) allows it.
    fn alias_allowed(
        &self,
        admitted: &Admitted,
        seal: &Seal,
        key: &Arn,
        deleting: bool,
    ) -> Result<(Basis, [u8; 32]), Refusal> {
        let fact = self.catalogue().key(key).cloned();
        let fact = fact.ok_or_else(|| not_found(&KeyName::Given(key.to_string())))?;
        let pending = matches!(fact.state, KeyState::PendingDeletion | KeyState::Destroyed);
        if pending && !deleting {
            return Err(pending_deletion(key));
        }
        let text = seal.key_policy.as_deref();
        let text = text.ok_or_else(|| forbidden("the text of the key policy is missing"))?;
        let policy = self.key_policy(&fact.policy_digest, text)?;
        let mut context = facts::context(admitted, self.env.now());
        context.insert("kms:CallerAccount", admitted.caller.account.to_string());
        let action = format!("kms:{}", admitted.operation);
        let question = Question {
            policy: &policy,
            principal: &facts::principal(&admitted.caller),
            action: &action,
            resource: key.as_str(),
            same_account: true,
            front_allows: true,
        };
        let basis = decide(&question, &mut context).ok_or_else(|| {
            refuse::kms_denied(facts::display(&admitted.caller), &action, Some(key))
        })?;
        Ok((basis, fact.policy_digest))
    }

    /// The alias of a service's managed key.
    pub(super) fn managed_alias(
        &self,
        admitted: &Admitted,
        target: KeyId,
    ) -> Result<Descriptor, Refusal> {
        let account = admitted.caller.account;
        let arn = Arn::build("kms", admitted.region.as_str(), Some(account), "alias/aws/s3");
        if self.catalogue().alias(&arn).is_some() {
            return Err(client("AlreadyExistsException", format!("{arn} already exists")));
        }
        let revision = self.catalogue().revision(&format!("alias/{arn}")) + 1;
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
