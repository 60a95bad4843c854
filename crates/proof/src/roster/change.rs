//! Statements after genesis: each is one change.

use writ_model::{PersonId, Timestamp};

use super::{Group, GroupName, Host, HostName, PersonKey, ROSTER_VERSION, Rule};
use crate::at_most::AtMost;
use crate::cbor::{self, Version};
use crate::hash::{Hash, labelled};
use crate::limits;
use crate::origin::SiteId;
use crate::statement::{Namespace, Statement};
use crate::{cbor_enum, cbor_map};

/// A change of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterStatement {
    /// Version 1.
    pub v: Version<ROSTER_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// Its number; genesis is 0.
    pub seq: u64,
    /// The digest of the signed statement before it.
    pub prev: Hash,
    /// When it was made, by its signers' word; never before the statement before it.
    pub created: Timestamp,
    /// What changes.
    pub change: Change,
}
cbor_map!(RosterStatement { 1: v, 2: site, 3: seq, 4: prev, 5: created, 6: change });

impl Statement for RosterStatement {
    const NAMESPACE: Namespace = Namespace::Roster;
}

/// What a roster statement changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A person who is enrolled gets a further key.
    AddKey(PersonKey),
    /// A person becomes a member of a group, or stays one for longer.
    AddMember(Membership),
    /// A person's enrolment ends, with all keys, memberships and ownerships.
    EndEnrolment(EnrolmentId),
    /// A person is enrolled with their first keys.
    Enrol(Enrolment),
    /// There is a group no more.
    RemoveGroup(GroupName),
    /// There is a host no more.
    RemoveHost(HostName),
    /// A person loses a key.
    RemoveKey(PersonKey),
    /// A person leaves a group.
    RemoveMember(MemberId),
    /// A group is made or changed.
    SetGroup(Box<Group>),
    /// A host is made known or changed.
    SetHost(Box<Host>),
    /// The pages at which browsers may sign.
    SetOrigins(AtMost<String, { limits::ROSTER_MAX_ORIGINS }>),
    /// A kind of statement gets a rule.
    SetRule(Rule),
}
cbor_enum!(Change {
    0: AddKey(_),
    1: RemoveKey(_),
    2: SetRule(_),
    3: Enrol(_),
    4: EndEnrolment(_),
    5: SetGroup(_),
    6: RemoveGroup(_),
    7: AddMember(_),
    8: RemoveMember(_),
    9: SetHost(_),
    10: RemoveHost(_),
    11: SetOrigins(_),
});

impl Change {
    /// Eight letters by which people make sure that they speak of the same change: 40 bits of its digest
    /// in base32 (RFC 4648), as `ABCD-EFGH`.
    pub fn code(&self) -> String {
        labelled("writ change code v1", &cbor::to_vec(self)).code()
    }
}

/// A person's first keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Which enrolment of whom.
    pub id: EnrolmentId,
    /// The keys, each of this person.
    pub keys: AtMost<PersonKey, { limits::PERSON_MAX_KEYS }>,
}
cbor_map!(Enrolment { 1: id, 2: keys });

/// One enrolment of one person. What ended is never taken up again: a re-hire gets the next number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnrolmentId {
    /// Who.
    pub person: PersonId,
    /// 1 for the first.
    pub number: u64,
}
cbor_map!(EnrolmentId { 1: person, 2: number });

/// A person in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupName,
    /// The person.
    pub person: PersonId,
    /// When it ends by itself; only a group without rights takes members for good.
    pub expires: Option<Timestamp>,
}
cbor_map!(Membership { 1: group, 2: person, 3: opt expires });

/// Which person leaves which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberId {
    /// The group.
    pub group: GroupName,
    /// The person.
    pub person: PersonId,
}
cbor_map!(MemberId { 1: group, 2: person });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_a_change_is_forty_bits_of_its_digest() {
        let change = |name: &str| Change::RemoveHost(name.parse().unwrap());
        assert_eq!(change("web-1").code(), "L4Y2-FPCR");
        assert_ne!(change("web-1").code(), change("web-2").code());
        let hash = labelled("writ change code v1", &cbor::to_vec(&change("web-1")));
        let letters = change("web-1").code().replace('-', "");
        let bits = letters.bytes().fold(0u64, |bits, letter| {
            let value = if letter < b'A' { letter - b'2' + 26 } else { letter - b'A' };
            bits << 5 | u64::from(value)
        });
        assert_eq!(bits.to_be_bytes()[3..], hash.0[..5]);
    }
}
