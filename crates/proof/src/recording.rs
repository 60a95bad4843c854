//! Recordings of operators' sessions: one file a session, a chain of frames whose contents are sealed.
//!
//! ```text
//! file   "WRITREC\0" | u16 version 1 | string header (CBOR)
//! frame  u32 length | u64 seq | u64 monotonic_ns | u32 channel | u8 direction | u8 kind | stored | hash[32]
//! hash   SHA-256(0x01 | hash before | every byte of the frame before its hash)
//!        before the first frame: SHA-256(0x00 | header)
//! ```
//!
//! `length` counts what follows it. The chain runs over the bytes as they are stored, so whoever may not
//! read a recording can still verify it ([`Verifier`]). Contents are sealed with AES-256-GCM under the
//! recording's own data key, the nonce is the frame's number and the frame's head is authenticated
//! ([`RecordingKey`]). Checkpoints and the two ends are not sealed: they hold nothing of the session,
//! a verifier compares them, and a bastion that starts again can close a recording without its key.
//! The chain alone stops no forger who rewrites a whole tail; the marks in the ledger do.

pub mod event;
mod frame;
mod mark;
mod verify;

use writ_model::{PersonId, Timestamp, Ulid, Uuid};

pub use frame::{Chain, Direction, Frame, Kind, RecordingKey, Stored};
pub use mark::{Checkpoint, Cut, End, Mark, Totals};
pub use verify::{State, Verified, Verifier};

use crate::access::RecordedAccounts;
use crate::cbor::{self, Version};
use crate::error::Error;
use crate::hash::{Hash, sha256_of};
use crate::limits;
use crate::ssh::put_string;
use crate::{cbor_enum, cbor_map};

const WHAT: &str = "recording";
const MAGIC: &[u8; 8] = b"WRITREC\0";
const VERSION: u16 = 1;

/// Whose session a recording is. It is stored in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of this header.
    pub v: Version<1>,
    /// The session's id.
    pub session: Ulid,
    /// The id of the request behind it.
    pub request: Ulid,
    /// Digests of the grants that cover it at its start.
    pub grants: Vec<Hash>,
    /// Who works.
    pub human: PersonId,
    /// Where: the host's name in the roster.
    pub host: String,
    /// What kind of session it is.
    pub kind: SessionKind,
    /// When it began, by the bastion's wall clock.
    pub start: Timestamp,
    /// The data key that seals it, as keyd names it.
    pub key: String,
    /// The run of the recorder that made it.
    pub recorder: Uuid,
    /// The customers whose data it can show; absent if that is anybody's.
    pub accounts: Option<RecordedAccounts>,
}
cbor_map!(Header {
    1: v,
    2: session,
    3: request,
    4: grants,
    5: human,
    6: host,
    7: kind,
    8: start,
    9: key,
    10: recorder,
    11: opt accounts,
});

/// The kinds of session that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Through the bastion.
    Ssh,
    /// A run of a runbook.
    Runbook,
    /// Somebody reads a recording.
    Playback,
}
cbor_enum!(SessionKind { 0: Ssh, 1: Runbook, 2: Playback });

impl Header {
    /// What a file begins with.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let header = self.encoded()?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        put_string(&mut bytes, &header);
        Ok(bytes)
    }

    /// What the first frame's hash continues.
    pub fn hash(&self) -> Result<Hash, Error> {
        Ok(sha256_of(&[&[0], &self.encoded()?]))
    }

    fn encoded(&self) -> Result<Vec<u8>, Error> {
        let header = cbor::to_vec(self);
        Error::limit("header bytes", header.len(), limits::RECORDING_HEADER_MAX_BYTES)?;
        Ok(header)
    }

    /// Reads the header at the start of `bytes`; `None` if more bytes are needed. Answers how many it took.
    fn read(bytes: &[u8]) -> Result<Option<(Header, usize)>, Error> {
        let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
        if !MAGIC.starts_with(magic) {
            return Err(Error::malformed(WHAT, "its magic is absent: this is no recording"));
        }
        let Some((version, rest)) = bytes.get(MAGIC.len()..).and_then(|b| b.split_first_chunk())
        else {
            return Ok(None);
        };
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            let value = version.to_string();
            return Err(Error::Unsupported { what: "version of a recording", value });
        }
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        Error::limit("header bytes", length, limits::RECORDING_HEADER_MAX_BYTES)?;
        let Some(header) = rest.get(..length) else { return Ok(None) };
        let header: Header = cbor::from_slice(header)?;
        header.encoded()?;
        Ok(Some((header, MAGIC.len() + 2 + 4 + length)))
    }
}

#[cfg(test)]
#[path = "tests/recording.rs"]
mod tests;
