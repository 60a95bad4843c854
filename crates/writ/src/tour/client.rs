//! A small client: requests of the query, JSON and S3 protocols, signed and sent one at a time.
//!
//! Blocking, one connection a request. A request is a plain value before and after it is signed, so
//! that an attack can change what was signed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use writ_aws::sigv4::client::{Credentials, Signer, s3_path};
use writ_aws::sigv4::encode::encode;
use writ_aws::sigv4::{Payload, RawRequest, UNSIGNED_PAYLOAD};
use writ_model::{Env as _, Region, SystemEnv, Timestamp};
use writ_proof::hash::sha256;

use super::reply::Reply;
use crate::up::ready::Ready;

/// How long a connection may take, and a read or a write on it.
const PATIENCE: Duration = Duration::from_secs(30);
/// A reply that is larger is an error.
const REPLY_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// A service that says "come back later" is asked again after this, as AWS's clients do.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How often it is asked again.
const RETRIES_MAX: u32 = 25;

/// A request: line, fields and body, signed or not.
#[derive(Clone)]
pub struct Request {
    /// The signing name of the service.
    pub service: &'static str,
    /// Where it goes.
    pub address: SocketAddr,
    /// The method.
    pub method: &'static str,
    /// The path, percent-encoded.
    pub path: String,
    /// The query string, percent-encoded.
    pub query: String,
    /// The fields; `host` is among them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// What `x-amz-content-sha256` says, where it is sent.
    pub payload: Option<String>,
}

impl Request {
    /// With one more field.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// With another value of a field.
    pub fn replacing(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// With a query string.
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Request {
        self.query = form(pairs);
        self
    }

    /// With a body; its digest is signed.
    pub fn body(mut self, body: &[u8]) -> Request {
        self.payload = self.payload.map(|_| sha256(body).to_string());
        self.body = body.to_vec();
        self
    }

    /// Saying that the signature does not cover the body.
    pub fn unsigned_payload(mut self) -> Request {
        self.payload = Some(UNSIGNED_PAYLOAD.to_owned());
        self
    }

    fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }

    fn signed_payload(&self) -> Payload<'_> {
        match &self.payload {
            Some(literal) => Payload::Declared(literal),
            None => Payload::Body(&self.body),
        }
    }
}

/// A signed request, with the digest by which records name its signature.
pub struct Signed {
    /// The request as it is sent.
    pub request: Request,
    /// SHA-256 of the signature.
    pub digest: [u8; 32],
}

/// Knows where the services are.
pub struct Client {
    api: SocketAddr,
    s3: SocketAddr,
    region: Region,
}

impl Client {
    /// A client of a started installation.
    pub fn new(ready: &Ready) -> Result<Client> {
        let address = |url: &str| -> Result<SocketAddr> {
            let authority = url.strip_prefix("http://").unwrap_or(url);
            authority.parse().with_context(|| format!("`{url}` is no address"))
        };
        let region = "us-east-1".parse()?;
        Ok(Client { api: address(&ready.endpoint)?, s3: address(&ready.s3)?, region })
    }

    /// A call of IAM or STS.
    pub fn query(&self, service: &'static str, action: &str, input: &[(&str, &str)]) -> Request {
        let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
        let mut pairs = vec![("Action", action), ("Version", version)];
        pairs.extend_from_slice(input);
        self.post(service)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(form(&pairs).as_bytes())
    }

    /// A call of KMS.
    pub fn kms(&self, operation: &str, input: &serde_json::Value) -> Request {
        self.json("kms", &format!("TrentService.{operation}"), input)
    }

    /// A call of CloudTrail.
    pub fn cloudtrail(&self, operation: &str, input: &serde_json::Value) -> Request {
        let prefix = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101";
        self.json("cloudtrail", &format!("{prefix}.{operation}"), input)
    }

    /// A call of our own Writ API.
    pub fn writ(&self, operation: &str, input: &serde_json::Value) -> Request {
        self.json("writ", &format!("Writ_20261101.{operation}"), input)
    }

    /// A call of S3: on an object, or on a bucket when `key` is empty.
    pub fn s3(&self, method: &'static str, bucket: &str, key: &str) -> Request {
        let path = if key.is_empty() { format!("/{bucket}") } else { s3_path(bucket, key) };
        let payload = Some(sha256(b"").to_string());
        Request { service: "s3", address: self.s3, method, path, payload, ..self.post("s3") }
            .replacing("host", &self.s3.to_string())
    }

    fn json(&self, service: &'static str, target: &str, input: &serde_json::Value) -> Request {
        self.post(service)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(input.to_string().as_bytes())
    }

