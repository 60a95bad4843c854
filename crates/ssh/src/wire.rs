//! Numbers of messages, and what messages are made of beyond RFC 4251's types.

use writ_proof::ssh::{SshReader, put_string};

use crate::error::Error;
use crate::limits;

/// Message numbers (RFC 4250 section 4.1; RFC 8308; RFC 8731).
pub(crate) mod number {
    pub(crate) const DISCONNECT: u8 = 1;
    pub(crate) const IGNORE: u8 = 2;
    pub(crate) const UNIMPLEMENTED: u8 = 3;
    pub(crate) const DEBUG: u8 = 4;
    pub(crate) const SERVICE_REQUEST: u8 = 5;
    pub(crate) const SERVICE_ACCEPT: u8 = 6;
    pub(crate) const EXT_INFO: u8 = 7;
    pub(crate) const KEXINIT: u8 = 20;
    pub(crate) const NEWKEYS: u8 = 21;
    pub(crate) const KEX_INIT: u8 = 30;
    pub(crate) const KEX_REPLY: u8 = 31;
    pub(crate) const KEX_LAST: u8 = 49;
    pub(crate) const USERAUTH_REQUEST: u8 = 50;
    pub(crate) const USERAUTH_FAILURE: u8 = 51;
    pub(crate) const USERAUTH_SUCCESS: u8 = 52;
    pub(crate) const USERAUTH_BANNER: u8 = 53;
    pub(crate) const USERAUTH_PK_OK: u8 = 60;
    pub(crate) const GLOBAL_REQUEST: u8 = 80;
    pub(crate) const REQUEST_SUCCESS: u8 = 81;
    pub(crate) const REQUEST_FAILURE: u8 = 82;
    pub(crate) const CHANNEL_OPEN: u8 = 90;
    pub(crate) const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub(crate) const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub(crate) const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub(crate) const CHANNEL_DATA: u8 = 94;
    pub(crate) const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub(crate) const CHANNEL_EOF: u8 = 96;
    pub(crate) const CHANNEL_CLOSE: u8 = 97;
    pub(crate) const CHANNEL_REQUEST: u8 = 98;
    pub(crate) const CHANNEL_SUCCESS: u8 = 99;
    pub(crate) const CHANNEL_FAILURE: u8 = 100;
}

/// The service of RFC 4252.
pub(crate) const USERAUTH: &str = "ssh-userauth";
/// The service of RFC 4254.
pub(crate) const CONNECTION: &str = "ssh-connection";
/// The one method of authentication.
pub(crate) const PUBLICKEY: &str = "publickey";

/// Builds a message, or a part of one.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(number: u8) -> Message {
        Message(vec![number])
    }

    pub(crate) fn byte(mut self, byte: u8) -> Message {
        self.0.push(byte);
        self
    }

    pub(crate) fn boolean(self, value: bool) -> Message {
        self.byte(u8::from(value))
    }

    pub(crate) fn number(mut self, number: u32) -> Message {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn string(mut self, string: impl AsRef<[u8]>) -> Message {
        put_string(&mut self.0, string.as_ref());
        self
    }

    pub(crate) fn list(self, names: &[impl AsRef<str>]) -> Message {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        self.string(names.join(","))
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Message {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Appends an `mpint` of a positive number (RFC 4251 section 5): minimal, in two's complement.
pub(crate) fn put_mpint(bytes: &mut Vec<u8>, magnitude: &[u8]) {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let digits = magnitude.get(zeros..).unwrap_or_default();
    let sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = digits.len() + usize::from(sign);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    if sign {
        bytes.push(0);
    }
    bytes.extend_from_slice(digits);
}

/// A name-list (RFC 4251 section 5): printable ASCII names between commas.
pub(crate) fn name_list<'a>(reader: &mut SshReader<'a>) -> Result<Vec<&'a str>, Error> {
    let list = reader.text()?;
    Error::limit("name-list bytes", list.len(), limits::NAME_LIST_MAX_BYTES)?;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = list.split(',').collect();
    Error::limit("names in a list", names.len(), limits::NAME_LIST_MAX_NAMES)?;
    match names.iter().all(|name| is_name(name)) {
        true => Ok(names),
        false => Err(Error::Protocol("a name in a list is empty, too long or not printable")),
    }
}

/// A name (RFC 4251 section 6).
pub(crate) fn name<'a>(reader: &mut SshReader<'a>) -> Result<&'a str, Error> {
    let name = reader.text()?;
    match is_name(name) {
        true => Ok(name),
        false => Err(Error::Protocol("a name is empty, too long or not printable")),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= limits::NAME_MAX_BYTES
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// A text for people: what does not print becomes `?`, so that no peer moves another's cursor; what is
/// too long is cut.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..limits::TEXT_MAX_BYTES).unwrap_or(text));
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
}

/// Text of ours for a message; cut at the limit.
pub(crate) fn text(text: &str) -> &str {
    let end = text.floor_char_boundary(limits::TEXT_MAX_BYTES.min(text.len()));
    text.get(..end).unwrap_or_default()
}

/// A disconnect (RFC 4253 section 11.1).
pub(crate) fn disconnect(reason: u32, why: &str) -> Vec<u8> {
    Message::new(number::DISCONNECT).number(reason).string(text(why)).string("").done()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4251 section 5.
    #[test]
    fn mpint_is_minimal_and_positive() {
        for (magnitude, wanted) in [
            ("", "00000000"),
            ("0000", "00000000"),
            ("09a378f9b2e332a7", "0000000809a378f9b2e332a7"),
            ("80", "000000020080"),
            ("0080", "000000020080"),
        ] {
            let mut bytes = Vec::new();
            put_mpint(&mut bytes, &hex::decode(magnitude).unwrap());
            assert_eq!(hex::encode(bytes), wanted);
        }
    }

    #[test]
    fn name_list_with_an_odd_name_is_refused() {
        let parse = |list: &str| {
            let bytes = Message::default().string(list).done();
            name_list(&mut SshReader::new(&bytes)).map(|names| names.len())
        };
        assert_eq!(parse(""), Ok(0));
        assert_eq!(parse("zlib,none"), Ok(2));
        for bad in [",zlib", "zlib,", "a b", "a\u{7f}", "é", &"x".repeat(65)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&["n"; 129].join(",")).is_err());
    }

    #[test]
    fn text_of_a_peer_moves_no_cursor() {
        assert_eq!(printable(b"no\x1b[2J\r\nline\x07\xff"), "no?[2J?\nline?\u{fffd}");
        assert_eq!(printable(&[b'a'; 5000]).len(), limits::TEXT_MAX_BYTES);
    }
}
