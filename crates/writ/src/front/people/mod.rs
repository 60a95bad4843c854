//! Persons in front: takes deliveries of the HR feed, commits what follows from them, and lets the key
//! module know what ended. The rules are in the crate `people`; here is what waits and writes.

pub mod api;
mod watch;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use writ_access::Ends;
use writ_keyd_client::protocol::{Command, End};
use writ_model::{AccountId, Env as _, SystemEnv, Timestamp, Uuid};
use writ_people::delivery::pass;
use writ_people::machine::{Context, confirm};
use writ_people::{
    Delivery, EndError, Ending, Endings, Event, Feed, PortFuture, Problem, Roster, Settings, Step,
};
use writ_proof::hash::Hash;
use writ_proof::roster::EnrolmentId;
use writ_service::call::KeydClient;
use writ_service::pipeline::Pipeline;
use writ_store::state::{EndReason, HrFeed, Person, PersonState, ReceiptItem};
use writ_store::{Object, OutboxRecord, Snapshot, Transaction, limits};

use super::access::Ender;
use super::catalogue::ask;
use super::platform::{PRINCIPAL, Platform};

pub use watch::{Source, watch};

/// The source of events about persons.
const EVENT_SOURCE: &str = "people.writ.internal";
/// How long an ending may take at keyd before the commit goes on without it.
const END_TIMEOUT: Duration = Duration::from_millis(300);
/// Commits of one delivery that are in work at once; the store groups them.
const COMMITS_MAX: usize = 32;
/// Problems that the record of a delivery shows; `writ people check` shows all.
const PROBLEMS_SHOWN: usize = 20;
/// Everything written in one transaction has a record of its own.
const STEPS_MAX: usize = limits::TRANSACTION_MAX_RECORDS;

/// Everything that changes persons goes through here, one thing at a time.
pub struct Office {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    settings: Settings,
    roster: Arc<dyn Roster>,
    endings: Arc<dyn Endings>,
    ender: Arc<Ender>,
    /// Held by whoever changes persons; holds the ends of sessions that keyd has not taken. A front
    /// that starts anew tells keyd all of them.
    owed: Mutex<Vec<Ending>>,
}

/// A file that was read whole.
pub struct Taken {
    /// What it says.
    pub feed: Feed,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// When it was changed or renamed into place, in milliseconds since 1970.
    pub changed_ms: u64,
}

impl Office {
    /// The office of this installation.
    pub fn new(
        pipeline: Arc<Pipeline>,
        platform: Platform,
        settings: Settings,
        roster: Arc<dyn Roster>,
        ender: Arc<Ender>,
    ) -> Arc<Office> {
        let endings = Arc::new(KeydEndings { keyd: pipeline.keyd.clone() });
        let owed = Mutex::default();
        Arc::new(Office { pipeline, platform, settings, roster, endings, ender, owed })
    }

    /// What the feed last delivered.
    pub fn last(&self) -> Option<HrFeed> {
        self.pipeline.store.snapshot().hr_feed().map(|entry| HrFeed::clone(&entry.value))
    }

    /// The installation's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Carries out a delivery: first what ends access, then the rest, then the delivery itself. It can
    /// be cut off anywhere; the next look at the file goes on.
    pub async fn deliver(self: &Arc<Office>, taken: &Taken) -> Result<()> {
        let mut owed = self.owed.lock().await;
        let people = people(&self.pipeline.store.snapshot());
        let last = self.last();
        let plan = Delivery {
            people: &people,
            last: last.as_ref(),
            feed: &taken.feed,
            digest: &taken.digest,
            changed_ms: taken.changed_ms,
            now: SystemEnv.now(),
            settings: &self.settings,
            roster: &*self.roster,
        }
        .plan();
        let ended = !plan.ends.is_empty();
        self.carry_out(plan.ends, &taken.digest, &mut owed).await?;
        let reaction = SystemEnv.now().millis().saturating_sub(taken.changed_ms);
        self.carry_out(plan.others, &taken.digest, &mut owed).await?;

        let mut parameters = vec![
            ("feedDigest", taken.digest.clone()),
            ("lines", taken.feed.lines.to_string()),
            ("good", taken.feed.rows.len().to_string()),
            ("problems", taken.feed.problem_count.to_string()),
            ("changes", counts_text(&plan.counts)),
        ];
        if !taken.feed.problems.is_empty() {
            parameters.push(("frozen", "joiners and movers".to_owned()));
            parameters.push(("problemList", problems_text(&taken.feed.problems)));
        }
        if ended {
            parameters.push(("endedAfterMs", reaction.to_string()));
        }
        if plan.feed.shrunk {
            parameters.push(("absences", "too many are missing: nobody is suspended".to_owned()));
        }
        let new_mass = plan.feed.mass_change != last.as_ref().and_then(|l| l.mass_change.clone());
        if let (true, Some(mass)) = (new_mass, &plan.feed.mass_change) {
            parameters.push(("massChange", format!("{} persons wait", mass.persons)));
        }
        self.keep(plan.feed, "TakeHrFeed", &parameters).await
    }

