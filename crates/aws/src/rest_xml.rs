//! REST with XML bodies: members in the path, the query string, headers and the body (S3).
//!
//! Streamed bodies are no part of a [`Value`]: `PutObject`'s and `UploadPart`'s requests and
//! `GetObject`'s reply leave them out.

use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::limits;
use crate::operation::Operation;
use crate::scalar;
use crate::shape::{Kind, List, Location, Member, Shape, TimeFormat};
use crate::value::Value;
use crate::xml::{self, Writer, XmlStyle};

/// The `Content-Type` of XML bodies.
pub const CONTENT_TYPE: &str = "application/xml";

const MALFORMED_XML: &str = "The XML you provided was not well-formed or did not validate against \
                             our published schema";

/// Root elements of replies whose output shapes have another name.
const ROOTS: &[(&str, &str)] = &[
    ("CompleteMultipartUpload", "CompleteMultipartUploadResult"),
    ("CreateMultipartUpload", "InitiateMultipartUploadResult"),
    ("DeleteObjects", "DeleteResult"),
    ("GetBucketAcl", "AccessControlPolicy"),
    ("GetBucketVersioning", "VersioningConfiguration"),
    ("GetObjectAcl", "AccessControlPolicy"),
    ("GetObjectAttributes", "GetObjectAttributesResponse"),
    ("ListBuckets", "ListAllMyBucketsResult"),
    ("ListMultipartUploads", "ListMultipartUploadsResult"),
    ("ListObjects", "ListBucketResult"),
    ("ListObjectsV2", "ListBucketResult"),
    ("ListParts", "ListPartsResult"),
];

/// The parts of a request, each decoded once.
#[derive(Clone, Copy, Default)]
pub struct HttpParts<'a> {
    /// The labels of the path with their values, such as `("Bucket", "photos")`.
    pub labels: &'a [(&'a str, &'a str)],
    /// The query string's pairs.
    pub query: &'a [(String, String)],
    /// Header fields as received.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body; empty when it is streamed.
    pub body: &'a [u8],
}

/// A reply without its streamed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body; empty when there is none or it is streamed.
    pub body: Vec<u8>,
}

/// The parameters of a request.
///
/// A header that begins with `x-amz-` is also taken from the query string, where presigned
/// requests carry it; the header itself goes first. Fails with `MalformedXML` for the body and
/// `InvalidArgument` for the rest.
pub fn decode(operation: &Operation, parts: &HttpParts<'_>) -> Result<Value, ApiError> {
    let mut members = body(operation.input, parts.body)?;
    for member in operation.input.members() {
        let found = match member.location {
            Location::Body | Location::StatusCode => None,
            Location::Header => header(member, parts)?,
            Location::Headers => prefixed(member, parts)?,
            Location::Query => query(operation.input, member, parts)?,
            Location::Uri => {
                let label = parts.labels.iter().find(|(name, _)| *name == member.wire());
                label.map(|(_, text)| scalar(member, text)).transpose()?
            }
        };
        if let Some(value) = found {
            members.insert(member.name.to_owned(), value);
        }
    }
    Ok(Value::Map(members))
}

/// A successful reply.
pub fn encode_reply(operation: &Operation, value: &Value) -> HttpReply {
    let shape = operation.output;
    let mut reply =
        HttpReply { status: operation.http.status, headers: Vec::new(), body: Vec::new() };
    for member in shape.members() {
        let Some(value) = value.member(member.name) else { continue };
        match (member.location, value) {
            (Location::Header, _) => {
                let text = header_text(member.shape, value);
                reply.headers.push((member.wire().to_owned(), text));
            }
            (Location::Headers, Value::Map(entries)) => {
                for (key, value) in entries {
                    let text = value.text().unwrap_or_default().to_owned();
                    reply.headers.push((format!("{}{key}", member.wire()), text));
                }
            }
            (Location::StatusCode, Value::Int(status)) => {
                reply.status = u16::try_from(*status).unwrap_or(reply.status);
            }
            _ => {}
        }
    }
    let (body, content_type) = reply_body(operation, value);
    reply.body = body;
    if content_type.is_some_and(|_| !has(&reply.headers, "content-type")) {
        reply.headers.push(("Content-Type".to_owned(), CONTENT_TYPE.to_owned()));
    }
    reply
}

/// An error. For a HEAD request the caller drops the body.
pub fn encode_error(error: &ApiError, request_id: &str, host_id: &str) -> HttpReply {
    let mut writer = Writer::new(XmlStyle::S3);
    writer.open("Error", &[]);
    writer.leaf("Code", &error.code);
    writer.leaf("Message", &error.message);
    for (name, value) in &error.fields {
        writer.leaf(name, value);
    }
    writer.leaf("RequestId", request_id);
    writer.leaf("HostId", host_id);
    writer.close("Error");
    let headers = vec![("Content-Type".to_owned(), CONTENT_TYPE.to_owned())];
    HttpReply { status: error.status, headers, body: writer.finish() }
}

fn has(headers: &[(String, String)], name: &str) -> bool {
    headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name))
}

fn malformed_xml() -> ApiError {
    ApiError::new("MalformedXML", MALFORMED_XML, 400)
}