    fn post(&self, service: &'static str) -> Request {
        Request {
            service,
            address: self.api,
            method: "POST",
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![("host".to_owned(), self.api.to_string().into_bytes())],
            body: Vec::new(),
            payload: None,
        }
    }

    /// Signs in the header, now.
    pub fn sign(&self, who: &Credentials, request: &Request) -> Result<Signed> {
        self.sign_at(who, request, SystemEnv.now())
    }

    /// Signs in the header as if it were `now`.
    pub fn sign_at(&self, who: &Credentials, request: &Request, now: Timestamp) -> Result<Signed> {
        let signer = self.signer(who, request);
        let signed = signer.sign_request(&request.raw(), request.signed_payload(), now)?;
        let digest = signed.claim.signature_digest();
        Ok(Signed { request: Request { headers: signed.headers, ..request.clone() }, digest })
    }

    /// Signs in the query string: a URL that works for `expires` from `from` on.
    pub fn presign(
        &self,
        who: &Credentials,
        request: &Request,
        from: Timestamp,
        expires: Duration,
    ) -> Result<Request> {
        let payload = Payload::Declared(UNSIGNED_PAYLOAD);
        let query = self.signer(who, request).presign(&request.raw(), payload, from, expires)?;
        Ok(Request { query, ..request.clone() })
    }

    /// Signs and sends. A 503 is asked again, with a fresh signature.
    pub fn call(&self, who: &Credentials, request: &Request) -> Result<Reply> {
        let mut left = RETRIES_MAX;
        loop {
            let reply = send(&self.sign(who, request)?.request)?;
            if reply.status != 503 || left == 0 {
                return Ok(reply);
            }
            left -= 1;
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    /// As [`Client::call`]; a refusal is an error.
    pub fn ok(&self, who: &Credentials, request: &Request) -> Result<Reply> {
        self.call(who, request)?.success()
    }

    fn signer<'a>(&'a self, who: &'a Credentials, request: &Request) -> Signer<'a> {
        Signer { credentials: who, region: &self.region, service: request.service }
    }
}

/// Sends a request as it is.
pub fn send(request: &Request) -> Result<Reply> {
    let Request { address, method, path, query, .. } = request;
    let told = || format!("{method} {path} at {address}");
    let mut stream = TcpStream::connect_timeout(address, PATIENCE).with_context(told)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mark = if query.is_empty() { "" } else { "?" };
    let mut head = format!("{method} {path}{mark}{query} HTTP/1.1\r\n").into_bytes();
    for (name, value) in &request.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    let length = request.body.len();
    head.extend_from_slice(
        format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    stream.write_all(&head).with_context(told)?;
    // Whoever refuses need not read the body; then the reply says why writing failed.
    let written = stream.write_all(&request.body);
    let mut raw = Vec::new();
    let read = stream.take(REPLY_MAX_BYTES).read_to_end(&mut raw);
    if raw.is_empty() {
        written.with_context(told)?;
        read.with_context(told)?;
        bail!("{} got no reply", told());
    }
    Reply::parse(&raw).map_err(|error| anyhow!("{}: {error:#}", told()))
}

/// Names and values, percent-encoded; a name without a value stands alone.
fn form(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| match value.is_empty() {
        true => encode(name.as_bytes()),
        false => format!("{}={}", encode(name.as_bytes()), encode(value.as_bytes())),
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_encodes_names_and_values() {
        assert_eq!(form(&[("uploads", "")]), "uploads");
        assert_eq!(form(&[("A", "a b"), ("B", "é&=")]), "A=a%20b&B=%C3%A9%26%3D");
    }

    #[test]
    fn signature_covers_what_it_should() {
        let ready = r#"{"endpoint":"http://127.0.0.1:1","s3":"http://127.0.0.1:2","ca":"","watch":"",
            "console":"","bastion":"","mode":"dev","genesis":"","pids":{},"hardening":{}}"#;
        let client = Client::new(&serde_json::from_str(ready).unwrap()).unwrap();
        let who = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret");
        let put = client.s3("PUT", "b", "a b").body(b"x");
        let signed = client.sign(&who, &put).unwrap().request;
        let value = |name: &str| {
            let found = signed.headers.iter().find(|(n, _)| n == name).unwrap();
            String::from_utf8(found.1.clone()).unwrap()
        };
        assert_eq!(signed.path, "/b/a%20b");
        assert_eq!(value("host"), "127.0.0.1:2");
        assert_eq!(value("x-amz-content-sha256"), sha256(b"x").to_string());
        assert!(value("authorization").contains("host;x-amz-content-sha256;x-amz-date"));
    }
}
