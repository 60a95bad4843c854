//! People, and the form that their ids share with the names of groups and hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// Characters of a name at most.
pub const NAME_MAX_CHARS: usize = 64;

/// True for 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, of which the first is a letter or digit.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = text.bytes();
    text.len() <= NAME_MAX_CHARS
        && bytes.next().is_some_and(plain)
        && bytes.all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
}

/// A human being, by the opaque id of the feed that names them; it is never used again for another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonId(String);

impl PersonId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<PersonId, ParseError> {
        let expected = "a person's id: 1 to 64 characters a-z, 0-9, `.`, `_`, `-`, beginning with a \
                        letter or digit";
        if is_name(text) {
            Ok(PersonId(text.to_owned()))
        } else {
            Err(ParseError::new(text, expected))
        }
    }
}

impl TryFrom<String> for PersonId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<PersonId, ParseError> {
        text.parse()
    }
}

impl From<PersonId> for String {
    fn from(person: PersonId) -> String {
        person.0
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn person_id_has_one_form() {
        for text in ["p", "founder-1", "e.1_b-c", "0042", &"a".repeat(64)] {
            assert_eq!(text.parse::<PersonId>().unwrap().as_str(), text);
        }
        for text in ["", "-a", ".a", "A", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(text.parse::<PersonId>().is_err(), "{text}");
        }
    }
}
