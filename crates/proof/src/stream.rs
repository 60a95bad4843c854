//! What trail and watch say to each other.
//!
//! **trail to watch**: after `Hello` and `Welcome` trail pushes every frame from the position that watch
//! has durably, as it lies in the WAL; watch checks it, fsyncs and acknowledges. Checkpoints go the same
//! way and come back cosigned; watch's own host log goes the other way, for keyd's cosignature.

use writ_model::Timestamp;

use crate::cbor::Version;
use crate::hash::Hash;
use crate::origin::SiteId;
use crate::{cbor_enum, cbor_map};

/// The version of the stream protocol that this build speaks.
pub const STREAM_VERSION: u64 = 1;

/// From trail to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWatch {
    /// trail is alive, at this time by its clock; sent when there is nothing else to send.
    Beat(Timestamp),
    /// A checkpoint to cosign: the body of an add-checkpoint request ([`crate::witness::AddCheckpoint`]).
    Checkpoint(Vec<u8>),
    /// One frame of the WAL, whole.
    Frame(Vec<u8>),
    /// The first message.
    Hello(Hello),
    /// What keyd answers to the host checkpoint that watch sent, as a witness does.
    HostCosigned(WitnessReply),
}
cbor_enum!(ToWatch { 0: Hello(_), 1: Frame(_), 2: Checkpoint(_), 3: HostCosigned(_), 4: Beat(_) });

/// Which log trail is about to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version 1.
    pub v: Version<STREAM_VERSION>,
    /// The installation.
    pub site: SiteId,
    /// SHA-256 of the signed genesis statement.
    pub genesis: Hash,
    /// Where the WAL ends.
    pub end: StreamPosition,
}
cbor_map!(Hello { 1: v, 2: site, 3: genesis, 4: end });

/// A place in the WAL, between two frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamPosition {
    /// The position of the next entry.
    pub next_seq: u64,
    /// The hash of the frame before; zero at the start.
    pub hash: Hash,
}
cbor_map!(StreamPosition { 1: next_seq, 2: hash });

/// From watch to trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromWatch {
    /// Everything up to here is durable at watch.
    Ack(StreamPosition),
    /// What watch answers as a witness.
    Answer(WitnessReply),
    /// A checkpoint of the host log for keyd to cosign: the body of an add-checkpoint request.
    HostCheckpoint(Vec<u8>),
    /// watch takes nothing more on this connection, and says why; it has raised an alarm.
    Refuse(String),
    /// The first message: what watch holds, and where trail begins to push.
    Welcome(StreamPosition),
}
cbor_enum!(FromWatch {
    0: Welcome(_),
    1: Ack(_),
    2: Answer(_),
    3: HostCheckpoint(_),
    4: Refuse(_),
});

/// A witness's answer as it travels: status, media type aside, and body (tlog-witness).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessReply {
    /// SHA-256 of the request body that it answers.
    pub request: Hash,
    /// The HTTP status that the specification gives the answer.
    pub status: u16,
    /// The body: cosignature lines on 200, the size on 409.
    pub body: Vec<u8>,
}
cbor_map!(WitnessReply { 1: request, 2: status, 3: body });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn stream_messages_round_trip() {
        let end = StreamPosition { next_seq: 9, hash: Hash([3; 32]) };
        let hello = Hello { v: Version, site: "s".parse().unwrap(), genesis: Hash([1; 32]), end };
        for message in [
            ToWatch::Hello(hello),
            ToWatch::Frame(vec![1, 2]),
            ToWatch::Checkpoint(vec![]),
            ToWatch::HostCosigned(WitnessReply {
                request: Hash([2; 32]),
                status: 200,
                body: vec![4],
            }),
            ToWatch::Beat(Timestamp::from_millis(5)),
        ] {
            let bytes = cbor::to_vec(&message);
            assert_eq!(cbor::from_slice::<ToWatch>(&bytes).unwrap(), message);
        }
        let reply = WitnessReply { request: Hash([2; 32]), status: 409, body: b"7\n".to_vec() };
        for message in [
            FromWatch::Welcome(end),
            FromWatch::Ack(end),
            FromWatch::Answer(reply),
            FromWatch::Refuse("why".to_owned()),
        ] {
            let bytes = cbor::to_vec(&message);
            assert_eq!(cbor::from_slice::<FromWatch>(&bytes).unwrap(), message);
        }
    }
}
