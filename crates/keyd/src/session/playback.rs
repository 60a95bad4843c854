//! Opening a recording: its key goes to who reads it, and to nobody else.
//!
//! Who carries the question and the answer learns nothing: the key is sealed to one that the reader made and
//! named in what they signed. What the recording says of itself is checked by its own seal.

use writ_keyd_client::operator::{OpenRecording, OpenedRecording, RecordingFacts};
use writ_keyd_client::protocol::{Refusal, Reply};
use writ_model::AccountId;
use writ_proof::access::{Opened, PlaybackScope, Scope, seal_info};
use writ_proof::cbor;
use writ_proof::hpke;
use writ_proof::limits::OPENING_AGE_MAX;
use writ_proof::roster::Roster;
use writ_proof::statement::Signed;
use zeroize::Zeroizing;

use super::{Held, RECORDING_MAGIC, narrated};
use crate::crypto::take;
use crate::engine::Engine;
use crate::narrate;
use crate::refuse::{forbidden, unavailable};

impl Engine {
    pub(crate) fn open_recording(&self, asked: &OpenRecording) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let signed =
            Signed::from_bytes(&asked.opening).map_err(|error| forbidden(error.to_string()));
        let judged = signed.and_then(|signed| {
            let (held, opened) =
                self.rosters.with(|roster| self.may_open(roster, asked, &signed))??;
            let key = self.recording_key(&held, asked)?;
            Ok((signed, held, opened, key))
        });
        let refused = |refusal: &Refusal| {
            self.record_if_ready(narrate::refused(
                narrated("open-recording", asked.event_id, None),
                refusal,
            ));
        };
        let (signed, held, opened, key) = judged.inspect_err(refused)?;
        self.use_once(&opened).inspect_err(refused)?;
        let mut ephemeral = Zeroizing::new([0; hpke::KEY_BYTES]);
        self.env.fill(&mut *ephemeral);
        let recipient = &opened.opening().recipient;
        let sealed = hpke::seal(recipient, &ephemeral, &seal_info(&signed), key.as_slice())
            .map_err(|error| forbidden(format!("the reader's key: {error}")))
            .inspect_err(refused)?;
        let position = self.record(narrated("open-recording", asked.event_id, Some(&held)));
        Ok(Reply::OpenedRecording(Box::new(OpenedRecording {
            sealed,
            person: held.grant.person,
            grant: held.grant.digest,
            position,
        })))
    }

    /// The grant that holds now, and that its person opens this recording with it.
    fn may_open(
        &self,
        roster: &Roster,
        asked: &OpenRecording,
        signed: &Signed,
    ) -> Result<(Held, Opened), Refusal> {
        let held = self.grant(roster, &asked.evidence)?;
        let opened = Opened::verify(signed, &held.asked, roster, self.env.now())
            .map_err(|error| forbidden(error.to_string()))?;
        // What was used before a start is not remembered.
        if opened.opening().signed < self.started {
            return Err(unavailable("it was signed before the key module's start: sign anew"));
        }
        Ok((held, opened))
    }

    /// The recording's key, if what the request says of the recording is what was sealed with it.
    fn recording_key(
        &self,
        held: &Held,
        asked: &OpenRecording,
    ) -> Result<Zeroizing<[u8; 32]>, Refusal> {
        let Scope::Playback(scope) = &held.asked.request().scope else {
            return Err(forbidden("the grant is for something else than a recording"));
        };
        check_facts(scope, &asked.facts)?;
        let mut sealed = asked.sealed.as_slice();
        let key = take::<4>(&mut sealed).filter(|magic| magic == RECORDING_MAGIC).and_then(|_| {
            let id = u32::from_be_bytes(take(&mut sealed)?);
            let nonce = take(&mut sealed)?;
            let aad = cbor::to_vec(&asked.facts);
            self.domain.key(id)?.recordings.open_key(nonce, &aad, sealed)
        });
        key.ok_or_else(|| forbidden("the key is not of this recording, or was changed"))
    }

    fn use_once(&self, opened: &Opened) -> Result<(), Refusal> {
        let now = self.env.now();
        let mut openings = self.openings.lock();
        if openings.live_mut(&opened.digest(), now).is_some() {
            return Err(forbidden("this opening was used already: sign anew"));
        }
        let until = opened.opening().signed.plus(OPENING_AGE_MAX);
        let kept = openings.insert(opened.digest(), AccountId::PLATFORM, until, 0, ());
        kept.map_err(|_| unavailable("there are too many openings"))
    }
}

/// Fails unless the request names the recording's host, and all whose data it can show.
fn check_facts(scope: &PlaybackScope, facts: &RecordingFacts) -> Result<(), Refusal> {
    if facts.session != scope.session || facts.host != scope.host {
        return Err(forbidden("the grant is for the recording of another session"));
    }
    let named = match (&scope.accounts, &facts.accounts) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(named), Some(shown)) => shown.0.iter().all(|account| named.0.contains(account)),
    };
    if named {
        return Ok(());
    }
    Err(forbidden("the request does not name all customers whose data the recording can show"))
}
