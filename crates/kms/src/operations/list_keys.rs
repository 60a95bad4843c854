//! ListKeys: <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeys.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::KeyListEntry;
use writ_aws::generated::kms::list_keys::{ListKeysRequest, ListKeysResponse};
use writ_policy::Access;
use writ_service::call::{Call, Outcome};
use writ_store::state::Key;

use crate::Result;
use crate::limits::PAGE_DEFAULT;
use crate::page;
use crate::resolve::is_destroyed;

pub(crate) fn run(call: &Call, input: &ListKeysRequest) -> Result {
    call.authorize(&call.context(), &[Access::new("kms:ListKeys", "*")])?;
    let after = page::after(input.marker.as_deref())?;
    let state = call.snapshot.state(call.account());
    let keys = state
        .iter()
        .flat_map(|state| state.list::<Key>(after.as_deref()))
        .filter(|key| key.region == call.region && !is_destroyed(key));
    let page = page::take(keys, input.limit, PAGE_DEFAULT, |key| stored_id(key));
    let reply = ListKeysResponse {
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
        keys: Some(
            page.items
                .iter()
                .map(|key| KeyListEntry {
                    key_id: Some(key.key_id.to_string()),
                    key_arn: Some(key.arn.to_string()),
                })
                .collect(),
        ),
    };
    Ok(Outcome::reply(reply.into_value()))
}

/// The id under which the store holds the key, which is the order of the list.
fn stored_id(key: &Key) -> String {
    use writ_store::Stored as _;
    key.id()
}
