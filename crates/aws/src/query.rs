//! The query protocol: form-encoded requests, XML replies (IAM, STS).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::ApiError;
use crate::form::{self, FormFault};
use crate::limits;
use crate::operation::{Operation, Service};
use crate::scalar;
use crate::shape::{Kind, List, Map, Member, Shape, TimeFormat};
use crate::value::Value;
use crate::xml::{Writer, XmlStyle};

/// The `Content-Type` of replies.
pub const CONTENT_TYPE: &str = "text/xml";

/// The parameters in a form body, or in the query string of a GET.
///
/// Parameters that the operation does not have are ignored. Fails with `MalformedQueryString` on
/// a broken encoding or a repeated parameter, and with `MalformedInput` on a value that does not
/// fit its shape.
pub fn decode(operation: &Operation, body: &[u8]) -> Result<Value, ApiError> {
    let pairs = pairs(body)?;
    let mut root = Node::default();
    for (name, value) in &pairs {
        root.insert(name, value)?;
    }
    structure(operation.input, &root)
}

/// The values of `Action` and `Version` in a form. Each can be missing but not repeated.
pub fn list_action(body: &[u8]) -> Result<(Option<String>, Option<String>), ApiError> {
    let (mut action, mut version) = (None, None);
    for (name, value) in pairs(body)? {
        let slot = match name.as_str() {
            "Action" => &mut action,
            "Version" => &mut version,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(repeated(&name));
        }
    }
    Ok((action, version))
}

/// The body of a successful reply.
pub fn encode_reply(operation: &Operation, value: &Value, request_id: &str) -> Vec<u8> {
    let mut writer = Writer::new(XmlStyle::Query);
    let response = format!("{}Response", operation.name);
    writer.open(&response, &[("xmlns", operation.service.info().xml_namespace)]);
    match operation.result_wrapper {
        Some(wrapper) => writer.structure(wrapper, None, operation.output, value),
        None => writer.members(operation.output, value),
    }
    writer.open("ResponseMetadata", &[]);
    writer.leaf("RequestId", request_id);
    writer.close("ResponseMetadata");
    writer.close(&response);
    writer.finish()
}

/// The body of an error.
pub fn encode_error(service: Service, error: &ApiError, request_id: &str) -> Vec<u8> {
    let mut writer = Writer::new(XmlStyle::Query);
    writer.open("ErrorResponse", &[("xmlns", service.info().xml_namespace)]);
    writer.open("Error", &[]);
    writer.leaf("Type", if error.sender { "Sender" } else { "Receiver" });
    writer.leaf("Code", &error.code);
    writer.leaf("Message", &error.message);
    for (name, value) in &error.fields {
        writer.leaf(name, value);
    }
    writer.close("Error");
    writer.leaf("RequestId", request_id);
    writer.close("ErrorResponse");
    writer.finish()
}

fn pairs(body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    if body.len() > limits::PARAMETERS_MAX_BYTES {
        return Err(malformed("The request is too large."));
    }
    form::pairs(body, limits::FORM_PAIRS_MAX).map_err(|fault| match fault {
        FormFault::Encoding => syntax("The query string contains a syntax error."),
        FormFault::TooMany => malformed("The request has too many parameters."),
    })
}

fn syntax(message: &str) -> ApiError {
    // The status is that of IAM's list of common errors.
    ApiError::new("MalformedQueryString", message, 404)
}

fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new("MalformedInput", message, 400)
}

fn repeated(name: &str) -> ApiError {
    syntax(&format!("The parameter {name} is given more than once."))
}

/// Parameters whose names share a prefix: a text, or what follows the next dot.
#[derive(Default)]
struct Node<'p> {
    text: Option<&'p str>,
    children: BTreeMap<&'p str, Node<'p>>,
}

