//! Feeds: how processes that may not write follow the state.
//!
//! The writing process serves a [`Subscription`] to each read-only [`Node`]: first everything of the
//! kinds that the node needs, then each published revision, and endings at once. The transport is
//! the caller's; frames are byte strings that arrive whole and in order.
//!
//! A node proves that it is current by asking: it sends a poll every 250 ms and notes when; the
//! answer carries the poll's number, and the lease counts from the *sending* of the poll. A clock
//! started at the receipt of a beat would not do: a node that was stopped, or a queue that was full,
//! would take an old beat for a new one. Answers travel behind all that happened before them, so a
//! node that has the answer has the endings too.

mod frame;
mod node;
mod subscription;

use std::sync::Arc;

use tokio::sync::mpsc;
use writ_model::Revision;
use writ_model::limits::BEAT;

use crate::{Change, StoreError};

pub use node::Node;
pub use subscription::Subscription;

/// What the writer tells its subscribers.
#[derive(Clone)]
pub(crate) enum Event {
    /// In force at once; the revision is not published yet.
    Ending(Arc<Vec<Change>>),
    /// A revision is published.
    Published { revision: Revision, changes: Arc<Vec<Change>> },
}

/// Serves a subscription until the node's end closes or the node falls too far behind. The node
/// then connects anew and loads everything.
///
/// # Errors
/// A frame that is not a poll, or the subscription's own errors.
pub async fn serve(
    mut subscription: Subscription,
    incoming: &mut mpsc::Receiver<Vec<u8>>,
    outgoing: &mpsc::Sender<Vec<u8>>,
) -> Result<(), StoreError> {
    loop {
        tokio::select! {
            frame = subscription.next() => {
                if outgoing.send(frame?).await.is_err() {
                    return Ok(());
                }
            }
            frame = incoming.recv() => match frame {
                Some(frame) => subscription.polled(&frame)?,
                None => return Ok(()),
            },
        }
    }
}

/// Follows a feed until its other end closes: polls every [`BEAT`] and applies what comes.
///
/// # Errors
/// A frame that cannot be applied; the node has then dropped its lease. Connect anew.
pub async fn follow(
    node: &Node,
    incoming: &mut mpsc::Receiver<Vec<u8>>,
    outgoing: &mpsc::Sender<Vec<u8>>,
) -> Result<(), StoreError> {
    node.connected();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            frame = incoming.recv() => match frame {
                Some(frame) => node.apply(&frame)?,
                None => return Ok(()),
            },
            _ = beat.tick() => {
                // A full queue means that the other end is slow: the lease must not hide that.
                if let Err(mpsc::error::TrySendError::Closed(_)) = outgoing.try_send(node.poll()) {
                    return Ok(());
                }
            }
        }
    }
}
