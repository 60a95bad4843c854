//! What happened in a day, for managers about their people and for the security organisation about all: read from
//! watch's own mirror and host log, whatever the control side says.
//!
//! A summary is made once, kept in `summaries/`, and named with its hash in the host log before it is sent: one that
//! was changed or never went out shows. One of an empty day is sent, too.

mod day;
mod show;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use writ_model::{PersonId, Timestamp};
use writ_proof::hash::sha256;
use writ_proof::hostlog::log::{Event, Summary};
use writ_proof::roster::HostName;

use crate::delivery::Desk;
use crate::error::WatchError;
use crate::hosts::book::Shared;
use crate::limits::{MANAGERS_MAX, SUMMARY_MAX_DAYS};
use crate::mime::Message;
use crate::routes::{self, Manager, Routes};
use crate::{MIRROR_FOLDER, advice, disk};
use day::Day;

/// The folder of summaries, in watch's folder.
const FOLDER: &str = "summaries";

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Whom a summary is about.
#[derive(Clone, Copy)]
pub(crate) enum About<'a> {
    Everybody,
    People(&'a Manager),
}

/// An open alarm, as a summary shows it.
pub(crate) struct OpenAlarm {
    number: u64,
    kind: String,
    host: Option<String>,
    what: String,
    time: Timestamp,
    again: u64,
    todo: &'static str,
}

/// What both forms show.
pub(crate) struct Page {
    site: String,
    day: String,
    /// The manager, of their summary.
    manager: Option<String>,
    alarms: Vec<OpenAlarm>,
    /// How many alarms were raised that day, by kind.
    raised: Vec<(String, u64)>,
    day_of: Day,
    /// Who was asked for and did nothing.
    quiet: Vec<String>,
}

/// Where the summary of a day lies.
pub(crate) fn path(folder: &Path, day: &str, manager: Option<&str>) -> PathBuf {
    // A person's id has no `/`; one that is `security` gets another name by the prefix.
    let who = manager.map_or_else(|| "security".to_owned(), |who| format!("manager-{who}"));
    folder.join(FOLDER).join(format!("{day}-{who}.eml"))
}

/// Makes the summaries of yesterday when it is time and they are not made yet.
pub(crate) async fn daily(desk: &Desk, routes: &Routes) -> Result<(), WatchError> {
    let (Some(at), Some(mail)) = (routes.summary.at, routes.summaries()) else { return Ok(()) };
    let now = desk.env.now();
    if now.millis() % DAY_MS < u64::from(at) * 60_000 {
        return Ok(());
    }
    let Some(from) = (now.millis() / DAY_MS).checked_sub(1).map(|day| day * DAY_MS) else {
        return Ok(());
    };
    let day = day_name(from);
    let made = {
        let book = desk.book.lock();
        let known = book.facts().summaries.values();
        known.filter(|known| known.summary.day == day).any(|known| known.summary.manager.is_none())
    };
    if made {
        return Ok(());
    }
    disk::create_dir(&desk.folder.join(FOLDER))?;
    // Reading is no reason to stop watching; the next look tries again.
    let read = match read_day(&desk.folder, from).await {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(%error, day, "the summaries cannot be made yet");
            return Ok(());
        }
    };
    let managers = routes.managers.iter().take(MANAGERS_MAX).map(About::People);
    // That of the security organisation comes last: once it is there, the day is done.
    for about in managers.chain([About::Everybody]) {
        let page = page(&desk.site, &desk.book, read.clone(), &day, about);
        let (manager, to) = match about {
            About::People(manager) => {
                (Some(manager.person.to_string()), vec![manager.mail.clone()])
            }
            About::Everybody => (None, mail.to.clone()),
        };
        let id =
            format!("{}/summary/{day}/{}", desk.site, manager.as_deref().unwrap_or("security"));
        let (text, html) = (show::text(&page), show::html(&page));
        let message = Message {
            from: &mail.from,
            to: &to,
            subject: &show::subject(&page),
            id: &id,
            time: now,
            text: &text,
            html: &html,
        };
        let message = message.to_bytes();
        disk::replace(&path(&desk.folder, &day, manager.as_deref()), &message, 0o600)?;
        let mut book = desk.book.lock();
        let message = sha256(&message);
        book.append(Event::Summary(Summary { day: day.clone(), manager, message }))?;
        book.sync()?;
    }
    Ok(())
}

