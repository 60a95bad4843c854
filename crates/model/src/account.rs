//! Accounts: the unit of ownership and of separation (claim C-12).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// A customer's account: 12 decimal digits, as in every ARN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(u64);

impl AccountId {
    /// The installation itself: what belongs to no customer (persons, the roster) is stored under it,
    /// and its events lie in the operator log. It is never a customer's account.
    pub const PLATFORM: AccountId = AccountId(0);

    const LIMIT: u64 = 1_000_000_000_000;

    /// The account with this number, if it has at most 12 digits.
    pub const fn from_number(number: u64) -> Option<AccountId> {
        if number < AccountId::LIMIT { Some(AccountId(number)) } else { None }
    }

    /// The account as a number below 10^12.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl FromStr for AccountId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<AccountId, ParseError> {
        let error = || ParseError::new(text, "an account id of 12 digits");
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        text.parse().map(AccountId).map_err(|_| error())
    }
}

impl TryFrom<String> for AccountId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<AccountId, ParseError> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> String {
        account.to_string()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_of_twelve_digits_round_trips() {
        for text in ["123456789012", "000000000001"] {
            assert_eq!(text.parse::<AccountId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn account_of_other_forms_is_refused() {
        for text in ["", "12345678901", "1234567890123", "12345678901a", "+23456789012"] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
    }
}
