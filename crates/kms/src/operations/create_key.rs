//! CreateKey: <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html>

use std::collections::BTreeMap;

use writ_aws::Output as _;
use writ_aws::generated::kms::create_key::{CreateKeyRequest, CreateKeyResponse};
use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_keyd_client::key_policy::default_key_policy;
use writ_keyd_client::protocol::Seal;
use writ_model::KeyId;
use writ_policy::{Access, Context};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::state::Key;
use writ_store::{Blob, Object};

use super::managed_key;
use super::put_key_policy::{accept_policy, lock_out_check};
use super::tag_resource::checked_tags;
use crate::limits::KEYS_MAX;
use crate::metadata::{metadata, resource};
use crate::resolve::{is_destroyed, key_arn};
use crate::{Result, error};

pub(crate) async fn run(call: &Call, input: CreateKeyRequest) -> Result {
    if call.forwarded.is_some() {
        return managed_key::run(call, input).await;
    }
    supported(&input)?;
    let tags = checked_tags(input.tags.as_deref().unwrap_or_default(), &BTreeMap::new())?;
    let policy = input.policy.clone().unwrap_or_else(|| default_key_policy(call.account()));
    let id = KeyId::random(&*call.env);
    let arn = key_arn(call, &id);

    let context = context(call, &input, &tags);
    let mut accesses = vec![Access::new("kms:CreateKey", "*")];
    if !tags.is_empty() {
        accesses.push(Access::new("kms:TagResource", "*"));
        // There is no key policy yet that could have a say.
        accesses.iter_mut().for_each(|access| access.mode = writ_policy::Mode::Normal);
    }
    let permit = call.authorize(&context, &accesses)?;
    // Not before: the answer tells which of the principals exist.
    let principals = accept_policy(call, &policy)?;
    if input.bypass_policy_lockout_safety_check != Some(true) {
        lock_out_check(call, &policy, &arn, &principals)?;
    }
    quota(call)?;

    let sealed =
        call.seal(&permit, Seal { new_id: Some(id.to_string()), ..Seal::default() }).await?;
    let descriptor = sealed.descriptors.into_iter().next().unwrap_or_default();
    let Ok(Descriptor::Key(facts)) = peek(&descriptor) else {
        return Err(writ_aws::ApiError::internal(writ_aws::Service::Kms));
    };
    let key = Key {
        arn: arn.clone(),
        key_id: id,
        region: call.region.clone(),
        description: input.description.unwrap_or_default(),
        policy,
        principals,
        tags,
        descriptor: Blob::from(descriptor),
        tokens: sealed.tokens.into_iter().map(Blob::from).collect(),
        created: facts.created,
        managed_by: facts.managed_by.clone(),
    };
    let reply = CreateKeyResponse { key_metadata: Some(metadata(&key, &facts)) };
    let changes = Changes::permitted(permit).create(Object::new(call.account(), key));
    Ok(Outcome::changed(reply.into_value(), changes)
        .touching(resource(&arn))
        .recorded_at(sealed.position))
}

fn supported(input: &CreateKeyRequest) -> Result<()> {
    let spec = input.key_spec.as_deref().or(input.customer_master_key_spec.as_deref());
    let unsupported = |what: &str| {
        Err(error("UnsupportedOperationException", format!("{what} is not supported.")))
    };
    if spec.is_some_and(|spec| spec != "SYMMETRIC_DEFAULT") {
        return unsupported(&format!("KeySpec {}", spec.unwrap_or_default()));
    }
    if input.key_usage.as_deref().is_some_and(|usage| usage != "ENCRYPT_DECRYPT") {
        let message = "The KeyUsage is not compatible with KeySpec SYMMETRIC_DEFAULT.";
        return Err(error("ValidationException", message));
    }
    if input.origin.as_deref().is_some_and(|origin| origin != "AWS_KMS") {
        return unsupported("This Origin");
    }
    if input.multi_region == Some(true) {
        return unsupported("MultiRegion");
    }
    if input.custom_key_store_id.is_some() || input.xks_key_id.is_some() {
        return unsupported("A custom key store");
    }
    Ok(())
}

fn context(call: &Call, input: &CreateKeyRequest, tags: &BTreeMap<String, String>) -> Context {
    let bypass = input.bypass_policy_lockout_safety_check == Some(true);
    let mut context = call
        .context()
        .with("kms:CallerAccount", call.account().to_string())
        .with("kms:KeySpec", "SYMMETRIC_DEFAULT")
        .with("kms:KeyUsage", "ENCRYPT_DECRYPT")
        .with("kms:KeyOrigin", "AWS_KMS")
        .with("kms:MultiRegion", "false")
        .with("kms:BypassPolicyLockoutSafetyCheck", bypass.to_string());
    for (key, value) in tags {
        context.insert(&format!("aws:RequestTag/{key}"), value.as_str());
    }
    if !tags.is_empty() {
        context.insert_many("aws:TagKeys", tags.keys().map(String::as_str));
    }
    context
}

fn quota(call: &Call) -> Result<()> {
    let state = call.snapshot.state(call.account());
    // Tombstones do not count; they are told apart only where it matters.
    let full = state.is_some_and(|state| {
        let keys = || state.list::<Key>(None).filter(|key| !is_destroyed(key));
        state.count::<Key>() >= KEYS_MAX && keys().count() >= KEYS_MAX
    });
    match full {
        true => Err(error("LimitExceededException", "The quota of KMS keys is reached.")),
        false => Ok(()),
    }
}
