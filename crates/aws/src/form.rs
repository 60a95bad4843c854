//! `name=value` pairs: form bodies and query strings.

/// Why a text is not a list of pairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FormFault {
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    Encoding,
    /// More pairs than allowed.
    TooMany,
}

/// The decoded pairs of `text`, in order, at most `max`. A part without `=` has an empty value;
/// empty parts are skipped; `+` is a blank.
pub(crate) fn pairs(text: &[u8], max: usize) -> Result<Vec<(String, String)>, FormFault> {
    let mut pairs = Vec::new();
    for part in text.split(|b| *b == b'&').filter(|part| !part.is_empty()) {
        if pairs.len() == max {
            return Err(FormFault::TooMany);
        }
        let mut halves = part.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        pairs.push((decode(name, true)?, decode(value, true)?));
    }
    Ok(pairs)
}

/// Percent-decodes once, strictly. With `plus`, `+` is a blank, else it is itself.
pub(crate) fn decode(text: &[u8], plus: bool) -> Result<String, FormFault> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(FormFault::Encoding)?;
                let low = bytes.next().and_then(hex).ok_or(FormFault::Encoding)?;
                high << 4 | low
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| FormFault::Encoding)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_once() {
        let found = pairs(b"a=b+c&d&=e&&f=%2525%2B", 9).unwrap();
        let expected = [("a", "b c"), ("d", ""), ("", "e"), ("f", "%25+")];
        let expected = expected.map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn broken_encodings_are_refused() {
        for text in ["%", "%4", "a=%zz", "a=%ff", "%C3=1"] {
            assert_eq!(pairs(text.as_bytes(), 9), Err(FormFault::Encoding), "{text}");
        }
        assert_eq!(pairs(b"a&b&c", 2), Err(FormFault::TooMany));
    }
}
