//! IAM, with the one call that means the support role: DeleteRole of it disables it.

use std::sync::Arc;

use writ_aws::generated::iam::DeleteRoleRequest;
use writ_aws::{ApiError, Input as _, Output as _, Service, Value};
use writ_model::{SUPPORT_PATH, SUPPORT_ROLE};
use writ_service::api::{Api, CallFuture};
use writ_service::call::{Call, Changes, Outcome};
use writ_store::ObjectId;
use writ_store::state::Role;

use super::super::access::{Access, Change};
use super::{Desk, end_unwanted, newest, seal, support};

/// The IAM API.
pub struct Iam(pub Arc<Desk>);

impl Api for Iam {
    fn service(&self) -> Service {
        Service::Iam
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        // IAM itself refuses a session without a role.
        let bare = call.caller.session.as_ref().is_some_and(|session| session.role.is_none());
        if call.operation.name != "DeleteRole" || bare || !names_support_role(call, &input) {
            return writ_iam::Iam.execute(call, input);
        }
        Box::pin(async move {
            let access = self.0.access()?;
            delete(access, call, &DeleteRoleRequest::from_value(input)?).await
        })
    }
}

fn names_support_role(call: &Call, input: &Value) -> bool {
    let name = input.member("RoleName").and_then(Value::text).unwrap_or_default();
    let role = call.snapshot.role(call.account(), name);
    name.eq_ignore_ascii_case(SUPPORT_ROLE) && role.is_some_and(|role| role.path == SUPPORT_PATH)
}

async fn delete(
    access: &Access,
    call: &Call,
    request: &DeleteRoleRequest,
) -> Result<Outcome, ApiError> {
    let internal = || ApiError::internal(Service::Iam);
    let (account, name) = (call.account(), request.role_name.as_str());
    let role = call.snapshot.role(account, name).ok_or_else(internal)?;
    let arn = writ_model::Arn::iam(account, &format!("role{SUPPORT_PATH}{}", role.name));
    let permit = call
        .authorize(&call.context(), &[writ_policy::Access::new("iam:DeleteRole", arn.as_str())])?;
    let _turn = access.turn().await;
    let snapshot = newest(access).await?;
    let (descriptor, position) = seal(call, &permit).await?;
    end_unwanted(access, Change::Support(account, false), &snapshot).await?;
    let changes =
        Changes::permitted(permit).delete(ObjectId::of::<Role>(account, &role.name), role.revision);
    let (_, changes) = support::switched(call, false, descriptor, changes);
    Ok(Outcome::changed(().into_value(), changes).recorded_at(position))
}
