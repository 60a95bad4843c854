//! watch's word for the control side: one signed file that says which alarms are open and which hosts are watched.
//!
//! The control side reads it and nothing else of watch; it can say nothing back. What it holds is the security
//! organisation's to choose (`[console]` in `watch.toml`); in mode `dev` it is everything.
//!
//! ```text
//! writ-word-v1 HEX\n      watch's signature over "writ watch word v1\0" and what follows
//! {…}                     JSON, see [`Word`]
//! ```

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use writ_model::Timestamp;
use writ_proof::ed25519::{PublicKey, Signer, SoftKey};

use crate::disk;
use crate::error::WatchError;
use crate::limits::WORD_MAX_BYTES;

/// The name of the file.
pub const FILE: &str = "alarms";

/// A word that is older says nothing any more, but that watch is not heard.
pub const STALE: Duration = Duration::from_secs(15);

const HEADER: &str = "writ-word-v1 ";
const LABEL: &[u8] = b"writ watch word v1\0";

/// What watch says. All texts can hold what a host or a peer wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Version 1.
    pub v: u32,
    /// The installation.
    pub site: String,
    /// When it was written, in milliseconds since 1970, by watch's clock.
    pub at_ms: u64,
    /// Alarms that nobody has taken note of.
    pub open: u64,
    /// Those of them that a channel still owes.
    pub undelivered: u64,
    /// Where alarms go.
    pub channels: Vec<Channel>,
    /// The managed hosts.
    pub hosts: Vec<Host>,
    /// Alarms, the newest first; nothing where the control side may see their number alone.
    pub alarms: Option<Vec<Alarm>>,
}

/// A channel by which alarms go out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// `webhook` or `mail`.
    pub kind: String,
    /// How many alarms and summaries it owes.
    pub waiting: u64,
    /// Why the last attempt failed; nothing if it did not.
    pub fault: Option<String>,
}

/// A managed host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Why it is not watched now; nothing if it is.
    pub unwatched: Option<String>,
}

/// An alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its number: the index of its entry in the host log.
    pub number: u64,
    /// What it is about, such as `agent-killed`.
    pub kind: String,
    /// The detector that found it, such as `D-11`.
    pub detector: Option<String>,
    /// `page` or `warning`.
    pub severity: String,
    /// The host, if it is about one.
    pub host: Option<String>,
    /// What was seen.
    pub what: String,
    /// What to do first.
    pub todo: String,
    /// When it was raised, in milliseconds since 1970.
    pub time_ms: u64,
    /// How often its cause came again.
    pub again: u64,
    /// When it came last, in milliseconds since 1970.
    pub last_ms: u64,
    /// What was seen then.
    pub last_what: String,
    /// Who has taken note of it.
    pub acknowledged_by: Option<String>,
    /// When, in milliseconds since 1970.
    pub acknowledged_ms: Option<u64>,
    /// The channels that still owe it.
    pub undelivered: Vec<String>,
}

impl Word {
    /// Reads the word at `path`; it must be signed by `key`, watch's key of genesis.
    ///
    /// # Errors
    /// It is not there, too long, not signed by watch, or of another version.
    pub fn read(path: &Path, key: &PublicKey) -> Result<Word, WatchError> {
        let io = |action| WatchError::io(action, path);
        let file = std::fs::File::open(path).map_err(io("open"))?;
        let mut text = Vec::new();
        file.take(WORD_MAX_BYTES).read_to_end(&mut text).map_err(io("read"))?;
        Word::parse(&text, key)
            .map_err(|why| WatchError::Foreign { path: path.to_owned(), why: why.to_owned() })
    }

    fn parse(text: &[u8], key: &PublicKey) -> Result<Word, &'static str> {
        let end = text.iter().position(|byte| *byte == b'\n').ok_or("it has no signature")?;
        let (head, body) = text.split_at(end);
        let body = body.get(1..).unwrap_or_default();
        let signature = std::str::from_utf8(head)
            .ok()
            .and_then(|head| unhex(head.strip_prefix(HEADER)?))
            .ok_or("it is no word of version 1")?;
        if !key.verifies(&[LABEL, body].concat(), &signature) {
            return Err("it is not signed by watch");
        }
        let word: Word = serde_json::from_slice(body).map_err(|_| "it is no word")?;
        if word.v == 1 { Ok(word) } else { Err("it is of another version") }
    }

    /// How old it is at `now`.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_millis(self.at_ms))
    }

    /// Puts it where the control side reads it. It need not survive a crash: the next one comes in seconds.
    pub(crate) fn write(&self, folder: &Path, key: &SoftKey) -> Result<(), WatchError> {
        let body =
            serde_json::to_vec(self).map_err(|error| WatchError::Message(error.to_string()))?;
        let signature = key.sign(&[LABEL, &body].concat())?;
        let mut text = HEADER.to_owned();
        signature.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('\n');
        Ok(disk::replace(&folder.join(FILE), &[text.as_bytes(), &body].concat(), 0o644)?)
    }
}

fn unhex(text: &str) -> Option<[u8; 64]> {
    let mut bytes = [0; 64];
    if text.len() != 128 {
        return None;
    }
    for (place, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *place = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_is_read_only_as_watch_wrote_it() {
        let temp = tempfile::tempdir().unwrap();
        let key = SoftKey::from_seed(&[7; 32]).unwrap();
        let alarms = Some(vec![Alarm { number: 3, what: "x\n".to_owned(), ..Alarm::default() }]);
        let word = Word { v: 1, open: 2, at_ms: 5_000, alarms, ..Word::default() };
        word.write(temp.path(), &key).unwrap();
        let path = temp.path().join(FILE);
        assert_eq!(Word::read(&path, &key.public_key()).unwrap(), word);
        assert_eq!(word.age(Timestamp::from_secs(9)), Duration::from_secs(4));
        let other = SoftKey::from_seed(&[8; 32]).unwrap().public_key();
        assert!(Word::read(&path, &other).is_err());
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(Word::parse(&changed, &key.public_key()).is_err(), "byte {at}");
        }
    }
}
