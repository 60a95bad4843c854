//! Each operation of the manifest unauthenticated, unprivileged and with a wrong type.
//!
//! Method: the requests are made from the manifest's shapes; status, error code and the form of the
//! error are those of the protocol, and each call must be in the ledger under its request id, in the
//! log where it belongs. What is left out stands in `exceptions.toml` with its reason.

mod requests;

use std::collections::BTreeMap;

use serde_json::json;
use writ_aws::{Operation, Protocol, Service};
use writ_tests::http::{Http, Reply, Request};
use writ_tests::ledger::Event;
use writ_tests::manifest::{self, excepted};
use writ_tests::site::ANN;
use writ_tests::{Client, Credentials, Site};

use crate::operations::{Actor, text};
use requests::Things;

/// What is done to each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Unauthenticated,
    Unprivileged,
    WrongType,
}

impl Way {
    const ALL: [Way; 3] = [Way::Unauthenticated, Way::Unprivileged, Way::WrongType];

    /// The `kind` in `exceptions.toml`.
    fn kind(self) -> &'static str {
        match self {
            Way::Unauthenticated => "unauthenticated",
            Way::Unprivileged => "unprivileged",
            Way::WrongType => "wrong-type",
        }
    }

    /// The status and the codes that AWS answers with.
    fn expected(self, service: Service) -> (u16, &'static [&'static str]) {
        match (self, service.protocol()) {
            (Way::Unauthenticated, Protocol::Query) => (403, &["MissingAuthenticationToken"]),
            (Way::Unauthenticated, Protocol::Json) => {
                (400, &["MissingAuthenticationTokenException"])
            }
            (Way::Unauthenticated | Way::Unprivileged, Protocol::RestXml) => {
                (403, &["AccessDenied"])
            }
            (Way::Unprivileged, Protocol::Query) => (403, &["AccessDenied"]),
            (Way::Unprivileged, Protocol::Json) => (400, &["AccessDeniedException"]),
            (Way::WrongType, Protocol::Query) => (400, &["MalformedInput", "ValidationError"]),
            (Way::WrongType, Protocol::Json) => (400, &["SerializationException"]),
            (Way::WrongType, Protocol::RestXml) => (400, &["InvalidArgument", "MalformedXML"]),
        }
    }
}

struct Signers {
    /// A user without any policy.
    nobody: Credentials,
    root: Credentials,
}

/// A call that was made, for the check that it is recorded.
struct Made {
    operation: &'static Operation,
    way: Way,
    request_id: String,
    code: String,
}

