//! The smallest client: one request on one connection, written by hand.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Signs nothing really: the key module of these tests takes any signature.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) access_key: String,
}

/// A reply.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = self.send(method, path, headers, body, true).await;
        let mut bytes = Vec::new();
        // A refused body may reset the connection after the answer.
        stream.read_to_end(&mut bytes).await.ok();
        Answer::parse(&bytes)
    }

    pub(super) async fn unsigned(&self, method: &str, path: &str) -> Answer {
        let mut stream = self.send(method, path, &[], b"", false).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    /// A request with just these header fields beside the host.
    pub(super) async fn bare(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = self.send("GET", path, headers, b"", false).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    pub(super) async fn open(&self, method: &str, path: &str) -> Running {
        Running { stream: self.send(method, path, &[], b"", true).await }
    }

    /// A request that says it has a body of `length` bytes and sends `body`.
    pub(super) async fn begin(
        &self,
        method: &str,
        path: &str,
        length: usize,
        body: &[u8],
    ) -> Running {
        let length = length.to_string();
        let headers = [("content-length", length.as_str())];
        Running { stream: self.send(method, path, &headers, body, true).await }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        signed: bool,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let now = writ_model::Env::now(&writ_model::SystemEnv).basic();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        let named = |name: &str| headers.iter().any(|(n, _)| *n == name);
        if signed {
            let (day, signature) = (&now[..8], "ab".repeat(32));
            head += &format!(
                "authorization: AWS4-HMAC-SHA256 Credential={}/{day}/us-east-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n\
                 x-amz-date: {now}\r\n",
                self.access_key
            );
            if !named("x-amz-content-sha256") {
                head += "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n";
            }
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !named("content-length") {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // The other end may refuse and close before it has read everything.
        stream.write_all(body).await.ok();
        stream
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("no head in the answer");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Answer { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of this name.
    pub(super) fn element(&self, name: &str) -> &str {
        let text = std::str::from_utf8(&self.body).unwrap();
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{text}"));
        rest.split_once("</").unwrap().0
    }

    #[track_caller]
    pub(super) fn expect(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.header("x-amz-request-id").is_some());
    }

    #[track_caller]
    pub(super) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.element("Code"), code, "{}", self.text());
    }
}

/// A reply that is still coming.
pub(super) struct Running {
    stream: TcpStream,
}

impl Running {
    pub(super) async fn read_some(&mut self, bytes: usize) {
        let mut buffer = vec![0; bytes];
        self.stream.read_exact(&mut buffer).await.unwrap();
    }

    /// Reads the answer to a request that was begun.
    pub(super) async fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.ok();
        Answer::parse(&bytes)
    }

    /// Reads on until the connection ends, in whatever way; answers how much came.
    pub(super) async fn read_to_end(&mut self) -> usize {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.ok();
        rest.len()
    }
}
