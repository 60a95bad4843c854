//! Permission groups: what their members may ask for, and who must agree each time.

use std::collections::BTreeSet;

use writ_model::{PersonId, Timestamp};

use super::{GroupName, HostPattern, SlotName, refused};
use crate::access::{FileRule, SshRights};
use crate::at_most::AtMost;
use crate::error::Error;
use crate::limits;
use crate::{cbor_enum, cbor_map};

/// A permission group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// What people call it.
    pub title: String,
    /// How closely it is watched.
    pub tier: Tier,
    /// Who answers for it: at least two people.
    pub owners: AtMost<PersonId, { limits::GROUP_MAX_OWNERS }>,
    /// Who must agree to a request of a member: every slot.
    pub rule: AtMost<Slot, { limits::GROUP_MAX_SLOTS }>,
    /// What its members may ask for; absent for a group that only approves.
    pub rights: Option<Rights>,
    /// People whom the HR feed's attributes admit at once.
    pub admits: Option<Admits>,
}
cbor_map!(Group {
    1: name,
    2: title,
    3: tier,
    4: owners,
    5: rule,
    6: opt rights,
    7: opt admits,
});

/// How closely a group is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// It can lead to customers' data, keys, the ledger or watch.
    Privileged,
    /// More than everyday work.
    Sensitive,
    /// Everyday work.
    Standard,
}
cbor_enum!(Tier { 0: Standard, 1: Sensitive, 2: Privileged });

impl Tier {
    /// The lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Tier::Privileged => "privileged",
            Tier::Sensitive => "sensitive",
            Tier::Standard => "standard",
        }
    }
}

/// A part of a rule that people fill, each person one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name, unique in its rule.
    pub slot: SlotName,
    /// How many people it needs.
    pub count: u32,
    /// Who they may be.
    pub from: Approver,
}
cbor_map!(Slot { 1: slot, 2: count, 3: from });

/// Who may fill a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approver {
    /// The customer whose data it is.
    Customer,
    /// Members of a group.
    Group(GroupName),
    /// The requester's manager, as the HR feed says; never the only approver.
    ManagerOfRequester,
    /// Owners of the group itself.
    Owner,
}
cbor_enum!(Approver { 0: Group(_), 1: ManagerOfRequester, 2: Owner, 3: Customer });

/// What the members of a group may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// On which hosts.
    pub hosts: AtMost<HostPattern, { limits::RIGHTS_MAX_ITEMS }>,
    /// As which login roles of the host.
    pub logins: AtMost<String, { limits::RIGHTS_MAX_ITEMS }>,
    /// Which kinds of request.
    pub kinds: AtMost<RequestKind, { limits::RIGHTS_MAX_ITEMS }>,
    /// For how long at most.
    pub max_hours: u32,
    /// What in a session on a host; a shell and no files where nothing is said.
    pub ssh: Option<SshRights>,
}
cbor_map!(Rights { 1: hosts, 2: logins, 3: kinds, 4: max_hours, 5: opt ssh });

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// A session in an emergency, with a prepared quorum.
    BreakGlass,
    /// Credentials.
    Credentials,
    /// A recording.
    Playback,
    /// A runbook of the catalogue.
    Runbook,
    /// An SSH session.
    Ssh,
}
cbor_enum!(RequestKind { 0: Ssh, 1: Runbook, 2: Credentials, 3: Playback, 4: BreakGlass });

impl RequestKind {
    /// All of them.
    pub const ALL: [RequestKind; 5] = [
        RequestKind::BreakGlass,
        RequestKind::Credentials,
        RequestKind::Playback,
        RequestKind::Runbook,
        RequestKind::Ssh,
    ];

    /// The name in files and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            RequestKind::BreakGlass => "break-glass",
            RequestKind::Credentials => "credentials",
            RequestKind::Playback => "playback",
            RequestKind::Runbook => "runbook",
            RequestKind::Ssh => "ssh",
        }
    }

    /// True where what is shown may be customers' data whichever host it came from.
    pub(super) const fn crosses_hosts(self) -> bool {
        match self {
            RequestKind::BreakGlass | RequestKind::Credentials | RequestKind::Playback => true,
            RequestKind::Runbook | RequestKind::Ssh => false,
        }
    }
}

/// A rule by which the HR feed's attributes admit people: every attribute must have one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admits {
    /// The attributes.
    pub all: AtMost<Attribute, { limits::ADMITS_MAX_ATTRIBUTES }>,
}
cbor_map!(Admits { 1: all });