    /// Tells of something that is wrong with the feed, once.
    pub async fn alarm(&self, name: &str, what: &str, digest: Option<&str>) -> Result<()> {
        let _turn = self.owed.lock().await;
        let mut feed = self.last().unwrap_or_else(never);
        if feed.alarm.as_deref() == Some(what) {
            return Ok(());
        }
        feed.alarm = Some(what.to_owned());
        let mut parameters = vec![("reason", what.to_owned())];
        parameters.extend(digest.map(|digest| ("feedDigest", digest.to_owned())));
        tracing::error!(what, "the HR feed is not taken; nobody's state changes");
        self.keep(feed, name, &parameters).await
    }

    /// The file is again as it was when it was last taken.
    pub async fn clear(&self) -> Result<()> {
        let _turn = self.owed.lock().await;
        match self.last() {
            Some(feed) if feed.alarm.is_some() => {
                let parameters = [("feedDigest", feed.digest.clone())];
                self.keep(HrFeed { alarm: None, ..feed }, "FindHrFeedAgain", &parameters).await
            }
            _ => Ok(()),
        }
    }

    /// Ends those who wait for a human's word since the delivery with this digest. False if nobody does.
    pub async fn confirm(self: &Arc<Office>, digest: &str, by: &str) -> Result<bool> {
        let mut owed = self.owed.lock().await;
        let waiting = |last: &HrFeed| last.mass_change.as_ref().is_some_and(|m| m.digest == digest);
        let Some(last) = self.last().filter(waiting) else { return Ok(false) };
        let (settings, roster) = (&self.settings, &*self.roster);
        let now = SystemEnv.now();
        let cx = Context { now, settings, roster, frozen: true, mass_change: false };
        let people = people(&self.pipeline.store.snapshot());
        let steps: Vec<Step> = people.values().filter_map(|p| confirm(p, &cx)).collect();
        let parameters = [
            ("feedDigest", digest.to_owned()),
            ("by", by.to_owned()),
            ("persons", steps.len().to_string()),
        ];
        self.carry_out(steps, digest, &mut owed).await?;
        self.keep(HrFeed { mass_change: None, ..last }, "ConfirmMassChange", &parameters).await?;
        Ok(true)
    }

    /// What the time makes of persons and of the feed; tries endings again that keyd did not take.
    pub async fn pass(self: &Arc<Office>) -> Result<()> {
        let mut owed = self.owed.lock().await;
        let now = SystemEnv.now();
        let (people, last) = (people(&self.pipeline.store.snapshot()), self.last());
        let steps = pass(&people, last.as_ref(), now, &self.settings, &*self.roster);
        let digest = last.as_ref().map(|last| last.digest.clone()).unwrap_or_default();
        self.carry_out(steps, &digest, &mut owed).await?;
        if let Some(last) = last.filter(|last| is_silent(last, &self.settings, now)) {
            let frozen = ("frozen", "joiners and movers".to_owned());
            let parameters = [("since", last.taken.iso()), frozen];
            tracing::error!(since = %last.taken, "the HR feed is silent");
            let told = HrFeed { silence_told: Some(now), ..last };
            self.keep(told, "MissHrFeed", &parameters).await?;
        }
        while let Some(ending) = owed.last() {
            self.endings.end(ending).await?;
            owed.pop();
        }
        for person in people.values().filter(|person| unacknowledged(person).is_some()) {
            self.end_again(&person.id).await?;
        }
        Ok(())
    }