impl<'p> Node<'p> {
    fn insert(&mut self, name: &'p str, value: &'p str) -> Result<(), ApiError> {
        if name.len() > limits::FORM_NAME_MAX_BYTES {
            return Err(malformed("A parameter's name is too long."));
        }
        let mut node = self;
        for (depth, segment) in name.split('.').enumerate() {
            if depth >= limits::FORM_DEPTH_MAX {
                return Err(malformed("A parameter's name is too deep."));
            }
            node = match node.children.entry(segment) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(free) => free.insert(Node::default()),
            };
        }
        match node.text.replace(value) {
            None => Ok(()),
            Some(_) => Err(repeated(name)),
        }
    }
}

fn structure(shape: &Shape, node: &Node<'_>) -> Result<Value, ApiError> {
    let mut members = BTreeMap::new();
    for member in shape.members() {
        if let Some(value) = self_member(member, node)? {
            members.insert(member.name.to_owned(), value);
        }
    }
    Ok(Value::Map(members))
}

fn self_member(member: &Member, node: &Node<'_>) -> Result<Option<Value>, ApiError> {
    let found = node.children.get(member.wire());
    found.map(|child| value(member.shape, member.flattened, child)).transpose()
}

fn value(shape: &Shape, flattened: bool, node: &Node<'_>) -> Result<Value, ApiError> {
    match &shape.kind {
        Kind::Structure(_) => {
            no_text(node)?;
            structure(shape, node)
        }
        Kind::List(list) => self::list(list, flattened || list.flattened, node),
        Kind::Map(map) => self::map(map, flattened || map.flattened, node),
        _ => {
            let text = node.text.filter(|_| node.children.is_empty());
            let text = text.ok_or_else(|| malformed("Unexpected complex element termination"))?;
            scalar::parse(shape, text, TimeFormat::Iso8601)
                .map_err(|expected| malformed(format!("Expected {expected} for {}", shape.name)))
        }
    }
}

fn list(list: &List, flattened: bool, node: &Node<'_>) -> Result<Value, ApiError> {
    // `Name=` alone is the empty list.
    if node.text.is_some_and(str::is_empty) && node.children.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    let items = indexed(node, flattened, list.item_name.unwrap_or("member"))?;
    let items = items.into_values().map(|child| value(list.item, false, child));
    items.collect::<Result<_, _>>().map(Value::List)
}

fn map(map: &Map, flattened: bool, node: &Node<'_>) -> Result<Value, ApiError> {
    let mut entries = BTreeMap::new();
    if node.text.is_some_and(str::is_empty) && node.children.is_empty() {
        return Ok(Value::Map(entries));
    }
    for entry in indexed(node, flattened, "entry")?.into_values() {
        let key = entry.children.get(map.key_name.unwrap_or("key")).and_then(|key| key.text);
        let key = key.ok_or_else(|| malformed("A map entry has no key"))?;
        let inner = entry.children.get(map.value_name.unwrap_or("value"));
        let inner = inner.ok_or_else(|| malformed("A map entry has no value"))?;
        if entries.insert(key.to_owned(), value(map.value, false, inner)?).is_some() {
            return Err(malformed("A map has a key more than once"));
        }
    }
    Ok(Value::Map(entries))
}

/// The numbered children, below `wrapper` unless flattened, in the order of their numbers.
fn indexed<'n, 'p>(
    node: &'n Node<'p>,
    flattened: bool,
    wrapper: &str,
) -> Result<BTreeMap<u32, &'n Node<'p>>, ApiError> {
    no_text(node)?;
    let mut items = BTreeMap::new();
    let parent = if flattened { Some(node) } else { node.children.get(wrapper) };
    let Some(parent) = parent else { return Ok(items) };
    no_text(parent)?;
    for (segment, child) in &parent.children {
        let plain = !segment.starts_with(['0', '+']);
        let index: Option<u32> = segment.parse().ok().filter(|_| plain);
        match index {
            Some(index) if index <= limits::FORM_INDEX_MAX => items.insert(index, child),
            _ => return Err(malformed(format!("`{segment}` is not a valid index"))),
        };
    }
    Ok(items)
}

fn no_text(node: &Node<'_>) -> Result<(), ApiError> {
    match node.text {
        None => Ok(()),
        Some(_) => Err(malformed("Start of structure or map found where not expected.")),
    }
}
