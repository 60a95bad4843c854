//! Talks to a listener over HTTP: one request a connection, on loopback in the clear, else in TLS.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::Deserialize;
use writ_proof::statement::Signed;

use crate::front::statements::{CONTENT_TYPE, ROSTER, STATEMENTS};

/// How long a connection may take, and a read or a write on it.
const PATIENCE: Duration = Duration::from_secs(30);
/// A reply above this is an error.
const REPLY_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Pages of a roster that are read.
const PAGES_MAX: usize = 1000;

/// Knows one listener.
pub struct Client {
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// What a statement was answered with.
#[derive(Deserialize)]
pub struct Accepted {
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// False if keyd does not have it yet.
    pub keyd: bool,
}

/// How far the roster is.
#[derive(Deserialize)]
pub struct State {
    /// The newest statement, by front's word.
    pub seq: u64,
    /// By keyd's; absent while it does not answer.
    pub keyd: Option<KeydState>,
}

/// What keyd says.
#[derive(Deserialize)]
pub struct KeydState {
    /// The newest statement that it has taken.
    pub seq: u64,
    /// Why it has no roster.
    pub fault: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    genesis: String,
    statements: Vec<String>,
    more: bool,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    message: String,
}

impl Client {
    /// A client of `http://HOST:PORT` or `https://HOST:PORT`, whose certificate `ca` has issued.
    pub fn new(url: &str, ca: Option<&Path>) -> Result<Client> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let authority = rest.trim_end_matches('/');
        let default = match scheme {
            "https" => 443,
            "http" => 80,
            _ => bail!("`{url}` is no address: give http://HOST:PORT or https://HOST:PORT"),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().with_context(|| format!("`{url}` has no port number"))?)
            }
            _ => (authority, default),
        };
        let tls = (scheme == "https").then(|| tls(ca)).transpose()?;
        Ok(Client { host: host.trim_matches(['[', ']']).to_owned(), port, tls })
    }

    /// Sends a signed statement.
    pub fn submit(&self, statement: &[u8]) -> Result<Accepted> {
        let reply = self.send("POST", STATEMENTS, statement)?;
        serde_json::from_slice(&reply).context("the reply cannot be read")
    }

    /// How far the roster is, by the listener's word.
    pub fn state(&self) -> Result<State> {
        let reply = self.send("GET", &format!("{ROSTER}?after={}", u64::MAX), b"")?;
        serde_json::from_slice(&reply).context("the reply cannot be read")
    }

    /// Genesis and all statements after it, unchecked.
    pub fn roster(&self) -> Result<(Signed, Vec<Signed>)> {
        let (mut genesis, mut statements) = (None, Vec::new());
        for _ in 0..PAGES_MAX {
            let path = format!("{ROSTER}?after={}", statements.len());
            let page: Page = serde_json::from_slice(&self.send("GET", &path, b"")?)
                .context("the reply cannot be read")?;
            genesis = Some(decode(&page.genesis)?);
            let got = page.statements.len();
            for statement in &page.statements {
                statements.push(decode(statement)?);
            }
            if !page.more || got == 0 {
                break;
            }
        }
        Ok((genesis.context("the reply has no genesis")?, statements))
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.exchange(method, path, &[("content-type", CONTENT_TYPE)], body)
    }

    /// Sends a request with these fields besides the usual ones; the body of its reply.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let told = || format!("no answer from {}:{}; is `writ up` running?", self.host, self.port);
        // A name may have an address of each kind, and the listener only one of them.
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().with_context(told)?;
        let connect = |address| TcpStream::connect_timeout(&address, PATIENCE).ok();
        let mut stream = addresses.into_iter().find_map(connect).with_context(told)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let fields: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}:{}\r\n{fields}content-length: {}\r\n\
             connection: close\r\n\r\n",
            self.host,
            self.port,
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let raw = match &self.tls {
            None => talk(&mut stream, &request).with_context(told)?,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())?;
                let connection = rustls::ClientConnection::new(Arc::clone(config), name)?;
                let mut stream = rustls::StreamOwned::new(connection, stream);
                talk(&mut stream, &request)
                    .with_context(|| format!("{}: give the authority with --ca", told()))?
            }
        };
        reply(&raw)
    }
}

/// Sends the request and reads to the end. Who refuses early may not read all of it.
fn talk(stream: &mut (impl Read + Write), request: &[u8]) -> Result<Vec<u8>> {
    let written = stream.write_all(request).and_then(|()| stream.flush());
    let mut raw = Vec::new();
    let read = stream.take(REPLY_MAX_BYTES).read_to_end(&mut raw);
    if raw.is_empty() {
        written?;
        read?;
        bail!("the connection was closed without a reply");
    }
    Ok(raw)
}

fn tls(ca: Option<&Path>) -> Result<Arc<rustls::ClientConfig>> {
    let ca = ca.context("give the authority of the listener's certificate with --ca DIR/ca.pem")?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)
        .with_context(|| format!("`{}` holds no certificates", ca.display()))?
    {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The body of a reply with status 200; a refusal is an error in its own words.
fn reply(raw: &[u8]) -> Result<Vec<u8>> {
    let reply = crate::tour::reply::Reply::parse(raw)?;
    if reply.status == 200 {
        return Ok(reply.body);
    }
    match serde_json::from_slice::<Refused>(&reply.body) {
        Ok(Refused { error, message }) => bail!("refused ({error}): {message}"),
        Err(_) => bail!("refused with status {}", reply.status),
    }
}

fn decode(text: &str) -> Result<Signed> {
    Ok(Signed::from_bytes(&STANDARD.decode(text)?)?)
}
