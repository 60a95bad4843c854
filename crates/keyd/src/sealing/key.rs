//! KMS keys: each change is allowed by the key's own sealed policy, and seals every token anew.

use std::time::Duration;

use writ_aws::Value;
use writ_aws::generated::kms::{CreateKeyRequest, PutKeyPolicyRequest};
use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor, KeyState};
use writ_keyd_client::key_policy::{default_key_policy, managed_key_policy};
use writ_keyd_client::protocol::{Refusal, Seal};
use writ_model::{Arn, KeyId, UniqueId};
use writ_policy::{Context, Policy, PolicyKind, ResourceKind};
use writ_proof::hash::{Hash, sha256};
use writ_proof::use_record::{self, Basis};

use super::Change;
use crate::allow::{GivenKey, Wish, Word};
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::issue::input;
use crate::refuse::{self, client, forbidden, internal, validation};
use crate::using::{not_found, pending_deletion};
use crate::{kms, limits, narrate, seal};

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Engine {
    pub(super) fn change_key(&self, admitted: &Admitted, seal: &Seal) -> Result<Change, Refusal> {
        match (admitted.operation, &admitted.forwarded) {
            ("CreateKey", None) => self.create_key(admitted, seal),
            (_, None) => self.update_key(admitted, seal),
            _ => Err(forbidden("a ticket is no proof for this change")),
        }
    }

    fn create_key(&self, admitted: &Admitted, seal: &Seal) -> Result<Change, Refusal> {
        let request: CreateKeyRequest = input(&admitted.input)?;
        check_supported(&request)?;
        let account = admitted.caller.account;
        let policy = request.policy.unwrap_or_else(|| default_key_policy(account));
        let mut key = self.new_key(admitted, seal, &policy, None)?;
        let bypass = request.bypass_policy_lockout_safety_check == Some(true);
        key.principals = self.check_policy(admitted, &key, &policy, bypass, &Word::default())?;
        self.make_key(admitted, key, policy)
    }

    /// The managed key of a service for the account of the customer on whose behalf it asks.
    pub(super) fn managed_key(&self, admitted: &Admitted, seal: &Seal) -> Result<Change, Refusal> {
        let region = &admitted.region;
        let policy = managed_key_policy("s3", admitted.caller.account, region);
        let key = self.new_key(admitted, seal, &policy, Some("s3".to_owned()))?;
        self.make_key(admitted, key, policy)
    }

    fn new_key(
        &self,
        admitted: &Admitted,
        seal: &Seal,
        policy: &str,
        managed_by: Option<String>,
    ) -> Result<KeyDescriptor, Refusal> {
        let id = seal.new_id.as_deref().unwrap_or_default().parse::<KeyId>();
        let key_id = id.map_err(|_| forbidden("the new key id is not a key id"))?;
        let (account, region) = (admitted.caller.account, admitted.region.clone());
        let resource = format!("key/{key_id}");
        let arn = Arn::build("kms", region.as_str(), Some(account), &resource);
        if self.catalogue.read().key(&arn).is_some() {
            return Err(forbidden("the new key id is not new"));
        }
        Ok(KeyDescriptor {
            arn,
            account,
            region,
            key_id,
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            usage: "ENCRYPT_DECRYPT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            created: self.env.now(),
            multi_region: 0,
            state: KeyState::Enabled,
            policy_digest: sha256(policy.as_bytes()).0,
            grants_root: [0; 32],
            rotation_days: None,
            deletion_date: None,
            material_expiry: None,
            backing_keys: Vec::new(),
            managed_by,
            revision: 1,
            principals: Vec::new(),
        })
    }

    fn make_key(
        &self,
        admitted: &Admitted,
        mut key: KeyDescriptor,
        policy: String,
    ) -> Result<Change, Refusal> {
        let made = self.domain.generate(&*self.env);
        let (id, secret) = made.ok_or_else(|| refuse::unavailable("the key arena is full"))?;
        key.backing_keys = vec![id];
        let descriptor = Descriptor::Key(Box::new(key.clone()));
        let digest = seal::digest(&descriptor);
        let token = self.domain.wrap(&key, &digest, &id, &secret, &*self.env);
        let token = token.ok_or_else(|| internal("the backing key cannot be wrapped"))?;
        let record = use_record::Use {
            key: Some(key.arn.clone()),
            backing_key: Some(id),
            policy: Some(Hash(key.policy_digest)),
            basis: Basis::Delegated,
            ..narrate::of(admitted)
        };
        Ok(Change { descriptor, tokens: vec![token], policy: Some(policy), record })
    }

    fn update_key(&self, admitted: &Admitted, seal: &Seal) -> Result<Change, Refusal> {
        let [given] = seal.keys.as_slice() else {
            return Err(forbidden("the key that changes is missing"));
        };
        let GivenKey { key: old, policy: current, .. } = self.given_key(given)?;
        if old.account != admitted.caller.account {
            return Err(forbidden("the current descriptor belongs to another account"));
        }
        let named = admitted.input.member("KeyId").and_then(Value::text).unwrap_or_default();
        let name = kms::KeyName::Given(named.to_owned());
        let arn = self.named_key(&name, admitted.caller.account, &admitted.region);
        if arn.ok_or_else(|| not_found(&name))? != old.arn {
            return Err(forbidden("the descriptor is not that of the key in the request"));
        }
        let word = Word::new(true, &seal.principal_tags, &given.tags);
        let action = format!("kms:{}", admitted.operation);
        let bypass = |context: &mut Context| bypass_fact(context, &admitted.input);
        let wish = Wish { action: &action, named: Some(named), facts: &bypass, word: &word };
        let basis = self.policy_allows(admitted, &old, &current, &wish)?;
        let mut new = KeyDescriptor { revision: old.revision + 1, ..(*old).clone() };
        let mut policy = given.policy.clone();
        match admitted.operation {
            "EnableKey" => new.state = switched(&old, KeyState::Enabled)?,
            "DisableKey" => new.state = switched(&old, KeyState::Disabled)?,
            "ScheduleKeyDeletion" => self.schedule(admitted, &mut new)?,
            "CancelKeyDeletion" => {
                if old.state != KeyState::PendingDeletion {
                    let text = format!("{} is not pending deletion.", old.arn);
                    return Err(client("KMSInvalidStateException", text));
                }
                (new.state, new.deletion_date) = (KeyState::Disabled, None);
            }
            "PutKeyPolicy" => {
                let request: PutKeyPolicyRequest = input(&admitted.input)?;
                if request.policy_name.is_some_and(|name| name != "default") {
                    return Err(client("NotFoundException", "No such policy exists"));
                }
                let bypass = request.bypass_policy_lockout_safety_check == Some(true);
                new.principals =
                    self.check_policy(admitted, &new, &request.policy, bypass, &word)?;
                new.policy_digest = sha256(request.policy.as_bytes()).0;
                policy = request.policy;
            }
            _ => return Err(forbidden("this operation seals nothing")),
        }
        let change = self.reseal(admitted, &old, &new, &given.tokens, basis)?;
        Ok(Change { policy: Some(policy), ..change })
    }

    /// Seals every token beside the new descriptor.
    fn reseal(
        &self,
        admitted: &Admitted,
        old: &KeyDescriptor,
        new: &KeyDescriptor,
        tokens: &[Vec<u8>],
        basis: Basis,
    ) -> Result<Change, Refusal> {
        if tokens.len() != old.backing_keys.len() {
            return Err(forbidden("the tokens of all backing keys must come"));
        }
        let before = seal::digest(&Descriptor::Key(Box::new(old.clone())));
        let descriptor = Descriptor::Key(Box::new(new.clone()));
        let after = seal::digest(&descriptor);
        let mut resealed = Vec::with_capacity(tokens.len());
        for (id, token) in old.backing_keys.iter().zip(tokens) {
            let secret = self.domain.unwrap(old, &before, id, token);
            let secret = secret.ok_or_else(|| forbidden("a token does not belong to the key"))?;
            let token = self.domain.wrap(new, &after, id, &secret, &*self.env);
            resealed.push(token.ok_or_else(|| internal("a token cannot be sealed"))?);
        }
        let record = use_record::Use {
            key: Some(new.arn.clone()),
            policy: Some(Hash(old.policy_digest)),
            basis,
            ..narrate::of(admitted)
        };
        Ok(Change { descriptor, tokens: resealed, policy: None, record })
    }

    /// The new policy can be read, names nobody who is not there, and lets its author change it again;
    /// whom it names.
    fn check_policy(
        &self,
        admitted: &Admitted,
        key: &KeyDescriptor,
        text: &str,
        bypass: bool,
        word: &Word,
    ) -> Result<Vec<(Arn, UniqueId)>, Refusal> {
        let malformed = |why: &str| client("MalformedPolicyDocumentException", why);
        if text.len() > limits::KEY_POLICY_MAX_BYTES {
            return Err(client("LimitExceededException", "The key policy exceeds 32 KB."));
        }
        let policy = Policy::parse(text, PolicyKind::Resource(ResourceKind::Key))
            .map_err(|errors| malformed(&errors.to_string()))?;
        let bound = self.bind(&policy).ok_or_else(|| {
            malformed("Policy contains a statement with one or more invalid principals.")
        })?;
        if !bypass {
            let action = "kms:PutKeyPolicy";
            let word = word.clone().allowing();
            let wish = Wish { action, named: None, facts: &|_| {}, word: &word };
            let why =
                "The new key policy will not allow you to update the key policy in the future.";
            self.policy_allows(admitted, key, &self.compiled(text, &bound), &wish)
                .map_err(|_| malformed(why))?;
        }
        Ok(bound)
    }

    fn schedule(&self, admitted: &Admitted, key: &mut KeyDescriptor) -> Result<(), Refusal> {
        if matches!(key.state, KeyState::PendingDeletion | KeyState::Destroyed) {
            return Err(pending_deletion(&key.arn));
        }
        let days = match admitted.input.member("PendingWindowInDays") {
            None => 30,
            Some(Value::Int(days)) if (7..=30).contains(days) => u32::try_from(*days).unwrap_or(30),
            Some(_) => return Err(validation("PendingWindowInDays must be between 7 and 30")),
        };
        key.state = KeyState::PendingDeletion;
        key.deletion_date = Some(self.env.now().plus(DAY * days));
        Ok(())
    }
}

