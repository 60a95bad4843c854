//! Percent-encoding as SigV4 wants it, and the one way to take a query string apart.

use std::borrow::Cow;

use super::SigError;
use crate::limits::QUERY_PAIRS_MAX;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Whether SigV4 leaves `byte` as it is (RFC 3986 section 2.3, "unreserved").
const fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends `bytes` to `out`, percent-encoded with upper-case digits; `/` stays when `keep_slash`.
pub fn encode_into(out: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
    for &byte in bytes {
        if unreserved(byte) || (keep_slash && byte == b'/') {
            out.push(byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte)]);
        }
    }
}

/// `bytes` percent-encoded, `/` included: the form of one query component.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    encode_into(&mut out, bytes, false);
    // INVARIANT: only ASCII was written.
    String::from_utf8(out).unwrap_or_default()
}

/// `bytes` percent-encoded but for `/`: the form of a path whose segments are `bytes`.
pub fn encode_path(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    encode_into(&mut out, bytes, true);
    String::from_utf8(out).unwrap_or_default()
}

/// Decodes `%XX` once; `None` when a `%` is not followed by two hexadecimal digits.
///
/// `+` stays a plus. This is the rule for S3 paths.
pub fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    decode_with(text, false)
}

fn decode_with(text: &str, plus_is_space: bool) -> Option<Cow<'_, [u8]>> {
    let raw = text.as_bytes();
    if !raw.iter().any(|b| *b == b'%' || (plus_is_space && *b == b'+')) {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                out.push(u8::try_from(value).ok()?);
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    Some(Cow::Owned(out))
}

/// One name and value of a query string, decoded.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The names and values of a raw query string, in order, each decoded once.
///
/// Empty pieces (`a&&b`) are skipped, a piece without `=` has an empty value, `+` is a space.
/// Broken percent-encoding and more than [`QUERY_PAIRS_MAX`] pairs are errors. Signatures are
/// computed over exactly these pairs, so whoever acts on a signed query must read it through this
/// function.
pub fn query_pairs(query: &str) -> Result<Vec<Pair<'_>>, SigError> {
    let mut pairs = Vec::new();
    for piece in query.split('&').filter(|p| !p.is_empty()) {
        if pairs.len() == QUERY_PAIRS_MAX {
            return Err(SigError::MalformedQuery);
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let read = |text| decode_with(text, true).ok_or(SigError::MalformedQuery);
        pairs.push((read(name)?, read(value)?));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_leaves_only_unreserved_bytes() {
        assert_eq!(encode("aZ0-._~ /+é".as_bytes()), "aZ0-._~%20%2F%2B%C3%A9");
        assert_eq!(encode_path(b"/a b/%"), "/a%20b/%25");
    }

    #[test]
    fn decode_reads_once_and_refuses_broken_escapes() {
        assert_eq!(decode("%2541+").unwrap().as_ref(), b"%41+");
        for broken in ["%", "%4", "%zz", "a%4", "%+1"] {
            assert!(decode(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn query_pairs_follow_form_rules() {
        let pairs = query_pairs("a=1&&b&c=x+y%2Bz&=&d=e=f").unwrap();
        let text: Vec<_> = pairs
            .iter()
            .map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
            .map(|(n, v)| format!("{n}|{v}"))
            .collect();
        assert_eq!(text, ["a|1", "b|", "c|x y+z", "|", "d|e=f"]);
        assert_eq!(query_pairs("a=%f"), Err(SigError::MalformedQuery));
        assert!(query_pairs(&"a&".repeat(QUERY_PAIRS_MAX)).is_ok());
        assert!(query_pairs(&"a&".repeat(QUERY_PAIRS_MAX + 1)).is_err());
    }
}
