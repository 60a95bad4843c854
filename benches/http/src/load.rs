//! The load generator: as many threads as connections, each with one kept-alive connection.
//!
//! It signs while it runs, each request with an identifier of its own, as AWS's SDKs do; the plain
//! server gets the same bytes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use writ_aws::sigv4::client::{Credentials, Signer};
use writ_aws::sigv4::{Payload, RawRequest};
use writ_model::{Env as _, Region, SystemEnv};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Replies are read in pieces of this size.
const READ_BYTES: usize = 256 * 1024;

/// A request to sign and send.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Arc<Vec<u8>>,
    /// The digest that S3 wants said; the other services take it from the body.
    pub(crate) sha256: Option<String>,
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Empty where only its length was asked for.
    pub(crate) body: Vec<u8>,
}

/// One kept-alive connection.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { address, stream: BufReader::with_capacity(READ_BYTES, stream) })
    }

    /// Signs, sends, and reads the reply; its body is kept if `keep`.
    pub(crate) fn call(
        &mut self,
        who: &Credentials,
        request: &Request,
        keep: bool,
    ) -> Result<Reply> {
        let head = head(who, request, self.address)?;
        let stream = self.stream.get_mut();
        if request.body.len() <= READ_BYTES {
            stream.write_all(&[&head, request.body.as_slice()].concat())?;
        } else {
            stream.write_all(&head)?;
            stream.write_all(&request.body)?;
        }
        self.reply(keep).with_context(|| format!("{} {}", request.method, request.path))
    }

    fn reply(&mut self, keep: bool) -> Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status line")?.parse()?;
        let mut length = 0u64;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let field = line.trim_end();
            if field.is_empty() {
                break;
            }
            let (name, value) = field.split_once(':').context("a header without a colon")?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("a reply of unknown length");
            }
        }
        let mut body = (&mut self.stream).take(length);
        if keep || status >= 300 {
            let mut kept = Vec::new();
            body.read_to_end(&mut kept)?;
            return Ok(Reply { status, body: kept });
        }
        let bytes = std::io::copy(&mut body, &mut std::io::sink())?;
        if bytes != length {
            bail!("the reply ended after {bytes} of {length} bytes");
        }
        Ok(Reply { status, body: Vec::new() })
    }
}

fn head(who: &Credentials, request: &Request, address: SocketAddr) -> Result<Vec<u8>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:032x}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut headers = request.headers.clone();
    let mut add = |name: &str, value: &str| {
        headers.push((name.to_owned(), value.as_bytes().to_vec()));
    };
    add("host", &address.to_string());
    add("amz-sdk-invocation-id", &id);
    add("content-length", &request.body.len().to_string());
    let raw =
        RawRequest { method: request.method, path: &request.path, query: "", headers: &headers };
    let payload = match &request.sha256 {
        Some(digest) => Payload::Declared(digest),
        None => Payload::Body(&request.body),
    };
    let region: Region = "us-east-1".parse()?;
    let signer = Signer { credentials: who, region: &region, service: request.service };
    let signed = signer.sign_request(&raw, payload, SystemEnv.now())?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    for (name, value) in &signed.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}

/// Opens `connections`, sends `requests` in all, and gives the time each took. `make` makes the n-th.
pub(crate) fn drive(
    address: SocketAddr,
    who: &Credentials,
    connections: usize,
    requests: usize,
    make: &(dyn Fn(usize) -> Request + Sync),
) -> Result<Vec<Duration>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Duration>> {
        let mut connection = Connection::open(address)?;
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                return Ok(times);
            }
            let request = make(number);
            let begun = Instant::now();
            let reply = connection.call(who, &request, false)?;
            times.push(begun.elapsed());
            if reply.status != 200 {
                let text = String::from_utf8_lossy(&reply.body);
                bail!("{} {}: {} {text}", request.method, request.path, reply.status);
            }
        }
    };
    let done: Vec<Result<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a client panicked")))
            .collect()
    });
    let times: Result<Vec<Vec<Duration>>> = done.into_iter().collect();
    Ok(times?.concat())
}