fn bypass_fact(context: &mut Context, input: &Value) {
    let bypass = input.member("BypassPolicyLockoutSafetyCheck") == Some(&Value::Bool(true));
    let text = if bypass { "true" } else { "false" };
    context.insert("kms:BypassPolicyLockoutSafetyCheck", text);
}

fn switched(key: &KeyDescriptor, to: KeyState) -> Result<KeyState, Refusal> {
    match key.state {
        KeyState::Enabled | KeyState::Disabled => Ok(to),
        KeyState::PendingDeletion | KeyState::Destroyed => Err(pending_deletion(&key.arn)),
    }
}

fn check_supported(request: &CreateKeyRequest) -> Result<(), Refusal> {
    let spec = request.key_spec.as_ref().or(request.customer_master_key_spec.as_ref());
    let is = |given: Option<&String>, only: &str| given.is_none_or(|given| given == only);
    let supported = is(spec, "SYMMETRIC_DEFAULT")
        && is(request.key_usage.as_ref(), "ENCRYPT_DECRYPT")
        && is(request.origin.as_ref(), "AWS_KMS")
        && request.multi_region != Some(true)
        && request.custom_key_store_id.is_none()
        && request.xks_key_id.is_none();
    if supported {
        return Ok(());
    }
    let text = "Writ makes symmetric, single-Region keys with origin AWS_KMS only.";
    Err(client("UnsupportedOperationException", text))
}
