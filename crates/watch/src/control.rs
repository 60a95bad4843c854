//! What watch's own administrators say to it: one JSON object a line over `control.sock` in watch's folder,
//! which belongs to watch alone. The control side has no part in it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use writ_proof::hostlog::log::{Event, Removed, Window};
use writ_proof::limits::HOST_CONFIG_MAX_BYTES;
use writ_proof::roster::HostName;

use crate::alarm::Alarm;
use crate::delivery::{ChannelState, Desk};
use crate::error::WatchError;
use crate::hosts::book::HostFacts;
use crate::hosts::listen::lock;
use crate::hosts::{Health, Hosts};
use crate::limits::{
    CONTROL_ANSWER_MAX_BYTES, CONTROL_MAX_ALARMS, CONTROL_MAX_BYTES, CONTROL_WAIT, WINDOW_MAX,
};
use crate::{CONTROL_FILE, advice, summary};

/// Asks the watch whose folder this is. Answers its answer, or why it refused.
///
/// # Errors
/// No watch listens there, or this user may not ask it.
pub fn ask(folder: &Path, request: &Value) -> Result<Result<Value, String>, WatchError> {
    let path = folder.join(CONTROL_FILE);
    let io = |action| WatchError::io(action, &path);
    let mut stream = UnixStream::connect(&path).map_err(io("reach watch at"))?;
    stream.set_read_timeout(Some(CONTROL_WAIT)).map_err(io("reach watch at"))?;
    stream.set_write_timeout(Some(CONTROL_WAIT)).map_err(io("reach watch at"))?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(io("ask"))?;
    let mut line = String::new();
    let limit = u64::try_from(CONTROL_ANSWER_MAX_BYTES).unwrap_or(u64::MAX);
    BufReader::new(stream).take(limit).read_line(&mut line).map_err(io("hear"))?;
    let mut answer: Value = serde_json::from_str(&line)
        .map_err(|_| WatchError::Message("watch did not answer".to_owned()))?;
    Ok(match answer.get("refused").and_then(Value::as_str) {
        Some(why) => Err(why.to_owned()),
        None => Ok(answer.get_mut("done").map(Value::take).unwrap_or_default()),
    })
}

/// Whether `host` is being watched now, as the watch of this folder says.
///
/// # Errors
/// It cannot be asked: then nobody knows, and nothing that rests on it may go on.
pub fn health(folder: &Path, host: &HostName) -> Result<Health, WatchError> {
    let answer = ask(folder, &json!({ "op": "health", "host": host.as_str() }))?;
    let answer = answer.map_err(WatchError::Message)?;
    Ok(match answer.get("unwatched") {
        Some(Value::Null) => Health::Healthy,
        why => Health::Unwatched(why.and_then(Value::as_str).unwrap_or("not known").to_owned()),
    })
}

/// Serves one request.
pub(crate) async fn serve(
    stream: tokio::net::UnixStream,
    hosts: std::sync::Arc<Mutex<Hosts>>,
    desk: Desk,
) -> Result<(), WatchError> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let limit = u64::try_from(CONTROL_MAX_BYTES).unwrap_or(u64::MAX);
    let mut reader = tokio::io::BufReader::new(read.take(limit));
    if !matches!(timeout(CONTROL_WAIT, reader.read_line(&mut line)).await, Ok(Ok(_))) {
        return Ok(());
    }
    let answered = serde_json::from_str(&line).map_err(|error| error.to_string());
    let answered = match answered {
        Ok(request) if is_summary(&request) => {
            let now = desk.env.now();
            summary::answer(&desk.folder, &desk.site, &desk.book, now, &request).await
        }
        Ok(request) => answer(&mut lock(&hosts), &desk, &request)?,
        Err(why) => Err(why),
    };
    let answer = match answered {
        Ok(done) => json!({ "done": done }),
        Err(why) => json!({ "refused": why }),
    };
    // Whoever asked may be gone.
    timeout(CONTROL_WAIT, write.write_all(format!("{answer}\n").as_bytes())).await.ok();
    Ok(())
}

fn is_summary(request: &Value) -> bool {
    request.get("op").and_then(Value::as_str) == Some("summary")
}

