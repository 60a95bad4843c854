//! The CloudTrail records of a call.

use serde_json::Map;
use writ_aws::{ApiError, Audit, Operation, Service};
use writ_keyd_client::caller::Caller;
use writ_model::{AccessKeyId, Uuid};
use writ_trail::error::TrailError;
use writ_trail::record::{Call as RecordCall, Category, Identity, Record};

use super::Gateway;
use super::call::{Call, Facts, Outcome};
use super::head::Head;

const EVENT_SOURCE: &str = "s3.amazonaws.com";
const API_VERSION: &str = "2006-03-01";

fn category(operation: &Operation) -> Category {
    match operation.audit {
        Audit::Data => Category::Data,
        Audit::Management => Category::Management,
    }
}

/// The records of an authenticated call, whatever came of it.
pub(crate) fn of_call(
    call: &Call,
    result: &Result<Outcome, ApiError>,
) -> Result<Vec<Record>, TrailError> {
    let none = Facts::default();
    let (facts, error) = match result {
        Ok(outcome) => (&outcome.facts, None),
        Err(error) => (&none, Some((error.code.as_ref(), error.message.as_str()))),
    };
    let gateway = &call.gateway;
    let mut additional = facts.additional.clone();
    let method = if call.presigned { "QueryString" } else { "AuthHeader" };
    additional.insert("AuthenticationMethod".to_owned(), method.into());
    additional.insert("SignatureVersion".to_owned(), "SigV4".into());
    additional.insert("x-amz-id-2".to_owned(), host_id(call.request_id).into());
    if call.payload == "UNSIGNED-PAYLOAD" {
        additional.insert("payload".to_owned(), "unsigned".into());
    }
    let base = |event_name, event_id, parameters, resources| RecordCall {
        site: &gateway.site,
        identity: Identity::Caller(&call.caller),
        time: gateway.env.now(),
        event_source: EVENT_SOURCE,
        event_name,
        region: &gateway.region,
        network: &call.head.network,
        user_agent: call.head.header("user-agent"),
        host: call.head.header("host"),
        error,
        request_parameters: Some(parameters),
        response_elements: facts.response_elements.clone(),
        additional: additional.clone(),
        request_id: call.request_id,
        event_id,
        read_only: call.operation.read_only,
        resources,
        api_version: Some(API_VERSION),
        category: category(call.operation),
        forwarded: None,
        use_position: None,
    };
    let own = base(call.operation.name, call.event_id, call.parameters(), facts.resources.clone());
    let mut records = own.records(&*gateway.env)?;
    for also in result.iter().flat_map(|outcome| &outcome.also) {
        let event_id = Uuid::random(&*gateway.env);
        let mut one = base(also.name, event_id, also.parameters.clone(), also.resources.clone());
        one.category = Category::Data;
        records.extend(one.records(&*gateway.env)?);
    }
    Ok(records)
}

/// What is known of a request that was refused before it became a call.
pub(crate) struct Refused<'a> {
    pub(crate) head: &'a Head,
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) access_key_id: Option<&'a AccessKeyId>,
    pub(crate) event_name: &'a str,
    pub(crate) operation: Option<&'static Operation>,
    pub(crate) error: &'a ApiError,
    pub(crate) request_id: Uuid,
    pub(crate) event_id: Uuid,
}

impl Refused<'_> {
    pub(crate) fn records(&self, gateway: &Gateway) -> Result<Vec<Record>, TrailError> {
        let identity = match self.caller {
            Some(caller) => Identity::Caller(caller),
            None => Identity::Unknown { access_key_id: self.access_key_id },
        };
        RecordCall {
            site: &gateway.site,
            identity,
            time: gateway.env.now(),
            event_source: Service::S3.event_source(),
            event_name: self.event_name,
            region: &gateway.region,
            network: &self.head.network,
            user_agent: self.head.header("user-agent"),
            host: self.head.header("host"),
            error: Some((&self.error.code, &self.error.message)),
            request_parameters: None,
            response_elements: None,
            additional: Map::new(),
            request_id: self.request_id,
            event_id: self.event_id,
            read_only: self.operation.is_some_and(|operation| operation.read_only),
            resources: Vec::new(),
            api_version: Some(API_VERSION),
            category: self.operation.map_or(Category::Management, category),
            forwarded: None,
            use_position: None,
        }
        .records(&*gateway.env)
    }
}

/// `x-amz-id-2`: names the request for support, as its id does.
pub(crate) fn host_id(request_id: Uuid) -> String {
    hex::encode(crate::format::sha256(&request_id.bytes()))
}
