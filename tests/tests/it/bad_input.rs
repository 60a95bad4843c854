//! Bad input: the protocol's own error, or a refusal to start that says what to do.

use std::fs;
use std::path::Path;

use serde_json::json;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_tests::http::{Http, Request};
use writ_tests::site::{self, ANN, passable_dir};
use writ_tests::{Client, Credentials, Options, Site};

use crate::operations::Actor;

/// Requests that are no requests get a 4xx, or the connection is closed; the site goes on serving.
#[test]
fn bytes_that_are_no_request_are_refused() {
    let site = Site::start();
    let raw: Vec<(&str, Vec<u8>)> = vec![
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("no version", b"GET /\r\n\r\n".to_vec()),
        ("a bad header", b"GET / HTTP/1.1\r\nhost x\r\n\r\n".to_vec()),
        ("a header that never ends", {
            let mut bytes = b"GET / HTTP/1.1\r\nx-long: ".to_vec();
            bytes.extend(vec![b'a'; 200_000]);
            bytes
        }),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
                .to_vec(),
        ),
        ("a negative length", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec()),
        ("many headers", {
            let mut bytes = b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec();
            for n in 0..500 {
                bytes.extend(format!("x-{n}: 1\r\n").as_bytes());
            }
            bytes.extend(b"\r\n");
            bytes
        }),
    ];
    for service in ["sts", "s3"] {
        let http = site.http(if service == "s3" { "s3" } else { "sts" });
        for (what, bytes) in &raw {
            match http.raw(bytes) {
                Ok(reply) => {
                    let status = reply.status;
                    assert!((400..500).contains(&status), "{service} {what}: {status}");
                }
                Err(error) => println!("{service}: {what}: closed ({error})"),
            }
        }
    }
    site.wait_until_served();
}

/// Calls that are HTTP and no calls: the protocol's own error, and a record.
#[test]
fn malformed_calls_are_refused_and_recorded() {
    let site = Site::start();
    let root = site.root(ANN);
    let (kms, iam) = (site.http("kms"), site.http("iam"));
    let bodies: Vec<(&str, u16, &str, Request)> = vec![
        ("no JSON", 400, "SerializationException", json_body(&kms, b"{")),
        ("no object", 400, "SerializationException", json_body(&kms, b"[]")),
        (
            "deep JSON",
            400,
            "SerializationException",
            json_body(&kms, "[".repeat(100_000).as_bytes()),
        ),
        ("no UTF-8", 400, "SerializationException", json_body(&kms, b"{\"KeyId\":\"\xff\"}")),
        (
            "an unknown operation",
            400,
            "UnknownOperationException",
            target(&kms, "TrentService.Nothing"),
        ),
        (
            "an unsupported operation",
            400,
            "UnsupportedOperationException",
            target(&kms, "TrentService.CreateGrant"),
        ),
    ];
    for (what, status, code, request) in &bodies {
        let reply = kms.exchange(&kms.sign(&root, request)).unwrap();
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (*status, *code),
            "{what}: {}",
            reply.text()
        );
        site.ledger().of_request(reply.request_id().unwrap());
    }
    let forms = [
        ("no action", "Version=2010-05-08", 400, "MissingAction"),
        ("an unknown action", "Action=Nothing&Version=2010-05-08", 400, "InvalidAction"),
        (
            "an unsupported action",
            "Action=CreateSAMLProvider&Version=2010-05-08",
            501,
            "NotImplemented",
        ),
        (
            "a bad escape",
            "Action=GetUser&Version=2010-05-08&UserName=%zz",
            404,
            "MalformedQueryString",
        ),
        (
            "a member twice",
            "Action=GetUser&Version=2010-05-08&UserName=a&UserName=b",
            404,
            "MalformedQueryString",
        ),
    ];
    for (what, form, status, code) in forms {
        let reply = iam.query(&root, form).unwrap();
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.code(), code, "{what}: {}", reply.text());
    }
    site.wait_until_served();
}

fn target(http: &Http, target: &str) -> Request {
    let mut request = http.request("POST", "/", "", b"{}");
    request.headers.push(("content-type".to_owned(), b"application/x-amz-json-1.1".to_vec()));
    request.headers.push(("x-amz-target".to_owned(), target.as_bytes().to_vec()));
    request
}

fn json_body(http: &Http, body: &[u8]) -> Request {
    Request { body: body.to_vec(), ..target(http, "TrentService.DescribeKey") }
}