fn answer(
    hosts: &mut Hosts,
    desk: &Desk,
    request: &Value,
) -> Result<Result<Value, String>, WatchError> {
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let host = || -> Result<HostName, String> {
        text("host").ok_or("`host` is missing")?.parse().map_err(|e| format!("{e}"))
    };
    let by = || {
        let named = text("by").filter(|by| (1..=100).contains(&by.len()));
        named.map(str::to_owned).ok_or_else(|| "say who you are".to_owned())
    };
    match text("op") {
        Some("alarms") => {
            let all = request.get("all").and_then(Value::as_bool).unwrap_or_default();
            Ok(Ok(alarms(hosts, desk, all)))
        }
        Some("ack") => {
            let Some(alarm) = request.get("alarm").and_then(Value::as_u64) else {
                return Ok(Err("`alarm` is no number".to_owned()));
            };
            let by = match by() {
                Ok(by) => by,
                Err(why) => return Ok(Err(why)),
            };
            let done = hosts.book().lock().acknowledge(alarm, &by)?;
            Ok(done.then_some(Value::Null).ok_or_else(|| format!("no open alarm {alarm}")))
        }
        Some("hosts") => Ok(Ok(list(hosts))),
        Some("test") => match by() {
            Ok(by) => {
                let what = format!("`{by}` tries whether alarms arrive");
                hosts.book().lock().raise(Alarm::Test.as_str(), None, &what)?;
                Ok(Ok(Value::Null))
            }
            Err(why) => Ok(Err(why)),
        },
        Some("health") => Ok(host().map(|host| match hosts.health(&host) {
            Health::Healthy => json!({ "unwatched": null }),
            Health::Unwatched(why) => json!({ "unwatched": why }),
        })),
        Some("configure") => match host().and_then(|host| Ok((host, by()?))) {
            Ok((host, by)) => configure(hosts, &host, &by, text("config").unwrap_or_default()),
            Err(why) => Ok(Err(why)),
        },
        Some("config") => Ok(host().and_then(|host| config(hosts, &host))),
        Some("token") => match host() {
            Ok(host) => Ok(Ok(hosts.token(&host)?.into())),
            Err(why) => Ok(Err(why)),
        },
        Some("remove") => match host().and_then(|host| Ok((host, by()?))) {
            Ok((host, by)) => remove(hosts, &host, by),
            Err(why) => Ok(Err(why)),
        },
        Some("window") => match host().and_then(|host| Ok((host, by()?))) {
            Ok((host, by)) => window(hosts, host, by, request),
            Err(why) => Ok(Err(why)),
        },
        _ => Ok(Err("this version of watch does not know that".to_owned())),
    }
}

fn alarms(hosts: &Hosts, desk: &Desk, all: bool) -> Value {
    let unwatched = hosts.word().iter().filter(|host| host.unwatched.is_some()).count();
    let channels = desk.channels.lock();
    let book = hosts.book().lock();
    let known = book.facts().alarms.iter().rev();
    let open = book.facts().open.len();
    let shown = known.filter(|(_, alarm)| all || alarm.acknowledged.is_none());
    let list: Vec<Value> = shown
        .take(CONTROL_MAX_ALARMS)
        .map(|(number, known)| {
            let advice = advice::of(&known.alarm.kind);
            let owes = |(name, _): &(&String, &ChannelState)| {
                known.acknowledged.is_none() && !known.delivered.contains(*name)
            };
            let undelivered = channels.channels.iter().filter(owes).map(|(name, state)| {
                json!({ "channel": name, "tries": state.tries, "fault": state.fault })
            });
            json!({
                "severity": advice.severity.as_str(),
                "detector": advice.detector,
                "todo": advice.todo,
                "undelivered": undelivered.collect::<Vec<Value>>(),
                "number": number,
                "alarm": known.alarm.kind,
                "host": known.alarm.host.as_ref().map(HostName::as_str),
                "what": known.alarm.what,
                "time": known.at.iso_millis(),
                "again": known.again,
                "last": known.last.iso_millis(),
                "last_what": known.last_what,
                "acknowledged_by": known.acknowledged.as_ref().map(|(by, _)| by),
                "acknowledged": known.acknowledged.as_ref().map(|(_, at)| at.iso_millis()),
            })
        })
        .collect();
    let channels = channels.channels.iter().map(|(name, state)| {
        let waiting = book.owed(name).count();
        json!({ "channel": name, "kind": state.kind, "fault": state.fault, "waiting": waiting })
    });
    let channels = channels.collect::<Vec<Value>>();
    json!({ "open": open, "alarms": list, "channels": channels, "unwatched": unwatched })
}