fn invalid(member: &Member, text: &str, expected: &str) -> ApiError {
    let message = format!("Argument {} must be {expected}", member.wire());
    let error = ApiError::new("InvalidArgument", message, 400).with("ArgumentName", member.wire());
    if member.shape.sensitive { error } else { error.with("ArgumentValue", text) }
}

fn body(input: &Shape, body: &[u8]) -> Result<BTreeMap<String, Value>, ApiError> {
    let mut members = BTreeMap::new();
    let in_body = |member: &&Member| member.location == Location::Body && !member.streaming;
    let Some(payload) = input.payload() else {
        if body.is_empty() || !input.members().iter().any(|member| in_body(&member)) {
            return Ok(members);
        }
        let root = xml::read(body).map_err(|_| malformed_xml())?;
        return match xml::value(input, &root) {
            Ok(Value::Map(members)) => Ok(members),
            _ => Err(malformed_xml()),
        };
    };
    if payload.streaming || body.is_empty() {
        return Ok(members);
    }
    if body.len() > limits::XML_MAX_BYTES {
        return Err(ApiError::new("MaxMessageLengthExceeded", "Your request was too big.", 400));
    }
    let value = match &payload.shape.kind {
        Kind::Text(_) => {
            let text = String::from_utf8(body.to_vec());
            Value::Text(text.map_err(|_| invalid(payload, "", "UTF-8 text"))?)
        }
        Kind::Blob(_) => Value::Blob(body.to_vec()),
        _ => {
            let root = xml::read(body).map_err(|_| malformed_xml())?;
            let named = root.name == payload_root(payload);
            let value = xml::value(payload.shape, &root).ok().filter(|_| named);
            value.ok_or_else(malformed_xml)?
        }
    };
    members.insert(payload.name.to_owned(), value);
    Ok(members)
}

fn scalar(member: &Member, text: &str) -> Result<Value, ApiError> {
    let format = match member.location {
        Location::Header => TimeFormat::Http,
        _ => TimeFormat::Iso8601,
    };
    scalar::parse(member.shape, text, format).map_err(|expected| invalid(member, text, expected))
}

/// The value of a header: of all fields of that name, joined as RFC 9110 section 5.3 allows.
fn header(member: &Member, parts: &HttpParts<'_>) -> Result<Option<Value>, ApiError> {
    let name = member.wire();
    let mut joined: Option<String> = None;
    for (_, value) in parts.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)) {
        let text = std::str::from_utf8(value).map_err(|_| invalid(member, "", "UTF-8 text"))?;
        match (&mut joined, &member.shape.kind) {
            (Some(before), Kind::List(_)) => {
                before.push_str(", ");
                before.push_str(text.trim());
            }
            // Two values for one answer: which of them was meant, nobody can tell.
            (Some(_), _) => return Err(invalid(member, text, "given once")),
            (None, _) => joined = Some(text.trim().to_owned()),
        }
    }
    if joined.is_none() && name.starts_with("x-amz-") {
        let found = parts.query.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        joined = found.map(|(_, text)| text.clone());
    }
    let Some(text) = joined else { return Ok(None) };
    match &member.shape.kind {
        Kind::List(list) => header_list(member, list, &text).map(Some),
        _ => scalar(member, &text).map(Some),
    }
}

fn header_list(member: &Member, list: &List, text: &str) -> Result<Value, ApiError> {
    if text.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    let http_dates = match list.item.kind {
        Kind::Timestamp(format) => format.unwrap_or(TimeFormat::Http) == TimeFormat::Http,
        _ => false,
    };
    let items = split_list(text, http_dates).ok_or_else(|| invalid(member, text, "a list"))?;
    let parse = |text: &String| scalar::parse(list.item, text, TimeFormat::Http);
    let items = items.iter().map(parse).collect::<Result<_, _>>();
    items.map(Value::List).map_err(|expected| invalid(member, text, expected))
}

/// Splits at commas outside quotes. An HTTP date has a comma of its own.
fn split_list(text: &str, http_dates: bool) -> Option<Vec<String>> {
    let mut items = vec![String::new()];
    let mut chars = text.chars();
    let mut quoted = false;
    let mut commas = 0;
    while let Some(c) = chars.next() {
        let item = items.last_mut()?;
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => item.push(chars.next()?),
            ',' if !quoted => {
                commas += 1;
                if http_dates && commas % 2 == 1 {
                    item.push(',');
                } else {
                    items.push(String::new());
                }
            }
            other => item.push(other),
        }
    }
    let items = items.into_iter().map(|item| item.trim().to_owned()).collect();
    if quoted { None } else { Some(items) }
}

