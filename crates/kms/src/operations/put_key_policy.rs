//! PutKeyPolicy: <https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html>

use std::collections::BTreeMap;

use writ_aws::Value;
use writ_aws::generated::kms::put_key_policy::PutKeyPolicyRequest;
use writ_model::{Arn, UniqueId};
use writ_policy::{Policy, PolicyKind, Request, ResourceKind, ResourceOutcome, evaluate_resource};
use writ_service::call::{Call, Outcome};
use writ_store::Snapshot;

use super::reseal::reseal;
use crate::access::{authorize, context, not_pending_deletion};
use crate::limits::POLICY_MAX_BYTES;
use crate::metadata::resource;
use crate::resolve::{Accept, resolve};
use crate::{Result, error};

const KIND: PolicyKind = PolicyKind::Resource(ResourceKind::Key);

pub(crate) async fn run(call: &Call, input: PutKeyPolicyRequest) -> Result {
    policy_name(input.policy_name.as_deref())?;
    let target = resolve(call, &input.key_id, Accept::KeyOnly)?;
    let bypass = input.bypass_policy_lockout_safety_check == Some(true);
    let mut context = context(call, &target);
    context.insert("kms:BypassPolicyLockoutSafetyCheck", bypass.to_string());
    let permit = authorize(call, &target, "kms:PutKeyPolicy", &context)?;
    not_pending_deletion(&target)?;
    let principals = accept_policy(call, &input.policy)?;
    if !bypass {
        lock_out_check(call, &input.policy, target.arn(), &principals)?;
    }
    let policy = input.policy;
    let (changes, _, position) = reseal(call, &target, permit, |key| {
        key.policy = policy;
        key.principals = principals;
    })
    .await?;
    Ok(Outcome::changed(Value::empty(), changes)
        .touching(resource(target.arn()))
        .recorded_at(position))
}

/// A key has one policy, and it is called `default`.
pub(crate) fn policy_name(name: Option<&str>) -> Result<()> {
    match name {
        None | Some("default") => Ok(()),
        Some(_) => Err(error("NotFoundException", "No such policy exists")),
    }
}

/// Reads a key policy and binds the principals that it names to their unique ids, so that a user who
/// is deleted and made anew does not match.
pub(crate) fn accept_policy(call: &Call, text: &str) -> Result<BTreeMap<Arn, UniqueId>> {
    let snapshot = &call.snapshot;
    let malformed = |why: String| error("MalformedPolicyDocumentException", why);
    if text.len() > POLICY_MAX_BYTES {
        let message = format!("The key policy is larger than {POLICY_MAX_BYTES} bytes.");
        return Err(error("LimitExceededException", message));
    }
    let mut policy = Policy::parse(text, KIND).map_err(|errors| malformed(errors.to_string()))?;
    let bound = policy.bind_principals(&|arn| unique_id(snapshot, arn));
    bound.map_err(|_| {
        malformed("Policy contains a statement with one or more invalid principals.".to_owned())
    })?;
    Ok(policy.principals().filter_map(|(arn, id)| Some((arn.clone(), id?.clone()))).collect())
}

fn unique_id(snapshot: &Snapshot, arn: &Arn) -> Option<UniqueId> {
    let account = arn.account()?;
    let (kind, path) = arn.resource().split_once('/')?;
    let name = path.rsplit('/').next()?;
    match kind {
        "user" => snapshot.user(account, name).map(|user| user.unique_id.clone()),
        "role" => snapshot.role(account, name).map(|role| role.unique_id.clone()),
        _ => None,
    }
}

/// The caller must still be able to change the policy afterwards (AWS KMS, "Default key policy").
pub(crate) fn lock_out_check(
    call: &Call,
    text: &str,
    arn: &Arn,
    principals: &BTreeMap<Arn, UniqueId>,
) -> Result<()> {
    let mut policy = Policy::load(text, KIND);
    // They were bound a moment ago; a failure leaves the policy matching by name, which denies more.
    policy.bind_principals(&|arn| principals.get(arn).cloned()).ok();
    let principal = writ_service::authorize::principal(&call.caller);
    let context = call.context().with("kms:CallerAccount", call.account().to_string());
    let request = Request {
        principal: Some(&principal),
        action: "kms:PutKeyPolicy",
        resource: arn.as_str(),
        resource_account: arn.account(),
        context: &context,
    };
    match evaluate_resource(&request, &policy) {
        ResourceOutcome::DirectAllow | ResourceOutcome::DelegatesToAccount => Ok(()),
        _ => Err(error(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        )),
    }
}
