//! A read-only node's end of front's state feed: frames come as pushes, a poll goes out each beat.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use writ_keyd_client::client::{Client, OnPush};
use writ_model::limits::BEAT;
use writ_proof::cbor::{Decode, Encode};
use writ_store::Node;

/// Frames that wait to be applied.
const FRAMES_MAX: usize = 64;

/// What takes front's pushes, and where they wait to be applied.
pub fn frames() -> (OnPush, mpsc::Receiver<Vec<u8>>) {
    let (frames, incoming) = mpsc::channel(FRAMES_MAX);
    let on_push = Box::new(move |frame| {
        // A lost frame breaks the feed's order, which the node notices.
        if frames.blocking_send(frame).is_err() {
            tracing::warn!("the feed has no reader");
        }
    });
    (on_push, incoming)
}

/// Follows the feed: a poll every [`BEAT`], what comes is applied. Ends with the reason in `fail` when the feed
/// is broken: the process must be started anew to load it.
pub async fn follow<Req: Encode, Rep: Decode>(
    node: Arc<Node>,
    front: Client<Req, Rep>,
    mut incoming: mpsc::Receiver<Vec<u8>>,
    fail: watch::Sender<Option<String>>,
) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            frame = incoming.recv() => {
                let Some(frame) = frame else { return };
                if let Err(error) = node.apply(&frame) {
                    fail.send_replace(Some(error.to_string()));
                    return;
                }
            }
            _ = beat.tick() => {
                // While front is away the lease runs out: nothing is decided, and sessions freeze.
                front.push(node.poll()).ok();
            }
        }
    }
}
