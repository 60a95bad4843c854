//! What front knows of alarms: watch's signed word, and nothing else. Taking note of an alarm is watch's own matter
//! (`writ watch ack`); nothing can be said to watch from here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
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

    /// What watch said last. How old it is tells whether watch is heard: see [`word::STALE`].
    ///
    /// # Errors
    /// There is none, or it is not watch's.
    pub fn word(&self) -> Result<Word> {
        Word::read(&self.path, &self.key).context("watch has said nothing that can be read")
    }
}