/// Wrong, stale and replayed signatures; each is in the operator log or in the signer's.
#[test]
fn wrong_signatures_are_refused_and_recorded() {
    type Change = fn(&mut Request);
    let site = Site::start();
    let (iam, root) = (site.http("iam"), site.root(ANN));
    let form = b"Action=CreateUser&Version=2010-05-08&UserName=never";
    let request = || {
        let mut request = iam.request("POST", "/", "", form);
        let kind = b"application/x-www-form-urlencoded".to_vec();
        request.headers.push(("content-type".to_owned(), kind));
        request
    };
    let changes: Vec<(&str, &str, Change)> = vec![
        ("another body", "SignatureDoesNotMatch", |r| r.body[0] = b'a'),
        ("another user", "SignatureDoesNotMatch", |r| *r.body.last_mut().unwrap() = b'x'),
        ("another path", "SignatureDoesNotMatch", |r| r.path = "/x".to_owned()),
        ("a changed signature", "SignatureDoesNotMatch", |r| {
            let value = &mut field(r, "authorization").1;
            let last = value.last_mut().unwrap();
            *last = if *last == b'0' { b'1' } else { b'0' };
        }),
        ("half an authorization", "IncompleteSignature", |r| {
            let value = &mut field(r, "authorization").1;
            value.truncate(60);
        }),
        ("an unknown key", "InvalidClientTokenId", |r| {
            let value = &mut field(r, "authorization").1;
            let at = value.windows(4).position(|w| w == b"AKIA").unwrap();
            value[at + 4..at + 20].copy_from_slice(b"QQQQQQQQQQQQQQQQ");
        }),
    ];
    for (what, code, change) in changes {
        let mut changed = iam.sign(&root, &request());
        change(&mut changed);
        let reply = iam.exchange(&changed).unwrap();
        assert_eq!(reply.code(), code, "{what}: {}", reply.text());
        assert!((400..=403).contains(&reply.status), "{what}: {}", reply.status);
        site.ledger().of_request(reply.request_id().unwrap());
    }
    let now = SystemEnv.now().secs();
    for (what, seconds) in [("an old one", now - 400), ("one from the future", now + 400)] {
        let signed = iam.sign_at(&root, &request(), Timestamp::from_secs(seconds));
        let reply = iam.exchange(&signed).unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (403, "SignatureDoesNotMatch"), "{what}");
    }
    let presigned_twice = iam.sign(&root, &request());
    let first = iam.exchange(&presigned_twice).unwrap();
    assert_eq!(first.status, 200, "{}", first.text());
    let again = iam.exchange(&presigned_twice).unwrap();
    assert_eq!(
        (again.status, again.code().as_str()),
        (503, "ServiceUnavailable"),
        "a replay makes nothing"
    );
    let wrong_scope = Http::new(site.endpoint("iam"), "kms");
    let reply = wrong_scope.exchange(&wrong_scope.sign(&root, &request())).unwrap();
    assert!((400..500).contains(&reply.status), "a scope of another service: {}", reply.text());
}

fn field<'r>(request: &'r mut Request, name: &str) -> &'r mut (String, Vec<u8>) {
    request.headers.iter_mut().find(|(found, _)| found == name).unwrap()
}

/// More than a request may have is answered by 413 before it is read.
#[test]
fn oversized_body_is_refused() {
    let site = Site::start();
    let (iam, root) = (site.http("iam"), site.root(ANN));
    let body = vec![b'a'; 3 << 20];
    let reply = iam.send(&root, "POST", "/", "", &[], &body).unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());
    let declared =
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n";
    let reply = iam.raw(declared).unwrap();
    assert_eq!(reply.status, 413);
    site.wait_until_served();
}

/// A wrong folder is called so by whatever reads one.
#[test]
fn folder_that_is_not_there_is_named() {
    for command in [
        &["roster", "show"][..],
        &["enrol", "e1042"],
        &["sessions"],
        &["ssh", "svc@web-1"],
        &["requests"],
        &["people"],
    ] {
        let done = site::run(&[command, &["--data", "/no/such/folder"]].concat());
        let why = "there is no folder `/no/such/folder`";
        assert!(done.code != 0 && done.text.contains(why), "{command:?}: {}", done.text);
    }
    let done = site::run(&["verify", "--data", "/no/such/folder"]);
    assert!(done.code == 20 && !done.text.contains("cannot know"), "{}", done.text);
}

