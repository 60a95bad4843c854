//! What one part of the ledger says of another: commits, key uses, forward access.
//!
//! In a ledger that is being written some of it may be under way: what is missing is asked for twice.

use std::collections::{BTreeMap, HashSet};

use writ_model::Uuid;
use writ_proof::Hash;
use writ_proof::ed25519::PublicKey;
use writ_proof::origin::LogName;
use writ_proof::use_record::head_message;

use super::facts::{Event, Excuse, Facts, Forward, Link};
use super::finding::{Code, Finding};
use super::trees::Heads;

/// The bastion's events of a certificate that keyd was asked for.
const SESSION_STARTED: &str = "bastion:StartSession";
/// What keyd's order of a runbook is told by.
const RUN_ORDERED: &str = "runbook:OrderRun";
const SESSION_REFUSED: &str = "bastion:RefuseSession";
/// The event of a recording that was opened, or was not.
const RECORDING_OPENED: &str = "access:OpenRecording";

/// What is missing or does not fit.
#[derive(Default)]
pub(crate) struct Across {
    /// Failures.
    pub(crate) findings: Vec<Finding>,
    /// Uses that a restart left without their event.
    pub(crate) unanswered: Vec<String>,
}

/// Checks everything.
pub(crate) fn check(facts: &Facts, heads: &Heads, keyd: &PublicKey, is_running: bool) -> Across {
    let mut across = Across::default();
    commits(facts, &mut across);
    heads_of_uses(facts, heads, keyd, &mut across);
    boots(facts, &mut across);
    events(facts, is_running, &mut across);
    uses(facts, is_running, &mut across);
    forwards(facts, is_running, &mut across);
    across
}

impl Across {
    fn add(&mut self, code: Code, place: String, what: String) {
        self.findings.push(Finding { code, place, what });
    }

    /// Either excused, which is told, or a failure.
    fn absent(&mut self, excuse: Option<Excuse>, code: Code, place: String, what: &str) {
        match excuse {
            Some(Excuse::Restart) => {
                self.unanswered.push(format!("{place}: {what}, right before a recorded restart"));
            }
            Some(Excuse::End) => {
                self.unanswered.push(format!("{place}: {what}, right before the ledger's end"));
            }
            None => self.add(code, place, what.to_owned()),
        }
    }
}

fn commits(facts: &Facts, across: &mut Across) {
    // Between an account's own commits lie those of others, which its view does not hold.
    if facts.view.is_some() {
        return;
    }
    for missing in facts.commits.missing() {
        let place = format!("{}'s store {}", missing.source.as_str(), missing.epoch);
        let (first, last) = (missing.first, missing.last);
        let what = match (missing.ordinals.is_empty(), first == last) {
            (true, true) => format!("no record of revision {first}"),
            (true, false) => format!("no record of revisions {first} to {last}"),
            (false, _) => format!("revision {first} lacks its records {:?}", missing.ordinals),
        };
        across.add(Code::Commits, place, what);
    }
}

fn heads_of_uses(facts: &Facts, heads: &Heads, keyd: &PublicKey, across: &mut Across) {
    for head in &heads.uses {
        let place = || format!("use record {} of boot {}", head.position.seq, head.position.boot);
        if !keyd.verifies(&head_message(&head.position), &head.signature) {
            across.add(
                Code::Uses,
                place(),
                "the checkpoint log names it without keyd's signature".to_owned(),
            );
        } else if facts.link(&head.position).is_none() {
            across.add(
                Code::Uses,
                place(),
                "the checkpoint log names it, but it is missing".to_owned(),
            );
        }
    }
}

/// What trail had acknowledged before a restart of keyd must still be there.
fn boots(facts: &Facts, across: &mut Across) {
    for (boot, told) in &facts.boots {
        let Some(position) = told.acknowledged else { continue };
        if facts.link(&position).is_none() {
            let place = format!("use record {} of boot {}", position.seq, position.boot);
            let what = format!("boot {boot} of keyd says that it was durable, but it is missing");
            across.add(Code::Uses, place, what);
        }
    }
}

