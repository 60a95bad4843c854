//! Whether a request may be made at all.

use std::collections::BTreeSet;
use std::time::Duration;

use writ_model::{AccountId, Timestamp};

use super::scope::hides;
use super::{REQUEST, Request, Scope, Ticket, refused};
use crate::error::Error;
use crate::hash::Hash;
use crate::limits;
use crate::roster::{Accounts, Group, Mode, Roster, Tier};
use crate::runbook::Class;
use crate::statement::Signed;

/// A request whose signature is its requester's, and that the requester may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub(super) request: Request,
    pub(super) digest: Hash,
}

/// Whose data a request can lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touches {
    /// Anybody's.
    Everybody,
    /// Theirs; nobody's if there are none.
    Only(BTreeSet<AccountId>),
}

impl Touches {
    /// True if it is anybody's.
    pub fn any(&self) -> bool {
        *self != Touches::Only(BTreeSet::new())
    }

    /// True if it is this customer's.
    pub fn touches(&self, account: AccountId) -> bool {
        match self {
            Touches::Everybody => true,
            Touches::Only(accounts) => accounts.contains(&account),
        }
    }
}

impl Asked {
    /// Checks a request against the roster, as of `at`.
    ///
    /// # Errors
    /// What is wrong with it, and for its requester what to do.
    pub fn verify(signed: &Signed, roster: &Roster, at: Timestamp) -> Result<Asked, Error> {
        let (request, signers) = signed.verify::<Request>()?;
        let [signer] = signers.as_slice() else {
            return refused(REQUEST, "its requester signs it, and nobody else");
        };
        request.of_this_site(roster)?;
        let group = group_of(&request, roster)?;
        let privileged = group.tier == Tier::Privileged && roster.mode() != Mode::Dev;
        let person = roster.signer(signer, privileged)?;
        if *person != request.requester {
            return refused(REQUEST, format!("the key that signed it is `{person}`'s"));
        }
        request.check(roster, at)?;
        Ok(Asked { request, digest: signed.digest() })
    }

    /// What was asked.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// SHA-256 of the request as it was signed. It names the grant, too.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// Whose data it can lead to.
    pub fn touches(&self, roster: &Roster) -> Touches {
        self.request.touches(roster)
    }
}

impl Request {
    /// Fails unless its requester may make it, as of `at`: all of [`Asked::verify`] but the signature, for who is
    /// about to sign. It gives nothing.
    ///
    /// # Errors
    /// What is wrong with it, and for its requester what to do.
    pub fn check(&self, roster: &Roster, at: Timestamp) -> Result<(), Error> {
        self.of_this_site(roster)?;
        let group = group_of(self, roster)?;
        if roster.enrolment(&self.requester) != Some(self.enrolment) {
            return refused(REQUEST, "it is of an enrolment that has ended; ask anew");
        }
        if roster.member(&group.name, &self.requester, at).is_none() {
            let (who, what) = (&self.requester, &group.name);
            return refused(REQUEST, format!("`{who}` is not a member of `{what}` now"));
        }
        check_text(self)?;
        check_window(self, group, at)?;
        self.scope.check()?;
        self.scope.within(group)?;
        // A recording outlives its host.
        let read = matches!(self.scope, Scope::Playback(_));
        let reached = if read { &[] } else { self.scope.hosts() };
        for host in reached {
            if roster.host(host).is_none() {
                return refused(REQUEST, format!("there is no host `{host}`"));
            }
        }
        Ok(())
    }

    fn of_this_site(&self, roster: &Roster) -> Result<(), Error> {
        if self.site != *roster.site() {
            return refused(REQUEST, "it is of another installation");
        }
        Ok(())
    }

    /// Whose data it can lead to: what the roster says of its hosts, the customer that it names, and those whose
    /// data a recording shows.
    pub fn touches(&self, roster: &Roster) -> Touches {
        let mut accounts: BTreeSet<AccountId> = self.account.into_iter().collect();
        // What such an entry may answer is closed, and it cannot touch data (its class says so, and people signed it).
        if self.scope.runbook().is_some_and(|run| run.class != Class::Customer) {
            return Touches::Only(accounts);
        }
        if let Scope::Playback(scope) = &self.scope {
            match &scope.accounts {
                None => return Touches::Everybody,
                Some(shown) => accounts.extend(&shown.0),
            }
        }
        // Of a host that is gone the recording alone knows whose data it held.
        let read = matches!(self.scope, Scope::Playback(_));
        let gone = |host| read && roster.host(host).is_none();
        for host in self.scope.hosts().iter().filter(|host| !gone(host)) {
            match roster.accounts(host) {
                Accounts::All => return Touches::Everybody,
                Accounts::Only(held) => accounts.extend(&held.0),
            }
        }
        Touches::Only(accounts)
    }
}

fn group_of<'a>(request: &Request, roster: &'a Roster) -> Result<&'a Group, Error> {
    let name = &request.group;
    let Some(group) = roster.group(name) else {
        return refused(REQUEST, format!("there is no group `{name}`"));
    };
    if roster.group_revision(name) != Some(request.revision) {
        return refused(REQUEST, format!("`{name}` was changed since it was made; ask anew"));
    }
    Ok(group)
}

fn check_text(request: &Request) -> Result<(), Error> {
    let reason = request.reason.trim();
    if reason.is_empty() || request.reason.chars().count() > limits::REASON_MAX_CHARS {
        let most = limits::REASON_MAX_CHARS;
        return refused(REQUEST, format!("it needs a reason of 1 to {most} characters"));
    }
    if request.reason.lines().any(hides) {
        return refused(REQUEST, "its reason has characters that do not show");
    }
    let Ticket { system, id } = &request.ticket;
    let plain = |text: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.#/".contains(&b);
        !text.is_empty() && text.len() <= limits::TICKET_ID_MAX_BYTES && text.bytes().all(fits)
    };
    if plain(system) && plain(id) {
        Ok(())
    } else {
        refused(
            REQUEST,
            "it needs a ticket: a system and an id without blanks, such as writ/OPS-17",
        )
    }
}

fn check_window(request: &Request, group: &Group, at: Timestamp) -> Result<(), Error> {
    let Request { not_before, not_after, created, .. } = request;
    if [not_before, not_after].iter().any(|time| time.millis() % 1000 != 0) {
        return refused(REQUEST, "its window is not in whole seconds");
    }
    if not_after <= not_before {
        return refused(REQUEST, "its window ends before it begins");
    }
    let hours = group.rights.as_ref().map_or(0, |rights| rights.max_hours);
    let most = Duration::from_secs(u64::from(hours.min(limits::GRANT_MAX_HOURS)) * 3600);
    if not_after.since(*not_before) > most {
        return refused(REQUEST, format!("`{}` gives at most {hours} h at a time", group.name));
    }
    if created.since(at) > limits::REQUEST_AHEAD_MAX {
        return refused(REQUEST, "it is dated ahead; set the clock of the machine that made it");
    }
    if not_before.since(*created) > limits::REQUEST_FUTURE_MAX {
        return refused(REQUEST, "it begins more than 14 days after it was made");
    }
    Ok(())
}
