//! Alarms on their way to people: a task for each channel, so that a dead one holds up no other.
//!
//! What a channel owes follows from the host log: the open alarms, and the summaries, that no entry there says it has
//! taken. So a crash forgets nothing. An attempt that was cut off is made again under the same name: at least once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use writ_model::{Env, failpoint};
use writ_proof::Hash;
use writ_proof::ed25519::SoftKey;
use writ_proof::hash::sha256;
use writ_proof::hostlog::log::{Event, Routes as RoutesEvent};
use writ_proof::roster::{HostName, Mode};

use crate::alarm::Alarm;
use crate::error::WatchError;
use crate::hosts::book::{AlarmFacts, Shared};
use crate::limits::{
    DELIVERY_AGAIN, DELIVERY_AGAIN_MAX, DELIVERY_FAILING, DELIVERY_LOOK_EVERY, DELIVERY_MAX,
    MAIL_MAX_ALARMS, ROUTES_EVERY, ROUTES_MAX_BYTES, WORD_MAX_ALARMS,
};
use crate::mime::{Message, escape};
use crate::routes::{Mail, Routes, Shown, Webhook};
use crate::summary::daily;
use crate::word::{self, Word};
use crate::{advice, disk, routes, smtp, webhook};

/// How long a channel that is no longer named goes on: it is told of the change, too.
const RETIRED_AFTER: Duration = Duration::from_secs(30);

/// What is known of the channels, for whoever shows it.
#[derive(Clone, Default)]
pub(crate) struct Channels(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// By their names.
    pub(crate) channels: BTreeMap<String, ChannelState>,
    /// Who may see alarms besides the security organisation.
    pub(crate) shown: Option<Shown>,
}

/// One channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelState {
    /// `webhook` or `mail`.
    pub(crate) kind: &'static str,
    /// Attempts since the last that went well.
    pub(crate) tries: u32,
    /// Why the last one failed.
    pub(crate) fault: Option<String>,
    since: Option<Duration>,
}

impl Channels {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that deliveries need.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) folder: PathBuf,
    /// Where the word for the control side goes.
    pub(crate) word: Option<PathBuf>,
    /// Where the bastion reads which hosts are watched.
    pub(crate) hosts_word: Option<PathBuf>,
    pub(crate) site: String,
    pub(crate) mode: Mode,
    pub(crate) key: Arc<SoftKey>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) book: Shared,
    pub(crate) channels: Channels,
}

impl Desk {
    /// What the control side is told, but for its hosts.
    pub(crate) fn word(&self) -> Word {
        let state = self.channels.lock();
        let book = self.book.lock();
        let facts = book.facts();
        let owes = |number: u64| -> Vec<String> {
            let known = facts.alarms.get(&number).filter(|known| known.acknowledged.is_none());
            let names = state.channels.keys();
            let owing = names.filter(|name| known.is_some_and(|k| !k.delivered.contains(*name)));
            owing.cloned().collect()
        };
        let shown = state.shown.unwrap_or(match self.mode {
            Mode::Dev => Shown::All,
            _ => Shown::Counts,
        });
        let alarms = facts.alarms.iter().rev().take(WORD_MAX_ALARMS);
        let alarms = alarms.map(|(number, known)| shown_alarm(*number, known, owes(*number)));
        let channels = state.channels.iter().map(|(name, channel)| word::Channel {
            name: name.clone(),
            kind: channel.kind.to_owned(),
            waiting: book.owed(name).count() as u64,
            fault: channel.fault.clone(),
        });
        Word {
            v: 1,
            site: self.site.clone(),
            at_ms: self.env.now().millis(),
            open: facts.open.len() as u64,
            undelivered: facts.open.iter().filter(|number| !owes(**number).is_empty()).count()
                as u64,
            channels: channels.collect(),
            hosts: Vec::new(),
            alarms: (shown == Shown::All).then(|| alarms.collect()),
        }
    }

