//! The CloudTrail records of a call, from what the pipeline knows of it.

use std::sync::Mutex;

use writ_aws::{ApiError, Audit, Operation, Value};
use writ_keyd_client::caller::Caller;
use writ_keyd_client::protocol::{Forwarded, Network};
use writ_model::{AccessKeyId, Env, Region, Timestamp, Uuid};
use writ_proof::origin::SiteId;
use writ_trail::error::TrailError;
use writ_trail::record::{Call as RecordCall, Category, Identity, Record};

use crate::audit::{lower_first, request_parameters};
use crate::call::{AuditFacts, Call, Outcome};
use crate::limits::UNAUTHENTICATED_RECORDS_PER_SECOND;

/// The records of an authenticated call, whatever came of it.
pub fn of_call(
    call: &Call,
    site: &SiteId,
    input: &Value,
    result: &Result<Outcome, ApiError>,
) -> Result<Vec<Record>, TrailError> {
    let none = AuditFacts::default();
    let (facts, error, reply) = match result {
        Ok(outcome) => (&outcome.audit, None, Some(&outcome.reply)),
        Err(error) => (&none, Some((error.code.as_ref(), error.message.as_str())), None),
    };
    let operation = call.operation;
    let response_elements = facts.response_elements.clone().or_else(|| {
        let shown = reply.filter(|_| !operation.read_only)?;
        shown_reply(operation, shown)
    });
    RecordCall {
        site,
        identity: Identity::Caller(&call.caller),
        time: call.env.now(),
        event_source: operation.service.event_source(),
        event_name: operation.name,
        region: &call.region,
        network: &call.network,
        user_agent: call.user_agent.as_deref(),
        host: call.host.as_deref(),
        error,
        request_parameters: request_parameters(operation, input),
        response_elements,
        additional: facts.additional.clone(),
        request_id: call.request_id,
        event_id: call.event_id,
        read_only: operation.read_only,
        resources: facts.resources.clone(),
        api_version: Some(operation.service.api_version()),
        category: match operation.audit {
            Audit::Data => Category::Data,
            Audit::Management => Category::Management,
        },
        forwarded: call.forwarded.as_ref(),
        use_position: facts.use_position,
    }
    .records(&*call.env)
}

/// A call that was refused before anybody was known, or whose caller's signature was right but whose
/// credential is not.
pub struct Refused<'a> {
    /// The installation.
    pub site: &'a SiteId,
    /// Who it was, where that is proven.
    pub caller: Option<&'a Caller>,
    /// The access key id that the request named.
    pub access_key_id: Option<AccessKeyId>,
    /// `kms.amazonaws.com`, or the installation's own name where no service is known.
    pub event_source: &'a str,
    /// The operation, or `Unknown`.
    pub event_name: &'a str,
    /// The operation, where it is known.
    pub operation: Option<&'static Operation>,
    /// The region that answers.
    pub region: &'a Region,
    /// What the listener saw.
    pub network: &'a Network,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The `Host` that it asked for.
    pub host: Option<&'a str>,
    /// The answer.
    pub error: &'a ApiError,
    /// `x-amzn-requestid`.
    pub request_id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// The chain of services, for a forwarded call.
    pub forwarded: Option<&'a Forwarded>,
}

impl Refused<'_> {
    /// Its records.
    pub fn records(&self, env: &dyn Env) -> Result<Vec<Record>, TrailError> {
        let identity = match self.caller {
            Some(caller) => Identity::Caller(caller),
            None => Identity::Unknown { access_key_id: self.access_key_id.as_ref() },
        };
        RecordCall {
            site: self.site,
            identity,
            time: env.now(),
            event_source: self.event_source,
            event_name: self.event_name,
            region: self.region,
            network: self.network,
            user_agent: self.user_agent,
            host: self.host,
            error: Some((&self.error.code, &self.error.message)),
            request_parameters: None,
            response_elements: None,
            additional: serde_json::Map::new(),
            request_id: self.request_id,
            event_id: self.event_id,
            read_only: self.operation.is_some_and(|operation| operation.read_only),
            resources: Vec::new(),
            api_version: self.operation.map(|operation| operation.service.api_version()),
            category: Category::Management,
            forwarded: self.forwarded,
            use_position: None,
        }
        .records(env)
    }
}

/// Bounds the records of unauthenticated calls: so many a second, the rest counted.
#[derive(Default)]
pub struct StrangerLimit {
    window: Mutex<(u64, u64)>,
    dropped: std::sync::atomic::AtomicU64,
}

impl StrangerLimit {
    /// True if one more record may be written now.
    pub fn admit(&self, now: Timestamp) -> bool {
        let mut window = self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if window.0 != now.secs() {
            *window = (now.secs(), 0);
        }
        window.1 += 1;
        let admitted = window.1 <= UNAUTHENTICATED_RECORDS_PER_SECOND;
        if !admitted {
            self.dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        admitted
    }

    /// Records that were not written so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn shown_reply(
    operation: &Operation,
    reply: &Value,
) -> Option<serde_json::Map<String, serde_json::Value>> {
    match crate::audit::show(operation.output, reply)? {
        serde_json::Value::Object(members) if !members.is_empty() => {
            Some(members.into_iter().map(|(name, value)| (lower_first(&name), value)).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_bounded_by_the_second_and_counted() {
        let limit = StrangerLimit::default();
        let now = Timestamp::from_secs(9);
        let admitted =
            (0..UNAUTHENTICATED_RECORDS_PER_SECOND + 5).filter(|_| limit.admit(now)).count();
        assert_eq!(u64::try_from(admitted).unwrap(), UNAUTHENTICATED_RECORDS_PER_SECOND);
        assert_eq!(limit.dropped(), 5);
        assert!(limit.admit(Timestamp::from_secs(10)));
    }
}
