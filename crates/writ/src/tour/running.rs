//! Chapters of the processes: start, stop, verify, start again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use writ_model::{Env as _, SystemEnv};
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::Note;
use writ_proof::origin::LogName;
use writ_trail::reader::Reader;

use super::client::Client;
use super::identity::People;
use super::keys::Key;
use super::objects::Objects;
use super::search::copy_dir;
use super::site::{Finished, Site, verify};
use super::story::Story;
use crate::up::ready::{FILE, Ready};

/// How long a cosigned checkpoint may take; there is a round every second.
const CHECKPOINT_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// What a customer keeps between two runs of `writ verify`.
pub struct Seen {
    /// The digest of the genesis statement, which a customer gets on paper.
    pub genesis: String,
    /// The file in which `writ verify` remembers what it has seen.
    pub state: PathBuf,
}

/// The first chapter.
pub fn start(story: &mut Story, base: &Path) -> Result<Site> {
    story.chapter("Start: separate processes under one supervisor", "");
    let site = story.need("everything serves", Site::start(base), |site| {
        format!(
            "{} processes in {:.1} s, mode {}",
            site.ready.pids.len(),
            site.took.as_secs_f64(),
            site.ready.mode
        )
    })?;
    for (role, pid) in &site.ready.pids {
        let uid = status_field(*pid, "Uid").unwrap_or_default();
        let uid = uid.split_whitespace().next().unwrap_or("?").to_owned();
        story.line(&format!("{role:10} pid {pid:<8} user id {uid}"));
    }
    story.line(&format!("key module: {}", guards(&site.ready).join(", ")));
    story.about("C-01");
    story.check("the key module's guards, seen from outside", guards_hold(&site.ready));
    story.about("");
    let second = site.second().and_then(|second| ended_saying(&second, "in use by another"));
    story.attack("a second `writ up` on the same data", second);
    Ok(site)
}

/// The chapter of the stop.
pub fn stop_and_verify(
    story: &mut Story,
    site: Site,
    base: &Path,
    people: &People,
) -> Result<Seen> {
    story.chapter("Stop everything, and verify with public keys alone", "C-04");
    let seen = Seen { genesis: site.ready.genesis.clone(), state: base.join("seen") };
    let data = site.data().to_owned();
    let client = Client::new(&site.ready)?;
    let before = cosigned_size(&data);
    client.ok(&people.ann, &client.query("sts", "GetCallerIdentity", &[]))?;
    story.check("a newer checkpoint is signed and cosigned", cosigned_beyond(&data, before));
    stop(story, site)?;
    let verified = verify(&data, &seen.genesis, &seen.state);
    story.check("`writ verify` finds everything in order", verified.and_then(|v| sound(&v)));
    Ok(seen)
}

/// The chapter of the second start. Gives back a copy of the data from before it.
pub fn restart(
    story: &mut Story,
    base: &Path,
    seen: &Seen,
    people: &People,
    key: &Key,
    objects: &Objects,
) -> Result<PathBuf> {
    story.chapter("Start again on the same data", "C-04");
    let earlier = base.join("earlier");
    copy_dir(&base.join("data"), &earlier)?;
    let site = story.need("everything serves again", Site::start(base), |site| {
        format!("{} processes in {:.1} s", site.ready.pids.len(), site.took.as_secs_f64())
    })?;
    let client = Client::new(&site.ready)?;
    let data = site.data().to_owned();
    let before = cosigned_size(&data);
    let genesis = match site.ready.genesis == seen.genesis {
        true => Ok(format!("{}…", seen.genesis.get(..16).unwrap_or_default())),
        false => Err(anyhow::anyhow!("it is {} now", site.ready.genesis)),
    };
    story.check("the genesis is the same", genesis);
    let arn = client.ok(&people.ann, &client.query("sts", "GetCallerIdentity", &[]));
    story.check("the user of before signs in", arn.and_then(|reply| reply.element("Arn")));
    story.check("Decrypt of the ciphertext of before", key.decrypts(&client, &people.ann));
    story.check("GetObject of the object of before", objects.small_is_whole(&client, &people.ann));
    story.check("a newer checkpoint is signed and cosigned", cosigned_beyond(&data, before));
    stop(story, site)?;
    let again = verify(&data, &seen.genesis, &seen.state).and_then(|v| sound(&v));
    story.check("`writ verify`: it extends what was seen before", again);
    Ok(earlier)
}