/// Answers the control socket: the summary of a day as text and HTML.
pub(crate) async fn answer(
    folder: &Path,
    site: &str,
    book: &Shared,
    now: Timestamp,
    request: &Value,
) -> Result<Value, String> {
    let asked = request.get("day").and_then(Value::as_str);
    let from = match asked {
        None => now.millis() / DAY_MS * DAY_MS,
        Some(day) => match Timestamp::parse_iso(&format!("{day}T00:00:00Z")) {
            Ok(day) => day.millis(),
            Err(_) => {
                return Err(format!("`{day}` is no day: give one such as 2026-11-22, in UTC"));
            }
        },
    };
    if from > now.millis() || now.millis() - from > SUMMARY_MAX_DAYS * DAY_MS {
        return Err(format!("a summary is of one of the last {SUMMARY_MAX_DAYS} days"));
    }
    let unread = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let manager = match request.get("manager").and_then(Value::as_str) {
        None => None,
        Some(text) => Some(manager_of(folder, text)?),
    };
    let read = read_day(folder, from).await.map_err(|error| unread(&error))?;
    let about = manager.as_ref().map_or(About::Everybody, About::People);
    let page = page(site, book, read, &day_name(from), about);
    let (subject, text, html) = (show::subject(&page), show::text(&page), show::html(&page));
    Ok(json!({ "subject": subject, "text": text, "html": html }))
}

/// The manager whom `watch.toml` names so.
fn manager_of(folder: &Path, text: &str) -> Result<Manager, String> {
    let person: PersonId = text.parse().map_err(|_| format!("`{text}` is no person id"))?;
    let path = folder.join(routes::FILE);
    let shown = path.display();
    let file = disk::read_if_there(&path).map_err(|error| error.to_string())?;
    let file = file.unwrap_or_default();
    let routes = Routes::parse(&String::from_utf8_lossy(&file))
        .map_err(|why| format!("`{shown}`: {why}"))?;
    let known = routes.managers.into_iter().find(|manager| manager.person == person);
    known.ok_or_else(|| format!("`{shown}` has no [[manager]] `{person}`: add one with `reports`"))
}

fn day_name(from: u64) -> String {
    Timestamp::from_millis(from).iso().chars().take(10).collect()
}

/// Reads the mirror for a day, beside everything else that watch does.
async fn read_day(folder: &Path, from: u64) -> Result<Day, WatchError> {
    let mirror = folder.join(MIRROR_FOLDER);
    let read = tokio::task::spawn_blocking(move || Day::read(&mirror, from, from + DAY_MS));
    read.await.unwrap_or_else(|error| Err(WatchError::Message(error.to_string())))
}

fn page(site: &str, book: &Shared, read: Day, day: &str, about: About<'_>) -> Page {
    let mut day_of = read;
    let mut quiet = Vec::new();
    if let About::People(manager) = about {
        day_of.people.retain(|person, _| manager.reports.iter().any(|one| one.as_str() == person));
        let idle = manager.reports.iter().filter(|one| !day_of.people.contains_key(one.as_str()));
        quiet = idle.map(ToString::to_string).collect();
    }
    let concerns = |alarm: &OpenAlarm| match about {
        About::Everybody => true,
        About::People(manager) => {
            let on = alarm.host.as_ref().is_some_and(|host| day_of.hosts().contains(host.as_str()));
            on || manager.reports.iter().any(|one| alarm.what.contains(&format!("`{one}`")))
        }
    };
    let book = book.lock();
    let facts = book.facts();
    let mut alarms: Vec<OpenAlarm> = Vec::new();
    for number in facts.open.iter().rev() {
        let Some(known) = facts.alarms.get(number) else { continue };
        let alarm = OpenAlarm {
            number: *number,
            kind: known.alarm.kind.clone(),
            host: known.alarm.host.as_ref().map(|host| HostName::as_str(host).to_owned()),
            what: known.alarm.what.clone(),
            time: known.at,
            again: known.again,
            todo: advice::of(&known.alarm.kind).todo,
        };
        if concerns(&alarm) {
            alarms.push(alarm);
        }
    }
    let mut raised = std::collections::BTreeMap::new();
    if matches!(about, About::Everybody) {
        for known in facts.alarms.values().filter(|known| known.at.iso().starts_with(day)) {
            *raised.entry(known.alarm.kind.clone()).or_default() += 1;
        }
    }
    let manager = match about {
        About::Everybody => None,
        About::People(manager) => Some(manager.person.to_string()),
    };
    let (site, day) = (site.to_owned(), day.to_owned());
    Page { site, day, manager, alarms, raised: raised.into_iter().collect(), day_of, quiet }
}
