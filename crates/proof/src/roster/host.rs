//! Managed hosts, and whose data they hold.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use writ_model::{AccountId, ParseError};

use super::{HostName, refused};
use crate::at_most::AtMost;
use crate::cbor::{CborError, Decode, Encode, Reader, Writer};
use crate::error::Error;
use crate::limits;
use crate::sshsig::SshPublicKey;
use crate::{cbor_enum, cbor_map};

/// Where sshd listens unless somebody says otherwise (RFC 4253 section 4.1).
const SSH_PORT: u16 = 22;

/// One managed host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name in the roster.
    pub name: HostName,
    /// Where its sshd listens: a DNS name or IP address, and a port after `:` where it is not 22.
    pub address: String,
    /// sshd's own key.
    pub key: SshPublicKey,
    /// The customers whose data it holds.
    pub accounts: Accounts,
}
cbor_map!(Host { 1: name, 2: address, 3: key, 4: accounts });

/// Whose data a host holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Accounts {
    /// Anybody's: also what is said of a host that nobody has mapped.
    #[default]
    All,
    /// Only these customers'; nobody's if the list is empty.
    Only(AtMost<AccountId, { limits::HOST_MAX_ACCOUNTS }>),
}
cbor_enum!(Accounts { 0: All, 1: Only(_) });

impl Accounts {
    /// True unless there is no customer's data on the host.
    pub fn any(&self) -> bool {
        match self {
            Accounts::All => true,
            Accounts::Only(accounts) => !accounts.0.is_empty(),
        }
    }
}

impl Host {
    /// Its address with a port: 22 where none is named.
    pub fn socket(&self) -> String {
        with_port(&self.address)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let bad = |why: &str| refused(format!("the host `{}`: {why}", self.name));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if self.address.is_empty()
            || self.address.len() > limits::HOST_ADDRESS_MAX_BYTES
            || !self.address.chars().all(fits)
        {
            return bad("its address is no DNS name or IP address with a port");
        }
        if self.key.is_hardware() {
            return bad("the key of a host is an ssh-ed25519 or ecdsa-sha2-nistp256 key");
        }
        if let Accounts::Only(accounts) = &self.accounts {
            let unique: BTreeSet<_> = accounts.0.iter().collect();
            if unique.len() != accounts.0.len() || unique.contains(&AccountId::PLATFORM) {
                return bad("an account is named twice, or is no customer's");
            }
        }
        Ok(())
    }
}

fn with_port(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, SSH_PORT).to_string(),
        Err(_) if address.contains(':') => address.to_owned(),
        Err(_) => format!("{address}:{SSH_PORT}"),
    }
}

/// A host by its name, or several by a name in which `*` stands for any characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPattern(String);

impl HostPattern {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the pattern names this host.
    pub fn matches(&self, host: &HostName) -> bool {
        matches_pattern(&self.0, host.as_str())
    }
}

/// True if `text` is `pattern`, in which `*` stands for any characters.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

impl FromStr for HostPattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<HostPattern, ParseError> {
        let one = text.replace('*', "0");
        if !one.is_empty() && writ_model::person::is_name(&one) {
            Ok(HostPattern(text.to_owned()))
        } else {
            Err(ParseError::new(text, "a host's name, or a pattern of one with `*`"))
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Encode for HostPattern {
    fn encode(&self, writer: &mut Writer) {
        writer.text(&self.0);
    }
}

impl Decode for HostPattern {
    fn decode(reader: &mut Reader<'_>) -> Result<HostPattern, CborError> {
        reader.text()?.parse().map_err(|_| reader.invalid("a pattern of host names"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_without_a_port_has_22() {
        let table = [
            ("web-1.internal", "web-1.internal:22"),
            ("web-1.internal:2222", "web-1.internal:2222"),
            ("10.0.0.7", "10.0.0.7:22"),
            ("10.0.0.7:2222", "10.0.0.7:2222"),
            ("fd00::7", "[fd00::7]:22"),
            ("[fd00::7]:2222", "[fd00::7]:2222"),
        ];
        for (address, expected) in table {
            assert_eq!(with_port(address), expected);
        }
    }

    #[test]
    fn host_pattern_matches_as_a_glob_does() {
        let table = [
            ("web-1", "web-1", true),
            ("web-1", "web-11", false),
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-*", "db-1", false),
            ("*", "anything", true),
            ("*-eu", "db-eu", true),
            ("*-eu", "db-eu1", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            // The head and the tail do not share characters.
            ("ab*b", "ab", false),
            ("a**b", "ab", true),
        ];
        for (pattern, host, expected) in table {
            let pattern: HostPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&host.parse().unwrap()), expected, "{pattern} {host}");
        }
        for text in ["", "A", "a?", "a b", "-a"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
