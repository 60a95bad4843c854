//! May this caller do this with this key? The key policy is the root; see crate `policy`.

use std::collections::BTreeMap;

use writ_keyd_client::descriptor::KeyState;
use writ_keyd_client::facts::kms_via_service;
use writ_policy::{Access, Context, Permit};
use writ_service::call::Call;

use crate::resolve::{Target, not_yours};
use crate::{Result, error};

/// The condition keys of a call on `target` (AWS KMS, "Condition keys for AWS KMS").
pub(crate) fn context(call: &Call, target: &Target) -> Context {
    let mut context = call.context();
    context.insert("kms:CallerAccount", call.account().to_string());
    context.insert("kms:KeySpec", target.descriptor.spec.as_str());
    context.insert("kms:KeyUsage", target.descriptor.usage.as_str());
    context.insert("kms:KeyOrigin", target.descriptor.origin.as_str());
    context.insert("kms:MultiRegion", (target.descriptor.multi_region != 0).to_string());
    for (key, value) in &target.entry.tags {
        context.insert(&format!("aws:ResourceTag/{key}"), value.as_str());
    }
    if let Some(alias) = &target.alias {
        context.insert("kms:RequestAlias", alias.as_str());
    }
    let aliases = aliases_of(call, target);
    if !aliases.is_empty() {
        context.insert_many("kms:ResourceAliases", aliases);
    }
    if let Some(service) = kms_via_service(call.via(), &call.region) {
        context.insert("kms:ViaService", service);
    }
    context
}

/// Adds the keys of a cryptographic operation: algorithm and encryption context.
pub(crate) fn with_encryption_context(
    mut context: Context,
    pairs: Option<&BTreeMap<String, String>>,
) -> Context {
    context.insert("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { return context };
    for (key, value) in pairs {
        context.insert(&format!("kms:EncryptionContext:{key}"), value.as_str());
    }
    context.insert_many("kms:EncryptionContextKeys", pairs.keys().map(String::as_str));
    context
}

/// Decides `action` on `target`. A refusal to somebody of another account does not tell whether the
/// key exists.
pub(crate) fn authorize(
    call: &Call,
    target: &Target,
    action: &str,
    context: &Context,
) -> Result<Permit> {
    authorize_all(call, context, &[on_key(action, target)])
        .map_err(|denied| hide(call, target, denied))
}

/// An access to a key, with its policy.
pub(crate) fn on_key<'a>(action: &'a str, target: &'a Target) -> Access<'a> {
    Access::new(action, target.arn().as_str())
        .owned_by(target.descriptor.account)
        .with_policy("key policy", &target.entry.derived)
}

/// Decides several accesses of one call.
pub(crate) fn authorize_all(
    call: &Call,
    context: &Context,
    accesses: &[Access<'_>],
) -> Result<Permit> {
    call.authorize(context, accesses)
}

/// The refusal, unless it would tell somebody of another account that the key exists.
pub(crate) fn hide(call: &Call, target: &Target, denied: writ_aws::ApiError) -> writ_aws::ApiError {
    if target.descriptor.account == call.account() { denied } else { not_yours(call) }
}

/// The key may be used for cryptography now (AWS KMS, "Key states").
pub(crate) fn usable(target: &Target) -> Result<()> {
    let arn = target.arn();
    match target.descriptor.state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(error("DisabledException", format!("{arn} is disabled."))),
        KeyState::PendingDeletion | KeyState::Destroyed => Err(pending_deletion(target)),
    }
}

/// The key is not on its way to deletion.
pub(crate) fn not_pending_deletion(target: &Target) -> Result<()> {
    match target.descriptor.state {
        KeyState::PendingDeletion | KeyState::Destroyed => Err(pending_deletion(target)),
        KeyState::Enabled | KeyState::Disabled => Ok(()),
    }
}

fn pending_deletion(target: &Target) -> writ_aws::ApiError {
    error("KMSInvalidStateException", format!("{} is pending deletion.", target.arn()))
}

/// The aliases of a key, by name.
pub(crate) fn aliases_of(call: &Call, target: &Target) -> Vec<String> {
    let account = target.descriptor.account;
    let Some(state) = call.snapshot.state(account) else { return Vec::new() };
    state
        .list::<writ_store::state::Alias>(None)
        .filter(|alias| {
            alias.target == target.descriptor.key_id && alias.region == target.descriptor.region
        })
        .map(|alias| alias.name.clone())
        .collect()
}
