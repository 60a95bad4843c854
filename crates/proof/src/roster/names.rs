//! Names of groups, slots, hosts and runbooks.

use std::fmt;
use std::str::FromStr;

use writ_model::ParseError;
use writ_model::person::is_name;

use crate::cbor::{CborError, Decode, Encode, Reader, Writer};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<$name, ParseError> {
                let expected = concat!(
                    $what,
                    ": 1 to 64 characters a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit"
                );
                if is_name(text) {
                    Ok($name(text.to_owned()))
                } else {
                    Err(ParseError::new(text, expected))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.text(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<$name, CborError> {
                reader.text()?.parse().map_err(|_| reader.invalid($what))
            }
        }
    )*};
}
names! {
    /// A permission group.
    GroupName: "a group's name";
    /// A slot of a group's rule.
    SlotName: "a slot's name";
    /// A managed host.
    HostName: "a host's name";
    /// A runbook.
    RunbookName: "a runbook's name";
}
