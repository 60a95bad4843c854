//! What front knows of alarms: watch's signed word, and nothing else. Taking note of an alarm is watch's own matter
//! (`writ watch ack`); nothing can be said to watch from here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use writ_console::view::{AlarmView, AlarmsView, ChannelView};
use writ_model::Timestamp;
use writ_proof::ed25519::PublicKey;
use writ_proof::roster::Genesis;
use writ_proof::statement::Signed;
use writ_watch::word::{self, Word};

/// Reads watch's word.
#[derive(Debug, Clone)]
pub struct Alarms {
    path: PathBuf,
    key: PublicKey,
}

impl Alarms {
    /// The word in `folder` of the watch that `genesis`, the signed statement, names.
    ///
    /// # Errors
    /// The genesis is none.
    pub fn new(folder: &Path, genesis: &[u8]) -> Result<Alarms> {
        let genesis = Genesis::verify(&Signed::from_bytes(genesis)?, None)?;
        Ok(Alarms { path: folder.join(word::FILE), key: genesis.watch })
    }

    /// The same as the console shows it.
    pub fn shown(&self, now: Timestamp) -> AlarmsView {
        let word = match self.word() {
            Ok(word) => word,
            Err(error) => {
                let silent = format!("{error:#}");
                return AlarmsView { silent, ..AlarmsView::default() };
            }
        };
        AlarmsView {
            said: Some(Timestamp::from_millis(word.at_ms)),
            silent: String::new(),
            stale: word.age(now) > word::STALE,
            open: word.open,
            alarms: word.alarms.map(|alarms| alarms.into_iter().map(alarm).collect()),
            hosts: word.hosts.into_iter().map(|host| (host.host, host.unwatched)).collect(),
            channels: word.channels.into_iter().map(channel).collect(),
        }
    }

    /// What watch said last. How old it is tells whether watch is heard: see [`word::STALE`].
    ///
    /// # Errors
    /// There is none, or it is not watch's.
    pub fn word(&self) -> Result<Word> {
        Word::read(&self.path, &self.key).context("watch has said nothing that can be read")
    }
}

fn alarm(one: word::Alarm) -> AlarmView {
    let noted = one.acknowledged_by.zip(one.acknowledged_ms.map(Timestamp::from_millis));
    AlarmView {
        number: one.number,
        kind: one.kind,
        severity: one.severity,
        host: one.host,
        what: one.what,
        todo: one.todo,
        at: Timestamp::from_millis(one.time_ms),
        again: one.again,
        last: Timestamp::from_millis(one.last_ms),
        last_what: one.last_what,
        noted,
        undelivered: one.undelivered,
    }
}

fn channel(one: word::Channel) -> ChannelView {
    ChannelView { name: one.name, kind: one.kind, waiting: one.waiting, fault: one.fault }
}
