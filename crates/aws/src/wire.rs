//! The codec of a request's service: one call each for parameters, reply and error.

use crate::classify::{Classified, Parameters, Request};
use crate::error::ApiError;
use crate::operation::{Operation, Protocol, Service};
use crate::rest_xml::{HttpParts, HttpReply};
use crate::value::Value;
use crate::{json, query, rest_xml};

/// The parameters of a classified request, not yet checked against the model's constraints.
///
/// Fails when the operation is not implemented, and as the service's codec does. `request.body`
/// may be empty for S3 operations whose body is streamed.
pub fn decode(request: &Request<'_>, classified: &Classified) -> Result<Value, ApiError> {
    let service = classified.service;
    let operation =
        classified.operation.ok_or_else(|| ApiError::not_implemented(service, classified.name))?;
    match service.protocol() {
        Protocol::Json => json::decode(operation, request.body),
        Protocol::Query => match classified.parameters {
            Parameters::Body => query::decode(operation, request.body),
            Parameters::QueryString => query::decode(operation, request.query.as_bytes()),
        },
        Protocol::RestXml => {
            let target = classified.s3.as_ref().ok_or_else(|| ApiError::internal(service))?;
            let mut labels = Vec::with_capacity(2);
            labels.extend(target.bucket.as_deref().map(|bucket| ("Bucket", bucket)));
            labels.extend(target.key.as_deref().map(|key| ("Key", key)));
            let (headers, body) = (request.headers, request.body);
            let parts = HttpParts { labels: &labels, query: &target.query, headers, body };
            rest_xml::decode(operation, &parts)
        }
    }
}

/// A successful reply with its `Content-Type` and request id.
pub fn reply(operation: &Operation, value: &Value, request_id: &str) -> HttpReply {
    let mut reply = match operation.service.protocol() {
        Protocol::Json => {
            typed(operation.http.status, json::CONTENT_TYPE, json::encode_reply(operation, value))
        }
        Protocol::Query => {
            let body = query::encode_reply(operation, value, request_id);
            typed(operation.http.status, query::CONTENT_TYPE, body)
        }
        Protocol::RestXml => rest_xml::encode_reply(operation, value),
    };
    add_request_id(operation.service, request_id, &mut reply);
    reply
}

/// An error with its `Content-Type` and request id. For S3 the host id is the request id: there
/// is no second number to give.
pub fn error(service: Service, error: &ApiError, request_id: &str) -> HttpReply {
    let mut reply = match service.protocol() {
        Protocol::Json => typed(error.status, json::CONTENT_TYPE, json::encode_error(error)),
        Protocol::Query => {
            let body = query::encode_error(service, error, request_id);
            typed(error.status, query::CONTENT_TYPE, body)
        }
        Protocol::RestXml => rest_xml::encode_error(error, request_id, request_id),
    };
    add_request_id(service, request_id, &mut reply);
    reply
}

fn typed(status: u16, content_type: &str, body: Vec<u8>) -> HttpReply {
    let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
    HttpReply { status, headers, body }
}

fn add_request_id(service: Service, request_id: &str, reply: &mut HttpReply) {
    let name = match service.protocol() {
        Protocol::Json | Protocol::Query => "x-amzn-RequestId",
        Protocol::RestXml => "x-amz-request-id",
    };
    reply.headers.push((name.to_owned(), request_id.to_owned()));
    if service == Service::S3 {
        reply.headers.push(("x-amz-id-2".to_owned(), request_id.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::classify;
    use crate::generated::{iam, kms, s3};
    use crate::operation::Input;

    fn decoded<R: Input>(request: &Request<'_>) -> R {
        let classified = classify(request).unwrap();
        let value = decode(request, &classified).unwrap();
        R::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn requests_of_every_protocol_become_structs() {
        let empty = Request {
            method: "POST",
            host: "b.s3.test",
            path: "/",
            query: "",
            headers: &[],
            body: b"",
            scope_service: None,
            s3_domain: Some("s3.test"),
        };
        let body = b"Action=GetUser&Version=2010-05-08&UserName=Ana";
        let request = Request { scope_service: Some("iam"), body, ..empty };
        assert_eq!(decoded::<iam::GetUserRequest>(&request).user_name.as_deref(), Some("Ana"));
        let query = "Action=GetUser&Version=2010-05-08&UserName=Eva&X-Amz-Signature=a";
        let request = Request { method: "GET", scope_service: Some("iam"), query, ..empty };
        assert_eq!(decoded::<iam::GetUserRequest>(&request).user_name.as_deref(), Some("Eva"));

        let headers = [("X-Amz-Target".to_owned(), b"TrentService.DescribeKey".to_vec())];
        let body = br#"{"KeyId":"alias/a"}"#;
        let request = Request { headers: &headers, scope_service: Some("kms"), body, ..empty };
        assert_eq!(decoded::<kms::DescribeKeyRequest>(&request).key_id, "alias/a");

        let scope_service = Some("s3");
        let request = Request { method: "GET", path: "/a%2Fb//c+d", scope_service, ..empty };
        let object = decoded::<s3::GetObjectRequest>(&request);
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("b", "a/b//c+d"));
    }

    #[test]
    fn an_operation_without_implementation_is_answered_in_its_form() {
        for (service, name, content_type, status) in [
            (Service::Iam, "CreateSAMLProvider", "text/xml", 501),
            (Service::Kms, "CreateGrant", "application/x-amz-json-1.1", 400),
            (Service::S3, "PutBucketAcl", "application/xml", 501),
        ] {
            let reply = error(service, &ApiError::not_implemented(service, name), "r-1");
            assert_eq!(reply.status, status);
            let headers: Vec<&str> = reply.headers.iter().map(|(_, v)| v.as_str()).collect();
            assert_eq!(headers.first(), Some(&content_type));
            assert!(headers.contains(&"r-1"));
        }
    }
}
