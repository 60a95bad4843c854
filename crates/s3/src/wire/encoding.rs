//! `encoding-type=url` of lists: every byte but unreserved ones and `/` is escaped.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const SET: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

/// How names appear in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// Percent-encoded.
    Url,
}

impl Encoding {
    /// Reads `encoding-type`; none if it has another value than `url`.
    pub fn parse(text: Option<&str>) -> Option<Encoding> {
        match text {
            None | Some("") => Some(Encoding::Plain),
            Some(name) if name.eq_ignore_ascii_case("url") => Some(Encoding::Url),
            Some(_) => None,
        }
    }

    /// The name as it appears.
    pub fn apply(self, name: &str) -> String {
        match self {
            Encoding::Plain => name.to_owned(),
            Encoding::Url => utf8_percent_encode(name, SET).to_string(),
        }
    }

    /// The value of the reply's `EncodingType`.
    pub fn name(self) -> Option<String> {
        (self == Encoding::Url).then(|| "url".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_encoding_escapes_all_but_unreserved() {
        assert_eq!(Encoding::Url.apply("a/b c+é%"), "a/b%20c%2B%C3%A9%25");
        assert_eq!(Encoding::Plain.apply("a b"), "a b");
        assert_eq!(Encoding::parse(Some("base64")), None);
    }
}
