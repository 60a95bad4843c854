//! The cases: what is asked, of whom, how often; and their rounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_aws::sigv4::client::Credentials;
use writ_proof::hash::sha256;

use crate::cpu::{Used, between, used};
use crate::load::{Connection, Request, drive};
use crate::site::{ACCOUNT, Plain, Site};

const BUCKET: &str = "bench-objects";
/// A small object.
const SMALL_BYTES: usize = 1024;
/// A large object.
const LARGE_BYTES: usize = 64 * 1024 * 1024;
/// Small objects are written to and read from this many names in turn.
const SMALL_NAMES: usize = 100;
/// Large objects are written to and read from this many names in turn.
const LARGE_NAMES: usize = 4;
/// Requests before the first round that nobody counts, as a share of a round.
const WARM_UP: f64 = 0.2;
/// A service that says "come back later" before the first round is asked again after this.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often it is asked again.
const RETRIES_MAX: u32 = 25;
/// What an SDK says of itself.
const USER_AGENT: &str = "aws-cli/2.31 md/Botocore#1.44 ua/2.1 os/linux md/arch#x86_64 lang/python";

/// Everything that exists before the first round.
pub(crate) struct World<'a> {
    site: &'a Site,
    plain: &'a Plain,
    key: String,
    identity_bytes: u64,
    encrypted_bytes: u64,
    small: Body,
    large: Body,
}

/// Bytes with their digest.
#[derive(Clone)]
struct Body {
    bytes: Arc<Vec<u8>>,
    sha256: String,
}

impl Body {
    fn new(length: usize) -> Body {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let sha256 = sha256(&bytes).to_string();
        Body { bytes: Arc::new(bytes), sha256 }
    }
}

impl<'a> World<'a> {
    /// Makes a key and a bucket, and asks once for the size of each reply.
    pub(crate) fn prepare(site: &'a Site, plain: &'a Plain) -> Result<World<'a>> {
        let (small, large) = (Body::new(SMALL_BYTES), Body::new(LARGE_BYTES));
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") },
            "Action": "kms:*", "Resource": "*",
        }]});
        let input = json!({ "Description": "bench", "Policy": policy.to_string() });
        let made: Value =
            serde_json::from_slice(&once(site.api, &site.owner, &kms("CreateKey", &input))?)?;
        let key = made.pointer("/KeyMetadata/Arn").and_then(Value::as_str).context("no ARN")?;
        let bucket = object("PUT", "", &Body::new(0));
        once(site.s3, &site.owner, &Request { path: format!("/{BUCKET}"), ..bucket })?;
        let mut world = World {
            site,
            plain,
            key: key.to_owned(),
            identity_bytes: 0,
            encrypted_bytes: 0,
            small,
            large,
        };
        world.identity_bytes = once(site.api, &site.owner, &world.identity())?.len() as u64;
        world.encrypted_bytes = once(site.api, &site.owner, &world.encrypt())?.len() as u64;
        Ok(world)
    }

    fn identity(&self) -> Request {
        let body = b"Action=GetCallerIdentity&Version=2011-06-15".to_vec();
        post("sts", "application/x-www-form-urlencoded; charset=utf-8", body)
            .header("x-reply-bytes", &self.identity_bytes.to_string())
    }

    fn encrypt(&self) -> Request {
        let plain = STANDARD.encode([7; 32]);
        let context = json!({ "tenant": "7", "table": "payments" });
        let input = json!({ "KeyId": self.key, "Plaintext": plain, "EncryptionContext": context });
        kms("Encrypt", &input).header("x-reply-bytes", &self.encrypted_bytes.to_string())
    }

    fn put(&self, name: &str, body: &Body) -> Request {
        object("PUT", name, body)
            .header("content-type", "application/octet-stream")
            .header("x-amz-server-side-encryption", "aws:kms")
            .header("x-amz-server-side-encryption-aws-kms-key-id", &self.key)
    }
}

fn get(name: &str) -> Request {
    object("GET", name, &Body::new(0))
}

fn post(service: &'static str, content_type: &str, body: Vec<u8>) -> Request {
    let (path, body) = ("/".to_owned(), Arc::new(body));
    Request { service, method: "POST", path, headers: Vec::new(), body, sha256: None }
        .header("content-type", content_type)
        .header("user-agent", USER_AGENT)
}

fn kms(operation: &str, input: &Value) -> Request {
    post("kms", "application/x-amz-json-1.1", input.to_string().into_bytes())
        .header("x-amz-target", &format!("TrentService.{operation}"))
}

fn object(method: &'static str, name: &str, body: &Body) -> Request {
    let (path, sha256) = (format!("/{BUCKET}/{name}"), Some(body.sha256.clone()));
    let body = Arc::clone(&body.bytes);
    Request { service: "s3", method, path, headers: Vec::new(), body, sha256 }
        .header("user-agent", USER_AGENT)
}

