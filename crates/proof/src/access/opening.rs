//! Opening a recording: what its reader signs each time.
//!
//! A grant says that somebody may read a recording; an [`Opening`] says that this person reads it now, and
//! names the key that the recording's own key goes to. So whoever carries it can neither read nor choose who does.

use writ_model::{PersonId, Timestamp, Ulid};

use super::{ACCESS_VERSION, Asked, OPENING, Scope, refused};
use crate::cbor::Version;
use crate::cbor_map;
use crate::error::Error;
use crate::hash::{Hash, labelled};
use crate::hpke;
use crate::limits::OPENING_AGE_MAX;
use crate::origin::SiteId;
use crate::roster::{Mode, Roster, Tier};
use crate::statement::{Namespace, Signed, Statement};

/// Somebody opens a recording: the body of a `playback@writ` statement. It works once, and for some minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The format's version.
    pub v: Version<ACCESS_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// The request that was granted.
    pub request: Ulid,
    /// SHA-256 of the request as its requester signed it.
    pub request_digest: Hash,
    /// The session whose recording it is.
    pub session: Ulid,
    /// Who reads, and signs.
    pub person: PersonId,
    /// The X25519 key that the recording's key is sealed to ([`crate::hpke`]). Fresh each time.
    pub recipient: [u8; hpke::KEY_BYTES],
    /// When it was signed.
    pub signed: Timestamp,
}
cbor_map!(Opening {
    1: v,
    2: site,
    3: request,
    4: request_digest,
    5: session,
    6: person,
    7: recipient,
    8: signed,
});

impl Statement for Opening {
    const NAMESPACE: Namespace = Namespace::Playback;
}

/// An opening whose signature is its reader's, and which the request is for. That the request is granted is
/// for [`super::decide`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    opening: Opening,
    digest: Hash,
}

impl Opened {
    /// Checks an opening on `asked` against the roster, as of `at`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        signed: &Signed,
        asked: &Asked,
        roster: &Roster,
        at: Timestamp,
    ) -> Result<Opened, Error> {
        let (opening, signers) = signed.verify::<Opening>()?;
        let [signer] = signers.as_slice() else {
            return refused(OPENING, "its reader signs it, and nobody else");
        };
        let request = &asked.request;
        let tier = roster.group(&request.group).map(|group| group.tier);
        let hardware = roster.mode() != Mode::Dev && tier != Some(Tier::Standard);
        let person = roster.signer(signer, hardware)?;
        if *person != opening.person {
            return refused(OPENING, format!("the key that signed it is `{person}`'s"));
        }
        if *person != request.requester {
            return refused(OPENING, format!("the request is not `{person}`'s"));
        }
        let Scope::Playback(scope) = &request.scope else {
            return refused(OPENING, "the request is for something else than a recording");
        };
        let same = opening.site == request.site
            && opening.request == request.id
            && opening.request_digest == asked.digest;
        if !same {
            return refused(OPENING, "it is of another request");
        }
        if opening.session != scope.session {
            return refused(OPENING, "the request is for the recording of another session");
        }
        if at.since(opening.signed).max(opening.signed.since(at)) > OPENING_AGE_MAX {
            return refused(
                OPENING,
                "it was signed more than five minutes from this clock; sign anew",
            );
        }
        Ok(Opened { opening, digest: identity(signed) })
    }

    /// What was signed.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Names what was said, whatever signature it carries: it works once.
    pub fn digest(&self) -> Hash {
        self.digest
    }
}

/// What the recording's key is sealed for: this opening alone.
pub fn seal_info(signed: &Signed) -> Vec<u8> {
    [b"writ-playback-v1\0".as_slice(), identity(signed).as_bytes()].concat()
}

fn identity(signed: &Signed) -> Hash {
    labelled(signed.namespace().as_str(), signed.body())
}
