//! What an agent is told to run once, and what it says became of it.

use writ_model::{PersonId, Timestamp, Ulid};

use super::{Entry, RUNBOOK_VERSION, Setting};
use crate::at_most::AtMost;
use crate::cbor::{self, Version};
use crate::ed25519::{PublicKey, Signature, Signer};
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::origin::SiteId;
use crate::roster::HostName;
use crate::{cbor_enum, cbor_map};

/// What is signed begins with this.
const LABEL: &[u8] = b"writ-run-order-v1";

/// What an agent is told to run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrder {
    /// The format's version.
    pub v: Version<RUNBOOK_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// Names the run; an agent runs one once.
    pub run: Ulid,
    /// SHA-256 of the signed request: names the grant. An agent runs one once, too.
    pub grant: Hash,
    /// On whose request.
    pub person: PersonId,
    /// [`Entry::digest`].
    pub entry: Hash,
    /// What it is told.
    pub settings: AtMost<Setting, { limits::RUNBOOK_MAX_PARAMETERS }>,
    /// Where.
    pub host: HostName,
    /// It does not begin before.
    pub not_before: Timestamp,
    /// It begins before this time, and is killed at it.
    pub not_after: Timestamp,
}
cbor_map!(RunOrder {
    1: v,
    2: site,
    3: run,
    4: grant,
    5: person,
    6: entry,
    7: settings,
    8: host,
    9: not_before,
    10: not_after,
});

/// An order with keyd's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOrder {
    /// The order's bytes, as they were signed.
    pub order: Vec<u8>,
    /// The signature of keyd's key for run orders, which genesis names.
    pub signature: Signature,
}
cbor_map!(SignedOrder { 1: order, 2: signature });

impl RunOrder {
    /// Signs it.
    pub fn sign(&self, signer: &dyn Signer) -> Result<SignedOrder, Error> {
        let order = cbor::to_vec(self);
        let signature = signer.sign(&message(&order))?;
        Ok(SignedOrder { order, signature })
    }

    /// Fails unless the order is for this entry, with values that it takes. Answers the program's arguments.
    pub fn arguments(&self, entry: &Entry) -> Result<Vec<String>, Error> {
        if self.entry == entry.digest() && self.site == entry.site {
            entry.check()?;
            return entry.arguments(&self.settings.0);
        }
        Err(Error::Refused { what: "run order", why: "it is for another entry".to_owned() })
    }
}

impl SignedOrder {
    /// The order, if `key` has signed it.
    pub fn verify(&self, key: &PublicKey) -> Result<RunOrder, Error> {
        if key.verifies(&message(&self.order), &self.signature) {
            return cbor::from_slice(&self.order).map_err(Into::into);
        }
        Err(Error::Refused { what: "run order", why: "keyd has not signed it".to_owned() })
    }
}

fn message(order: &[u8]) -> Vec<u8> {
    [LABEL, order].concat()
}

/// What an agent says of the end of a run: words of closed lists, and values that the entry's schema is asked about
/// once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The format's version.
    pub v: Version<RUNBOOK_VERSION>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it is [`Outcome::Ok`].
    pub cause: Option<Cause>,
    /// The field of the schema that was wrong.
    pub field: Option<String>,
    /// What it answered: the JSON that [`super::Answer::to_json`] makes.
    pub answer: Option<String>,
}
cbor_map!(Ended { 1: v, 2: outcome, 3: opt cause, 4: opt field, 5: opt answer });

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The program ended with an exit code other than 0, or could not be started.
    Failed,
    /// It was killed: its grant ended, or the agent went down while it ran.
    Killed,
    /// It did its work.
    Ok,
    /// The agent did not run the order, or did not let its output out.
    Refused,
    /// It was killed at its deadline.
    Timeout,
}
cbor_enum!(Outcome { 0: Ok, 1: Failed, 2: Refused, 3: Timeout, 4: Killed });

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 5] =
        [Outcome::Failed, Outcome::Killed, Outcome::Ok, Outcome::Refused, Outcome::Timeout];

    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Failed => "failed",
            Outcome::Killed => "killed",
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Timeout => "timeout",
        }
    }
}

/// Why a run did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// keyd has not signed the order, or it is not for the entry that came with it.
    BadOrder,
    /// Its window is over, or has not begun.
    Expired,
    /// Its grant ended while it ran.
    GrantEnded,
    /// The host cannot keep the entry's limits, or has no such user.
    NoIsolation,
    /// The host has no such program, or another one under its name.
    OtherProgram,
    /// The order is for another host.
    OtherHost,
    /// What the program wrote is not what its schema allows.
    OutputRefused,
    /// The agent has seen the order, or another one of its grant, before.
    Replayed,
    /// The agent went down while it ran.
    Restarted,
}
cbor_enum!(Cause {
    0: BadOrder,
    1: Expired,
    2: GrantEnded,
    3: NoIsolation,
    4: OtherProgram,
    5: OtherHost,
    6: OutputRefused,
    7: Replayed,
    8: Restarted,
});

impl Cause {
    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::BadOrder => "bad_order",
            Cause::Expired => "expired",
            Cause::GrantEnded => "grant_ended",
            Cause::NoIsolation => "no_isolation",
            Cause::OtherProgram => "other_program",
            Cause::OtherHost => "other_host",
            Cause::OutputRefused => "output_refused",
            Cause::Replayed => "replayed",
            Cause::Restarted => "restarted",
        }
    }
}
