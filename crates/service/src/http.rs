//! Requests and replies without a server: what a listener has read and what it will write.

use writ_keyd_client::protocol::Network;

/// A request as received, with its whole body.
pub struct Request {
    /// The method, in upper case.
    pub method: String,
    /// The path as on the request line, before any `?`.
    pub path: String,
    /// The raw query string, without the `?`.
    pub query: String,
    /// Header fields in the order received; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the listener saw of the peer.
    pub network: Network,
}

impl Request {
    /// The first field called `name`, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// A reply, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header fields besides content length and date.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A reply with a body of this type.
    pub fn new(status: u16, content_type: &str, body: Vec<u8>) -> Reply {
        Reply { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body }
    }

    /// The same, with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}
