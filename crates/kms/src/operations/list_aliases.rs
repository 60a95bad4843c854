//! ListAliases: <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListAliases.html>

use writ_aws::Output as _;
use writ_aws::generated::kms::AliasListEntry;
use writ_aws::generated::kms::list_aliases::{ListAliasesRequest, ListAliasesResponse};
use writ_policy::Access;
use writ_service::call::{Call, Outcome};
use writ_store::Stored as _;
use writ_store::state::Alias;

use crate::Result;
use crate::limits::PAGE_SMALL_DEFAULT;
use crate::page;
use crate::resolve::own_target;

pub(crate) fn run(call: &Call, input: &ListAliasesRequest) -> Result {
    call.authorize(&call.context(), &[Access::new("kms:ListAliases", "*")])?;
    let only = match &input.key_id {
        Some(key_id) => Some(own_target(call, key_id)?.descriptor.key_id),
        None => None,
    };
    let after = page::after(input.marker.as_deref())?;
    let state = call.snapshot.state(call.account());
    let aliases = state
        .iter()
        .flat_map(|state| state.list::<Alias>(after.as_deref()))
        .filter(|alias| alias.region == call.region)
        .filter(|alias| only.as_ref().is_none_or(|key| *key == alias.target));
    let page = page::take(aliases, input.limit, PAGE_SMALL_DEFAULT, |alias| alias.id());
    let reply = ListAliasesResponse {
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
        aliases: Some(page.items.iter().map(|alias| entry(alias)).collect()),
    };
    Ok(Outcome::reply(reply.into_value()))
}

fn entry(alias: &Alias) -> AliasListEntry {
    AliasListEntry {
        alias_name: Some(alias.name.clone()),
        alias_arn: Some(alias.arn.to_string()),
        target_key_id: Some(alias.target.to_string()),
        creation_date: Some(alias.created),
        last_updated_date: Some(alias.updated),
    }
}
