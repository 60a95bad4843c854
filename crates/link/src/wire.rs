//! How messages lie in a connection: `length u32 BE | CBOR`, one after the other.

use writ_proof::cbor::{self, Decode, Encode};

use crate::Error;

const PREFIX_BYTES: usize = 4;

/// The bytes of a message.
pub fn encode<T: Encode>(message: &T) -> Vec<u8> {
    let body = cbor::to_vec(message);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

/// What was received and not taken yet.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    message_max_bytes: usize,
}

impl Inbox {
    /// One that takes messages of at most so many bytes.
    pub fn limited(message_max_bytes: usize) -> Inbox {
        Inbox { bytes: Vec::new(), taken: 0, message_max_bytes }
    }

    /// Adds what was received.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it is there whole.
    ///
    /// # Errors
    /// [`Error::Message`] if it is too long or not of this type; the connection is of no use then.
    pub fn take<T: Decode>(&mut self) -> Result<Option<T>, Error> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > self.message_max_bytes {
            return Err(Error::Message(format!("{length} bytes are too many")));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = cbor::from_slice(body).map_err(|e| Error::Message(e.to_string()))?;
        self.taken += PREFIX_BYTES + length;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use writ_model::Timestamp;
    use writ_proof::stream::{FromWatch, ToWatch};

    use super::*;

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let sent = [ToWatch::Beat(Timestamp::from_secs(1)), ToWatch::Frame(vec![7; 300])];
        let bytes: Vec<u8> = sent.iter().flat_map(encode).collect();
        for step in [1, 3, 5, bytes.len()] {
            let mut inbox = Inbox::limited(1024);
            let mut found: Vec<ToWatch> = Vec::new();
            for part in bytes.chunks(step) {
                inbox.extend(part);
                while let Some(message) = inbox.take().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, sent, "step {step}");
        }
    }

    #[test]
    fn message_that_is_none_is_refused() {
        for bytes in [vec![0xff; 8], vec![0, 0, 0, 1, 0xff]] {
            let mut inbox = Inbox::limited(1024);
            inbox.extend(&bytes);
            assert!(inbox.take::<FromWatch>().is_err(), "{bytes:?}");
        }
    }
}
