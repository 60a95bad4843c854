//! What a signed request asks for, read from the bytes that its signature covers.
//!
//! Service, operation and parameters come from here and never from the peer's own parse.

use writ_aws::classify::{Classified, Parameters, Request, classify};
use writ_aws::rest_xml::{self, HttpParts};
use writ_aws::sigv4::ProtocolFamily;
use writ_aws::{Operation, Protocol, Service, Value, json, query, validate};
use writ_keyd_client::protocol::{Authenticate, Payload};

use crate::limits;

/// A request that was understood.
pub(crate) struct Asked {
    /// The operation.
    pub(crate) operation: &'static Operation,
    /// Its parameters.
    pub(crate) input: Value,
    /// Bytes that they take, roughly.
    pub(crate) weight: usize,
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

/// Which operation the signed bytes ask for; `None` if they can be read in no way, or in two.
pub(crate) fn classified(
    service: Service,
    request: &Authenticate,
    s3_domain: Option<&str>,
) -> Option<Classified> {
    let found = classify(&Request {
        method: &request.method,
        host: header(request, "host").unwrap_or_default(),
        path: &request.path,
        query: &request.query,
        headers: &request.headers,
        body: body(request),
        scope_service: Some(service.signing_name()),
        s3_domain,
    });
    found.ok().filter(|found| found.service == service)
}

/// The parameters of a request that Writ has. What cannot be read gets no handle; the listener,
/// which decodes the same bytes by the same code, tells the client what is wrong.
pub(crate) fn asked(found: &Classified, request: &Authenticate) -> Option<Asked> {
    let operation = found.operation?;
    let form = match found.parameters {
        Parameters::Body => body(request),
        Parameters::QueryString => request.query.as_bytes(),
    };
    if form.len() > limits::INPUT_MAX_BYTES {
        return None;
    }
    let input = match found.service.protocol() {
        Protocol::Json => json::decode(operation, body(request)).ok()?,
        Protocol::Query => query::decode(operation, form).ok()?,
        Protocol::RestXml => {
            let target = found.s3.as_ref()?;
            let labels: Vec<(&str, &str)> = [("Bucket", &target.bucket), ("Key", &target.key)]
                .into_iter()
                .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
                .collect();
            let parts = HttpParts {
                labels: &labels,
                query: &target.query,
                headers: &request.headers,
                body: &[],
            };
            rest_xml::decode(operation, &parts).ok()?
        }
    };
    if found.service.protocol() != Protocol::RestXml {
        validate::check(operation, &input).ok()?;
    }
    let weight = weight(&input) + 1024;
    Some(Asked { operation, input, weight })
}

/// Bytes that a decoded value takes, roughly: many small members take far more than they did encoded.
pub(crate) fn weight(value: &Value) -> usize {
    const PLACE: usize = size_of::<Value>();
    const MEMBER: usize = 2 * size_of::<String>();
    PLACE
        + match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::List(values) => values.iter().map(weight).sum(),
            Value::Map(members) => {
                members.iter().map(|(name, value)| MEMBER + name.len() + weight(value)).sum()
            }
            _ => 0,
        }
}

fn body(request: &Authenticate) -> &[u8] {
    match &request.payload {
        Payload::Body(body) => body,
        Payload::Declared(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn weight_counts_places_names_and_bytes() {
        let place = size_of::<Value>();
        let member = 2 * size_of::<String>();
        let text = || Value::Text("12345".to_owned());
        let map = BTreeMap::from([("name".to_owned(), text()), ("n".to_owned(), Value::Int(1))]);
        let table = [
            (Value::Null, place),
            (Value::Int(i64::MAX), place),
            (text(), place + 5),
            (Value::Blob(vec![0; 7]), place + 7),
            (Value::List(vec![text(), Value::Bool(true)]), 3 * place + 5),
            (Value::Map(map), 3 * place + 2 * member + 4 + 1 + 5),
        ];
        for (value, expected) in table {
            assert_eq!(weight(&value), expected, "{value:?}");
        }
    }
}