#[test]
fn every_operation_refuses_strangers_and_nonsense_and_records_it() {
    let site = Site::start();
    let (things, nobody) = prepare(&site);
    let signers = Signers { nobody, root: site.root(ANN) };
    let exceptions = manifest::exceptions();
    let (mut made, mut faults, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for operation in manifest::operations() {
        let http = site.http(operation.service.signing_name());
        for way in Way::ALL {
            if let Some(reason) = excepted(&exceptions, operation, way.kind()) {
                println!("left out: {} {}: {reason}", manifest::name(operation), way.kind());
                left_out.push((operation, way));
                continue;
            }
            let Some(request) = request(&http, operation, way, &things, &signers) else {
                let name = manifest::name(operation);
                faults.push(format!("{name} {way:?}: no such request can be made; except it"));
                continue;
            };
            let reply = http.exchange(&request).unwrap();
            match judge(operation, way, &reply) {
                Ok(request_id) => {
                    made.push(Made { operation, way, request_id, code: reply.code() });
                }
                Err(fault) => {
                    let name = manifest::name(operation);
                    faults.push(format!("{name} {way:?}: {fault}\n    {}", reply.text()));
                }
            }
        }
    }
    faults.extend(unrecorded(&site, &made));
    // Last: what is excepted may be carried out.
    for (operation, way) in &left_out {
        let http = site.http(operation.service.signing_name());
        let request = request(&http, operation, *way, &things, &signers);
        let reply = request.map(|request| http.exchange(&request).unwrap());
        if reply.is_some_and(|reply| judge(operation, *way, &reply).is_ok()) {
            let name = manifest::name(operation);
            faults.push(format!("{name} {way:?}: its exception is not needed; take it out"));
        }
    }
    println!(
        "{} calls of {} operations, {} left out, {} faults",
        made.len(),
        manifest::operations().len(),
        left_out.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A key, a user without any policy, and so on: things that exist, so that only the right is missing.
fn prepare(site: &Site) -> (Things, Credentials) {
    let root = Actor::root(site, Client::Boto, ANN);
    root.ok("iam", "CreateUser", json!({"UserName": "nobody"}));
    let key = root.ok("iam", "CreateAccessKey", json!({"UserName": "nobody"}));
    let nobody = Credentials::of_reply(ANN, &key["AccessKey"]);
    root.ok("iam", "CreateGroup", json!({"GroupName": "staff"}));
    let document = requests::document();
    root.ok("iam", "CreatePolicy", json!({"PolicyName": "some", "PolicyDocument": document}));
    root.ok(
        "iam",
        "CreateRole",
        json!({"RoleName": "job", "AssumeRolePolicyDocument": requests::trust()}),
    );
    let made = root.ok("kms", "CreateKey", json!({}));
    let key = text(&made, "/KeyMetadata/KeyId");
    root.ok("kms", "CreateAlias", json!({"AliasName": "alias/some", "TargetKeyId": key}));
    let sealed = root.ok("kms", "Encrypt", json!({"KeyId": key, "Plaintext": "eA=="}));
    let blob = text(&sealed, "/CiphertextBlob");
    root.ok("s3", "CreateBucket", json!({"Bucket": "some-bucket"}));
    root.ok("s3", "PutObject", json!({"Bucket": "some-bucket", "Key": "k", "Body": "eA=="}));
    let begun =
        root.ok("s3", "CreateMultipartUpload", json!({"Bucket": "some-bucket", "Key": "k"}));
    let upload = text(&begun, "/UploadId");
    (Things { key, blob, upload, access_key: nobody.id.clone() }, nobody)
}

fn request(
    http: &Http,
    operation: &'static Operation,
    way: Way,
    things: &Things,
    signers: &Signers,
) -> Option<Request> {
    let right = || requests::right(http, operation, things);
    match way {
        Way::Unauthenticated => Some(right()),
        Way::Unprivileged => Some(http.sign(&signers.nobody, &right())),
        // The root may do it: so nothing but the type is wrong.
        Way::WrongType => {
            let request = requests::wrong(http, operation, things)?;
            Some(http.sign(&signers.root, &request))
        }
    }
}

/// The request's id, if the reply has the status, code and form that it must have.
fn judge(operation: &Operation, way: Way, reply: &Reply) -> Result<String, String> {
    let (status, codes) = way.expected(operation.service);
    let code = reply.code();
    let is_head = operation.http.method == "HEAD";
    if reply.status != status {
        return Err(format!("status {} instead of {status}, code `{code}`", reply.status));
    }
    if is_head && !reply.body.is_empty() {
        return Err("a reply to HEAD has a body".to_owned());
    }
    if !is_head && !codes.contains(&code.as_str()) {
        return Err(format!("code `{code}` instead of one of {codes:?}"));
    }
    let request_id = reply.request_id().ok_or("no request id")?.to_owned();
    let body = reply.text();
    let wanted: &[&str] = match operation.service.protocol() {
        Protocol::Query => &["<ErrorResponse", "<Error>", "<Type>Sender</Type>", "<RequestId>"],
        Protocol::Json => &["\"__type\"", "essage\""],
        Protocol::RestXml if is_head => &[],
        Protocol::RestXml => &["<?xml", "<Error>", "<Message>", "<RequestId>"],
    };
    match wanted.iter().find(|part| !body.contains(**part)) {
        Some(part) => Err(format!("the error has no `{part}`")),
        None => Ok(request_id),
    }
}

/// The calls that the ledger does not tell of, or tells of wrongly.
fn unrecorded(site: &Site, made: &[Made]) -> Vec<String> {
    let ids = made.iter().map(|made| made.request_id.clone()).collect();
    let missing = site.ledger().missing(&ids);
    let events: BTreeMap<String, Event> = site
        .ledger()
        .events()
        .into_iter()
        .map(|event| (event.text("/requestID").to_owned(), event))
        .collect();
    let mut faults = Vec::new();
    for made in made {
        let name = manifest::name(made.operation);
        let Some(event) = events.get(&made.request_id) else {
            assert!(missing.contains(&made.request_id));
            faults.push(format!("{name} {:?}: the ledger has no record of it", made.way));
            continue;
        };
        let log = if made.way == Way::Unauthenticated { "operator" } else { ANN };
        if event.log != log {
            faults.push(format!("{name} {:?}: it is in the log `{}`", made.way, event.log));
        }
        if event.operation() != name {
            faults.push(format!("{name} {:?}: recorded as {}", made.way, event.operation()));
        }
        // The wire hides the code of a HEAD.
        if event.error() != made.code && !made.code.is_empty() {
            faults.push(format!("{name} {:?}: recorded with code `{}`", made.way, event.error()));
        }
    }
    faults
}
