//! Amazon Resource Names: `arn:partition:service:region:account:resource`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AccountId, ParseError};

/// The longest ARN that is accepted, in bytes (the models allow 2,048).
pub const ARN_MAX_BYTES: usize = 2048;

/// A complete ARN without wildcards. The text is kept as given; its parts are slices of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arn {
    text: String,
    /// Where the five first parts end; each is the index of a colon.
    ends: [u16; 5],
}

impl Arn {
    /// Builds an ARN of the partition `aws`. `account` is empty for S3, `region` for global services.
    pub fn build(service: &str, region: &str, account: Option<AccountId>, resource: &str) -> Arn {
        let account = account.map(|a| a.to_string()).unwrap_or_default();
        Arn::index(format!("arn:aws:{service}:{region}:{account}:{resource}"))
            .unwrap_or_else(|| Arn { text: "arn:aws::::".to_owned(), ends: [3, 7, 8, 9, 10] })
    }

    /// The ARN of a resource in IAM: `arn:aws:iam::ACCOUNT:RESOURCE`.
    pub fn iam(account: AccountId, resource: &str) -> Arn {
        Arn::build("iam", "", Some(account), resource)
    }

    /// `arn:aws:iam::ACCOUNT:root`, which stands for the account itself.
    pub fn root(account: AccountId) -> Arn {
        Arn::iam(account, "root")
    }

    /// The partition, for example `aws`.
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// The service, for example `kms`.
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The region, empty for global services.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account, if the part is one.
    pub fn account(&self) -> Option<AccountId> {
        self.part(4).parse().ok()
    }

    /// Everything after the fifth colon.
    pub fn resource(&self) -> &str {
        self.text.get(usize::from(self.ends[4]) + 1..).unwrap_or_default()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn part(&self, n: usize) -> &str {
        let at = |i: usize| self.ends.get(i).map_or(0, |end| usize::from(*end));
        self.text.get(at(n - 1) + 1..at(n)).unwrap_or_default()
    }

    fn index(text: String) -> Option<Arn> {
        if text.len() > ARN_MAX_BYTES {
            return None;
        }
        let mut colons = text.match_indices(':').map(|(at, _)| u16::try_from(at).ok());
        let mut ends = [0u16; 5];
        for end in &mut ends {
            *end = colons.next()??;
        }
        Some(Arn { text, ends })
    }
}

impl FromStr for Arn {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Arn, ParseError> {
        let error = || {
            ParseError::new(
                text,
                "an ARN of the form arn:partition:service:region:account:resource",
            )
        };
        let arn = Arn::index(text.to_owned()).ok_or_else(error)?;
        let account = arn.part(4);
        let account_fits = account.is_empty() || account == "aws" || arn.account().is_some();
        let complete =
            !arn.partition().is_empty() && !arn.service().is_empty() && !arn.resource().is_empty();
        if text.starts_with("arn:") && complete && account_fits { Ok(arn) } else { Err(error()) }
    }
}

impl TryFrom<String> for Arn {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Arn, ParseError> {
        text.parse()
    }
}

impl From<Arn> for String {
    fn from(arn: Arn) -> String {
        arn.text
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_with_colons_in_the_resource_keeps_them() {
        let arn: Arn = "arn:aws:logs:eu-west-1:123456789012:log-group:a:b".parse().unwrap();
        assert_eq!(arn.partition(), "aws");
        assert_eq!(arn.service(), "logs");
        assert_eq!(arn.region(), "eu-west-1");
        assert_eq!(arn.account().unwrap().to_string(), "123456789012");
        assert_eq!(arn.resource(), "log-group:a:b");
    }

    #[test]
    fn arn_of_an_object_has_no_account() {
        let arn: Arn = "arn:aws:s3:::bucket/key".parse().unwrap();
        assert_eq!(arn.account(), None);
        assert_eq!(arn.resource(), "bucket/key");
    }

    #[test]
    fn arn_of_other_forms_is_refused() {
        for text in
            ["", "arn", "arn:aws:s3:::", "arn::s3:::b", "urn:aws:s3:::b", "arn:aws:iam::12:root"]
        {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }

    #[test]
    fn arn_of_an_account_is_its_root() {
        let account = AccountId::from_number(1).unwrap();
        assert_eq!(Arn::root(account).as_str(), "arn:aws:iam::000000000001:root");
    }
}
