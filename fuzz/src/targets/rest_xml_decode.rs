//! S3 requests from the request line on: classification, labels, query, headers and XML body.

use writ_aws::classify::{Request, classify};
use writ_aws::{validate, wire};

use crate::input::Head;

pub(crate) fn run(input: &[u8]) {
    let Some(head) = Head::read(input) else { return };
    let Head { method, path, query, headers, body } = &head;
    let request = Request {
        method,
        host: "photos.s3.localhost",
        path,
        query,
        headers,
        body,
        scope_service: Some("s3"),
        s3_domain: Some("s3.localhost"),
    };
    let classified = match classify(&request) {
        Ok(classified) => classified,
        Err(error) => {
            let (service, error) = error.to_api_error();
            wire::error(service, &error, "id");
            return;
        }
    };
    let refusal = match wire::decode(&request, &classified) {
        Ok(value) => classified.operation.and_then(|o| validate::check(o, &value).err()),
        Err(error) => Some(error),
    };
    if let Some(error) = refusal {
        let reply = wire::error(classified.service, &error, "id");
        assert!(std::str::from_utf8(&reply.body).is_ok(), "an error is no text");
    }
}
