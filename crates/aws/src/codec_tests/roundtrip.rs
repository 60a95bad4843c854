//! Property tests: what the codecs write, they read back; nothing makes them panic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use writ_model::Timestamp;

use super::models::shown;
use crate::operation::{Audit, Http, Operation, Service};
use crate::rest_xml::HttpParts;
use crate::shape::{Bounds, EMPTY, List, Map, Member, Shape};
use crate::value::Value;
use crate::{classify, json, query, rest_xml, xml};

static TEXT: Shape = Shape::text("Text");
static BLOB: Shape = Shape::blob("Blob", Bounds::NONE);
static LONG: Shape = Shape::long("Long", Bounds::NONE);
static FLAG: Shape = Shape::boolean("Flag");
static TIME: Shape = Shape::timestamp("Time", None);
static TEXTS: Shape = Shape::list("Texts", List::of(&TEXT));
static FLAT: Shape = Shape::list("Flat", List::of(&LONG).flattened());
static MAP: Shape = Shape::map("Map", Map::of(&TEXT, &TEXT));
static INNER: Shape =
    Shape::structure("Inner", &[Member::new("Text", &TEXT), Member::new("Blob", &BLOB)]);
static INNERS: Shape = Shape::list("Inners", List::of(&INNER));
static ALL: Shape = Shape::structure(
    "All",
    &[
        Member::new("Text", &TEXT).named("text"),
        Member::new("Blob", &BLOB),
        Member::new("Long", &LONG),
        Member::new("Flag", &FLAG),
        Member::new("Time", &TIME),
        Member::new("Texts", &TEXTS),
        Member::new("Flat", &FLAT),
        Member::new("Map", &MAP),
        Member::new("Inners", &INNERS),
    ],
);
static OPERATION: Operation = Operation {
    service: Service::Sts,
    name: "All",
    http: Http { method: "POST", uri: "/", status: 200 },
    input: &ALL,
    output: &ALL,
    result_wrapper: Some("AllResult"),
    read_only: false,
    audit: Audit::Management,
};

fn structure(members: Vec<(&str, Option<Value>)>) -> Value {
    let some = |(name, value): (&str, Option<Value>)| value.map(|value| (name.to_owned(), value));
    Value::Map(members.into_iter().filter_map(some).collect())
}

fn text() -> impl Strategy<Value = Value> {
    proptest::string::string_regex("[ -~\\t\\n\\r\u{a0}-\u{2ff}]{0,12}")
        .unwrap()
        .prop_map(Value::Text)
}

fn blob() -> impl Strategy<Value = Value> {
    proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Blob)
}

fn inner() -> impl Strategy<Value = Value> {
    let members = (proptest::option::of(text()), blob());
    members.prop_map(|(text, blob)| structure(vec![("Text", text), ("Blob", Some(blob))]))
}

fn value() -> impl Strategy<Value = Value> {
    use proptest::collection::{btree_map, vec};
    use proptest::option::of;
    let map = btree_map("[a-z&<]{1,5}", text(), 1..4).prop_map(Value::Map);
    let time = (0..253_402_207_200u64).prop_map(|s| Value::Time(Timestamp::from_secs(s)));
    (
        (of(text()), of(blob()), of(any::<i64>().prop_map(Value::Int))),
        (of(any::<bool>().prop_map(Value::Bool)), of(time)),
        of(vec(text(), 1..4).prop_map(Value::List)),
        of(vec(any::<i64>().prop_map(Value::Int), 1..4).prop_map(Value::List)),
        of(map),
        of(vec(inner(), 1..3).prop_map(Value::List)),
    )
        .prop_map(|((text, blob, long), (flag, time), texts, flat, map, inners)| {
            structure(vec![
                ("Text", text),
                ("Blob", blob),
                ("Long", long),
                ("Flag", flag),
                ("Time", time),
                ("Texts", texts),
                ("Flat", flat),
                ("Map", map),
                ("Inners", inners),
            ])
        })
}

