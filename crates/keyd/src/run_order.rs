//! Orders of runbooks: what an agent runs without anybody's session.
//!
//! As for a session keyd believes nobody: it verifies request, approvals and the entry of the catalogue against its own
//! roster, and asks its own memory what has ended. It counts what orders can tell a person in a day, so that a row of
//! answers carries no more out than a single one may.

use std::collections::HashMap;
use std::time::Duration;

use writ_keyd_client::operator::{OrderRun, OrderedRun};
use writ_keyd_client::protocol::{Refusal, Reply};
use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::Touches;
use writ_proof::cbor::Version;
use writ_proof::hash::Hash;
use writ_proof::roster::{HostName, Roster};
use writ_proof::runbook::{Class, Entry, Published, RunOrder};
use writ_proof::statement::Signed;
use writ_proof::use_record::{Use, UseRun};

use crate::engine::Engine;
use crate::refuse::{forbidden, unavailable};
use crate::session::{Held, narrated};
use crate::{limits, narrate};

/// The seconds of a day.
const DAY: u64 = 24 * 3600;

/// What has been ordered, so that nothing is ordered twice and no day tells too much.
#[derive(Default)]
pub(crate) struct Runs {
    /// Each with when its grant is over.
    ids: HashMap<Ulid, Timestamp>,
    places: HashMap<(Hash, HostName), Timestamp>,
    /// Bits by person, customer and day; without a customer, of what is of no single one.
    told: HashMap<(PersonId, Option<AccountId>, u64), u32>,
}

impl Runs {
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.ids.retain(|_, until| now <= *until);
        self.places.retain(|_, until| now <= *until);
        self.told.retain(|(_, _, day), _| *day >= now.secs() / DAY);
    }

    /// Takes note of a run before its order is signed.
    fn take(
        &mut self,
        asked: &OrderRun,
        (held, whose): (&Held, &[Option<AccountId>]),
        bits: u32,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let place = (held.grant.digest, asked.host.clone());
        if self.ids.len() >= limits::RUNS_MAX || self.told.len() >= limits::RUNS_TOLD_MAX {
            return Err(unavailable("there are too many runs"));
        }
        if self.ids.contains_key(&asked.run) {
            return Err(forbidden("there is a run of this name already"));
        }
        if self.places.contains_key(&place) {
            return Err(forbidden(format!(
                "the grant has been used for `{}`: each is good for one run on each of its hosts",
                asked.host
            )));
        }
        let who =
            |account: &Option<AccountId>| (held.grant.person.clone(), *account, now.secs() / DAY);
        let told = whose.iter().filter_map(|account| self.told.get(&who(account)));
        let told = told.max().copied().unwrap_or(0);
        if told.saturating_add(bits) > limits::RUN_BITS_DAILY {
            return Err(forbidden(format!(
                "runs have told `{}` {told} bits today, this one tells up to {bits}, and {} are the most: ask tomorrow, \
                 or let somebody else ask",
                held.grant.person,
                limits::RUN_BITS_DAILY
            )));
        }
        for account in whose {
            *self.told.entry(who(account)).or_default() += bits;
        }
        let until = held.grant.not_after;
        self.ids.insert(asked.run, until);
        self.places.insert(place, until);
        Ok(())
    }
}

/// Of which customers a run tells. What the requester names does not narrow it.
fn told_of(held: &Held, entry: &Entry, roster: &Roster) -> Vec<Option<AccountId>> {
    match held.asked.touches(roster) {
        Touches::Only(accounts) if entry.class == Class::Customer && !accounts.is_empty() => {
            accounts.into_iter().map(Some).collect()
        }
        Touches::Only(_) | Touches::Everybody => vec![None],
    }
}

impl Engine {
    /// Signs the order of one run on one host.
    pub(crate) fn run_order(&self, asked: &OrderRun) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let judged = self.rosters.with(|roster| {
            let held = self.grant(roster, &asked.evidence)?;
            let published = self.published(roster, asked, &held)?;
            let whose = told_of(&held, published.entry(), roster);
            Ok((held, whose, published))
        });
        let ordered = judged.and_then(|judged| {
            let (held, whose, published) = judged?;
            self.order((&held, &whose), &published, asked)
        });
        ordered.map(|ordered| Reply::Ordered(Box::new(ordered))).inspect_err(|refusal| {
            self.record_if_ready(narrate::refused(
                narrated("run_order", asked.event_id, None),
                refusal,
            ));
        })
    }

    /// The entry that was asked for, if it is in force.
    fn published(
        &self,
        roster: &Roster,
        asked: &OrderRun,
        held: &Held,
    ) -> Result<Published, Refusal> {
        let wrong = |error: writ_proof::Error| forbidden(error.to_string());
        let request = held.asked.request();
        let Some(scope) = request.scope.runbook() else {
            return Err(forbidden("the grant is for something else than a runbook"));
        };
        let signed = Signed::from_bytes(&asked.entry).map_err(wrong)?;
        let published = Published::verify(&signed, roster, self.env.now()).map_err(wrong)?;
        published.entry().check_scope(scope, &request.group).map_err(wrong)?;
        if !scope.hosts.0.contains(&asked.host) {
            return Err(forbidden(format!("the grant is not for the host `{}`", asked.host)));
        }
        let catalogue = self.catalogue.read();
        if catalogue.is_entry_ended(&published.digest()) {
            return Err(forbidden(format!("`{}` was withdrawn from the catalogue", scope.runbook)));
        }
        let left = |person: &&PersonId| {
            catalogue.is_ended(person, roster.enrolment(person).unwrap_or_default())
        };
        match published.signers().iter().find(left) {
            None => Ok(published),
            Some(person) => Err(forbidden(format!(
                "`{person}`, who signed `{}`, has left: others must sign it",
                scope.runbook
            ))),
        }
    }

    fn order(
        &self,
        (held, whose): (&Held, &[Option<AccountId>]),
        published: &Published,
        asked: &OrderRun,
    ) -> Result<OrderedRun, Refusal> {
        let (entry, now) = (published.entry(), self.env.now());
        let Some(scope) = held.asked.request().scope.runbook() else {
            return Err(forbidden("the grant is for something else than a runbook"));
        };
        let bits = entry.bits();
        self.runs.lock().take(asked, (held, whose), bits, now)?;
        let length = limits::RUN_ORDER_LIFETIME + Duration::from_secs(u64::from(entry.seconds));
        let order = RunOrder {
            v: Version,
            site: entry.site.clone(),
            run: asked.run,
            grant: held.grant.digest,
            person: held.grant.person.clone(),
            entry: published.digest(),
            settings: scope.settings.clone(),
            host: asked.host.clone(),
            not_before: held.grant.not_before,
            not_after: now.plus(length).min(held.grant.not_after),
        };
        let order = order.sign(&self.signing.run_orders);
        let order = order.map_err(|_| unavailable("the order cannot be signed"))?;
        let run = UseRun { run: asked.run, entry: published.digest(), host: asked.host.clone() };
        let used = narrated("run_order", asked.event_id, Some(held));
        let position = self.record(Use { run: Some(run), ..used });
        Ok(OrderedRun { order, bits, position })
    }
}
