//! The objects that the store holds, and their versioned JSON form.
//!
//! A stored body is `{"v":1,"body":{…}}`, which an auditor can read with any SQLite tool. Secrets
//! appear only as [`Blob`](crate::Blob)s that the key module has wrapped. An unknown version or field
//! is refused: it was written by a newer program, and guessing could drop a restriction.

mod access;
mod customer;
mod enrolment;
mod identity;
mod keys;
mod people;
mod roster;
mod runbook;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use writ_model::AccountId;

use crate::{StoreError, limits};

pub use access::{
    AccessApproval, AccessGrant, AccessRequest, EndReason, GrantEnd, RequestState, Ticket,
    TicketClosed,
};
pub use customer::{Consent, Lockbox, Support};
pub use enrolment::{Enrolment, Proposal};
pub use identity::{
    AccessKey, Account, Group, ManagedPolicy, PolicyVersion, Revocation, Role, User,
};
pub use keys::{Alias, Key};
pub use people::{
    Cleared, Employment, Gates, HrFeed, HrState, MassChange, Person, PersonState, PolicyAccepted,
    Reapproval, Receipt, ReceiptItem, Screening, Why,
};
pub use roster::RosterEntry;
pub use runbook::{Run, RunEnd, Runbook, Withdrawn};

/// The version of every body that this program writes, and the only one it reads.
pub const BODY_VERSION: u32 = 1;

/// A type of stored object.
pub trait Stored: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;

    /// Its id within account and kind. Names that are unique without regard to case are lowered.
    fn id(&self) -> String;
}

macro_rules! kinds {
    ($($variant:ident($text:literal, |$value:ident| $id:expr) $doc:literal;)*) => {
        /// What an object is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $doc] $variant,)* }

        impl Kind {
            /// Every kind, in order.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The name by which the database knows it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $text,)* }
            }
        }

        impl FromStr for Kind {
            type Err = StoreError;

            fn from_str(text: &str) -> Result<Kind, StoreError> {
                match text {
                    $($text => Ok(Kind::$variant),)*
                    _ => Err(StoreError::Corrupt {
                        what: format!("object kind `{text}` is unknown; it needs a newer program"),
                    }),
                }
            }
        }

        /// The content of an object; cheap to clone.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body { $(#[doc = $doc] $variant(Arc<$variant>),)* }

        impl Body {
            /// What it is.
            pub const fn kind(&self) -> Kind {
                match self { $(Body::$variant(_) => Kind::$variant,)* }
            }

            /// Its id within account and kind.
            pub fn id(&self) -> String {
                match self { $(Body::$variant(value) => value.id(),)* }
            }

            /// The JSON that is stored.
            pub fn encode(&self) -> Result<String, StoreError> {
                match self { $(Body::$variant(value) => write(value.as_ref()),)* }
            }

            /// Reads the JSON of an object of `kind`.
            pub fn decode(kind: Kind, json: &str) -> Result<Body, StoreError> {
                match kind {
                    $(Kind::$variant => read(kind, json).map(|v| Body::$variant(Arc::new(v))),)*
                }
            }
        }

        $(
            impl Stored for $variant {
                const KIND: Kind = Kind::$variant;

                fn id(&self) -> String {
                    let $value = self;
                    $id
                }
            }

            impl From<$variant> for Body {
                fn from(value: $variant) -> Body {
                    Body::$variant(Arc::new(value))
                }
            }
        )*
    };
}

