//! Lends recordings to front: asks it what is wanted, and brings it.
//!
//! The bastion is the caller on this channel, so a wish comes as the answer to what was brought before.

use std::path::Path;
use std::time::Duration;

use writ_bastion::shelf::{Done, Lending, Shelf, Wanted};

use super::state::Feed;

/// Wishes in work at once.
const WORKERS: usize = 4;
/// How long it waits before it asks a front that is away.
const AWAY_PAUSE: Duration = Duration::from_millis(250);

/// Lends for as long as the process lives.
pub(super) fn serve(front: &Feed, folder: &Path) {
    for _ in 0..WORKERS {
        let (front, shelf) = (front.clone(), Shelf::new(folder.to_owned()));
        writ_service::task::spawn("lend", work(front, shelf));
    }
}

async fn work(front: Feed, shelf: Shelf) {
    let mut done = None;
    loop {
        let asked = front.call(&Lending { done: done.take() }).await;
        match asked {
            Ok(Wanted { wish: Some(wish) }) => {
                let shelf = shelf.clone();
                let lent = tokio::task::spawn_blocking(move || shelf.lend(&wish.want)).await;
                // Without an answer whoever waits for it is told so in time.
                done = lent.ok().map(|lent| Done { ticket: wish.ticket, lent });
            }
            Ok(Wanted { wish: None }) => {}
            Err(_) => tokio::time::sleep(AWAY_PAUSE).await,
        }
    }
}
