//! Chapters of the operating side: people, a request, approvals, a recorded session, watch, the customer's word,
//! and attacks on all of it.
//!
//! What people do, they do with the very commands of `writ`; what attackers do is made here from the parts
//! of those commands. Keys are software keys of the tour's own, so that it needs nothing that is not here.

mod attacks;
mod consent;
mod crew;
mod host;
mod minimal;
mod playback;
mod request;
mod session;
mod sftp;
mod ssh;
mod staff;
mod trace;
mod watched;

use std::path::Path;

use anyhow::Result;

use super::client::Client;
use super::identity::People;
use super::site::Site;
use super::story::Story;
use crew::Crew;
use host::Host;
use ssh::{Door, Visit};
use trace::Trace;

/// Everything that the chapters share.
struct Shift<'s> {
    crew: Crew,
    trace: Trace,
    host: Host,
    door: Door,
    client: &'s Client,
    people: &'s People,
}

impl Shift<'_> {
    /// How one logs in to the host, at the bastion.
    fn login(&self) -> String {
        format!("{}+{}", self.host.login, host::NAME)
    }

    /// Logs in as a person.
    fn enter(&self, person: &str) -> Result<Visit<'_>> {
        self.door.enter(self.crew.soft(person)?, &self.login())
    }

    /// A person's login that must be refused for this reason; what the ledger tells of it.
    fn is_refused(&self, person: &str, login: &str, part: &str) -> Result<String> {
        self.trace.begin()?;
        let refused = self.door.refuses(self.crew.soft(person)?, login, part);
        self.trace.of(refused, "RefuseLogin")
    }
}

/// The chapters, in their order.
pub fn chapters(
    story: &mut Story,
    client: &Client,
    people: &People,
    site: &Site,
    base: &Path,
    built_in: bool,
) -> Result<()> {
    let (crew, trace) = (Crew::new(base)?, Trace::new(site.data()));
    let host = staff::chapter(story, &crew, &trace, base, built_in)?;
    let door = Door::new(&site.ready, site.data())?;
    let shift = Shift { crew, trace, host, door, client, people };
    let agent = watched::enrol(story, &shift, site, base)?;
    let granted = request::chapter(story, &shift)?;
    session::chapter(story, &shift, &granted)?;
    // Without it the host opens to nobody.
    let _agent = watched::chapter(story, &shift, agent)?;
    consent::chapter(story, &shift, &granted)?;
    attacks::chapter(story, &shift)
}
