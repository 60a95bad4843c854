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

/// The service that a request means, as far as its head says so without being checked: enough to answer
/// in the right protocol where nothing of it is read. `None` where it does not say, and for S3.
pub fn likely_service(request: &Request) -> Option<Service> {
    let named = |prefix: &str| {
        Service::ALL.into_iter().find(|s| !prefix.is_empty() && s.target_prefix() == prefix)
    };
    let target = request.header("x-amz-target").and_then(|target| target.rsplit_once('.'));
    let service = match target {
        Some((prefix, _)) => named(prefix),
        None => scope_service(request).and_then(Service::from_signing_name),
    };
    service.filter(|service| *service != Service::S3)
}

/// `SERVICE` in `Credential=ID/DATE/REGION/SERVICE/aws4_request`, of the header or the query string.
fn scope_service(request: &Request) -> Option<&str> {
    let header = request.header("authorization").and_then(|value| value.split_once("Credential="));
    let query = || request.query.split_once("X-Amz-Credential=");
    let (_, credential) = header.or_else(query)?;
    let credential = credential.split([',', '&', ' ']).next()?;
    let separator = if credential.contains('/') { "/" } else { "%2F" };
    credential.split(separator).nth(3)
}

#[cfg(test)]
mod tests {
    use writ_keyd_client::protocol::Network;

    use super::*;

    #[test]
    fn throttled_request_is_answered_in_the_protocol_of_its_service() {
        let scope = |service: &str| {
            format!("AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1/{service}/aws4_request, S")
        };
        let (target, signed) = ("x-amz-target", "authorization");
        let query =
            "X-Amz-Credential=AKIA%2F20261122%2Fus-east-1%2Fkms%2Faws4_request&X-Amz-Date=1";
        let cloud_trail =
            "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents".to_owned();
        let table = [
            (vec![(target, "TrentService.Encrypt".to_owned())], "", Some(Service::Kms)),
            (vec![(target, cloud_trail)], "", Some(Service::CloudTrail)),
            (vec![(target, "Nobody.Encrypt".to_owned()), (signed, scope("kms"))], "", None),
            (vec![(signed, scope("kms"))], "", Some(Service::Kms)),
            (vec![(signed, scope("iam"))], "", Some(Service::Iam)),
            (vec![(signed, scope("s3"))], "", None),
            (vec![(signed, "Credential=".to_owned())], "", None),
            (vec![], query, Some(Service::Kms)),
            (vec![], "", None),
        ];
        for (headers, query, service) in table {
            let headers: Vec<(String, Vec<u8>)> =
                headers.into_iter().map(|(n, v)| (n.to_owned(), v.into_bytes())).collect();
            let request = Request {
                method: "POST".to_owned(),
                path: "/".to_owned(),
                query: query.to_owned(),
                headers: headers.clone(),
                body: Vec::new(),
                network: Network { source_ip: "192.0.2.1".to_owned(), tls: None, vpce: None },
            };
            assert_eq!(likely_service(&request), service, "{headers:?}");
        }
        let error = ApiError::throttled(Service::Kms);
        let reply = encode_error(Some(Service::Kms), &error, Uuid::from_bytes([1; 16]));
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.contains("ThrottlingException") && body.starts_with('{'), "{body}");
    }
}
