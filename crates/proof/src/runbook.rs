//! Runbooks: what an operator lets a host do without entering it, and what the host may answer.
//!
//! A catalogue [`Entry`] is a statement that people sign; it never changes, a change is a new version. It
//! says which program runs, with which arguments, and what its answer may be: typed values alone, each of
//! which can tell only so many bits. Free text goes neither in nor out.

mod output;
mod parameter;

use std::collections::BTreeSet;

use writ_model::{PersonId, Timestamp, Ulid};

use crate::at_most::AtMost;
use crate::cbor::Version;
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::origin::SiteId;
use crate::roster::{GroupName, HostName, RunbookName, is_login};
use crate::statement::{Namespace, Statement};
use crate::{cbor_enum, cbor_map};

pub use output::{Answer, AnswerValue, Field, FieldKind, Output, Steps};
pub use parameter::{Argument, Parameter, ParameterKind, Setting, Value};

/// The version of entries and run orders that this build writes and reads.
pub const RUNBOOK_VERSION: u64 = 1;

const ENTRY: &str = "catalogue entry";

/// One version of one runbook: the body of a `catalogue@writ` statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The format's version.
    pub v: Version<RUNBOOK_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// Its name.
    pub name: RunbookName,
    /// Counts from 1.
    pub version: u64,
    /// What people call it.
    pub title: String,
    /// What it does, for the customers.
    pub description: String,
    /// How far it can reach.
    pub class: Class,
    /// The permission group whose members may ask for it, and whose rule says who approves.
    pub group: GroupName,
    /// What it is told.
    pub parameters: AtMost<Parameter, { limits::RUNBOOK_MAX_PARAMETERS }>,
    /// SHA-256 of the program.
    pub program: Hash,
    /// Its arguments, in order.
    pub arguments: AtMost<Argument, { limits::RUNBOOK_MAX_ARGUMENTS }>,
    /// The host's user that it runs as.
    pub run_as: String,
    /// How long it may run, in seconds.
    pub seconds: u32,
    /// How much memory it may use, in MiB.
    pub memory_mib: u32,
    /// What it may answer.
    pub output: Output,
    /// When it was made, by its maker's word.
    pub created: Timestamp,
}
cbor_map!(Entry {
    1: v,
    2: site,
    3: name,
    4: version,
    5: title,
    6: description,
    7: class,
    8: group,
    9: parameters,
    10: program,
    11: arguments,
    12: run_as,
    13: seconds,
    14: memory_mib,
    15: output,
    16: created,
});

impl Statement for Entry {
    const NAMESPACE: Namespace = Namespace::Catalogue;
}

/// How far a runbook can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It acts on a customer's resource.
    Customer,
    /// It reads the health of the platform.
    Health,
    /// It changes the platform's state, and cannot touch customers' data.
    Platform,
}
cbor_enum!(Class { 0: Health, 1: Platform, 2: Customer });

/// What an agent is told to run once: keyd signs it under a key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrder {
    /// The format's version.
    pub v: Version<RUNBOOK_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// Names the run; an agent runs one once.
    pub run: Ulid,
    /// SHA-256 of the signed request: names the grant.
    pub grant: Hash,
    /// On whose request.
    pub person: PersonId,
    /// SHA-256 of the signed entry.
    pub entry: Hash,
    /// What it is told.
    pub settings: AtMost<Setting, { limits::RUNBOOK_MAX_PARAMETERS }>,
    /// Where.
    pub host: HostName,
    /// Until when it may begin, and by when it is killed.
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
    9: not_after,
});

impl RunOrder {
    /// What keyd signs: a label, and the order.
    pub fn message(&self) -> Vec<u8> {
        [b"writ-run-order-v1".as_slice(), &crate::cbor::to_vec(self)].concat()
    }
}

impl Entry {
    /// Fails unless the entry makes sense by itself.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |why: &str| Err(Error::Refused { what: ENTRY, why: why.to_owned() });
        let text = |text: &str, most| !text.is_empty() && text.len() <= most;
        if self.version == 0 {
            return bad("its version counts from 1");
        }
        if !text(&self.title, limits::GROUP_TITLE_MAX_BYTES)
            || !text(&self.description, limits::RUNBOOK_DESCRIPTION_MAX_BYTES)
        {
            return bad("its title or description is empty or too long");
        }
        if !is_login(&self.run_as) {
            return bad("it runs as no user of a host");
        }
        if self.seconds == 0 || self.seconds > limits::RUNBOOK_MAX_SECONDS || self.memory_mib == 0 {
            return bad("it has no time or no memory, or runs for more than an hour");
        }
        let names: BTreeSet<&str> = self.parameters.0.iter().map(|p| p.name.as_str()).collect();
        if names.len() != self.parameters.0.len() {
            return bad("two parameters have one name");
        }
        for parameter in &self.parameters.0 {
            parameter.check().or_else(bad)?;
        }
        for argument in &self.arguments.0 {
            argument.check(&names).or_else(bad)?;
        }
        self.output.check().or_else(bad)
    }

    /// The program's arguments for these settings: one for every parameter, of its type.
    pub fn arguments(&self, settings: &[Setting]) -> Result<Vec<String>, Error> {
        parameter::arguments(&self.parameters.0, &self.arguments.0, settings)
    }
}

#[cfg(test)]
#[path = "tests/runbook.rs"]
mod tests;
