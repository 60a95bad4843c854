//! Runbooks: what an operator lets a host do without entering it, and what the host may answer.
//!
//! A catalogue [`Entry`] is a statement that people sign ([`Published`]); it never changes, a change is a new
//! version. It says which program runs, with which arguments, and what its answer may be: typed values alone, each
//! of which can tell only so many bits. Free text goes neither in nor out. Who asks for a run names the entry by its
//! digest and every value that it is told ([`RunScope`]); an agent runs it from one [`RunOrder`] that keyd has signed.

mod order;
mod output;
mod parameter;
mod published;

use std::collections::BTreeSet;

use writ_model::Timestamp;

use crate::access::hides;
use crate::at_most::AtMost;
use crate::cbor::Version;
use crate::error::Error;
use crate::hash::{Hash, sha256};
use crate::limits;
use crate::origin::SiteId;
use crate::roster::{GroupName, HostName, RunbookName, is_login};
use crate::statement::{Namespace, Statement};
use crate::{cbor_enum, cbor_map};

pub use order::{Cause, Ended, Outcome, RunOrder, SignedOrder};
pub use output::{Answer, AnswerValue, Field, FieldKind, Output, OutputRefused, Steps};
pub use parameter::{Argument, Parameter, ParameterKind, Setting, Value};
pub use published::Published;

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
    /// The permission group whose members may ask for it, whose owners answer for it, and whose rule says who
    /// approves.
    pub group: GroupName,
    /// What it is told.
    pub parameters: AtMost<Parameter, { limits::RUNBOOK_MAX_PARAMETERS }>,
    /// What runs.
    pub program: Program,
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

/// The program of a runbook: a file of the host, and what must be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its absolute path on the hosts.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: Hash,
}
cbor_map!(Program { 1: path, 2: digest });

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

impl Class {
    /// All of them.
    pub const ALL: [Class; 3] = [Class::Customer, Class::Health, Class::Platform];

    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Customer => "customer",
            Class::Health => "health",
            Class::Platform => "platform",
        }
    }

    /// What it means, in words for those who agree.
    pub const fn describe(self) -> &'static str {
        match self {
            Class::Customer => "acts on what is a customer's",
            Class::Health => "reads the platform's health, and changes nothing",
            Class::Platform => "changes the platform's state, and cannot touch customers' data",
        }
    }
}

/// Runs of one entry, as somebody asks for them: one on each host, with these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunScope {
    /// The hosts.
    pub hosts: AtMost<HostName, { limits::SCOPE_MAX_HOSTS }>,
    /// The runbook.
    pub runbook: RunbookName,
    /// Which version of it.
    pub version: u64,
    /// [`Entry::digest`].
    pub entry: Hash,
    /// The entry's, spelled out: it says whose data is at stake.
    pub class: Class,
    /// What it is told.
    pub settings: AtMost<Setting, { limits::RUNBOOK_MAX_PARAMETERS }>,
}
cbor_map!(RunScope { 1: hosts, 2: runbook, 3: version, 4: entry, 5: class, 6: settings });

impl Entry {
    /// What names it: SHA-256 of its body, whoever has signed it.
    pub fn digest(&self) -> Hash {
        sha256(&crate::cbor::to_vec(self))
    }

    /// Fails unless the entry makes sense by itself.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |why: &str| Err(Error::Refused { what: ENTRY, why: why.to_owned() });
        let text = |text: &str, most| !text.trim().is_empty() && text.len() <= most && !hides(text);
        if self.version == 0 {
            return bad("its version counts from 1");
        }
        if !text(&self.title, limits::GROUP_TITLE_MAX_BYTES)
            || !text(&self.description, limits::RUNBOOK_DESCRIPTION_MAX_BYTES)
        {
            return bad(
                "its title or description is empty, too long, or has characters that do not show",
            );
        }
        if !self.program.is_plain() {
            return bad("its program is no plain absolute path");
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

    /// What one run can tell at most, in bits.
    pub fn bits(&self) -> u32 {
        self.output.bits() + limits::RUNBOOK_END_BITS
    }

    /// Fails unless what is asked for is this entry, by a member of its group, with values that it takes.
    pub fn check_scope(&self, scope: &RunScope, group: &GroupName) -> Result<(), Error> {
        let bad = |why: String| Err(Error::Refused { what: "request", why });
        let same = scope.runbook == self.name
            && scope.version == self.version
            && scope.entry == self.digest()
            && scope.class == self.class;
        if !same {
            return bad(format!("it says something else of `{}` than the catalogue", self.name));
        }
        if *group != self.group {
            return bad(format!("`{}` is for members of `{}`", self.name, self.group));
        }
        self.arguments(&scope.settings.0).map(|_| ())
    }
}

impl Program {
    fn is_plain(&self) -> bool {
        let parts = self.path.strip_prefix('/').unwrap_or_default().split('/');
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        self.path.len() <= limits::SCOPE_PATH_MAX_BYTES
            && !hides(&self.path)
            && parts.into_iter().all(plain)
    }
}

impl RunScope {
    /// Fails unless it makes sense by itself; whether the catalogue has it is looked at elsewhere.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let unique: BTreeSet<_> = self.hosts.0.iter().collect();
        if unique.is_empty() || unique.len() != self.hosts.0.len() {
            return Err("it names no host, or one twice");
        }
        if self.version == 0 {
            return Err("versions of a runbook count from 1");
        }
        let names: BTreeSet<_> = self.settings.0.iter().map(|setting| &setting.name).collect();
        if names.len() != self.settings.0.len() {
            return Err("it sets a parameter twice");
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/runbook.rs"]
mod tests;