    /// Puts the word where the control side reads it. watch goes on without.
    pub(crate) fn tell(&self, hosts: Vec<word::Host>) {
        if let Some(folder) = &self.hosts_word {
            let (site, at_ms) = (self.site.clone(), self.env.now().millis());
            let word = Word { v: 1, site, at_ms, hosts: hosts.clone(), ..Word::default() };
            if let Err(error) = word.write(folder, &self.key) {
                tracing::warn!(%error, "the bastion is told nothing");
            }
        }
        let Some(folder) = &self.word else { return };
        if let Err(error) = (Word { hosts, ..self.word() }).write(folder, &self.key) {
            tracing::warn!(%error, "the control side is told nothing");
        }
    }
}

fn shown_alarm(number: u64, known: &AlarmFacts, undelivered: Vec<String>) -> word::Alarm {
    let advice = advice::of(&known.alarm.kind);
    word::Alarm {
        number,
        kind: known.alarm.kind.clone(),
        detector: advice.detector.map(str::to_owned),
        severity: advice.severity.as_str().to_owned(),
        host: known.alarm.host.as_ref().map(ToString::to_string),
        what: known.alarm.what.clone(),
        todo: advice.todo.to_owned(),
        time_ms: known.at.millis(),
        again: known.again,
        last_ms: known.last.millis(),
        last_what: known.last_what.clone(),
        acknowledged_by: known.acknowledged.as_ref().map(|(by, _)| by.clone()),
        acknowledged_ms: known.acknowledged.as_ref().map(|(_, at)| at.millis()),
        undelivered,
    }
}

/// Runs all channels on a thread of its own, until `stop` is dropped.
pub(crate) fn start(
    desk: Desk,
    stop: oneshot::Receiver<()>,
) -> Result<std::thread::JoinHandle<Result<(), WatchError>>, WatchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WatchError::Network)?;
    let serve = move || {
        let served = runtime.block_on(async move {
            tokio::select! {
                result = Office::new(desk).serve() => result,
                _ = stop => Ok(()),
            }
        });
        // A name that is being resolved is not waited for.
        runtime.shutdown_background();
        served
    };
    std::thread::Builder::new()
        .name("delivery".to_owned())
        .spawn(serve)
        .map_err(WatchError::Network)
}

/// A channel as it is configured.
#[derive(Clone, PartialEq, Eq)]
enum Channel {
    Mail(Mail, bool),
    Webhook(Webhook),
}

impl Channel {
    fn name(&self) -> &str {
        match self {
            Channel::Mail(mail, _) => &mail.name,
            Channel::Webhook(hook) => &hook.name,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Channel::Mail(..) => "mail",
            Channel::Webhook(_) => "webhook",
        }
    }
}

/// Who sees to it that the channels are those of the file.
struct Office {
    desk: Desk,
    /// SHA-256 of the file that was looked at last.
    seen: Option<Option<Hash>>,
    routes: Arc<Routes>,
    running: BTreeMap<String, (Channel, AbortHandle)>,
    tasks: JoinSet<Result<(), WatchError>>,
}

impl Office {
    fn new(desk: Desk) -> Office {
        let (running, tasks) = (BTreeMap::new(), JoinSet::new());
        Office { desk, seen: None, routes: Arc::default(), running, tasks }
    }