/// Each event that names a use has it.
fn events(facts: &Facts, is_running: bool, across: &mut Across) {
    for (id, event) in sorted(facts) {
        let Some(position) = &event.position else { continue };
        let place = || format!("event {id} in {}", event.log);
        match facts.link(position) {
            // A crash of keyd and trail together takes the end of a run's chain; where the chain goes on
            // or has another record there, nothing excuses it.
            None => {
                let what = "keyd has no record of the use that it names";
                let last = facts.last_of(position.boot).filter(|(seq, _)| *seq < position.seq);
                let excuse =
                    last.and_then(|(_, link)| facts.excuse(link.order, event.time, is_running));
                across.absent(excuse, Code::Uses, place(), what);
            }
            Some(link) if !event.shared && link.event.is_some_and(|told| told != id) => {
                across.add(
                    Code::Uses,
                    place(),
                    "the use that it names is of another event".to_owned(),
                );
            }
            // An owner may not read what keyd writes of other accounts' callers; a caller may.
            Some(link) if !event.shared && link.hidden => {
                let what = "keyd's record of the use that it names is withheld";
                across.add(Code::Uses, place(), what.to_owned());
            }
            Some(_) => {}
        }
    }
}

fn sorted(facts: &Facts) -> Vec<(Uuid, &Event)> {
    let mut events: Vec<_> = facts.events.iter().map(|(id, event)| (*id, event)).collect();
    events.sort_by_key(|(_, event)| event.order);
    events
}

/// Each use that names an event has it.
fn uses(facts: &Facts, is_running: bool, across: &mut Across) {
    let mut links: Vec<_> = facts.chain.iter().collect();
    links.sort_by_key(|((boot, seq), link)| (link.order, *boot, *seq));
    let mut told = HashSet::new();
    let copies = copies(facts);
    for ((boot, seq), link) in links {
        let Some(event) = link.event else { continue };
        let place = format!("use record {seq} of boot {boot} ({})", link.op);
        if let Some(found) = facts.events.get(&event) {
            if let Some(what) = disagreement(link, found, &copies, facts.view.is_some()) {
                across.add(Code::Uses, place, format!("its event {event} {what}"));
            } else if !link.refused && link.key.is_some() && found.refused && !tells(found, link) {
                // Whoever asked waited in vain: keyd, or what lies between, was slow or gone.
                let what = "tells of an error, and keyd's answer did not arrive";
                across.unanswered.push(format!("{place}: its event {event} {what}"));
            }
            continue;
        }
        if !told.insert(event) {
            continue;
        }
        let excuse = facts.excuse(link.order, link.time, is_running);
        across.absent(excuse, Code::Uses, place, &format!("its event {event} is missing"));
    }
}

/// The logs in which copies of events for other owners tell of a use, by the chain's hash.
fn copies(facts: &Facts) -> HashSet<(Hash, LogName)> {
    let shared = facts.events.values().filter(|event| event.shared);
    shared.filter_map(|event| Some((event.position?.hash, event.log))).collect()
}

/// What an event says otherwise than keyd's own record of the use that it tells of: who, what, with
/// which key, how it ended, and where the owner of the key reads it.
fn disagreement(
    link: &Link,
    event: &Event,
    copies: &HashSet<(Hash, LogName)>,
    is_view: bool,
) -> Option<String> {
    // A refused ticket names no operation that keyd understood.
    let understood = !link.op.starts_with("present:");
    if understood && !same_operation(&link.op, &event.op) {
        return Some(format!("tells of {}", event.op));
    }
    if link.refused && &*event.op == SESSION_STARTED {
        return Some("tells of a session, but keyd refused its certificate".to_owned());
    }
    if link.refused && &*event.op == RECORDING_OPENED && !event.refused {
        return Some("tells of a recording that was opened, but keyd refused it".to_owned());
    }
    let (principal, account) = link.principal.as_ref()?;
    if event.log != LogName::Account(*account) {
        return Some(format!("is in {}, not in the caller's log", event.log));
    }
    if event.principal.as_ref().is_some_and(|told| told != principal) {
        return Some("names another principal".to_owned());
    }
    if link.refused && !event.refused {
        return Some("tells of success, but keyd refused it".to_owned());
    }
    let (key, owner) = link.key.as_ref().filter(|_| !link.refused)?;
    let told = tells(event, link);
    if event.refused {
        return told.then(|| "tells of an error, but keyd carried it out".to_owned());
    }
    if !told && !is_half(&link.op) {
        return Some("is that of another use: front hides one behind the other".to_owned());
    }
    if !event.resources.contains(key) {
        return Some(format!("does not name the key {key}"));
    }
    // An owner's copy lies in a log that the caller's view does not hold.
    let owner = owner.filter(|owner| told && owner != account && !is_view)?;
    let copied = copies.contains(&(link.hash, LogName::Account(owner)));
    (!copied).then(|| format!("has no copy in the log of the key's owner {owner}"))
}

