//! How messages lie in the connection: `length u32 BE | CBOR`, one after the other. watch has the same.

use std::io;

use writ_proof::cbor::{self, Decode, Encode};
use writ_proof::limits::HOST_MESSAGE_MAX_BYTES;

const PREFIX_BYTES: usize = 4;

/// The bytes of a message.
pub(crate) fn encode<T: Encode>(message: &T) -> Vec<u8> {
    let body = cbor::to_vec(message);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

/// What was received and not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Adds what was received.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is there whole.
    ///
    /// # Errors
    /// It is too long or not of this type; the connection is of no use then.
    pub(crate) fn take<T: Decode>(&mut self) -> io::Result<Option<T>> {
        let Some((prefix, rest)) = self.bytes.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > HOST_MESSAGE_MAX_BYTES {
            return Err(io::Error::other("a message of watch is too long"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = cbor::from_slice(body).map_err(io::Error::other)?;
        self.bytes.drain(..PREFIX_BYTES + length);
        Ok(Some(message))
    }
}