/// A second start on a directory, a foreign one, a newer one.
#[test]
fn directory_that_must_not_be_used_is_refused() {
    let site = Site::start();
    let second = Options { dir: Some(site.dir().to_owned()), ..Options::default() };
    let ready = fs::read(site.dir().join("ready.json")).unwrap();
    let refusal = refused(second);
    assert!(refusal.contains("in use by another"), "{refusal}");
    fs::write(site.dir().join("ready.json"), ready).unwrap();
    site.wait_until_served();

    let home = passable_dir();
    let foreign = home.path().join("photos");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("cat.jpg"), b"cat").unwrap();
    let refusal = refused(Options { dir: Some(foreign.clone()), ..Options::default() });
    assert!(refusal.contains("is no data directory"), "{refusal}");
    assert_eq!(names(&foreign), ["cat.jpg"]);
    fs::write(foreign.join("FORMAT"), b"writ data directory, format 9\n").unwrap();
    let refusal = refused(Options { dir: Some(foreign), ..Options::default() });
    assert!(refusal.contains("format 9"), "{refusal}");

    let config = Some("listen-s3 = \"0.0.0.0:0\"\n".to_owned());
    let refusal = refused(Options { config, ..Options::default() });
    assert!(refusal.contains("say in `names` by which clients"), "{refusal}");
}

fn refused(options: Options) -> String {
    match Site::try_with(options) {
        Ok(_) => panic!("it started"),
        Err(failure) => {
            assert!(failure.status.is_some_and(|status| !status.success()), "{}", failure.log);
            failure.log
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A write-ahead log that is damaged in its middle: the start names file and offset and changes
/// nothing; a torn last frame is cut off and the rest is there.
#[test]
fn damaged_log_is_refused_and_a_torn_end_is_not() {
    let mut site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    for n in 0..5 {
        root.ok("iam", "CreateUser", json!({"UserName": format!("u{n}")}));
    }
    assert!(site.stop().success());
    let path = site.dir().join("trail/wal/0000000000.wal");
    let whole = fs::read(&path).unwrap();

    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let failure = site.start_again("").expect_err("it started on a damaged log");
    assert!(failure.log.contains("0000000000.wal"), "{}", failure.log);
    assert!(failure.log.contains("is damaged at byte"), "{}", failure.log);
    assert!(failure.log.contains("writ recover --data"), "{}", failure.log);
    assert!(fs::read(&path).unwrap() == damaged, "the log was changed");

    let torn: Vec<u8> = whole.iter().copied().chain([0, 0, 1, 0, 9, 9, 9]).collect();
    fs::write(&path, torn).unwrap();
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    let root = Actor::root(&site, Client::Boto, ANN);
    let users = root.ok("iam", "ListUsers", json!({}));
    assert_eq!(crate::operations::texts(&users, "Users", "UserName").len(), 5);
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// What is wrong on the command line or in the configuration is said in one line, with what to do.
#[test]
fn wrong_usage_is_explained() {
    let home = passable_dir();
    let config = home.path().join("writ.toml");
    fs::write(&config, "colour = 1\n").unwrap();
    let missing = home.path().join("no/such/parent");
    for (arguments, part) in [
        (vec!["up", "--account", "12345"], "account"),
        (vec!["config", "check", config.to_str().unwrap()], "unknown field"),
        (vec!["up", "--data", missing.to_str().unwrap()], "does its parent exist"),
        (vec!["status", "--data", home.path().to_str().unwrap()], "writ up"),
        (vec!["role", "keyd"], "writ up"),
    ] {
        let verdict = site::run(&arguments);
        assert_ne!(verdict.code, 0, "{arguments:?}");
        assert!(verdict.text.contains(part), "{arguments:?}: {}", verdict.text);
        assert!(!verdict.text.contains("panicked"), "{}", verdict.text);
    }
}

/// A body that ends early stores nothing.
#[test]
fn upload_that_ends_early_leaves_nothing() {
    let site = Site::start();
    let root = Actor::root(&site, Client::Boto, ANN);
    root.ok("s3", "CreateBucket", json!({"Bucket": "half"}));
    let (s3, who): (Http, Credentials) = (site.http("s3"), site.root(ANN));
    let request = s3.request("PUT", "/half/k", "", &[7; 300_000]);
    let mut signed = s3.sign(&who, &request);
    signed.headers.push(("content-length".to_owned(), b"300000".to_vec()));
    signed.body.truncate(100_000);
    let address = site.endpoint("s3").trim_start_matches("http://").to_owned();
    let mut bytes = b"PUT /half/k HTTP/1.1\r\n".to_vec();
    for (name, value) in &signed.headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.extend(&signed.body);
    {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(&bytes).unwrap();
    }
    let mut other = s3.sign(&who, &s3.request("PUT", "/half/k", "", b"right"));
    other.body = b"wrong".to_vec();
    let reply = s3.exchange(&other).unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (400, "XAmzContentSHA256Mismatch"));
    let listed = root.ok("s3", "ListObjectsV2", json!({"Bucket": "half"}));
    assert!(listed.get("Contents").is_none(), "{listed}");
}
