//! ListAccessKeys and GetAccessKeyLastUsed; and how the operations on access keys find one.

use std::sync::Arc;

use writ_aws::generated::iam::{
    AccessKeyLastUsed, AccessKeyMetadata, GetAccessKeyLastUsedRequest,
    GetAccessKeyLastUsedResponse, ListAccessKeysRequest, ListAccessKeysResponse,
};
use writ_aws::{ApiError, Output};
use writ_model::{AccessKeyId, Arn};
use writ_policy::Permit;
use writ_service::call::{Call, Outcome};
use writ_store::Entry;
use writ_store::state::{AccessKey, User, folded};

use crate::access::Ask;
use crate::entity::{Holder, Target, named_or_caller};
use crate::error;
use crate::page::Cut;

/// Whose keys are meant: the user, or `None` for the account's root.
pub(super) struct Keys<'c> {
    pub(super) permit: Permit,
    pub(super) user: Option<&'c Arc<Entry<User>>>,
}

impl<'c> Keys<'c> {
    /// Decides for the user that a request names, or for the caller.
    pub(super) fn open(call: &'c Call, name: Option<&str>) -> Result<Keys<'c>, ApiError> {
        match named_or_caller(call, name)? {
            Holder::Root => {
                let permit = Ask::of(call).permit(Arn::root(call.account()).as_str())?;
                Ok(Keys { permit, user: None })
            }
            Holder::User(name) => {
                let (permit, user) = Target::<User>::of(call, &name).open()?;
                Ok(Keys { permit, user: Some(user) })
            }
        }
    }

    /// The user's name as it was given.
    pub(super) fn user_name(&self) -> Option<&'c str> {
        self.user.map(|user| user.name.as_str())
    }

    /// All of them, in order of their ids.
    pub(super) fn all(&self, call: &'c Call) -> impl Iterator<Item = &'c Arc<Entry<AccessKey>>> {
        let name = self.user_name();
        let state = call.snapshot.state(call.account());
        state.map(|state| state.access_keys_of(name)).into_iter().flatten()
    }

    /// The one with this id; another user's is not found.
    pub(super) fn find(
        &self,
        call: &'c Call,
        id: &str,
    ) -> Result<&'c Arc<Entry<AccessKey>>, ApiError> {
        let owner = self.user_name().map(folded);
        let key = call.snapshot.get::<AccessKey>(call.account(), id);
        key.filter(|key| key.user == owner).ok_or_else(|| error::no_such_access_key(id))
    }
}

/// The status as the API names it.
pub(super) fn status(active: bool) -> String {
    if active { "Active" } else { "Inactive" }.to_owned()
}

pub(crate) fn list_access_keys(
    call: &Call,
    request: &ListAccessKeysRequest,
) -> Result<Outcome, ApiError> {
    let keys = Keys::open(call, request.user_name.as_deref())?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let shown = keys.all(call).map(|key| {
        let shown = AccessKeyMetadata {
            user_name: keys.user_name().map(str::to_owned),
            access_key_id: Some(key.id.to_string()),
            status: Some(status(key.active)),
            create_date: Some(key.created),
        };
        (key.id.to_string(), shown)
    });
    let page = cut.page(shown);
    let reply = ListAccessKeysResponse {
        access_key_metadata: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

/// Uses of keys are not followed: the answer is AWS's for a key that was never used. A key of another
/// account is not found.
pub(crate) fn get_access_key_last_used(
    call: &Call,
    request: &GetAccessKeyLastUsedRequest,
) -> Result<Outcome, ApiError> {
    let account = call.account();
    let id: Option<AccessKeyId> = request.access_key_id.parse().ok();
    let key = id.and_then(|id| call.snapshot.get::<AccessKey>(account, id.as_str()));
    let user = key.and_then(|key| call.snapshot.user(account, key.user.as_deref()?));
    let arn = match user {
        Some(user) => Target::<User>::of(call, &user.name).arn,
        None => Arn::iam(account, "user/"),
    };
    Ask::of(call).permit(arn.as_str())?;
    if key.is_none() {
        return Err(error::no_such_access_key(&request.access_key_id));
    }
    let never = "N/A".to_owned();
    let last_used =
        AccessKeyLastUsed { last_used_date: None, service_name: never.clone(), region: never };
    let reply = GetAccessKeyLastUsedResponse {
        user_name: user.map(|user| user.name.clone()),
        access_key_last_used: Some(last_used),
    };
    Ok(Outcome::reply(reply.into_value()))
}