/// The size of the newest checkpoint that a witness has cosigned; 0 before the first.
fn cosigned_size(data: &Path) -> u64 {
    let read = || -> Result<u64> {
        let note = Reader::open(&data.join("trail"))?.cosigned(LogName::Checkpoint)?;
        let note = note.context("there is none yet")?;
        Ok(Checkpoint::of(&Note::from_bytes(&note)?)?.size)
    };
    // While it is replaced, the file may be read half: the next look finds it whole.
    read().unwrap_or(0)
}

/// Waits for a cosigned checkpoint that is larger than `before`.
fn cosigned_beyond(data: &Path, before: u64) -> Result<String> {
    let began = SystemEnv.monotonic();
    loop {
        let (size, took) =
            (cosigned_size(data), SystemEnv.monotonic().saturating_sub(began).as_secs_f64());
        if size > before {
            return Ok(format!("size {size} after {took:.1} s"));
        }
        if took > CHECKPOINT_MAX.as_secs_f64() {
            bail!("none beyond size {before} after {took:.1} s");
        }
        std::thread::sleep(POLL);
    }
}

fn stop(story: &mut Story, site: Site) -> Result<()> {
    let (data, pids) = (site.data().to_owned(), site.ready.pids.clone());
    let stopped = site.stop().and_then(|(status, took)| {
        if !status.success() {
            bail!("`writ up` ended with {status}");
        }
        let left: Vec<&String> =
            pids.iter().filter(|(_, pid)| is_alive(**pid)).map(|(role, _)| role).collect();
        if !left.is_empty() {
            bail!("still there: {left:?}");
        }
        if data.join(FILE).exists() {
            bail!("`{FILE}` is still there");
        }
        Ok(format!("{} processes ended in {:.1} s, exit 0", pids.len(), took.as_secs_f64()))
    });
    story.need("SIGTERM stops all, listeners first", stopped, String::clone)?;
    Ok(())
}

/// What a verifier says in the end, if all was sound.
pub fn sound(verified: &Finished) -> Result<String> {
    let logs = verified.lines.iter().map(|line| line.trim()).find(|line| line.starts_with("logs "));
    match (verified.code, logs) {
        (Some(0), Some(logs)) => {
            let counted = logs.trim_start_matches("logs").trim();
            Ok(format!("exit 0: {counted}"))
        }
        (Some(0), None) => bail!("exit 0, but it does not say what it looked at"),
        (code, _) => bail!("{}, {}", exit(code), reason(verified)),
    }
}

/// The first thing that a verifier found wrong, in its own words.
pub fn reason(verified: &Finished) -> String {
    let mut lines = verified.lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("nothing was said");
    match first.starts_with("FAILED") {
        true => lines.next().unwrap_or(first).to_owned(),
        false => first.to_owned(),
    }
}

/// How a process ended.
pub fn exit(code: Option<i32>) -> String {
    code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit {code}"))
}

fn ended_saying(finished: &Finished, part: &str) -> Result<String> {
    let said = finished.lines.iter().find(|line| line.contains(part));
    match (finished.code, said) {
        (Some(0), _) => bail!("IT STARTED"),
        (Some(code), Some(line)) => {
            let shown = line.find(part).and_then(|at| line.get(at..)).unwrap_or(line);
            Ok(format!("exit {code}: … {shown}"))
        }
        (code, _) => bail!("{}, without `{part}`: {:?}", exit(code), finished.lines.last()),
    }
}

/// The guards of the key module, as it says itself.
fn guards(ready: &Ready) -> Vec<String> {
    let told = ready.hardening.get("keyd").into_iter().flatten();
    told.map(|(name, value)| if value == "on" { name.clone() } else { format!("{name} {value}") })
        .collect()
}

/// Compares what the key module says of itself with what the kernel says of it.
fn guards_hold(ready: &Ready) -> Result<String> {
    let pid = *ready.pids.get("keyd").context("there is no key module")?;
    let told = ready.hardening.get("keyd").context("the key module says nothing of its guards")?;
    let mut held = Vec::new();
    for (name, field, wanted) in
        [("seccomp", "Seccomp", "2"), ("no new privileges", "NoNewPrivs", "1")]
    {
        let value = told.get(name).with_context(|| format!("nothing is said of `{name}`"))?;
        let found = status_field(pid, field)?;
        match (value == "on", found == wanted) {
            (true, true) => held.push(format!("{field} {found}")),
            (true, false) => bail!("it says `{name}: on`, and the kernel says {field} {found}"),
            (false, _) => held.push(format!("{name} {value}")),
        }
    }
    Ok(held.join(", "))
}

fn status_field(pid: u32, field: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let found = pairs.find(|(name, _)| *name == field).map(|(_, value)| value.trim().to_owned());
    found.with_context(|| format!("the kernel says nothing of {field}"))
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
