//! Watches the HR feed's file: finds a new one, reads it whole, hands it over.
//!
//! A file is taken when two looks in a row agree on it, so a slow writer is not caught in the middle
//! more often than need be; whoever renames a finished file into place never is. A file that cannot be
//! had is told and ends nobody.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use writ_model::{Env as _, SystemEnv};
use writ_people::{Format, Refused, feed, limits};
use writ_proof::hash::sha256;

use super::{Office, Taken};

/// How often the file is looked at. Two looks, reading and committing fit into one second.
const POLL: Duration = Duration::from_millis(100);
/// How often the time is looked at: absences, lapsed gates, silence, endings that are owed.
const PASS: Duration = Duration::from_secs(10);
/// How long it waits before it tries again what failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Where deliveries come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    /// The folder that front may read.
    pub folder: PathBuf,
    /// The names that the file may have in it; the first that is there counts.
    pub names: Vec<String>,
    /// True if the configuration names the file: its absence is then told even before the first one.
    pub named: bool,
}

/// What a look finds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Gone,
    Unreadable(String),
    File { path: PathBuf, inode: u64, bytes: u64, changed: [(i64, i64); 2] },
}

/// Watches until the process ends.
pub async fn watch(office: Arc<Office>, source: Source) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut seen, mut done, mut passed) = (None, None, None::<Duration>);
    loop {
        tick.tick().await;
        let now = SystemEnv.monotonic();
        if passed.is_none_or(|passed| now.saturating_sub(passed) >= PASS) {
            passed = Some(now);
            if let Err(error) = office.pass().await {
                tracing::warn!(%error, "what is due for persons was not done");
            }
        }
        let found = look(&source);
        if seen.as_ref() != Some(&found) {
            seen = Some(found);
            continue;
        }
        if done.as_ref() == Some(&found) {
            continue;
        }
        match handle(&office, &source, &found).await {
            Ok(()) => done = Some(found),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the HR feed is tried again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

fn look(source: &Source) -> Look {
    for name in &source.names {
        let path = source.folder.join(name);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => {
                let changed =
                    [(meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())];
                return Look::File { path, inode: meta.ino(), bytes: meta.len(), changed };
            }
            Ok(_) => return Look::Unreadable(format!("`{name}` is no file")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Look::Unreadable(format!("`{name}` cannot be looked at: {error}"));
            }
        }
    }
    Look::Gone
}

async fn handle(office: &Arc<Office>, source: &Source, found: &Look) -> Result<()> {
    let (path, changed_ms) = match found {
        Look::Gone if source.named || office.last().is_some() => {
            let names = source.names.join("` or `");
            return office
                .alarm("MissHrFeedFile", &format!("there is no file `{names}`"), None)
                .await;
        }
        Look::Gone => return Ok(()),
        Look::Unreadable(why) => return office.alarm("RefuseHrFeed", why, None).await,
        Look::File { path, bytes, changed, .. } => {
            let [_, (seconds, nanos)] = changed;
            let ms = seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000);
            if *bytes > limits::FEED_MAX_BYTES as u64 {
                let refused = Refused::TooLarge { max: limits::FEED_MAX_BYTES };
                return office.alarm("RefuseHrFeed", &refused.to_string(), None).await;
            }
            (path.clone(), u64::try_from(ms).unwrap_or(0))
        }
    };
    let format = Format::of(&path).context("the file's name ends in neither .csv nor .json")?;
    let reading = path.clone();
    let read = writ_service::task::blocking(move || {
        read(&reading).map(|bytes| {
            let digest = sha256(&bytes).to_string();
            (digest, feed::parse(&bytes, format))
        })
    });
    let (digest, parsed) = match read.await.context("reading panicked")? {
        Ok(read) => read,
        Err(error) => {
            return office.alarm("RefuseHrFeed", &format!("{error:#}"), None).await;
        }
    };
    if &look(source) != found {
        bail!("the file changed while it was read");
    }
    let known = office.last();
    if known.is_some_and(|last| last.digest == digest && last.changed_ms == changed_ms) {
        return office.clear().await;
    }
    match parsed {
        Ok(feed) => office.deliver(&Taken { feed, digest, changed_ms }).await,
        Err(refused) => office.alarm("RefuseHrFeed", &refused.to_string(), Some(&digest)).await,
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.file_name().unwrap_or_default().display();
    let file = File::open(path).with_context(|| format!("`{shown}` cannot be read"))?;
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there is more.
    let max = limits::FEED_MAX_BYTES as u64 + 1;
    file.take(max).read_to_end(&mut bytes).with_context(|| format!("`{shown}` cannot be read"))?;
    Ok(bytes)
}