/// A form as a client writes it, from a value: the inverse of the decoder, for this shape only.
fn form(value: &Value) -> String {
    let mut out = Vec::new();
    let Value::Map(members) = value else { return String::new() };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("Text", value) => out.push(("text".to_owned(), plain(value))),
            ("Texts", Value::List(items)) => {
                for (n, item) in items.iter().enumerate() {
                    out.push((format!("Texts.member.{}", n + 1), plain(item)));
                }
            }
            ("Flat", Value::List(items)) => {
                for (n, item) in items.iter().enumerate() {
                    out.push((format!("Flat.{}", n + 1), plain(item)));
                }
            }
            ("Map", Value::Map(entries)) => {
                for (n, (key, item)) in entries.iter().enumerate() {
                    out.push((format!("Map.entry.{}.key", n + 1), key.clone()));
                    out.push((format!("Map.entry.{}.value", n + 1), plain(item)));
                }
            }
            ("Inners", Value::List(items)) => {
                for (n, item) in items.iter().enumerate() {
                    let Value::Map(members) = item else { continue };
                    for (name, value) in members {
                        out.push((format!("Inners.member.{}.{name}", n + 1), plain(value)));
                    }
                }
            }
            (name, value) => out.push((name.to_owned(), plain(value))),
        }
    }
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs: Vec<String> = out.iter().map(|(n, v)| format!("{n}={}", escape(v))).collect();
    pairs.join("&")
}

fn plain(value: &Value) -> String {
    crate::scalar::write(&TEXT, value, crate::shape::TimeFormat::Iso8601)
}

proptest! {
    #[test]
    fn json_reads_back_what_it_writes(value in value()) {
        let body = json::encode_reply(&OPERATION, &value);
        prop_assert_eq!(shown(&json::decode(&OPERATION, &body).unwrap()), shown(&value));
    }

    #[test]
    fn forms_are_read_as_they_were_written(value in value()) {
        let read = query::decode(&OPERATION, form(&value).as_bytes()).unwrap();
        prop_assert_eq!(shown(&read), shown(&value));
    }

    #[test]
    fn xml_replies_read_back(value in value()) {
        let body = query::encode_reply(&OPERATION, &value, "id");
        let root = xml::read(&body).unwrap();
        let result = root.children.iter().find(|child| child.name == "AllResult").unwrap();
        prop_assert_eq!(shown(&xml::value(&ALL, result).unwrap()), shown(&value));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[A-Za-z.=&%{}\\[\\]\":,<>/!?0-9-]{0,120}",
    ) {
        for body in [bytes.as_slice(), text.as_bytes()] {
            query::decode(&OPERATION, body).ok();
            json::decode(&OPERATION, body).ok();
            rest_xml::decode(&OPERATION, &HttpParts { body, ..HttpParts::default() }).ok();
            let headers: BTreeMap<&str, &[u8]> = BTreeMap::from([("x-amz-target", body)]);
            let headers: Vec<(String, Vec<u8>)> =
                headers.into_iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            let shown = String::from_utf8_lossy(body);
            for scope_service in [None, Some("kms"), Some("iam"), Some("s3"), Some(shown.as_ref())] {
                classify::classify(&classify::Request {
                    method: "POST",
                    host: &shown,
                    path: &shown,
                    query: &shown,
                    headers: &headers,
                    body,
                    scope_service,
                    s3_domain: Some("s3.test"),
                })
                .ok();
            }
        }
    }
}

#[test]
fn replies_without_output_are_empty_or_only_metadata() {
    let delete = crate::operation(Service::Iam, "DeleteUser").unwrap();
    assert!(std::ptr::eq(delete.output, &raw const EMPTY));
    let body = query::encode_reply(delete, &Value::empty(), "r-1");
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "<DeleteUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
         <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></DeleteUserResponse>"
    );
    let enable = crate::operation(Service::Kms, "EnableKey").unwrap();
    assert!(json::encode_reply(enable, &Value::empty()).is_empty());
}
