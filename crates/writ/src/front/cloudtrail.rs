//! CloudTrail's LookupEvents: the caller's own account log, asked of trail over its channel.

use writ_aws::generated::cloudtrail::lookup_events::{LookupEventsRequest, LookupEventsResponse};
use writ_aws::generated::cloudtrail::{Event, Resource};
use writ_aws::{ApiError, Input as _, Output as _, Service, Value};
use writ_policy::Access;
use writ_service::api::{Api, CallFuture};
use writ_service::call::{Call, Outcome};
use writ_trail::protocol::{Attribute, LookupEvent, LookupQuery};

/// Events in a page unless the caller wants fewer (AWS CloudTrail API, LookupEvents).
const PAGE_MAX: u64 = 50;

/// The CloudTrail service.
pub struct CloudTrail;

impl Api for CloudTrail {
    fn service(&self) -> Service {
        Service::CloudTrail
    }

    fn execute<'a>(&'a self, call: &'a Call, input: Value) -> CallFuture<'a> {
        Box::pin(async move {
            match call.operation.name {
                "LookupEvents" => {
                    lookup_events(call, LookupEventsRequest::from_value(input)?).await
                }
                other => Err(ApiError::not_implemented(Service::CloudTrail, other)),
            }
        })
    }
}

async fn lookup_events(call: &Call, input: LookupEventsRequest) -> Result<Outcome, ApiError> {
    call.authorize(&call.context(), &[Access::new("cloudtrail:LookupEvents", "*")])?;
    let invalid = |code, message: &str| ApiError::modelled(Service::CloudTrail, code, message);
    let attribute = match input.lookup_attributes.unwrap_or_default().as_slice() {
        [] => None,
        [one] => {
            let key = Attribute::from_name(&one.attribute_key).ok_or_else(|| {
                invalid("InvalidLookupAttributesException", "The lookup attribute is not known.")
            })?;
            Some((key, one.attribute_value.clone()))
        }
        _ => {
            let message = "Only one lookup attribute can be given in a call.";
            return Err(invalid("InvalidLookupAttributesException", message));
        }
    };
    if let (Some(start), Some(end)) = (input.start_time, input.end_time)
        && start > end
    {
        let message = "The start time is after the end time.";
        return Err(invalid("InvalidTimeRangeException", message));
    }
    if input.event_category.is_some() {
        let message = "No Insights events are made.";
        return Err(invalid("InvalidEventCategoryException", message));
    }
    let query = LookupQuery {
        account: call.account(),
        attribute,
        start: input.start_time,
        end: input.end_time,
        max: input.max_results.and_then(|n| u64::try_from(n).ok()).unwrap_or(PAGE_MAX),
        next: input.next_token,
        data_events: false,
    };
    let page = call.trail.lookup(query).await.map_err(|error| match error {
        writ_trail::error::TrailError::Refused(_) => {
            invalid("InvalidNextTokenException", "The token is not one of this query.")
        }
        error => {
            tracing::warn!(%error, "the ledger does not answer a lookup");
            ApiError::service_unavailable(Service::CloudTrail)
        }
    })?;
    let reply = LookupEventsResponse {
        events: Some(page.events.into_iter().map(event).collect()),
        next_token: page.next,
    };
    Ok(Outcome::reply(reply.into_value()))
}

fn event(found: LookupEvent) -> Event {
    let resources = found
        .resources
        .into_iter()
        .map(|(kind, name)| Resource { resource_type: Some(kind), resource_name: Some(name) });
    Event {
        event_id: Some(found.event_id.to_string()),
        event_name: Some(found.event_name),
        read_only: Some(found.read_only.to_string()),
        access_key_id: found.access_key_id,
        event_time: Some(found.time),
        event_source: Some(found.event_source),
        username: found.user_name,
        resources: Some(resources.collect()),
        cloud_trail_event: String::from_utf8(found.record).ok(),
    }
}
