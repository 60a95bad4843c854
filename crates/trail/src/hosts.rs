//! watch's host log, as far as the ledger has to do with it: its checkpoints go to keyd, and keyd's cosignature
//! goes back. What does not extend what was cosigned is written down, and so is silence.
//!
//! `host.cosigned` is the newest checkpoint with keyd's cosignature: a copy that watch's folder has no part in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use writ_keyd_client::protocol::{Answer, Command, Reply};
use writ_model::Env;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::VerifierKey;
use writ_proof::roster::Genesis;
use writ_proof::stream::WitnessReply;
use writ_proof::witness::AddCheckpoint;

use crate::HOST_COSIGNED_FILE;
use crate::disk;
use crate::error::TrailError;
use crate::limits::HOST_LOG_SILENT;
use crate::witness::Context;
use crate::writer::keyd::Keyd;
use crate::writer::shared::{Fault, Shared};

/// See the module.
pub(crate) struct HostWitness {
    keyd: Arc<Keyd>,
    shared: Arc<Shared>,
    env: Arc<dyn Env>,
    path: PathBuf,
    log: VerifierKey,
    cosigner: VerifierKey,
    heard: Duration,
    silent: bool,
    /// The answer of keyd that has been written down.
    told: Option<u16>,
}

impl HostWitness {
    pub(crate) fn new(
        context: &Context,
        keyd: Arc<Keyd>,
        genesis: &Genesis,
    ) -> Result<HostWitness, TrailError> {
        Ok(HostWitness {
            keyd,
            shared: Arc::clone(&context.shared),
            env: Arc::clone(&context.env),
            path: context.shared.dir().join(HOST_COSIGNED_FILE),
            log: genesis.host_log_key()?,
            cosigner: genesis.keyd_cosigner()?,
            heard: context.env.monotonic(),
            silent: false,
            told: None,
        })
    }

    /// Has keyd cosign the checkpoint in `body`; the copy here is durable before watch hears of it.
    pub(crate) fn cosign(&mut self, body: Vec<u8>) -> Result<WitnessReply, TrailError> {
        let request = AddCheckpoint::from_bytes(&body)?;
        self.heard = self.env.monotonic();
        self.silent = false;
        let reply = match self.keyd.call(&Command::Cosign(body))? {
            Answer::Carried(Reply::Cosigned(reply)) => reply,
            Answer::Carried(_) => return Err(TrailError::Keyd("another answer".to_owned())),
            Answer::Refused(why) => return Err(TrailError::Keyd(format!("{why:?}"))),
        };
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let asked = Checkpoint::of(&request.checkpoint)?;
        match reply.status {
            200 => {
                let mut note = request.checkpoint;
                note.add(text.parse()?);
                note.verify_one(&self.log)?;
                note.verify_one(&self.cosigner)?;
                disk::replace(&self.path, &note.to_bytes())?;
                self.told = None;
            }
            409 => self.tell(409, &format!(
                "watch shows {} entries and knows of {} that were cosigned, but keyd has cosigned {}: \
                 watch was rolled back to an old copy",
                asked.size,
                request.old,
                text.trim()
            )),
            422 => self.tell(422, &format!(
                "watch shows {} entries that do not extend what keyd has cosigned: its history was changed",
                asked.size
            )),
            other => {
                self.tell(other, &format!("keyd does not cosign its checkpoint: status {other}"));
            }
        }
        Ok(reply)
    }

    /// Writes down that watch asks for nothing any more.
    pub(crate) fn look(&mut self) {
        let age = self.env.monotonic().saturating_sub(self.heard);
        if !self.silent && age > HOST_LOG_SILENT {
            self.silent = true;
            self.shared.note(Fault::HostLog, "no checkpoint of it for 15 s");
        }
    }

    /// The same is written down once.
    fn tell(&mut self, status: u16, why: &str) {
        if self.told.replace(status) != Some(status) {
            tracing::error!(why, "watch's host log");
            self.shared.note(Fault::HostLog, why);
        }
    }
}