    async fn serve(mut self) -> Result<(), WatchError> {
        loop {
            self.look()?;
            daily(&self.desk, &self.routes).await?;
            tokio::select! {
                () = sleep(ROUTES_EVERY) => {}
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => done?,
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => {
                        tracing::error!(%error, "a channel ended by a fault of watch; it begins anew");
                        self.running.retain(|_, (_, task)| !task.is_finished());
                        self.run();
                    }
                }
            }
        }
    }

    /// Takes the file over if it is another than the last time.
    fn look(&mut self) -> Result<(), WatchError> {
        let path = self.desk.folder.join(routes::FILE);
        let bytes = read(&path);
        let digest = bytes.as_ref().ok().and_then(|bytes| bytes.as_deref()).map(sha256);
        if self.seen == Some(digest) && bytes.is_ok() {
            return Ok(());
        }
        self.seen = Some(digest);
        let parsed = bytes.and_then(|bytes| match bytes {
            None => Ok(Routes::default()),
            Some(bytes) => std::str::from_utf8(&bytes)
                .map_err(|_| "it is no text in UTF-8".to_owned())
                .and_then(Routes::parse),
        });
        match parsed {
            Ok(routes) => self.take(routes, digest),
            Err(why) => {
                let what = format!("`{}`: {why}", path.display());
                self.desk.book.lock().raise(Alarm::RoutesUnsound.as_str(), None, &what)
            }
        }
    }

    fn take(&mut self, routes: Routes, file: Option<Hash>) -> Result<(), WatchError> {
        let names = routes.channels();
        let mut book = self.desk.book.lock();
        let known = book.facts().routes.clone();
        if known.as_ref().map_or(file.is_some(), |known| known.file != file) {
            book.append(Event::Routes(RoutesEvent { file, channels: names.clone() }))?;
            book.sync()?;
            if let Some(known) = known {
                let what = format!(
                    "alarms went to [{}] and go to [{}] now",
                    known.channels.join(", "),
                    names.join(", ")
                );
                book.raise(Alarm::RoutesChanged.as_str(), None, &what)?;
            }
        }
        drop(book);
        self.desk.channels.lock().shown = routes.shown;
        self.routes = Arc::new(routes);
        self.run();
        Ok(())
    }

    /// Starts what is new and retires what is no more.
    fn run(&mut self) {
        let summaries = self.routes.summaries().map(|mail| mail.name.clone());
        let hooks = self.routes.webhooks.iter().cloned().map(Channel::Webhook);
        let mails = self.routes.mails.iter().cloned();
        let mails = mails.map(|mail| {
            let is_own = Some(&mail.name) == summaries.as_ref();
            Channel::Mail(mail, is_own)
        });
        let wanted: Vec<Channel> = hooks.chain(mails).collect();
        let gone: Vec<String> = self
            .running
            .iter()
            .filter(|(_, (channel, _))| !wanted.contains(channel))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some((_, task)) = self.running.remove(&name) {
                self.desk.channels.lock().channels.remove(&name);
                self.tasks.spawn(async move {
                    sleep(RETIRED_AFTER).await;
                    task.abort();
                    Ok(())
                });
            }
        }
        for channel in wanted {
            let name = channel.name().to_owned();
            if self.running.contains_key(&name) {
                continue;
            }
            let state = ChannelState { kind: channel.kind(), ..ChannelState::default() };
            self.desk.channels.lock().channels.insert(name.clone(), state);
            let (desk, routes) = (self.desk.clone(), Arc::clone(&self.routes));
            let own = channel.clone();
            let task = self.tasks.spawn(async move { carry(desk, own, routes).await });
            self.running.insert(name, (channel, task));
        }
    }
}

/// The file's bytes; none if there is no file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::metadata(path) {
        Ok(facts) if facts.len() > ROUTES_MAX_BYTES => {
            return Err(format!("it has more than {ROUTES_MAX_BYTES} bytes"));
        }
        _ => {}
    }
    disk::read_if_there(path).map_err(|error| format!("it cannot be read: {error}"))
}

