//! PutKeyPolicy: <https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html>

use std::collections::BTreeMap;

use writ_aws::Value;
use writ_aws::generated::kms::put_key_policy::PutKeyPolicyRequest;
use writ_model::{Arn, UniqueId};
use writ_policy::{
    Policy, PolicyKind, Request, ResourceKind, ResourceOutcome, evaluate_resource, keys,
};
use writ_service::call::{Call, Outcome};
use writ_service::principals::{self, bind};

use super::reseal::reseal;
use crate::access::{authorize, context, not_pending_deletion};
use crate::limits::POLICY_MAX_BYTES;
use crate::metadata::resource;
use crate::resolve::own_target;
use crate::{Result, error};

const KIND: PolicyKind = PolicyKind::Resource(ResourceKind::Key);

pub(crate) async fn run(call: &Call, input: PutKeyPolicyRequest) -> Result {
    policy_name(input.policy_name.as_deref())?;
    let target = own_target(call, &input.key_id)?;
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
    bind(&mut policy, snapshot).map_err(|_| {
        malformed("Policy contains a statement with one or more invalid principals.".to_owned())
    })
}

/// The caller must still be able to change the policy afterwards (AWS KMS, "Default key policy").
pub(crate) fn lock_out_check(
    call: &Call,
    text: &str,
    arn: &Arn,
    bound: &BTreeMap<Arn, UniqueId>,
) -> Result<()> {
    let policy = principals::load(text, KIND, bound);
    let principal = writ_service::authorize::principal(&call.caller);
    let account = call.account().to_string();
    let context =
        call.context().with("kms:CallerAccount", &*account).with(keys::RESOURCE_ACCOUNT, &*account);
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
