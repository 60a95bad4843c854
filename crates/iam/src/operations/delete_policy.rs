//! DeletePolicy.

use writ_aws::generated::iam::DeletePolicyRequest;
use writ_aws::{ApiError, Output};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::state::ManagedPolicy;

use crate::error;
use crate::policy::{Named, Usage};

pub(crate) fn delete_policy(
    call: &Call,
    request: &DeletePolicyRequest,
) -> Result<Outcome, ApiError> {
    let (permit, policy) = Named::of(call, &request.policy_arn)?.open_own()?;
    if Usage::of(call).count(&request.policy_arn) != (0, 0) {
        return Err(error::iam("DeleteConflict", "Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        let message = "This policy has more than one version. Before you delete a policy, you must \
                       delete the policy's versions. The default version is deleted with the policy.";
        return Err(error::iam("DeleteConflict", message));
    }
    let id = ObjectId::of::<ManagedPolicy>(call.account(), &policy.name);
    let changes = Changes::permitted(permit).delete(id, policy.revision);
    Ok(Outcome::changed(().into_value(), changes))
}
