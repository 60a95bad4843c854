//! What the fuzz targets share: reading an HTTP head from text, and the check of a strict codec.

use writ_aws::operation::{Operation, Protocol, Service, operations};
use writ_proof::cbor::{self, Decode, Encode};

/// A request as it would come from a connection; the input's text up to the first empty line is its
/// head, the rest is its body.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Head {
    /// Reads `METHOD target`, fields and body. Lines end with LF or CRLF; only what an HTTP library
    /// guarantees is guaranteed: method and target are visible ASCII, names are tokens.
    pub(crate) fn read(input: &[u8]) -> Option<Head> {
        let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (input.get(..end)?, input.get(end + 2..)?),
            None => (input, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let (method, target) = first.trim_end().split_once(' ')?;
        let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if !visible(method) || !visible(target) || !target.starts_with('/') {
            return None;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(line.get(..colon)?).ok().filter(|n| visible(n))?;
            let value = line.get(colon + 1..)?.trim_ascii();
            headers.push((name.to_owned(), value.to_vec()));
        }
        let owned = str::to_owned;
        Some(Head {
            method: owned(method),
            path: owned(path),
            query: owned(query),
            headers,
            body: body.to_vec(),
        })
    }
}

/// The operation that the first byte of the input chooses, of all with this protocol, and the rest.
pub(crate) fn choose(protocol: Protocol, input: &[u8]) -> Option<(&'static Operation, &[u8])> {
    let (first, rest) = input.split_first()?;
    let services = Service::ALL.into_iter().filter(|service| service.protocol() == protocol);
    let all: Vec<&'static Operation> = services.flat_map(operations).copied().collect();
    Some((all.get(usize::from(*first) % all.len())?, rest))
}

/// A strict codec has one encoding of one value: whatever decodes, encodes to the same bytes.
pub(crate) fn strict<T: Decode + Encode>(input: &[u8]) -> Option<T> {
    let value = cbor::from_slice::<T>(input).ok()?;
    assert!(cbor::to_vec(&value) == input, "a value has two encodings");
    Some(value)
}

/// Messages of a stream: each after its length in two bytes.
pub(crate) fn messages(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (message, after) = after.split_at(length);
        rest = after;
        Some(message)
    })
}
