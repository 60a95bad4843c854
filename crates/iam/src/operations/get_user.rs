//! GetUser and ListUsers.

use writ_aws::generated::iam::{
    GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse, User as WireUser,
};
use writ_aws::{ApiError, Output, Value};
use writ_model::Arn;
use writ_service::call::{Call, Outcome};
use writ_store::Stored;
use writ_store::state::User;

use crate::access::Ask;
use crate::entity::{Holder, Target, named_or_caller};
use crate::page::Cut;
use crate::view::{self, Detail};

pub(crate) fn get_user(call: &Call, request: &GetUserRequest) -> Result<Outcome, ApiError> {
    let name = match named_or_caller(call, request.user_name.as_deref())? {
        Holder::Root => return root(call),
        Holder::User(name) => name,
    };
    let (_, user) = Target::<User>::of(call, &name).open()?;
    let reply = GetUserResponse { user: view::user(user, call.account(), Detail::Full) };
    Ok(Outcome::reply(reply.into_value()))
}

pub(crate) fn list_users(call: &Call, request: &ListUsersRequest) -> Result<Outcome, ApiError> {
    let account = call.account();
    let prefix = request.path_prefix.as_deref().unwrap_or("/");
    Ask::of(call).permit(Arn::iam(account, &format!("user{prefix}")).as_str())?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let users = call.snapshot.list::<User>(account, cut.after());
    let users = users.filter(|user| user.path.starts_with(prefix));
    let page = cut.page(users.map(|user| (user.id(), view::user(user, account, Detail::Listed))));
    let reply = ListUsersResponse {
        users: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

/// The account's root has no user object: neither name nor path.
fn root(call: &Call) -> Result<Outcome, ApiError> {
    let account = call.account();
    let arn = Arn::root(account);
    Ask::of(call).permit(arn.as_str())?;
    let created = call.snapshot.account(account).map(|account| account.created);
    let user = WireUser {
        user_id: account.to_string(),
        arn: arn.to_string(),
        create_date: created.unwrap_or_default(),
        ..WireUser::default()
    };
    let mut reply = GetUserResponse { user }.into_value();
    if let Value::Map(members) = &mut reply
        && let Some(Value::Map(user)) = members.get_mut("User")
    {
        user.remove("Path");
        user.remove("UserName");
    }
    Ok(Outcome::reply(reply))
}