/// Delivers what a channel owes, for as long as it lives.
async fn carry(desk: Desk, channel: Channel, routes: Arc<Routes>) -> Result<(), WatchError> {
    let mut pause = DELIVERY_AGAIN;
    loop {
        let sent = match timeout(DELIVERY_MAX, turn(&desk, &channel, &routes)).await {
            Ok(sent) => sent,
            Err(_) => Err(format!("no answer within {} s", DELIVERY_MAX.as_secs())),
        };
        match sent {
            Ok(taken) => {
                pause = DELIVERY_AGAIN;
                if !taken.is_empty() {
                    desk.book.lock().delivered(&taken, channel.name())?;
                    went_well(&desk, channel.name());
                }
                sleep(DELIVERY_LOOK_EVERY).await;
            }
            Err(why) => {
                failed(&desk, channel.name(), &why)?;
                sleep(pause).await;
                pause = (pause * 2).min(DELIVERY_AGAIN_MAX);
            }
        }
    }
}

/// The entries that the channel has taken now, or why it took nothing.
type Sent = Result<Vec<u64>, String>;

async fn turn(desk: &Desk, channel: &Channel, routes: &Routes) -> Sent {
    let most = if matches!(channel, Channel::Mail(..)) { MAIL_MAX_ALARMS } else { 1 };
    let owed: Vec<(u64, AlarmFacts)> = {
        let book = desk.book.lock();
        book.owed(channel.name())
            .take(most)
            .map(|(number, facts)| (number, facts.clone()))
            .collect()
    };
    if owed.is_empty() {
        return match channel {
            Channel::Mail(mail, true) => summary(desk, mail, routes).await,
            _ => Ok(Vec::new()),
        };
    }
    failpoint::hit("watch.delivery.before_send");
    let sent = match channel {
        Channel::Webhook(hook) => posted(desk, hook, &owed).await,
        Channel::Mail(mail, _) => mailed(desk, mail, &owed).await,
    };
    failpoint::hit("watch.delivery.after_send");
    sent.map(|()| owed.into_iter().map(|(number, _)| number).collect())
}

async fn posted(desk: &Desk, hook: &Webhook, owed: &[(u64, AlarmFacts)]) -> Result<(), String> {
    for (number, facts) in owed {
        let id = format!("{}/alarm/{number}", desk.site);
        let advice = advice::of(&facts.alarm.kind);
        let body = json!({
            "v": 1,
            "id": id,
            "site": desk.site,
            "number": number,
            "alarm": facts.alarm.kind,
            "detector": advice.detector,
            "severity": advice.severity.as_str(),
            "host": facts.alarm.host.as_ref().map(HostName::as_str),
            "what": facts.alarm.what,
            "todo": advice.todo,
            "time": facts.at.iso_millis(),
            "again": facts.again,
        });
        let body = body.to_string().into_bytes();
        webhook::post(hook, &desk.folder, &desk.key, &id, &body).await?;
    }
    Ok(())
}

async fn mailed(desk: &Desk, mail: &Mail, owed: &[(u64, AlarmFacts)]) -> Result<(), String> {
    let Some((first, facts)) = owed.first() else { return Ok(()) };
    let kind = &facts.alarm.kind;
    let on = facts.alarm.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    let more = match owed.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let severity = advice::of(kind).severity.as_str();
    let subject = format!("[writ {}] {severity}: {kind}{on}{more}", desk.site);
    let id = format!("{}/alarm/{first}", desk.site);
    let (text, html) = alarms_as_mail(&desk.site, owed);
    let message = Message {
        from: &mail.from,
        to: &mail.to,
        subject: &subject,
        id: &id,
        time: facts.at,
        text: &text,
        html: &html,
    };
    let refused = smtp::send(mail, &desk.folder, &mail.to, &message.to_bytes()).await?;
    if !refused.is_empty() {
        tracing::error!(channel = mail.name, ?refused, "some recipients were refused");
    }
    Ok(())
}