/// True if the event names this very use.
fn tells(event: &Event, link: &Link) -> bool {
    event.position.is_some_and(|position| position.hash == link.hash)
}

/// A re-encryption is one operation of two uses.
fn same_operation(used: &str, told: &str) -> bool {
    let used = match used {
        // keyd says what it was asked for, the bastion what became of it.
        "ssh_sign" if told == SESSION_REFUSED => return true,
        "ssh_sign" => SESSION_STARTED,
        "run_order" => RUN_ORDERED,
        "open-recording" => RECORDING_OPENED,
        half if is_half(half) => "kms:ReEncrypt",
        other => other,
    };
    used == told
}

/// Of a re-encryption's two uses the event names the one that keyd recorded last.
fn is_half(op: &str) -> bool {
    matches!(op, "kms:ReEncryptFrom" | "kms:ReEncryptTo")
}

/// Each forwarded event has the event of the customer's own request, and keyd says the same of it. A
/// service records its call when it completes, so the parent may come later than what it caused.
fn forwards(facts: &Facts, is_running: bool, across: &mut Across) {
    // A transaction is one signature; requests that are equal within a second have the same, and each
    // is a parent of its own.
    let mut transactions: BTreeMap<&str, Hash> = BTreeMap::new();
    for forward in &facts.forwards {
        let Some(event) = facts.events.get(&forward.event) else { continue };
        let place = format!("event {} in {}", forward.event, event.log);
        let (Some(parent), Some(signature)) = (forward.parent, forward.signature) else {
            across.add(
                Code::Forward,
                place,
                "it does not say whose request it followed from".to_owned(),
            );
            continue;
        };
        if *transactions.entry(&forward.transaction).or_insert(signature) != signature {
            let what = format!("transaction {} has two signatures", forward.transaction);
            across.add(Code::Forward, place.clone(), what);
        }
        if let Some(what) = contradiction(facts, forward, event) {
            across.add(Code::Forward, place.clone(), what);
        }
        match facts.events.get(&parent) {
            Some(found) if found.log == event.log || event.shared => {}
            Some(_) => {
                across.add(
                    Code::Forward,
                    place,
                    format!("its parent {parent} is another account's"),
                );
            }
            // The caller's own request is in the caller's log.
            None if event.shared && facts.view.is_some() => {}
            None => {
                // An event that was owed while trail was away comes after its restart; keyd says when
                // the use was.
                let link = event.position.and_then(|position| facts.link(&position));
                let used = link.filter(|link| !link.hidden).map(|link| (link.order, link.time));
                let (order, time) = used.unwrap_or((event.order, event.time));
                let excuse = facts.excuse(order, time, is_running);
                across.absent(
                    excuse,
                    Code::Forward,
                    place,
                    &format!("its parent {parent} is missing"),
                );
            }
        }
    }
}

/// What keyd's own record of the use says otherwise.
fn contradiction(facts: &Facts, forward: &Forward, event: &Event) -> Option<String> {
    let link = facts.link(event.position.as_ref()?).filter(|link| !link.hidden)?;
    let Some(ticket) = link.ticket else {
        return Some("keyd has no record of a forwarded request for it".to_owned());
    };
    let same = Some(ticket.parent) == forward.parent && Some(ticket.signature) == forward.signature;
    (!same).then(|| "keyd's record names another request or signature of the customer".to_owned())
}
