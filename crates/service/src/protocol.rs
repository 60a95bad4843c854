//! Decoding a request and encoding its reply in the protocol of its service.

use writ_aws::{ApiError, Operation, Protocol, Service, Value, json, query};
use writ_model::Uuid;

use crate::http::{Reply, Request};

/// The parameters of a request.
pub fn decode(operation: &'static Operation, request: &Request) -> Result<Value, ApiError> {
    match operation.service.protocol() {
        Protocol::Json => json::decode(operation, &request.body),
        Protocol::Query => {
            // A presigned query call carries its parameters in the query string.
            let in_body = !request.body.is_empty();
            query::decode(operation, if in_body { &request.body } else { request.query.as_bytes() })
        }
        // S3 has a listener and a process of its own.
        Protocol::RestXml => Err(ApiError::not_implemented(operation.service, operation.name)),
    }
}

/// The reply to a call that succeeded.
pub fn encode(operation: &'static Operation, reply: &Value, request_id: Uuid) -> Reply {
    let id = request_id.to_string();
    let reply = match operation.service.protocol() {
        Protocol::Json => Reply::new(200, json::CONTENT_TYPE, json::encode_reply(operation, reply)),
        Protocol::Query | Protocol::RestXml => {
            Reply::new(200, query::CONTENT_TYPE, query::encode_reply(operation, reply, &id))
        }
    };
    reply.with("x-amzn-requestid", id)
}

/// The reply to a call that failed. Without a known service the query protocol's form is used.
pub fn encode_error(service: Option<Service>, error: &ApiError, request_id: Uuid) -> Reply {
    let id = request_id.to_string();
    let reply = match service.map(Service::protocol) {
        Some(Protocol::Json) => {
            Reply::new(error.status, json::CONTENT_TYPE, json::encode_error(error))
        }
        _ => {
            let service = service.unwrap_or(Service::Sts);
            let body = query::encode_error(service, error, &id);
            Reply::new(error.status, query::CONTENT_TYPE, body)
        }
    };
    reply.with("x-amzn-requestid", id)
}
