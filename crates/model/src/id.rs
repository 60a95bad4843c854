//! Identifiers that Writ makes: access keys, unique ids, key ids, UUIDs and random nonces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AccountId, Env, ParseError};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// 128 random bits, printed as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A UUID in its lower-case text form, as request ids, event ids and key ids are (RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// A random UUID (version 4).
    pub fn random(env: &dyn Env) -> Uuid {
        let mut bytes = env.nonce().0;
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }

    /// The UUID of these 16 bytes, whatever their version.
    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// Its 16 bytes.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl FromStr for Uuid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Uuid, ParseError> {
        let error = || ParseError::new(text, "a UUID in lower case");
        let dashes = [8, 13, 18, 23];
        if text.len() != 36 {
            return Err(error());
        }
        let mut nibbles = [0u8; 32];
        let mut slots = nibbles.iter_mut();
        for (at, c) in text.bytes().enumerate() {
            if dashes.contains(&at) {
                if c != b'-' {
                    return Err(error());
                }
                continue;
            }
            let slot = slots.next().ok_or_else(error)?;
            *slot = match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                _ => return Err(error()),
            };
        }
        let mut bytes = [0u8; 16];
        for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |high, low| (high << 4) | low);
        }
        Ok(Uuid(bytes))
    }
}

impl TryFrom<String> for Uuid {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Uuid, ParseError> {
        text.parse()
    }
}

