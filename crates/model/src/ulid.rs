//! ULIDs: ids that people read, say and sort.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Env, ParseError, Timestamp};

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARS: usize = 26;

/// A ULID: 48 bits of time in milliseconds and 80 random bits, written as 26 characters of Crockford's
/// base 32 in upper case. Requests and sessions have them; who makes one decides it, so nothing rests on
/// its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ulid([u8; 16]);

impl Ulid {
    /// A new one.
    pub fn new(env: &dyn Env) -> Ulid {
        let mut bytes = env.nonce().0;
        let (time, _) = bytes.split_at_mut(6);
        time.copy_from_slice(env.now().millis().to_be_bytes().split_at(2).1);
        Ulid(bytes)
    }

    /// The one of these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Ulid {
        Ulid(bytes)
    }

    /// Its 16 bytes.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// When it was made, by its maker's word.
    pub fn time(self) -> Timestamp {
        let time = self.0.iter().take(6).fold(0, |high, byte| (high << 8) | u64::from(*byte));
        Timestamp::from_millis(time)
    }
}

impl FromStr for Ulid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Ulid, ParseError> {
        let error =
            || ParseError::new(text, "an id of 26 characters such as 01JD8Z3X5QJ6T4W0RZV9K2M7AB");
        if text.len() != CHARS || text.as_bytes().first().is_none_or(|first| *first > b'7') {
            return Err(error());
        }
        let mut number = 0u128;
        for c in text.bytes() {
            let digit = ALPHABET.iter().position(|known| *known == c).ok_or_else(error)?;
            number = (number << 5) | digit as u128;
        }
        Ok(Ulid(number.to_be_bytes()))
    }
}

impl TryFrom<String> for Ulid {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Ulid, ParseError> {
        text.parse()
    }
}

impl From<Ulid> for String {
    fn from(id: Ulid) -> String {
        id.to_string()
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.0);
        (0..CHARS).rev().try_for_each(|at| {
            let digit = (number >> (5 * at)) & 31;
            let c = ALPHABET.get(usize::try_from(digit).unwrap_or_default()).copied();
            write!(f, "{}", char::from(c.unwrap_or(b'0')))
        })
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEnv;

    #[test]
    fn ulid_is_written_and_read_the_same() {
        // The example of the specification.
        let id: Ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        assert_eq!(id.to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert_eq!(id.time().millis(), 1_469_922_850_259);
        let most = Ulid::from_bytes([255; 16]);
        assert_eq!(most.to_string(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        let before = SystemEnv.now();
        let new = Ulid::new(&SystemEnv);
        assert!(new.time() >= before && new.time() <= SystemEnv.now());
        assert_eq!(new.to_string().parse::<Ulid>().unwrap(), new);
        assert_ne!(new, Ulid::new(&SystemEnv));
    }

    #[test]
    fn text_that_is_no_ulid_is_refused() {
        for text in [
            "",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01arz3ndektsv4rrffq69g5fav",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "01ARZ3NDEKTSV4RRFFQ69G5FA\u{e9}",
        ] {
            assert!(text.parse::<Ulid>().is_err(), "{text}");
        }
    }
}
