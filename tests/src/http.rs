//! A client that sends exactly what it is told, signed or not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use writ_aws::sigv4::client::Signer;
use writ_aws::sigv4::{Payload, RawRequest};
use writ_model::{Env as _, Region, SystemEnv, Timestamp};

use crate::clients::Credentials;

/// The region of all tests.
pub const REGION: &str = "us-east-1";

/// Sends to one endpoint, signs for one service.
#[derive(Debug, Clone)]
pub struct Http {
    address: String,
    service: &'static str,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A whole request, signed or not.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query string, without `?`.
    pub query: String,
    /// Header fields; `host` is among them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Its first bytes, up to the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {}", self.method, self.path);
        if !self.query.is_empty() {
            head.push('?');
            head.push_str(&self.query);
        }
        head.push_str(" HTTP/1.1\r\n");
        let mut bytes = head.into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name == "content-length") {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes
    }
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The id under which the ledger knows the request.
    pub fn request_id(&self) -> Option<&str> {
        self.header("x-amzn-requestid").or_else(|| self.header("x-amz-request-id"))
    }

    /// The error code, in whichever protocol; empty for a success.
    pub fn code(&self) -> String {
        if let Ok(Value::Object(members)) = serde_json::from_slice(&self.body) {
            let kind = members.get("__type").and_then(Value::as_str).unwrap_or_default();
            return kind.rsplit('#').next().unwrap_or_default().to_owned();
        }
        let text = self.text();
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map(|(code, _)| code.to_owned()).unwrap_or_default()
    }
}

impl Http {
    /// A client of `endpoint`, such as `http://127.0.0.1:8440`.
    pub fn new(endpoint: &str, service: &'static str) -> Http {
        let address = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Http { address, service }
    }

    /// A request that is not signed yet.
    pub fn request(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Request {
        let headers = vec![("host".to_owned(), self.address.clone().into_bytes())];
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.to_vec(),
        }
    }

    /// The same request with a signature of `signer`.
    pub fn sign(&self, signer: &Credentials, request: &Request) -> Request {
        self.sign_at(signer, request, SystemEnv.now())
    }

    /// The same request, signed as if the time were `now`.
    pub fn sign_at(&self, signer: &Credentials, request: &Request, now: Timestamp) -> Request {
        let region: Region = REGION.parse().unwrap();
        let credentials = signer.for_signing();
        let signer = Signer { credentials: &credentials, region: &region, service: self.service };
        let raw = RawRequest {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
        };
        let digest = hex::encode(writ_proof::hash::sha256(&request.body).0);
        let payload = match self.service {
            "s3" => Payload::Declared(&digest),
            _ => Payload::Body(&request.body),
        };
        let headers = signer.sign_request(&raw, payload, now).unwrap().headers;
        Request { headers, ..request.clone() }
    }

    /// Signs and sends.
    pub fn send(
        &self,
        signer: &Credentials,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply> {
        let mut request = self.request(method, path, query, body);
        let more =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        request.headers.extend(more);
        self.exchange(&self.sign(signer, &request))
    }

    /// A call of the query protocol.
    pub fn query(&self, signer: &Credentials, form: &str) -> Result<Reply> {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send(signer, "POST", "/", "", &[kind], form.as_bytes())
    }

    /// A call of the JSON protocol; `target` is such as `TrentService.Encrypt`.
    pub fn json(&self, signer: &Credentials, target: &str, body: &Value) -> Result<Reply> {
        let fields = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.send(signer, "POST", "/", "", &fields, body.to_string().as_bytes())
    }

    /// Sends as it is and reads the whole answer.
    pub fn exchange(&self, request: &Request) -> Result<Reply> {
        let mut bytes = request.head();
        bytes.extend_from_slice(&request.body);
        self.raw(&bytes)
    }

    /// Sends bytes that may be no HTTP at all.
    pub fn raw(&self, bytes: &[u8]) -> Result<Reply> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        // A server that has refused already may close before it has read all of it.
        let written = stream.write_all(bytes);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            written?;
            read?;
        }
        parse(&answer)
    }
}

fn parse(answer: &[u8]) -> Result<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no whole head")?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = answer[end + 4..].to_vec();
    let chunked =
        |(name, value): &(String, String)| name == "transfer-encoding" && value == "chunked";
    if headers.iter().any(chunked) {
        body = unchunk(&body)?;
    }
    Ok(Reply { status: status.parse()?, headers, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("a chunk has no head")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).context("a chunk is cut")?);
        rest = rest.get(size + 2..).context("a chunk is cut")?;
    }
}
