//! botocore's protocol vectors, run backwards.
//!
//! Goal: our server reads what AWS's clients write and writes what they read. Method: an input
//! vector's HTTP request must decode to its parameters; an output vector's body must decode (with
//! our reader) to its result, and so must what we write for that result.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::models::{Models, expected, shown};
use crate::operation::{Operation, Service};
use crate::rest_xml::HttpParts;
use crate::value::Value;
use crate::{form, json, query, rest_xml, xml};

/// Cases that are not run, with the reason for each. A case listed here that would pass fails
/// the test, so that the list cannot rot.
const SKIPPED: &[(&str, &str)] = include!("skipped.in");

fn suites(path: &str) -> Option<Vec<Json>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("target/tools/botocore/botocore-1.44.5/tests/unit/protocols");
    let text = std::fs::read_to_string(folder.join(path)).ok();
    if text.is_none() {
        println!("skipped: run cargo xtask codegen first");
    }
    text.map(|text| serde_json::from_str(&text).unwrap())
}

/// What was found and what was expected, as texts.
type Outcome = Result<(String, String), String>;

/// Runs every case of a file; `run` gives what was found and what was expected.
fn check(
    path: &str,
    service: Service,
    least: usize,
    run: fn(&'static Operation, &Json) -> Outcome,
) {
    let Some(suites) = suites(path) else { return };
    let skipped: BTreeMap<&str, &str> = SKIPPED.iter().copied().collect();
    let (mut passed, mut failures) = (0, Vec::new());
    for suite in &suites {
        let mut models = Models::new(&suite["shapes"]);
        for case in suite["cases"].as_array().unwrap() {
            let id = case["id"].as_str().unwrap();
            let operation = models.operation(service, &case["given"]);
            let outcome = run(operation, case).and_then(|(found, wanted)| {
                if found == wanted {
                    Ok(())
                } else {
                    Err(format!("\n  found    {found}\n  expected {wanted}"))
                }
            });
            match (outcome, skipped.contains_key(id)) {
                (Ok(()), false) => passed += 1,
                (Err(_), true) => {}
                (Ok(()), true) => failures.push(format!("{id} passes but is listed as skipped")),
                (Err(error), false) => failures.push(format!("{id}: {error}")),
            }
        }
    }
    println!("{path}: {passed} passed");
    assert!(failures.is_empty(), "{path}:\n{}", failures.join("\n"));
    assert!(passed >= least, "{path}: only {passed} cases were run");
}

fn input_body(case: &Json) -> &[u8] {
    case["serialized"]["body"].as_str().unwrap_or_default().as_bytes()
}

fn decoded(result: Result<Value, crate::ApiError>, operation: &Operation, case: &Json) -> Outcome {
    let value = result.map_err(|error| error.to_string())?;
    Ok((shown(&value), shown(&expected(operation.input, &case["params"]))))
}

#[test]
fn query_requests_decode_to_their_parameters() {
    check("input/query.json", Service::Sts, 34, |operation, case| {
        decoded(query::decode(operation, input_body(case)), operation, case)
    });
}

#[test]
fn json_requests_decode_to_their_parameters() {
    check("input/json.json", Service::Kms, 45, |operation, case| {
        decoded(json::decode(operation, input_body(case)), operation, case)
    });
}

#[test]
fn rest_xml_requests_decode_to_their_parameters() {
    check("input/rest-xml.json", Service::S3, 80, |operation, case| {
        let serialized = &case["serialized"];
        let (path, query) = {
            let uri = serialized["uri"].as_str().unwrap();
            uri.split_once('?').unwrap_or((uri, ""))
        };
        let template = operation.http.uri;
        let (template, literal) = template.split_once('?').unwrap_or((template, ""));
        let labels = labels(template, path).ok_or("the path does not fit")?;
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut query = form::pairs(query.as_bytes(), 99).map_err(|f| format!("{f:?}"))?;
        let literal = form::pairs(literal.as_bytes(), 99).map_err(|f| format!("{f:?}"))?;
        query.retain(|pair| !literal.contains(pair));
        let empty = serde_json::Map::new();
        let headers: Vec<(String, Vec<u8>)> = serialized["headers"]
            .as_object()
            .unwrap_or(&empty)
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().as_bytes().to_vec()))
            .collect();
        let parts =
            HttpParts { labels: &labels, query: &query, headers: &headers, body: input_body(case) };
        decoded(rest_xml::decode(operation, &parts), operation, case)
    });
}

/// The labels of `path` by a template such as `/a/{b}/{c+}`.
fn labels(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = path.strip_prefix('/')?;
    for part in template.strip_prefix('/')?.split('/') {
        let (segment, after) = if part.ends_with("+}") {
            (rest, "")
        } else {
            rest.split_once('/').unwrap_or((rest, ""))
        };
        if let Some(name) = part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            let value = form::decode(segment.as_bytes(), false).ok()?;
            found.push((name.trim_end_matches('+').to_owned(), value));
        } else if part != segment {
            return None;
        }
        rest = after;
    }
    Some(found)
}

fn response_body(case: &Json) -> &[u8] {
    case["response"]["body"].as_str().unwrap_or_default().as_bytes()
}

/// The error of a case that has one.
fn error_of(case: &Json) -> Option<crate::ApiError> {
    let code = case.get("errorCode")?.as_str()?.to_owned();
    let message = case["errorMessage"].as_str().unwrap_or_default();
    let status = case["response"]["status_code"].as_u64()?;
    Some(crate::ApiError::new(code, message, u16::try_from(status).ok()?))
}

fn leaves_of(error: &crate::ApiError) -> String {
    format!("{} {}", error.code, error.message)
}

