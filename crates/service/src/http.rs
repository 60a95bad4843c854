//! Requests and replies without a server: what a listener has read and what it will write.

use serde_json::json;
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

/// Why something was not done, as our own APIs say it; those of AWS have `ApiError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// One word.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refused {
    /// A refusal.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refused {
        Refused { status, code, message: message.into() }
    }

    /// As programs read it: `{"error": code, "message": text}`.
    pub fn reply(&self) -> Reply {
        let body = json!({ "error": self.code, "message": self.message });
        Reply::new(self.status, "application/json", format!("{body}\n").into_bytes())
    }
}
