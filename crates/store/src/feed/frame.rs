//! The frames of a feed: deterministic CBOR, version 1.

use writ_model::{AccountId, Revision, StoreEpoch, Timestamp};
use writ_proof::cbor::{self, Version};
use writ_proof::{cbor_enum, cbor_map};

use crate::{Body, Change, Object, ObjectId, StoreError};

/// The version of the feed that this program speaks.
pub(super) const FEED_VERSION: u64 = 1;

/// What the writing process sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToNode {
    /// A part of everything.
    Load(LoadFrame),
    /// A published revision.
    Changes(ChangesFrame),
    /// Endings that are in force at once.
    Ending(Vec<ChangeItem>),
    /// The answer to a poll.
    Beat(BeatFrame),
}
cbor_enum!(ToNode { 0: Load(_), 1: Changes(_), 2: Ending(_), 3: Beat(_) });

/// What a node sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToWriter {
    /// Asks for a proof of currency.
    Poll(PollFrame),
}
cbor_enum!(ToWriter { 0: Poll(_) });

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadFrame {
    pub(super) v: Version<FEED_VERSION>,
    pub(super) epoch: StoreEpoch,
    pub(super) revision: Revision,
    /// True in the first frame of a load.
    pub(super) first: bool,
    /// True in the last one.
    pub(super) last: bool,
    pub(super) objects: Vec<ObjectItem>,
}
cbor_map!(LoadFrame { 1: v, 2: epoch, 3: revision, 4: first, 5: last, 6: objects });

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectItem {
    pub(super) account: AccountId,
    pub(super) kind: String,
    pub(super) revision: Revision,
    /// The stored JSON.
    pub(super) body: String,
}
cbor_map!(ObjectItem { 1: account, 2: kind, 3: revision, 4: body });

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangesFrame {
    pub(super) revision: Revision,
    /// Those of the node's kinds; may be none.
    pub(super) changes: Vec<ChangeItem>,
}
cbor_map!(ChangesFrame { 1: revision, 2: changes });

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangeItem {
    pub(super) account: AccountId,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) revision: Revision,
    pub(super) ordinal: u32,
    /// The stored JSON; absent if the object was removed.
    pub(super) body: Option<String>,
    pub(super) request_id: writ_model::Uuid,
    pub(super) at: Timestamp,
}
cbor_map!(ChangeItem {
    1: account, 2: kind, 3: id, 4: revision, 5: ordinal, 6: opt body, 7: request_id, 8: at,
});

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PollFrame {
    /// Counts from 1 on each connection.
    pub(super) number: u64,
    /// The oldest revision that the node may still decide from.
    pub(super) seen: Revision,
}
cbor_map!(PollFrame { 1: number, 2: seen });

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BeatFrame {
    /// The poll that this answers.
    pub(super) number: u64,
    pub(super) epoch: StoreEpoch,
    /// The published revision.
    pub(super) revision: Revision,
    /// The store's wall clock.
    pub(super) time: Timestamp,
}
cbor_map!(BeatFrame { 1: number, 2: epoch, 3: revision, 4: time });

impl ObjectItem {
    pub(super) fn new(object: &Object, revision: Revision) -> Result<ObjectItem, StoreError> {
        Ok(ObjectItem {
            account: object.account,
            kind: object.body.kind().as_str().to_owned(),
            revision,
            body: object.body.encode()?,
        })
    }

    pub(super) fn read(&self) -> Result<(Object, Revision), StoreError> {
        let body = Body::decode(self.kind.parse()?, &self.body)?;
        Ok((Object { account: self.account, body }, self.revision))
    }
}

impl ChangeItem {
    pub(super) fn new(change: &Change) -> Result<ChangeItem, StoreError> {
        Ok(ChangeItem {
            account: change.object.account,
            kind: change.object.kind.as_str().to_owned(),
            id: change.object.id.clone(),
            revision: change.revision,
            ordinal: change.ordinal,
            body: change.body.as_ref().map(Body::encode).transpose()?,
            request_id: change.request_id,
            at: change.at,
        })
    }

    /// The change as a node needs it: who asked stays with the writer.
    pub(super) fn read(&self) -> Result<Change, StoreError> {
        let kind = self.kind.parse()?;
        let body = self.body.as_ref().map(|json| Body::decode(kind, json)).transpose()?;
        let object = ObjectId { account: self.account, kind, id: self.id.clone() };
        if body.as_ref().is_some_and(|body| body.kind() != kind || body.id() != object.id) {
            return Err(StoreError::corrupt(format!(
                "the feed's change of `{object}` is another's"
            )));
        }
        Ok(Change {
            revision: self.revision,
            ordinal: self.ordinal,
            object,
            body,
            actor: String::new(),
            request_id: self.request_id,
            at: self.at,
        })
    }
}

pub(super) fn decode<T: cbor::Decode>(frame: &[u8]) -> Result<T, StoreError> {
    cbor::from_slice(frame)
        .map_err(|error| StoreError::corrupt(format!("a feed's frame cannot be read: {error}")))
}