fn once(address: SocketAddr, who: &Credentials, request: &Request) -> Result<Vec<u8>> {
    let mut reply = Connection::open(address)?.call(who, request, true)?;
    for _ in 0..RETRIES_MAX {
        if reply.status != 503 {
            break;
        }
        std::thread::sleep(RETRY_PAUSE);
        reply = Connection::open(address)?.call(who, request, true)?;
    }
    if reply.status != 200 {
        let text = String::from_utf8_lossy(&reply.body);
        bail!("{} {}: {} {text}", request.method, request.path, reply.status);
    }
    Ok(reply.body)
}

/// One case.
pub(crate) struct Case<'a> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Connections that ask at once.
    pub(crate) connections: usize,
    requests: usize,
    /// The plain server gets so many times more, for its time is counted in ticks of 10 ms too.
    plain_factor: usize,
    is_object: bool,
    make: Box<dyn Fn(usize) -> Request + Sync + 'a>,
}

/// All of them. What a read case reads was written by the case before it, by both servers.
pub(crate) fn all<'a>(world: &'a World<'a>) -> Vec<Case<'a>> {
    let call = |name, connections, requests, make| Case {
        name,
        connections,
        requests,
        plain_factor: 10,
        is_object: false,
        make,
    };
    let object = |name, connections, requests, make| Case {
        name,
        connections,
        requests,
        plain_factor: if requests > SMALL_NAMES { 5 } else { 1 },
        is_object: true,
        make,
    };
    let small = |n: usize| format!("small-{}", n % SMALL_NAMES);
    let large = |n: usize| format!("large-{}", n % LARGE_NAMES);
    vec![
        call("sts GetCallerIdentity, 1 connection", 1, 200, Box::new(|_| world.identity())),
        call("sts GetCallerIdentity, 32 connections", 32, 2000, Box::new(|_| world.identity())),
        call("kms Encrypt of 32 bytes, 1 connection", 1, 200, Box::new(|_| world.encrypt())),
        call("kms Encrypt of 32 bytes, 32 connections", 32, 2000, Box::new(|_| world.encrypt())),
        object(
            "s3 put of 1 KiB, 16 connections",
            16,
            600,
            Box::new(move |n| world.put(&small(n), &world.small)),
        ),
        object("s3 get of 1 KiB, 16 connections", 16, 600, Box::new(move |n| get(&small(n)))),
        object(
            "s3 put of 64 MiB, 2 connections",
            2,
            4,
            Box::new(move |n| world.put(&large(n), &world.large)),
        ),
        object("s3 get of 64 MiB, 2 connections", 2, 8, Box::new(move |n| get(&large(n)))),
    ]
}

/// A round of one server.
pub(crate) struct Round {
    /// CPU time of its processes.
    pub(crate) used: Used,
    /// Time on the clock.
    pub(crate) took: Duration,
    /// Times of the requests, sorted.
    pub(crate) times: Vec<Duration>,
}

/// What a case gave.
pub(crate) struct Measured {
    /// Its name.
    pub(crate) name: &'static str,
    /// The plain server's rounds.
    pub(crate) plain: Vec<Round>,
    /// Writ's rounds.
    pub(crate) writ: Vec<Round>,
}

/// Runs a case: a warm-up of both, then rounds in turns.
pub(crate) fn run(
    case: &Case<'_>,
    world: &World<'_>,
    rounds: usize,
    scale: f64,
) -> Result<Measured> {
    let (site, plain) = (world.site, world.plain);
    let requests = ((case.requests as f64 * scale) as usize).max(case.connections);
    let address = if case.is_object { site.s3 } else { site.api };
    let mut measured = Measured { name: case.name, plain: Vec::new(), writ: Vec::new() };
    for warm_up in std::iter::once(true).chain(std::iter::repeat_n(false, rounds)) {
        let share = if warm_up { WARM_UP } else { 1.0 };
        let requests = ((requests as f64 * share) as usize).max(case.connections);
        for (address, pids, factor, into) in [
            (plain.address, &plain.pids, case.plain_factor, &mut measured.plain),
            (address, &site.pids, 1, &mut measured.writ),
        ] {
            let requests = requests * factor;
            let (before, begun) = (used(pids)?, Instant::now());
            let mut times = drive(address, &site.owner, case.connections, requests, &case.make)?;
            let (took, after) = (begun.elapsed(), used(pids)?);
            times.sort_unstable();
            if !warm_up {
                into.push(Round { used: between(&before, &after), took, times });
            }
        }
    }
    Ok(measured)
}