pub(crate) fn list(hosts: &Hosts) -> Value {
    let book = hosts.book().lock().facts().hosts.clone();
    let list: Vec<Value> = book
        .iter()
        .map(|(name, facts)| {
            let live = hosts.live(name);
            let beat = live.and_then(|live| live.last_beat());
            let faults: Vec<Value> = beat
                .map(|beat| beat.sources.as_slice())
                .unwrap_or_default()
                .iter()
                .map(|s| json!({ "name": s.name, "frames": s.frames, "fault": s.fault }))
                .collect();
            let hardening: Vec<Value> = live
                .map(|live| live.hardening())
                .unwrap_or_default()
                .iter()
                .map(|h| json!({ "name": h.name, "fault": h.fault }))
                .collect();
            let unwatched = match hosts.health(name) {
                Health::Healthy => None,
                Health::Unwatched(why) => Some(why),
            };
            json!({
                "host": name.as_str(),
                "enrolled": facts.key.is_some(),
                "ever_enrolled": facts.was_enrolled(),
                "unwatched": unwatched,
                "left": facts.left,
                "epoch": facts.epoch,
                "frames": facts.held.next_seq,
                "head": facts.held.head.to_string(),
                "seen": facts.seen.iso_millis(),
                "certificate_until": facts.until.iso(),
                "sources": faults,
                "hardening": hardening,
                "configuration": facts.configured.as_ref().map(|newest| newest.config.serial),
                "waits_for_restart": facts.waits_for_restart(),
                "audit": beat.and_then(|beat| beat.audit).map(|audit| {
                    json!({ "enabled": audit.enabled, "pid": audit.pid, "lost": audit.lost })
                }),
                "dropped": beat.map(|beat| beat.dropped),
            })
        })
        .collect();
    json!({ "entries": hosts.book().lock().size(), "hosts": list })
}

pub(crate) fn configure(
    hosts: &Hosts,
    host: &HostName,
    by: &str,
    text: &str,
) -> Result<Result<Value, String>, WatchError> {
    if text.is_empty() || text.len() > HOST_CONFIG_MAX_BYTES {
        return Ok(Err(format!("a configuration has 1 to {HOST_CONFIG_MAX_BYTES} bytes")));
    }
    let mut book = hosts.book().lock();
    let config = book.configure(host, text.to_owned(), Some(by))?;
    let enrolled = book.facts().hosts.get(host).is_some_and(|facts| facts.key.is_some());
    Ok(Ok(json!({ "serial": config.serial, "enrolled": enrolled })))
}

fn config(hosts: &Hosts, host: &HostName) -> Result<Value, String> {
    let book = hosts.book().lock();
    let newest = book.facts().hosts.get(host).and_then(|facts| facts.configured.as_ref());
    let newest = newest.ok_or_else(|| format!("no configuration of `{host}` is signed"))?;
    Ok(json!({ "serial": newest.config.serial, "config": newest.config.text, "by": newest.by }))
}

pub(crate) fn remove(
    hosts: &mut Hosts,
    host: &HostName,
    by: String,
) -> Result<Result<Value, String>, WatchError> {
    let mut book = hosts.book().lock();
    // One that is not enrolled yet can have a configuration.
    let is_known = |facts: &HostFacts| facts.key.is_some() || !facts.was_enrolled();
    if !book.facts().hosts.get(host).is_some_and(is_known) {
        return Ok(Err(format!("host `{host}` is not enrolled")));
    }
    book.append(Event::Removed(Removed { host: host.clone(), by }))?;
    book.sync()?;
    drop(book);
    hosts.cut(host);
    Ok(Ok(Value::Null))
}

fn window(
    hosts: &Hosts,
    host: HostName,
    by: String,
    request: &Value,
) -> Result<Result<Value, String>, WatchError> {
    let minutes = request.get("minutes").and_then(Value::as_u64).unwrap_or_default();
    let length = Duration::from_secs(minutes.saturating_mul(60));
    if length.is_zero() || length > WINDOW_MAX {
        return Ok(Err("a window is of 1 minute to 24 hours".to_owned()));
    }
    let mut book = hosts.book().lock();
    if !book.facts().hosts.contains_key(&host) {
        return Ok(Err(format!("host `{host}` is not enrolled")));
    }
    let from = book.now();
    let until = from.plus(length);
    book.append(Event::Window(Window { host, from, until, by }))?;
    book.sync()?;
    Ok(Ok(json!({ "until": until.iso() })))
}
