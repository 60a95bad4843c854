//! The ledger's logs, as a record names its targets.

use std::fmt;
use std::str::FromStr;

use writ_model::{AccountId, ParseError};

/// A log that a record goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogName {
    /// All events that one account may see.
    Account(AccountId),
    /// Operators' actions, configuration, unauthenticated calls.
    Operator,
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogName::Account(account) => write!(f, "account/{account}"),
            LogName::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for LogName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<LogName, ParseError> {
        match text {
            "operator" => Ok(LogName::Operator),
            _ => text
                .strip_prefix("account/")
                .and_then(|account| account.parse().ok())
                .map(LogName::Account)
                .ok_or_else(|| ParseError::new(text, "the name of a log")),
        }
    }
}