    /// Commits steps, many at a time.
    async fn carry_out(
        self: &Arc<Office>,
        steps: Vec<Step>,
        digest: &str,
        owed: &mut Vec<Ending>,
    ) -> Result<()> {
        let snapshot = self.pipeline.store.snapshot();
        // Once keyd has kept one waiting, nobody else waits for it.
        let answers = Arc::new(AtomicBool::new(true));
        let mut commits = JoinSet::new();
        let mut left = steps.into_iter().peekable();
        let mut failed = None;
        while left.peek().is_some() || !commits.is_empty() {
            while commits.len() < COMMITS_MAX && left.peek().is_some() {
                let some = together(&mut left, &snapshot);
                let (office, snapshot) = (Arc::clone(self), Arc::clone(&snapshot));
                let (digest, answers) = (digest.to_owned(), Arc::clone(&answers));
                commits
                    .spawn(async move { office.commit(some, &snapshot, &digest, &answers).await });
            }
            match commits.join_next().await {
                Some(Ok((untold, committed))) => {
                    owed.extend(untold);
                    // The others go on: an ending waits for no other.
                    failed = committed.err().or(failed);
                }
                None => {}
                Some(Err(error)) => failed = Some(error.into()),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// One transaction: the endings are known to keyd before it is acknowledged. Those that keyd did
    /// not take come back.
    async fn commit(
        &self,
        mut steps: Vec<Step>,
        snapshot: &Snapshot,
        digest: &str,
        answers: &AtomicBool,
    ) -> (Vec<Ending>, Result<()>) {
        let ends = ends_of(&steps, snapshot);
        let digests: Vec<Hash> =
            ends.iter().flat_map(|ends| ends.digests(SystemEnv.now())).collect();
        self.ender.tell_keyd(&digests).await;
        let owed = self.end(&mut steps, answers).await;
        (owed, self.write(steps, ends, snapshot, digest).await)
    }

    async fn write(
        &self,
        steps: Vec<Step>,
        ends: Vec<Ends>,
        snapshot: &Snapshot,
        digest: &str,
    ) -> Result<()> {
        let ending = steps.iter().any(Step::ends);
        let request_id = Uuid::random(&SystemEnv);
        let mut begun: Option<Transaction> = None;
        for step in steps {
            let shown = parameters(&step, &self.settings, digest);
            let record = self.record(step.event().name(), &shown, request_id)?;
            let mut transaction = match begun.take() {
                None => Transaction::new(PRINCIPAL, request_id, record),
                Some(mut transaction) => {
                    transaction.records.push(record);
                    transaction
                }
            };
            let known = snapshot.person(&step.person.id).map(|entry| entry.revision);
            let object = Object::new(AccountId::PLATFORM, step.person);
            transaction = match known {
                Some(revision) => transaction.update(object, revision),
                None => transaction.create(object),
            };
            begun = Some(transaction);
        }
        let Some(mut transaction) = begun else { return Ok(()) };
        let mut surplus = Vec::new();
        for ends in ends {
            let (joined, more) = self.ender.join(transaction, ends, snapshot)?;
            transaction = joined;
            surplus.extend(more);
        }
        let transaction = if ending { transaction.ending() } else { transaction };
        self.pipeline.commit_own(transaction).await.context("persons cannot be stored")?;
        self.ender.tell_later(surplus);
        Ok(())
    }

    /// Ends what steps end, and notes in receipts when that was known. A key module that does not
    /// answer holds no leaver back: the state counts at once, and the ending is tried again.
    async fn end(&self, steps: &mut [Step], answers: &AtomicBool) -> Vec<Ending> {
        let mut owed = Vec::new();
        for step in steps {
            let Some(ending) = step.ending() else { continue };
            let ended = match answers.load(Ordering::Relaxed) {
                true => tokio::time::timeout(END_TIMEOUT, self.endings.end(&ending)).await,
                false => Ok(Err(EndError { what: "it does not answer".to_owned() })),
            };
            match ended {
                Ok(Ok(())) => acknowledge(&mut step.person, SystemEnv.now()),
                untold => {
                    answers.store(false, Ordering::Relaxed);
                    tracing::error!(person = step.person.id, ?untold, "keyd is told again");
                    // A leaver's receipt says by itself what is still owed.
                    owed.extend(Some(ending).filter(|e| matches!(e, Ending::Sessions { .. })));
                }
            }
        }
        owed
    }

    async fn end_again(&self, id: &str) -> Result<()> {
        // As it is now: this pass may have changed somebody who was hired again.
        let snapshot = self.pipeline.store.snapshot();
        let known = snapshot.person(id).context("the person is not stored")?;
        let (mut person, revision) = (Person::clone(&known.value), known.revision);
        let Some(receipt) = &person.receipt else { return Ok(()) };
        let ending = Ending::Enrolment { person: person.id.clone(), number: receipt.enrolment };
        self.endings.end(&ending).await?;
        acknowledge(&mut person, SystemEnv.now());
        let request_id = Uuid::random(&SystemEnv);
        let parameters = [("personId", person.id.clone()), ("receipt", receipt_text(&person))];
        let record = self.record("ConfirmPersonEnd", &parameters, request_id)?;
        let transaction = Transaction::new(PRINCIPAL, request_id, record)
            .update(Object::new(AccountId::PLATFORM, person), revision);
        self.pipeline.commit_own(transaction).await.context("a receipt cannot be stored")?;
        Ok(())
    }

    /// Stores what is known of the feed, with a record.
    async fn keep(&self, feed: HrFeed, name: &str, parameters: &[(&str, String)]) -> Result<()> {
        let request_id = Uuid::random(&SystemEnv);
        let record = self.record(name, parameters, request_id)?;
        let known = self.pipeline.store.snapshot().hr_feed().map(|entry| entry.revision);
        let object = Object::new(AccountId::PLATFORM, feed);
        let begun = Transaction::new(PRINCIPAL, request_id, record);
        let transaction = match known {
            Some(revision) => begun.update(object, revision),
            None => begun.create(object),
        };
        self.pipeline
            .commit_own(transaction)
            .await
            .context("the HR feed's state cannot be stored")?;
        Ok(())
    }

    fn record(
        &self,
        name: &str,
        parameters: &[(&str, String)],
        request_id: Uuid,
    ) -> Result<OutboxRecord> {
        let event = (EVENT_SOURCE, name);
        self.platform.record(AccountId::PLATFORM, event, parameters, request_id, None)
    }
}

/// The next steps that fit into one transaction, with the records of the grants and requests that end with them.
fn together(left: &mut Peekable<std::vec::IntoIter<Step>>, snapshot: &Snapshot) -> Vec<Step> {
    let (mut some, mut records) = (Vec::new(), 0);
    while let Some(step) = left.peek() {
        records +=
            1 + ends_of(std::slice::from_ref(step), snapshot).iter().map(Ends::len).sum::<usize>();
        if records > STEPS_MAX && !some.is_empty() {
            break;
        }
        some.extend(left.next());
    }
    some
}

/// What ends with the grants and requests of persons whom steps end or move, each person's for itself.
fn ends_of(steps: &[Step], snapshot: &Snapshot) -> Vec<Ends> {
    let now = SystemEnv.now();
    let of = |step: &Step| {
        let reason = match (step.person.state, step.event()) {
            (PersonState::Left, _) => EndReason::Leaver,
            (PersonState::Suspended, _) => EndReason::Suspended,
            _ if step.events.contains(&Event::Moved) => EndReason::JobChange,
            _ => return None,
        };
        let ends = writ_access::ends::of_person(snapshot, &step.person.id, reason, now);
        Some(ends).filter(|ends| !ends.is_empty())
    };
    steps.iter().filter_map(of).collect()
}

/// Everybody who is stored, by id.
pub(super) fn people(snapshot: &Snapshot) -> BTreeMap<String, Person> {
    let all = snapshot.list::<Person>(AccountId::PLATFORM, None);
    all.map(|entry| (entry.id.clone(), Person::clone(&entry.value))).collect()
}

/// The feed before its first delivery.
fn never() -> HrFeed {
    HrFeed {
        digest: String::new(),
        changed_ms: 0,
        taken: SystemEnv.now(),
        rows: 0,
        problems: 0,
        shrunk: false,
        alarm: None,
        silence_told: None,
        mass_change: None,
    }
}

fn is_silent(last: &HrFeed, settings: &Settings, now: Timestamp) -> bool {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    now.since(last.taken) >= settings.silence
        && last.silence_told.is_none_or(|told| now.since(told) >= DAY)
}

/// The item of a leaver's receipt that keyd has not acknowledged.
fn unacknowledged(person: &Person) -> Option<&ReceiptItem> {
    person.receipt.as_ref()?.ended.iter().find(|item| item.at.is_none())
}

fn acknowledge(person: &mut Person, now: Timestamp) {
    let items = person.receipt.iter_mut().flat_map(|receipt| &mut receipt.ended);
    items.filter(|item| item.at.is_none()).for_each(|item| item.at = Some(now));
}

fn counts_text(counts: &BTreeMap<Event, usize>) -> String {
    let one = |(event, count): (&Event, &usize)| format!("{} {count}", event.name());
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn problems_text(problems: &[Problem]) -> String {
    let shown = problems.iter().take(PROBLEMS_SHOWN).map(Problem::to_string);
    shown.collect::<Vec<_>>().join("\n")
}

fn receipt_text(person: &Person) -> String {
    let receipt = person.receipt.as_ref().map(serde_json::to_string);
    receipt.and_then(Result::ok).unwrap_or_default()
}

/// What the record of a step says. It names ids and never people's names.
fn parameters<'a>(step: &Step, settings: &Settings, digest: &str) -> Vec<(&'a str, String)> {
    let (person, now) = (&step.person, SystemEnv.now());
    let before = step.before.as_ref().map_or("none", |before| before.state.as_str());
    let events: Vec<&str> = step.events.iter().map(|event| event.name()).collect();
    let mut all = vec![
        ("personId", person.id.clone()),
        ("from", before.to_owned()),
        ("to", person.state.as_str().to_owned()),
        ("epoch", person.epoch.to_string()),
        ("events", events.join(",")),
        ("feedDigest", digest.to_owned()),
    ];
    all.extend(person.why.map(|why| ("why", why.as_str().to_owned())));
    if person.state == PersonState::Gated {
        let open = settings.open_gates(person, now);
        let names: Vec<&str> = open.iter().map(|gate| gate.as_str()).collect();
        all.push(("openGates", names.join(",")));
    }
    if step.events.contains(&Event::Moved) {
        let due = |(group, due): (&String, &writ_store::state::Reapproval)| {
            format!("{group} until {}", due.deadline.iso())
        };
        let all_due: Vec<String> = person.reapprovals.iter().map(due).collect();
        all.push(("reapprovals", all_due.join(", ")));
    }
    if step.events.contains(&Event::Left) {
        all.push(("receipt", receipt_text(person)));
    }
    all
}

/// Endings of persons, for a key module that starts anew.
pub fn ended(snapshot: &Snapshot) -> Vec<End> {
    let of = |person: &Person| -> Vec<End> {
        let left = person.receipt.as_ref().map(|receipt| Ending::Enrolment {
            person: person.id.clone(),
            number: receipt.enrolment,
        });
        let suspended = (person.state == PersonState::Suspended).then(|| Ending::Sessions {
            person: person.id.clone(),
            epoch: person.epoch,
            before: person.since,
        });
        left.iter().chain(&suspended).filter_map(command).collect()
    };
    snapshot.list::<Person>(AccountId::PLATFORM, None).flat_map(|entry| of(&entry.value)).collect()
}

/// What keyd is told; nothing of somebody who was not enrolled. What ends with one enrolment never
/// touches the next.
fn command(ending: &Ending) -> Option<End> {
    match ending {
        Ending::Enrolment { person, number } => {
            let person = person.parse().ok()?;
            Some(End::Person(EnrolmentId { person, number: (*number)? }))
        }
        Ending::Sessions { person, epoch, before } => {
            Some(End::Sessions((format!("person/{person}/{epoch}"), *before)))
        }
    }
}

struct KeydEndings {
    keyd: KeydClient,
}

impl Endings for KeydEndings {
    fn end<'a>(&'a self, ending: &'a Ending) -> PortFuture<'a, Result<(), EndError>> {
        Box::pin(async move {
            let Some(end) = command(ending) else { return Ok(()) };
            let answer = ask(&self.keyd, Command::End(end)).await;
            answer.map(|_| ()).map_err(|error| EndError { what: format!("{error:#}") })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_a_day() {
        let (hour, settings) = (Duration::from_secs(3600), Settings::default());
        let taken = SystemEnv.now();
        let silent = |hours: u32, told: Option<u32>| {
            let silence_told = told.map(|hours| taken.plus(hours * hour));
            let last = HrFeed { taken, silence_told, ..never() };
            is_silent(&last, &settings, taken.plus(hours * hour))
        };
        let cases =
            [(23, None, false), (24, None, true), (47, Some(24), false), (48, Some(24), true)];
        for (hours, told, wanted) in cases {
            assert_eq!(silent(hours, told), wanted, "{hours} {told:?}");
        }
    }

    /// What ends with one employment must not be what a later one is known by.
    #[test]
    fn endings_of_two_employments_differ() {
        let of = |number| command(&Ending::Enrolment { person: "p.1".to_owned(), number });
        assert_ne!(of(Some(1)), of(Some(3)));
        assert!(of(Some(1)).is_some());
        assert_eq!(of(None), None, "nothing was enrolled");
    }
}