kinds! {
    AccessApproval("approval", |a| AccessApproval::id_of(a.request, &a.approver)) "A human's decision on a request; its id is `REQUEST/PERSON`.";
    AccessGrant("grant", |g| g.request.to_string()) "What approvals made; its id is the request's.";
    AccessKey("access-key", |k| k.id.to_string()) "A long-term access key; its id is the key id.";
    AccessRequest("request", |r| r.id.to_string()) "A request for access; its id is a ULID.";
    Account("account", |a| a.id.to_string()) "The account itself; its id is the 12 digits.";
    Alias("alias", |a| a.arn.to_string()) "An alias of a KMS key; its id is the ARN.";
    Consent("consent", |c| c.request.to_string()) "What a customer has said of a request for access; its id is the request's.";
    Enrolment("enrolment", |e| e.id.clone()) "A link to enrol; its id is the SHA-256 of the token.";
    Group("group", |g| folded(&g.name)) "An IAM group; its id is the name in lower case.";
    HrFeed("hr-feed", |_feed| "feed".to_owned()) "What the HR feed last delivered; there is one.";
    Key("key", |k| k.arn.to_string()) "A KMS key; its id is the ARN.";
    Lockbox("lockbox", |_lockbox| "lockbox".to_owned()) "An account's lockbox; there is at most one.";
    ManagedPolicy("policy", |p| folded(&p.name)) "A managed policy; its id is the name in lower case.";
    Person("person", |p| p.id.clone()) "A human being of the operating side; its id is the person id.";
    Revocation("revocation", |r| r.subject.clone()) "Ended sessions; its id is the subject.";
    Role("role", |r| folded(&r.name)) "An IAM role; its id is the name in lower case.";
    RosterEntry("roster", |r| RosterEntry::id_of(r.seq)) "A statement of the roster; its id is its number in 20 digits.";
    Run("run", |r| r.id.to_string()) "A run of a runbook on one host; its id is a ULID.";
    Runbook("runbook", |r| Runbook::id_of(&r.name, r.version)) "One version of a runbook; its id is `NAME/VERSION`.";
    Support("support", |_support| "support".to_owned()) "Whether the support role is enabled; there is at most one.";
    Ticket("ticket", |t| t.id.clone()) "A ticket; its id is its own.";
    User("user", |u| folded(&u.name)) "An IAM user; its id is the name in lower case.";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name in the form in which IAM compares it: lower case (AWS, "IAM name requirements"; names
/// are ASCII).
pub fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Names one object. The account leads, so that accounts can be moved apart one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The owner.
    pub account: AccountId,
    /// What it is.
    pub kind: Kind,
    /// Its id within account and kind.
    pub id: String,
}

impl ObjectId {
    /// The object of type `T` with this id. The id of users, roles, groups and policies is their
    /// name in any case.
    pub fn of<T: Stored>(account: AccountId, id: &str) -> ObjectId {
        let id = match T::KIND {
            Kind::Group | Kind::ManagedPolicy | Kind::Role | Kind::User => folded(id),
            _ => id.to_owned(),
        };
        ObjectId { account, kind: T::KIND, id }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.account, self.kind, self.id)
    }
}

/// An object with its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The owner.
    pub account: AccountId,
    /// The content.
    pub body: Body,
}

impl Object {
    /// The object of `account` with this content.
    pub fn new(account: AccountId, body: impl Into<Body>) -> Object {
        Object { account, body: body.into() }
    }

    /// Its name.
    pub fn id(&self) -> ObjectId {
        ObjectId { account: self.account, kind: self.body.kind(), id: self.body.id() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    v: u32,
    body: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

fn write<T: Stored>(value: &T) -> Result<String, StoreError> {
    let corrupt = |what| StoreError::Corrupt { what };
    let json = serde_json::to_string(&Envelope { v: BODY_VERSION, body: value })
        .map_err(|e| corrupt(format!("{} `{}` cannot be written: {e}", T::KIND, value.id())))?;
    if json.len() > limits::BODY_MAX_BYTES {
        return Err(StoreError::TooLarge { what: "stored object", max: limits::BODY_MAX_BYTES });
    }
    Ok(json)
}

fn read<T: Stored>(kind: Kind, json: &str) -> Result<T, StoreError> {
    let corrupt = |what| StoreError::Corrupt { what };
    match serde_json::from_str::<Envelope<T>>(json) {
        Ok(envelope) if envelope.v == BODY_VERSION => Ok(envelope.body),
        Ok(Envelope { v, .. }) => Err(corrupt(newer(kind, v))),
        Err(error) => match serde_json::from_str::<VersionOnly>(json) {
            Ok(only) if only.v != BODY_VERSION => Err(corrupt(newer(kind, only.v))),
            _ => Err(corrupt(format!("a stored {kind} cannot be read: {error}"))),
        },
    }
}

fn newer(kind: Kind, version: u32) -> String {
    format!(
        "a stored {kind} has version {version}, this program reads version {BODY_VERSION}; start \
         the program that wrote it"
    )
}

#[cfg(test)]
#[path = "../tests/state.rs"]
mod tests;