impl From<Uuid> for String {
    fn from(uuid: Uuid) -> String {
        uuid.to_string()
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a KMS key: a UUID, or `mrk-` and 32 hexadecimal digits for a multi-Region key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// A new random key id.
    pub fn random(env: &dyn Env) -> KeyId {
        KeyId(Uuid::random(env).to_string())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<KeyId, ParseError> {
        let hex = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let multi_region =
            text.strip_prefix("mrk-").is_some_and(|rest| rest.len() == 32 && hex(rest));
        if multi_region || text.parse::<Uuid>().is_ok() {
            Ok(KeyId(text.to_owned()))
        } else {
            Err(ParseError::new(text, "a key id (a UUID, or `mrk-` and 32 hexadecimal digits)"))
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<KeyId, ParseError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an IAM unique id or access key id stands for; the prefix says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UniqueIdKind {
    /// `AGPA`: a group.
    Group,
    /// `AIPA`: an instance profile.
    InstanceProfile,
    /// `ANPA`: a managed policy.
    Policy,
    /// `ANVA`: a version of a managed policy.
    PolicyVersion,
    /// `AROA`: a role.
    Role,
    /// `AIDA`: a user.
    User,
}

impl UniqueIdKind {
    /// The four letters with which such an id begins.
    pub const fn prefix(self) -> &'static str {
        match self {
            UniqueIdKind::Group => "AGPA",
            UniqueIdKind::InstanceProfile => "AIPA",
            UniqueIdKind::Policy => "ANPA",
            UniqueIdKind::PolicyVersion => "ANVA",
            UniqueIdKind::Role => "AROA",
            UniqueIdKind::User => "AIDA",
        }
    }
}

/// An IAM unique id: a prefix and 17 base-32 characters (AWS, "IAM identifiers").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UniqueId(String);

impl UniqueId {
    /// A new random id of this kind.
    pub fn random(kind: UniqueIdKind, env: &dyn Env) -> UniqueId {
        let random = env.nonce().0;
        let body: String =
            random.iter().chain([&random[0]]).map(|b| base32(u64::from(*b))).collect();
        UniqueId(format!("{}{body}", kind.prefix()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UniqueId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<UniqueId, ParseError> {
        let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        if (16..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(UniqueId(text.to_owned()))
        } else {
            Err(ParseError::new(text, "an IAM unique id such as AIDA…"))
        }
    }
}

impl TryFrom<String> for UniqueId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<UniqueId, ParseError> {
        text.parse()
    }
}

impl From<UniqueId> for String {
    fn from(id: UniqueId) -> String {
        id.0
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An access key id: `AKIA` (long-term) or `ASIA` (session) and 16 base-32 characters.
///
/// The first 48 bits of the decoded characters hold the account id, shifted left by 7, so that
/// public decoders of AWS access keys read the right account from ours.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(String);

impl AccessKeyId {
    /// A new long-term key id of `account`.
    pub fn long_term(account: AccountId, env: &dyn Env) -> AccessKeyId {
        AccessKeyId::make("AKIA", account, env)
    }

    /// A new session key id of `account`.
    pub fn session(account: AccountId, env: &dyn Env) -> AccessKeyId {
        AccessKeyId::make("ASIA", account, env)
    }

    /// True for a key of a temporary session.
    pub fn is_session(&self) -> bool {
        self.0.starts_with("ASIA")
    }

    /// The account that the id itself names; ids of foreign makers may name none.
    pub fn account(&self) -> Option<AccountId> {
        let body = self.0.get(4..14)?;
        let mut bits: u64 = 0;
        for c in body.bytes() {
            let value = BASE32.iter().position(|b| *b == c)?;
            bits = (bits << 5) | u64::try_from(value).ok()?;
        }
        // 10 characters are 50 bits; the account is in the first 48, below a marker bit.
        let first48 = bits >> 2;
        AccountId::from_number((first48 & 0x7fff_ffff_ffff) >> 7)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn make(prefix: &str, account: AccountId, env: &dyn Env) -> AccessKeyId {
        let random = u128::from_be_bytes(env.nonce().0);
        // 80 bits: one marker bit, 40 bits of account, 39 random ones.
        let value =
            (1u128 << 79) | (u128::from(account.number()) << 39) | (random & ((1 << 39) - 1));
        let body: String = (0..16)
            .map(|i| base32(u64::try_from((value >> (75 - 5 * i)) & 31).unwrap_or(0)))
            .collect();
        AccessKeyId(format!("{prefix}{body}"))
    }
}

impl FromStr for AccessKeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<AccessKeyId, ParseError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if (16..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(AccessKeyId(text.to_owned()))
        } else {
            Err(ParseError::new(text, "an access key id of 16 to 128 letters and digits"))
        }
    }
}

impl TryFrom<String> for AccessKeyId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<AccessKeyId, ParseError> {
        text.parse()
    }
}

impl From<AccessKeyId> for String {
    fn from(id: AccessKeyId) -> String {
        id.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn base32(value: u64) -> char {
    let index = usize::try_from(value & 31).unwrap_or(0);
    char::from(BASE32.get(index).copied().unwrap_or(b'A'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::TestEnv;
    use crate::{SystemEnv, Timestamp};

    #[test]
    fn access_key_id_names_its_account() {
        let env = SystemEnv;
        for number in [0, 1, 123_456_789_012, 999_999_999_999] {
            let account = AccountId::from_number(number).unwrap();
            let id = AccessKeyId::long_term(account, &env);
            assert_eq!(id.as_str().len(), 20);
            assert_eq!(id.account(), Some(account), "{id}");
            assert!(AccessKeyId::session(account, &env).is_session());
        }
    }

    #[test]
    fn access_key_id_of_aws_decodes_as_documented() {
        // The example of AWS's GetAccessKeyInfo decoders: ASIAQNZGKIQY56JQ7WML belongs to 029608264753.
        let id: AccessKeyId = "ASIAQNZGKIQY56JQ7WML".parse().unwrap();
        assert_eq!(id.account().unwrap().to_string(), "029608264753");
    }

    #[test]
    fn uuid_round_trips_and_is_version_4() {
        let env = TestEnv::new(Timestamp::from_secs(0), 7);
        let uuid = Uuid::random(&env);
        let text = uuid.to_string();
        assert_eq!(text.parse::<Uuid>().unwrap(), uuid);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!("g0000000-0000-4000-8000-000000000000".parse::<Uuid>().is_err());
    }

    #[test]
    fn unique_id_has_twenty_one_characters() {
        let id = UniqueId::random(UniqueIdKind::User, &SystemEnv);
        assert_eq!(id.as_str().len(), 21);
        assert!(id.as_str().starts_with("AIDA"));
    }
}
