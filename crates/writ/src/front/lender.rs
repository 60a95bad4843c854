//! What front wants of the recordings, which are the bastion's: wishes wait here until the bastion asks for one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use writ_bastion::shelf::{Lending, Lent, Want, Wanted, Wish};

/// Wishes that wait at once; more are refused.
const WISHES_MAX: usize = 64;
/// How long a wish may take.
const WISH_WAIT: Duration = Duration::from_secs(8);
/// How long the bastion waits for a wish before it asks again: less than a call may take.
const IDLE_WAIT: Duration = Duration::from_secs(5);

/// Why there is no recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LendError {
    /// Too many wait.
    #[error("too many recordings are read at once; try again")]
    Busy,
    /// There is none, or it cannot be read.
    #[error("{0}")]
    Missing(String),
    /// The bastion does not answer.
    #[error("the bastion does not answer; try again")]
    Unavailable,
}

/// See the module.
#[derive(Default)]
pub struct Lender {
    wishes: Mutex<Wishes>,
    more: Notify,
}

#[derive(Default)]
struct Wishes {
    last: u64,
    queue: VecDeque<Wish>,
    waiting: HashMap<u64, oneshot::Sender<Lent>>,
}

impl Lender {
    /// Asks the bastion and waits for what it brings.
    ///
    /// # Errors
    /// It has nothing of the kind, or does not answer.
    pub async fn ask(&self, want: Want) -> Result<Lent, LendError> {
        let (ticket, answer) = self.wish(want)?;
        self.more.notify_one();
        let lent = tokio::time::timeout(WISH_WAIT, answer).await;
        let mut wishes = self.lock();
        wishes.waiting.remove(&ticket);
        wishes.queue.retain(|wish| wish.ticket != ticket);
        match lent {
            Ok(Ok(Lent::Missing(why))) => Err(LendError::Missing(why)),
            Ok(Ok(lent)) => Ok(lent),
            Ok(Err(_)) | Err(_) => Err(LendError::Unavailable),
        }
    }

    fn wish(&self, want: Want) -> Result<(u64, oneshot::Receiver<Lent>), LendError> {
        let mut wishes = self.lock();
        if wishes.waiting.len() >= WISHES_MAX {
            return Err(LendError::Busy);
        }
        wishes.last += 1;
        let ticket = wishes.last;
        let (sender, answer) = oneshot::channel();
        wishes.waiting.insert(ticket, sender);
        wishes.queue.push_back(Wish { ticket, want });
        Ok((ticket, answer))
    }

    /// Takes what the bastion brings, and tells it what is wanted next.
    pub async fn serve(&self, lending: Lending) -> Wanted {
        if let Some(done) = lending.done {
            let waiting = self.lock().waiting.remove(&done.ticket);
            // Who gave up wants nothing any more.
            waiting.map(|waiting| waiting.send(done.lent).ok());
        }
        let next = async {
            loop {
                if let Some(wish) = self.next() {
                    return wish;
                }
                self.more.notified().await;
            }
        };
        Wanted { wish: tokio::time::timeout(IDLE_WAIT, next).await.ok() }
    }

    fn next(&self) -> Option<Wish> {
        let mut wishes = self.lock();
        let wish = wishes.queue.pop_front();
        if !wishes.queue.is_empty() {
            self.more.notify_one();
        }
        wish
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use writ_bastion::shelf::Done;
    use writ_model::Ulid;

    use super::*;

    #[tokio::test]
    async fn each_wish_gets_its_own_answer() {
        let lender = Arc::new(Lender::default());
        let asks = (1..=3u8).map(|n| {
            let lender = Arc::clone(&lender);
            async move { lender.ask(Want::Facts(Ulid::from_bytes([n; 16]))).await }
        });
        let bastion = async {
            let mut done = None;
            for _ in 0..3 {
                let wish = lender.serve(Lending { done: done.take() }).await.wish.unwrap();
                let Want::Facts(session) = wish.want else { panic!() };
                done = Some(Done { ticket: wish.ticket, lent: Lent::Missing(session.to_string()) });
            }
            let last = Lending { done };
            tokio::time::timeout(Duration::from_millis(10), lender.serve(last)).await.ok();
        };
        let asks: Vec<_> = asks.collect();
        let [a, b, c] = <[_; 3]>::try_from(asks).ok().unwrap();
        let (a, b, c, ()) = tokio::join!(a, b, c, bastion);
        for (n, answer) in [(1u8, a), (2, b), (3, c)] {
            let name = Ulid::from_bytes([n; 16]).to_string();
            assert_eq!(answer, Err(LendError::Missing(name)));
        }
    }
}
