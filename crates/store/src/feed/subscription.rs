//! The serving end of a feed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use writ_model::Nonce;
use writ_proof::cbor::{self, Version};

use super::Event;
use super::frame::{
    BeatFrame, ChangeItem, ChangesFrame, LoadFrame, ObjectItem, PollFrame, ToNode, ToWriter, decode,
};
use crate::store::Shared;
use crate::{Change, Kind, Snapshot, StoreError, limits};

/// One node's feed: answers frames to send, and takes the node's polls.
pub struct Subscription {
    shared: Arc<Shared>,
    id: u64,
    kinds: Vec<Kind>,
    events: broadcast::Receiver<Event>,
    /// Frames that are ready, in order.
    ready: VecDeque<Vec<u8>>,
    /// What the load has not sent yet.
    load: Option<Loading>,
}

struct Loading {
    snapshot: Arc<Snapshot>,
    objects: VecDeque<ObjectItem>,
    first: bool,
}

impl Subscription {
    pub(crate) fn join(shared: Arc<Shared>, kinds: &[Kind]) -> Subscription {
        let (events, snapshot) = {
            let _order = shared.lock_order();
            (shared.events.subscribe(), shared.snapshot.load_full())
        };
        let Nonce(random) = shared.env.nonce();
        let id = random.iter().take(8).fold(0u64, |id, b| (id << 8) | u64::from(*b));
        shared.enter(id);
        let load = Some(Loading { snapshot, objects: VecDeque::new(), first: true });
        let kinds = kinds.to_vec();
        Subscription { shared, id, kinds, events, ready: VecDeque::new(), load }
    }

    /// The next frame to send. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the node is too far behind: close its channel, so that it
    /// connects anew. [`StoreError::Closed`] if the store is.
    pub async fn next(&mut self) -> Result<Vec<u8>, StoreError> {
        loop {
            if let Some(frame) = self.load_frame()? {
                return Ok(frame);
            }
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            match self.events.recv().await {
                Ok(event) => self.queue(&event)?,
                Err(RecvError::Lagged(_)) => return Err(lagged()),
                Err(RecvError::Closed) => return Err(StoreError::Closed),
            }
        }
    }

    /// Takes a frame of the node: queues the proof of currency that it asks for.
    pub fn polled(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        let ToWriter::Poll(PollFrame { number, seen }) = decode(frame)?;
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.shared.note(self.id, seen);
        // The revision is read first, and all that happened before goes first: with the proof the
        // node has every ending that is in force here now.
        let revision = self.shared.snapshot.load().revision();
        loop {
            match self.events.try_recv() {
                Ok(event) => self.queue(&event)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Lagged(_)) => return Err(lagged()),
                Err(TryRecvError::Closed) => return Err(StoreError::Closed),
            }
        }
        let (epoch, time) = (self.shared.epoch, self.shared.env.now());
        self.push(&ToNode::Beat(BeatFrame { number, epoch, revision, time }))
    }

    fn queue(&mut self, event: &Event) -> Result<(), StoreError> {
        match event {
            Event::Ending(changes) => {
                let changes = self.select(changes)?;
                if changes.is_empty() { Ok(()) } else { self.push(&ToNode::Ending(changes)) }
            }
            Event::Published { revision, changes } => {
                let changes = self.select(changes)?;
                self.push(&ToNode::Changes(ChangesFrame { revision: *revision, changes }))
            }
        }
    }

    fn push(&mut self, frame: &ToNode) -> Result<(), StoreError> {
        if self.ready.len() >= limits::FEED_MAX_EVENTS {
            return Err(lagged());
        }
        self.ready.push_back(cbor::to_vec(frame));
        Ok(())
    }

    fn select(&self, changes: &[Change]) -> Result<Vec<ChangeItem>, StoreError> {
        let wanted = |change: &&Change| self.kinds.contains(&change.object.kind);
        changes.iter().filter(wanted).map(ChangeItem::new).collect()
    }

    /// The next part of the load, until it is complete.
    fn load_frame(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(load) = &mut self.load else { return Ok(None) };
        if load.first {
            let wanted = |object: &crate::Object| self.kinds.contains(&object.body.kind());
            let all = load.snapshot.objects().filter(|(object, _)| wanted(object));
            load.objects = all.map(|(o, at)| ObjectItem::new(&o, at)).collect::<Result<_, _>>()?;
        }
        let (mut objects, mut bytes) = (Vec::new(), 0);
        while bytes < limits::FEED_LOAD_BYTES
            && objects.len() < limits::FEED_LOAD_OBJECTS
            && let Some(object) = load.objects.pop_front()
        {
            bytes += object.body.len();
            objects.push(object);
        }
        let frame = LoadFrame {
            v: Version,
            epoch: load.snapshot.epoch(),
            revision: load.snapshot.revision(),
            first: load.first,
            last: load.objects.is_empty(),
            objects,
        };
        load.first = false;
        if frame.last {
            self.load = None;
        }
        Ok(Some(cbor::to_vec(&ToNode::Load(frame))))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.leave(self.id);
    }
}

fn lagged() -> StoreError {
    StoreError::Unavailable { what: "a node fell too far behind and must load anew".to_owned() }
}