/// Code and message in the element `within`, or in the root.
fn leaves(root: &xml::Element, within: &str) -> String {
    let parent = root.children.iter().find(|child| child.name == within).unwrap_or(root);
    let text = |name: &str| {
        parent.children.iter().find(|child| child.name == name).map_or("", |child| &child.text)
    };
    format!("{} {}", text("Code"), text("Message"))
}

/// `theirs` and `ours`, read by the same reader, must both be the result.
fn both(
    operation: &Operation,
    case: &Json,
    read: impl Fn(&[u8]) -> Result<Value, String>,
    write: impl Fn(&Value) -> Vec<u8>,
) -> Outcome {
    let result = expected(operation.output, &case["result"]);
    let ours = write(&result);
    let ours = read(&ours).map_err(|e| format!("ours: {e}: {}", String::from_utf8_lossy(&ours)))?;
    let theirs = read(response_body(case)).map_err(|error| format!("theirs: {error}"))?;
    let result = shown(&result);
    Ok((format!("{} {}", shown(&theirs), shown(&ours)), format!("{result} {result}")))
}

#[test]
fn query_replies_are_what_clients_read() {
    check("output/query.json", Service::Sts, 28, |operation, case| {
        if let Some(error) = error_of(case) {
            let body = query::encode_error(operation.service, &error, "id");
            let ours = xml::read(&body).map_err(|_| "not XML")?;
            return Ok((leaves(&ours, "Error"), leaves_of(&error)));
        }
        let read = |body: &[u8]| {
            if body.is_empty() {
                return Ok(Value::empty());
            }
            let root = xml::read(body).map_err(|_| "not XML")?;
            let mut result = root;
            if result.name != format!("{}Response", operation.name) {
                return Err(format!("the root is {}", result.name));
            }
            if let Some(wrapper) = operation.result_wrapper {
                let mut found = result.children.into_iter().filter(|c| c.name == wrapper);
                result = found.next().ok_or("no wrapper")?;
            } else {
                // Many vectors leave the wrapper out of the model but not out of the reply.
                let wrapper = format!("{}Result", operation.name);
                result.children.retain(|child| child.name != "ResponseMetadata");
                if let Some(at) = result.children.iter().position(|c| c.name == wrapper) {
                    result = result.children.swap_remove(at);
                }
            }
            xml::value(operation.output, &result).map_err(|_| "not the shape".to_owned())
        };
        both(operation, case, read, |value| query::encode_reply(operation, value, "id"))
    });
}

#[test]
fn json_replies_are_what_clients_read() {
    check("output/json.json", Service::Kms, 40, |operation, case| {
        if let Some(error) = error_of(case) {
            let ours: Json = serde_json::from_slice(&json::encode_error(&error)).unwrap();
            let text = |name: &str| ours[name].as_str().unwrap_or_default().to_owned();
            return Ok((format!("{} {}", text("__type"), text("message")), leaves_of(&error)));
        }
        // The reader is the request decoder, so the output takes the input's place.
        let reader = Operation { input: operation.output, ..copy(operation) };
        let read = |body: &[u8]| json::decode(&reader, body).map_err(|error| error.to_string());
        both(operation, case, read, |value| json::encode_reply(operation, value))
    });
}

fn copy(operation: &Operation) -> Operation {
    Operation {
        service: operation.service,
        name: operation.name,
        http: crate::operation::Http {
            method: operation.http.method,
            uri: operation.http.uri,
            status: operation.http.status,
        },
        input: operation.input,
        output: operation.output,
        result_wrapper: operation.result_wrapper,
        read_only: operation.read_only,
        audit: operation.audit,
    }
}

#[test]
fn rest_xml_replies_are_what_clients_read() {
    check("output/rest-xml.json", Service::S3, 65, |operation, case| {
        if let Some(error) = error_of(case) {
            let ours = rest_xml::encode_error(&error, "id", "host");
            let root = xml::read(&ours.body).map_err(|_| "not XML")?;
            return Ok((leaves(&root, ""), leaves_of(&error)));
        }
        let result = expected(operation.output, &case["result"]);
        let ours = rest_xml::encode_reply(operation, &result);
        let ours_read = read_reply(operation, ours.status.into(), &ours.headers, &ours.body)
            .map_err(|e| format!("ours: {e}: {}", String::from_utf8_lossy(&ours.body)))?;
        let response = &case["response"];
        let empty = serde_json::Map::new();
        let headers: Vec<(String, String)> = response["headers"]
            .as_object()
            .unwrap_or(&empty)
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let status = response["status_code"].as_i64().unwrap();
        let theirs = read_reply(operation, status, &headers, response_body(case))
            .map_err(|error| format!("theirs: {error}"))?;
        let result = shown(&result);
        Ok((format!("{} {}", shown(&theirs), shown(&ours_read)), format!("{result} {result}")))
    });
}

/// Reads a reply with the request decoder.
fn read_reply(
    operation: &Operation,
    status: i64,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Value, String> {
    let reader = Operation { input: operation.output, ..copy(operation) };
    let headers: Vec<(String, Vec<u8>)> =
        headers.iter().map(|(n, v)| (n.clone(), v.clone().into_bytes())).collect();
    let parts = HttpParts { headers: &headers, body, ..HttpParts::default() };
    let mut value = rest_xml::decode(&reader, &parts).map_err(|error| error.to_string())?;
    let members = operation.output.members().iter();
    for member in members.filter(|m| m.location == crate::shape::Location::StatusCode) {
        if let Value::Map(found) = &mut value {
            found.insert(member.name.to_owned(), Value::Int(status));
        }
    }
    Ok(value)
}