fn prefixed(member: &Member, parts: &HttpParts<'_>) -> Result<Option<Value>, ApiError> {
    let prefix = member.wire();
    let mut entries = BTreeMap::new();
    for (name, value) in parts.headers {
        let fits = name.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        let Some(key) = name.get(prefix.len()..).filter(|_| fits) else { continue };
        let text = std::str::from_utf8(value).map_err(|_| invalid(member, "", "UTF-8 text"))?;
        if entries.insert(key.to_owned(), Value::Text(text.trim().to_owned())).is_some() {
            return Err(invalid(member, text, "given once"));
        }
    }
    for (name, text) in parts.query {
        let fits = prefix.starts_with("x-amz-")
            && name.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        if let Some(key) = name.get(prefix.len()..).filter(|_| fits) {
            entries.entry(key.to_ascii_lowercase()).or_insert_with(|| Value::Text(text.clone()));
        }
    }
    Ok(if entries.is_empty() { None } else { Some(Value::Map(entries)) })
}

fn query(input: &Shape, member: &Member, parts: &HttpParts<'_>) -> Result<Option<Value>, ApiError> {
    let texts = || parts.query.iter().filter(|(name, _)| name == member.wire());
    match &member.shape.kind {
        Kind::List(list) => {
            let parse = |(_, text): &(String, String)| {
                let parsed = scalar::parse(list.item, text, TimeFormat::Iso8601);
                parsed.map_err(|expected| invalid(member, text, expected))
            };
            let items = texts().map(parse).collect::<Result<Vec<_>, _>>()?;
            Ok(if items.is_empty() { None } else { Some(Value::List(items)) })
        }
        Kind::Map(map) => Ok(query_map(input, &map.value.kind, parts)),
        _ => {
            let mut texts = texts();
            let first = texts.next().map(|(_, text)| scalar(member, text)).transpose()?;
            match texts.next() {
                None => Ok(first),
                Some((_, text)) => Err(invalid(member, text, "given once")),
            }
        }
    }
}

/// All parameters that no other member takes.
fn query_map(input: &Shape, value: &Kind, parts: &HttpParts<'_>) -> Option<Value> {
    let taken = |name: &str| {
        let scalar = |member: &&Member| !matches!(member.shape.kind, Kind::Map(_));
        let mut members = input.members().iter().filter(scalar);
        members.any(|member| member.location == Location::Query && member.wire() == name)
    };
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for (name, text) in parts.query.iter().filter(|(name, _)| !taken(name)) {
        let text = Value::Text(text.clone());
        match (value, entries.get_mut(name)) {
            (Kind::List(_), Some(Value::List(items))) => items.push(text),
            (Kind::List(_), _) => {
                entries.insert(name.clone(), Value::List(vec![text]));
            }
            _ => {
                entries.insert(name.clone(), text);
            }
        }
    }
    if entries.is_empty() { None } else { Some(Value::Map(entries)) }
}

fn header_text(shape: &Shape, value: &Value) -> String {
    match (&shape.kind, value) {
        (Kind::List(list), Value::List(items)) => {
            let items = items.iter().map(|item| {
                let text = scalar::write(list.item, item, TimeFormat::Http);
                let quote = matches!(list.item.kind, Kind::Text(_)) && text.contains([',', '"']);
                if quote {
                    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                } else {
                    text
                }
            });
            items.collect::<Vec<_>>().join(", ")
        }
        _ => scalar::write(shape, value, TimeFormat::Http),
    }
}

/// The body, and its type when we choose it.
fn reply_body(operation: &Operation, value: &Value) -> (Vec<u8>, Option<&'static str>) {
    let shape = operation.output;
    let namespace = operation.service.info().xml_namespace;
    if operation.name == "GetBucketLocation" {
        // The one reply whose only member is the root itself.
        let mut writer = Writer::new(XmlStyle::S3);
        let region = value.member("LocationConstraint").and_then(Value::text).unwrap_or_default();
        writer.open("LocationConstraint", &[("xmlns", namespace)]);
        writer.text(region);
        writer.close("LocationConstraint");
        return (writer.finish(), Some(CONTENT_TYPE));
    }
    if let Some(payload) = shape.payload() {
        return match value.member(payload.name) {
            None => (Vec::new(), None),
            Some(Value::Text(text)) => (text.clone().into_bytes(), None),
            Some(Value::Blob(bytes)) => (bytes.clone(), None),
            Some(inner) => {
                let root = payload_root(payload);
                (document(root, namespace, payload.shape, inner), Some(CONTENT_TYPE))
            }
        };
    }
    if !shape.members().iter().any(|member| member.location == Location::Body) {
        return (Vec::new(), None);
    }
    let listed = ROOTS.iter().find(|(name, _)| *name == operation.name);
    let root = listed.map_or(shape.xml_name.unwrap_or(shape.name), |(_, root)| *root);
    (document(root, namespace, shape, value), Some(CONTENT_TYPE))
}

/// The root element of a payload: the member's wire name, else the shape's own name.
fn payload_root(payload: &Member) -> &'static str {
    let named = payload.wire_name.filter(|name| *name != payload.name);
    named.or(payload.shape.xml_name).unwrap_or(payload.shape.name)
}

fn document(root: &str, namespace: &str, shape: &Shape, value: &Value) -> Vec<u8> {
    let mut writer = Writer::new(XmlStyle::S3);
    let mut attributes = vec![("xmlns", namespace)];
    attributes.retain(|(_, uri)| !uri.is_empty());
    writer.open_structure(root, &attributes, shape, value);
    writer.finish()
}