/// One attribute of a person in the HR feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name in the feed.
    pub name: String,
    /// The values that admit.
    pub any_of: AtMost<String, { limits::ADMITS_MAX_VALUES }>,
}
cbor_map!(Attribute { 1: name, 2: any_of });

/// How somebody belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// When it began, by the statement's word.
    pub from: Timestamp,
    /// When it was last stated: a renewal goes on from when it began.
    pub approved: Timestamp,
    /// When it ends by itself; never, for groups that only approve.
    pub expires: Option<Timestamp>,
    /// The statement that says so.
    pub seq: u64,
}

impl Member {
    /// True in `[from, expires)`. The one place where this is compared.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && self.expires.is_none_or(|expires| at < expires)
    }
}

impl Group {
    /// Fails unless the group makes sense by itself; what it names is looked at elsewhere.
    pub(super) fn check(&self) -> Result<(), Error> {
        let bad = |why: &str| refused(format!("the group `{}`: {why}", self.name));
        if self.title.is_empty() || self.title.len() > limits::GROUP_TITLE_MAX_BYTES {
            return bad("its title is empty or too long");
        }
        if self.title.chars().any(char::is_control) {
            return bad("its title has control characters");
        }
        let owners: BTreeSet<_> = self.owners.0.iter().collect();
        if owners.len() != self.owners.0.len() || owners.len() < limits::GROUP_MIN_OWNERS {
            return bad("it needs at least two owners, each named once");
        }
        let slots: BTreeSet<_> = self.rule.0.iter().map(|slot| &slot.slot).collect();
        if slots.len() != self.rule.0.len() {
            return bad("two slots of its rule have one name");
        }
        if self.rule.0.iter().any(|s| s.count == 0 || s.count > limits::SLOT_MAX_COUNT) {
            return bad("a slot needs 1 to 8 people");
        }
        if !self.rule.0.is_empty() && self.approvers() == 0 {
            return bad("the requester's manager or the customer is never the only approver");
        }
        if let Some(rights) = &self.rights {
            if let Err(why) = rights.check() {
                return bad(why);
            }
            if self.rule.0.is_empty() && self.admits.is_none() {
                return bad("it gives rights and has no rule that says who approves");
            }
        }
        self.admits.as_ref().map_or(Ok(()), Admits::check).or_else(bad)
    }

    /// How many people other than the requester's manager and the customer must agree.
    pub fn approvers(&self) -> u32 {
        let counted = |slot: &&Slot| matches!(slot.from, Approver::Group(_) | Approver::Owner);
        self.rule.0.iter().filter(counted).map(|slot| slot.count).sum()
    }
}

impl Rights {
    fn check(&self) -> Result<(), &'static str> {
        if self.kinds.0.is_empty() {
            return Err("its rights name no kind of request");
        }
        let unique: BTreeSet<_> = self.kinds.0.iter().collect();
        if unique.len() != self.kinds.0.len() {
            return Err("its rights name a kind of request twice");
        }
        if self.max_hours == 0 || self.max_hours > limits::GRANT_MAX_HOURS {
            return Err("a grant lasts 1 to 8 hours at most");
        }
        if !self.logins.0.iter().all(|login| is_login(login)) {
            return Err("a login role is no user name of a host");
        }
        let Some(ssh) = &self.ssh else { return Ok(()) };
        let fits = |command: &String| {
            !command.is_empty()
                && command.len() <= limits::SCOPE_COMMAND_MAX_BYTES
                && !command.chars().any(char::is_control)
        };
        if !ssh.commands.0.iter().all(fits) {
            return Err("a command is empty, too long, or has control characters");
        }
        ssh.files.0.iter().try_for_each(FileRule::check)
    }
}

impl Admits {
    fn check(&self) -> Result<(), &'static str> {
        if self.all.0.is_empty() {
            return Err("its rule of admission admits everybody; name an attribute");
        }
        for attribute in &self.all.0 {
            if !writ_model::person::is_name(&attribute.name) || attribute.any_of.0.is_empty() {
                return Err("its rule of admission has an attribute without name or values");
            }
            let fits = |v: &String| !v.is_empty() && v.len() <= limits::ADMITS_VALUE_MAX_BYTES;
            if !attribute.any_of.0.iter().all(fits) {
                return Err("its rule of admission has a value that is empty or too long");
            }
        }
        Ok(())
    }
}

/// True for a user name as useradd(8) makes them.
pub fn is_login(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let mut bytes = text.bytes();
    text.len() <= 32
        && bytes.next().is_some_and(first)
        && bytes.all(|b| first(b) || b.is_ascii_digit() || b == b'-')
}
