//! What a signed request asks for, read from the bytes that its signature covers.
//!
//! Service, operation and parameters come from here and never from the peer's own parse.

use writ_aws::sigv4::ProtocolFamily;
use writ_aws::{Operation, Protocol, Service, Value, json, query};
use writ_keyd_client::protocol::{Authenticate, Payload};

use crate::limits;

/// A request that was understood.
pub(crate) struct Asked {
    /// The operation.
    pub(crate) operation: &'static Operation,
    /// Its parameters.
    pub(crate) input: Value,
    /// Bytes of the body that they came from.
    pub(crate) weight: usize,
}

/// The service that a credential scope names, if Writ has it.
pub(crate) fn service(signing_name: &str) -> Option<Service> {
    Service::ALL.into_iter().find(|service| service.signing_name() == signing_name)
}

/// How a service names authentication errors.
pub(crate) fn family(service: Service) -> ProtocolFamily {
    match service.protocol() {
        Protocol::Json => ProtocolFamily::Json,
        Protocol::Query => ProtocolFamily::Query,
        Protocol::RestXml => ProtocolFamily::S3,
    }
}

/// The family to answer in when there is no claim to tell it.
pub(crate) fn likely_family(request: &Authenticate) -> ProtocolFamily {
    if header(request, "x-amz-target").is_some() {
        ProtocolFamily::Json
    } else {
        ProtocolFamily::Query
    }
}

/// The only value of a header, as text.
pub(crate) fn header<'a>(request: &'a Authenticate, name: &str) -> Option<&'a str> {
    let mut values = request.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    let (_, value) = values.next()?;
    if values.next().is_some() {
        return None;
    }
    std::str::from_utf8(value).ok().map(str::trim)
}

/// The name of the operation that the signed bytes ask for; empty if there is none.
pub(crate) fn operation_name(service: Service, request: &Authenticate) -> String {
    let name = match service.protocol() {
        Protocol::Json => header(request, "x-amz-target")
            .and_then(|target| target.strip_prefix(service.target_prefix()))
            .and_then(|rest| rest.strip_prefix('.'))
            .map(str::to_owned),
        Protocol::Query => query::list_action(form(request)).ok().and_then(|(action, _)| action),
        Protocol::RestXml => None,
    };
    name.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())).unwrap_or_default()
}

/// The parameters of a query or JSON request, if it is one that Writ has and it can be read. What
/// cannot be read gets no handle; the listener, which decodes the same bytes, says what is wrong.
pub(crate) fn asked(service: Service, name: &str, request: &Authenticate) -> Option<Asked> {
    let operation = writ_aws::operation(service, name)?;
    let Payload::Body(body) = &request.payload else { return None };
    if body.len() > limits::INPUT_MAX_BYTES {
        return None;
    }
    let input = match service.protocol() {
        Protocol::Json => json::decode(operation, body).ok()?,
        Protocol::Query => query::decode(operation, form(request)).ok()?,
        Protocol::RestXml => return None,
    };
    writ_aws::validate::check(operation, &input).ok()?;
    Some(Asked { operation, input, weight: body.len() + 1024 })
}

/// The form of a query request: the body, or for a GET the query string.
fn form(request: &Authenticate) -> &[u8] {
    match &request.payload {
        Payload::Body(body) if request.method != "GET" => body,
        _ => request.query.as_bytes(),
    }
}
