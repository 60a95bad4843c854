//! The head of a request, as keyd must see it: bytes as received, FAS headers stripped.

use http::request::Parts;
use writ_aws::ApiError;
use writ_aws::sigv4::RawRequest;
use writ_keyd_client::protocol::Network;

use super::fault::s3;
use crate::limits::{HEAD_MAX_BYTES, HEADERS_MAX};

/// Headers that only internal channels may carry: a customer who sends one gains nothing.
const FORWARD_HEADERS: [&str; 2] = ["x-writ-fas-ticket", "x-writ-fas-proof"];

/// A request without its body.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) network: Network,
}

impl Head {
    /// Takes over what hyper read. Answers how many forward-access headers were stripped.
    pub(crate) fn new(parts: &Parts, network: Network) -> (Head, usize) {
        let all = parts.headers.iter();
        let mut headers: Vec<(String, Vec<u8>)> = all
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        let before = headers.len();
        headers.retain(|(name, _)| !FORWARD_HEADERS.contains(&name.as_str()));
        let stripped = before - headers.len();
        let head = Head {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers,
            network,
        };
        (head, stripped)
    }

    /// Refuses a head above its limits.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let bytes: usize = self.headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
        let total = bytes + self.path.len() + self.query.len();
        if self.headers.len() > HEADERS_MAX || total > HEAD_MAX_BYTES {
            return Err(s3(
                "RequestHeaderSectionTooLarge",
                "Your request header section exceeds the maximum allowed size.",
            ));
        }
        Ok(())
    }

    /// The first field called `name`, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(value).ok()
    }

    /// True if there is a field called `name`, whatever it holds.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(field, _)| field == name)
    }

    pub(crate) fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        let text = self.header("content-length")?;
        if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
    }
}
