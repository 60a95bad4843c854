//! Shapes and operations made at run time from a botocore model, for protocol vectors.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use writ_model::Timestamp;

use crate::operation::{Audit, Http, Operation, Service};
use crate::shape::{
    Bounds, EMPTY, Kind, List, Map, Member, Shape, Structure, TimeFormat, XmlNamespace,
};
use crate::value::Value;

/// A shape that contains itself is unrolled to this depth.
const UNROLLED: usize = 10;

/// Makes shapes; they live as long as the test process.
pub(super) struct Models<'j> {
    shapes: &'j Json,
    made: BTreeMap<(String, usize), &'static Shape>,
}

fn leak(text: &Json) -> Option<&'static str> {
    text.as_str().map(|text| &*Box::leak(text.to_owned().into_boxed_str()))
}

impl<'j> Models<'j> {
    pub(super) fn new(shapes: &'j Json) -> Models<'j> {
        Models { shapes, made: BTreeMap::new() }
    }

    /// The operation of a case's `given`.
    pub(super) fn operation(&mut self, service: Service, given: &Json) -> &'static Operation {
        let http = &given["http"];
        Box::leak(Box::new(Operation {
            service,
            name: leak(&given["name"]).unwrap(),
            http: Http {
                method: leak(&http["method"]).unwrap(),
                uri: leak(&http["requestUri"]).unwrap(),
                status: u16::try_from(http["responseCode"].as_u64().unwrap_or(200)).unwrap(),
            },
            input: self.reference(&given["input"]),
            output: self.reference(&given["output"]),
            result_wrapper: leak(&given["output"]["resultWrapper"]),
            read_only: false,
            audit: Audit::Management,
        }))
    }

    fn reference(&mut self, reference: &Json) -> &'static Shape {
        match reference["shape"].as_str() {
            Some(name) => self.shape(name, UNROLLED),
            None => &EMPTY,
        }
    }

    fn shape(&mut self, name: &str, depth: usize) -> &'static Shape {
        let key = (name.to_owned(), depth);
        if let Some(made) = self.made.get(&key) {
            return made;
        }
        let json = &self.shapes[name];
        let shape = Shape {
            name: Box::leak(name.to_owned().into_boxed_str()),
            kind: if depth == 0 { Kind::Boolean } else { self.kind(json, depth - 1) },
            sensitive: false,
            xml_name: leak(&json["locationName"]),
            xml_namespace: namespace(&json["xmlNamespace"]),
        };
        let shape = &*Box::leak(Box::new(shape));
        self.made.insert(key, shape);
        shape
    }

    fn kind(&mut self, json: &Json, depth: usize) -> Kind {
        let mut of = |reference: &Json| self.shape(reference["shape"].as_str().unwrap(), depth);
        let flattened = json["flattened"].as_bool() == Some(true);
        match json["type"].as_str().unwrap() {
            "structure" => self.structure(json, depth),
            "list" => Kind::List(List {
                item: of(&json["member"]),
                item_name: leak(&json["member"]["locationName"]),
                flattened,
                bounds: Bounds::NONE,
            }),
            "map" => Kind::Map(Map {
                key: of(&json["key"]),
                value: of(&json["value"]),
                key_name: leak(&json["key"]["locationName"]),
                value_name: leak(&json["value"]["locationName"]),
                flattened,
                bounds: Bounds::NONE,
            }),
            "blob" => Kind::Blob(Bounds::NONE),
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer(Bounds::NONE),
            "long" => Kind::Long(Bounds::NONE),
            "float" | "double" => Kind::Double,
            "timestamp" => Kind::Timestamp(json["timestampFormat"].as_str().map(|f| match f {
                "iso8601" => TimeFormat::Iso8601,
                "rfc822" => TimeFormat::Http,
                "unixTimestamp" => TimeFormat::Unix,
                other => panic!("unknown format {other}"),
            })),
            _ => Shape::text("").kind,
        }
    }

    fn structure(&mut self, json: &Json, depth: usize) -> Kind {
        let mut members = Vec::new();
        for (name, member) in json["members"].as_object().unwrap() {
            let shape = self.shape(member["shape"].as_str().unwrap(), depth);
            let name = &*Box::leak(name.clone().into_boxed_str());
            let made = Member::new(name, shape);
            let wire = leak(&member["locationName"]);
            let mut made = match member["location"].as_str() {
                None => made,
                Some("header") => made.header(wire.unwrap_or(name)),
                Some("headers") => made.headers(wire.unwrap_or_default()),
                Some("querystring") => made.query(wire.unwrap_or(name)),
                Some("uri") => made.uri(wire.unwrap_or(name)),
                Some("statusCode") => made.status_code(),
                Some(other) => panic!("unknown location {other}"),
            };
            made.wire_name = wire;
            made.flattened = member["flattened"].as_bool() == Some(true);
            made.attribute = member["xmlAttribute"].as_bool() == Some(true);
            made.xml_namespace = namespace(&member["xmlNamespace"]);
            members.push(made);
        }
        Kind::Structure(Structure { members: members.leak(), payload: leak(&json["payload"]) })
    }
}

fn namespace(json: &Json) -> Option<XmlNamespace> {
    let uri = leak(&json["uri"]).or_else(|| leak(json))?;
    Some(XmlNamespace { prefix: leak(&json["prefix"]), uri })
}

/// The value that a vector's plain JSON stands for.
pub(super) fn expected(shape: &Shape, json: &Json) -> Value {
    match (&shape.kind, json) {
        (_, Json::Null) => Value::Null,
        (Kind::Structure(structure), Json::Object(members)) => {
            let mut made = BTreeMap::new();
            for member in structure.members {
                match members.get(member.name).map(|json| expected(member.shape, json)) {
                    None | Some(Value::Null) => {}
                    Some(value) => {
                        made.insert(member.name.to_owned(), value);
                    }
                }
            }
            Value::Map(made)
        }
        (Kind::List(list), Json::Array(items)) => {
            Value::List(items.iter().map(|item| expected(list.item, item)).collect())
        }
        (Kind::Map(map), Json::Object(entries)) => {
            let entry = |(key, item): (&String, _)| (key.clone(), expected(map.value, item));
            Value::Map(entries.iter().map(entry).collect())
        }
        (Kind::Text(_), Json::String(text)) => Value::Text(text.clone()),
        (Kind::Blob(_), Json::String(text)) => Value::Blob(text.clone().into_bytes()),
        (Kind::Boolean, Json::Bool(value)) => Value::Bool(*value),
        (Kind::Integer(_) | Kind::Long(_), json) => Value::Int(json.as_i64().unwrap()),
        (Kind::Double, Json::String(text)) => Value::Double(crate::scalar::double(text).unwrap()),
        (Kind::Double, json) => Value::Double(json.as_f64().unwrap()),
        (Kind::Timestamp(_), json) => {
            let ms = (json.as_f64().unwrap() * 1000.0).round();
            Value::Time(Timestamp::from_millis(ms as u64))
        }
        (_, other) => panic!("{} is not {other}", shape.name),
    }
}

/// A value as text that compares, contents and all (`Debug` of a value hides them).
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => format!("{value:?}"),
        Value::Text(text) => format!("{text:?}"),
        Value::Blob(bytes) => format!("b{:?}", String::from_utf8_lossy(bytes)),
        Value::Time(time) => time.to_string(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entry = |(key, value): (&String, _)| format!("{key:?}: {}", shown(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}