fn alarms_as_mail(site: &str, owed: &[(u64, AlarmFacts)]) -> (String, String) {
    let mut text = String::new();
    let mut html = String::from(
        "<!doctype html><html><body style=\"font:16px/1.45 sans-serif;max-width:44em;margin:0 auto;padding:1em;color:#111;background:#fff\">",
    );
    for (number, facts) in owed {
        let advice = advice::of(&facts.alarm.kind);
        let host = facts.alarm.host.as_ref().map_or("-", HostName::as_str);
        let by = advice.detector.unwrap_or("-");
        let (kind, time) = (&facts.alarm.kind, facts.at.iso_millis());
        let plain: String =
            facts.alarm.what.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        text.push_str(&format!(
            "{kind} ({}, {by})\r\n  host   {host}\r\n  time   {time}\r\n  seen   {plain}\r\n  do     {}\r\n\
             \x20 note   writ watch ack {number} --by NAME\r\n\r\n",
            advice.severity.as_str(),
            advice.todo,
        ));
        html.push_str(&format!(
            "<h2 style=\"font-size:1.2em;margin:1.2em 0 .3em\">{}</h2><p style=\"margin:.2em 0\">{} &middot; {by} &middot; host <b>{}</b> &middot; {time}</p>\
             <p style=\"margin:.4em 0\">{}</p><p style=\"margin:.4em 0\"><b>Do first:</b> {}</p>\
             <p style=\"margin:.4em 0\"><code>writ watch ack {number} --by NAME</code></p>",
            escape(kind),
            advice.severity.as_str(),
            escape(host),
            escape(&plain),
            escape(advice.todo),
        ));
    }
    text.push_str(&format!("watch of {site}\r\n"));
    html.push_str(&format!("<p style=\"color:#555\">watch of {}</p></body></html>", escape(site)));
    (text, html)
}

/// The oldest summary that is owed, as it was made.
async fn summary(desk: &Desk, mail: &Mail, routes: &Routes) -> Sent {
    let owed = {
        let book = desk.book.lock();
        let mut known = book.facts().summaries.iter().filter(|(_, known)| !known.delivered);
        known.next().map(|(entry, known)| (*entry, known.summary.clone()))
    };
    let Some((entry, summary)) = owed else { return Ok(Vec::new()) };
    let to = match &summary.manager {
        None => mail.to.clone(),
        Some(person) => {
            let manager = routes.managers.iter().find(|m| m.person.as_str() == person);
            match manager {
                Some(manager) => vec![manager.mail.clone()],
                // The security organisation has taken the manager out since.
                None => return Ok(vec![entry]),
            }
        }
    };
    let path = crate::summary::path(&desk.folder, &summary.day, summary.manager.as_deref());
    let message = std::fs::read(&path)
        .map_err(|error| format!("the summary `{}` cannot be read: {error}", path.display()))?;
    if sha256(&message) != summary.message {
        return Err(format!("the summary `{}` was changed after it was made", path.display()));
    }
    failpoint::hit("watch.summary.before_send");
    smtp::send(mail, &desk.folder, &to, &message).await.map(|_| vec![entry])
}

fn went_well(desk: &Desk, name: &str) {
    if let Some(state) = desk.channels.lock().channels.get_mut(name) {
        (state.tries, state.fault, state.since) = (0, None, None);
    }
}

fn failed(desk: &Desk, name: &str, why: &str) -> Result<(), WatchError> {
    let now = desk.env.monotonic();
    tracing::warn!(channel = name, why, "nothing was delivered");
    let long = {
        let mut state = desk.channels.lock();
        let Some(state) = state.channels.get_mut(name) else { return Ok(()) };
        state.tries += 1;
        state.fault = Some(why.to_owned());
        let since = *state.since.get_or_insert(now);
        now.saturating_sub(since) >= DELIVERY_FAILING
    };
    if !long {
        return Ok(());
    }
    let mut book = desk.book.lock();
    let waiting = book.owed(name).count();
    let what = format!("channel `{name}`: {why}; {waiting} alarms wait for it");
    let key = format!("channel {name}");
    book.raise_about(Alarm::DeliveryFailing.as_str(), None, Some(&key), &what)
}
