//! Which logs there are, and their names (C2SP calls a log's name its origin).

use std::fmt;
use std::str::FromStr;

use writ_model::{AccountId, ParseError};

use crate::cbor::{CborError, Decode, Encode, Reader, Writer};
use crate::limits;

/// The name of an installation: 1 to 64 of `a-z`, `0-9`, `-` and `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(String);

impl SiteId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<SiteId, ParseError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if (1..=limits::SITE_ID_MAX_CHARS).contains(&text.len()) && text.bytes().all(fits) {
            Ok(SiteId(text.to_owned()))
        } else {
            Err(ParseError::new(text, "a site id of 1 to 64 characters a-z, 0-9, `-` and `.`"))
        }
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Encode for SiteId {
    fn encode(&self, writer: &mut Writer) {
        writer.text(&self.0);
    }
}

impl Decode for SiteId {
    fn decode(reader: &mut Reader<'_>) -> Result<SiteId, CborError> {
        reader.text()?.parse().map_err(|_| reader.invalid("a site id"))
    }
}

/// One log of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogName {
    /// All events that one account may see.
    Account(AccountId),
    /// The log of logs: heads of every other log. keyd signs it, witnesses cosign it.
    Checkpoint,
    /// Events of managed hosts, sequenced and signed by watch.
    Host,
    /// Statements, grants, operators' actions, configuration, unauthenticated calls. keyd signs it.
    Operator,
}
crate::cbor_enum!(LogName { 0: Operator, 1: Account(_), 2: Checkpoint, 3: Host });

impl LogName {
    /// True for the logs whose checkpoints keyd signs; an account log is proven through the
    /// checkpoint log, and the host log is watch's.
    pub const fn is_signed_by_keyd(self) -> bool {
        matches!(self, LogName::Checkpoint | LogName::Operator)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogName::Account(account) => write!(f, "account/{account}"),
            LogName::Checkpoint => f.write_str("checkpoint"),
            LogName::Host => f.write_str("host"),
            LogName::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for LogName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<LogName, ParseError> {
        match text {
            "checkpoint" => Ok(LogName::Checkpoint),
            "host" => Ok(LogName::Host),
            "operator" => Ok(LogName::Operator),
            _ => text
                .strip_prefix("account/")
                .and_then(|account| account.parse().ok())
                .map(LogName::Account)
                .ok_or_else(|| ParseError::new(text, "the name of a log")),
        }
    }
}

/// The full name of a log, as its checkpoints carry it: `writ/<site>/account/123456789012`, and
/// with a shard `writ/<site>/account/123456789012/shard-2`. Shard 0 is the first and has no suffix;
/// a log that had to be abandoned, or became too large, goes on in the next one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The installation.
    pub site: SiteId,
    /// The log.
    pub log: LogName,
    /// The shard, 0 for the first.
    pub shard: u32,
}

impl Origin {
    /// The first shard of `log`.
    pub fn new(site: SiteId, log: LogName) -> Origin {
        Origin { site, log, shard: 0 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writ/{}/{}", self.site, self.log)?;
        if self.shard == 0 { Ok(()) } else { write!(f, "/shard-{}", self.shard) }
    }
}

impl FromStr for Origin {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Origin, ParseError> {
        let error = || ParseError::new(text, "an origin such as writ/<site>/operator");
        let rest = text.strip_prefix("writ/").ok_or_else(error)?;
        let (site, rest) = rest.split_once('/').ok_or_else(error)?;
        let (log, shard) = match rest.split_once("/shard-") {
            Some((log, shard)) => (log, shard.parse().map_err(|_| error())?),
            None => (rest, 0),
        };
        let origin = Origin {
            site: site.parse().map_err(|_| error())?,
            log: log.parse().map_err(|_| error())?,
            shard,
        };
        // One text for one origin: no `shard-0`, no leading zeros.
        if origin.to_string() == text { Ok(origin) } else { Err(error()) }
    }
}

impl Encode for Origin {
    fn encode(&self, writer: &mut Writer) {
        writer.text(&self.to_string());
    }
}

impl Decode for Origin {
    fn decode(reader: &mut Reader<'_>) -> Result<Origin, CborError> {
        reader.text()?.parse().map_err(|_| reader.invalid("an origin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_round_trips() {
        for text in [
            "writ/dev-1/operator",
            "writ/a/checkpoint",
            "writ/a.b/host/shard-12",
            "writ/x/account/123456789012",
            "writ/x/account/123456789012/shard-1",
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn origin_of_other_forms_is_refused() {
        for text in [
            "",
            "writ/",
            "writ//operator",
            "writ/a/account/1",
            "writ/a/operator/shard-0",
            "writ/a/operator/shard-01",
            "writ/a/operator/shard-+1",
            "writ/A/operator",
            "writ/a/operator/",
            "writ/a/operator\n",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
