//! What the bastion asks of others: the state that it decides from, the key module, the ledger.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use writ_keyd_client::client::Client;
use writ_keyd_client::protocol::{Answer, Command, Refusal, Reply};
use writ_proof::append::AppendItem;
use writ_trail::client::TrailClient;

use crate::access::Access;
use crate::limits::PEER_WAIT;

/// An answer that may take a while.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The state: who may come in.
pub trait State: Send + Sync {
    /// What to decide from, if it is proven to be current.
    ///
    /// # Errors
    /// It is not: decide nothing new.
    fn current(&self) -> Result<Arc<Access>, Stale>;

    /// The newest that is known, however old: what it no longer gives has ended.
    fn newest(&self) -> Option<Arc<Access>>;

    /// How old the proof is that it is current; zero while new decisions are made, `None` if there is no proof.
    fn age(&self) -> Option<Duration>;

    /// Changes with each change of the state.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// The state is too old to decide from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bastion does not know what is granted now: try again in a moment")]
pub struct Stale;

/// The key module.
pub trait Keyd: Send + Sync {
    /// Asks it.
    ///
    /// # Errors
    /// Its refusal, or that it does not answer.
    fn ask(&self, command: Command) -> PortFuture<'_, Result<Reply, NotDone>>;
}

/// Why the key module did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// It says no.
    #[error("{0}")]
    Refused(String),
    /// It does not answer, or cannot now.
    #[error("the key module cannot answer now: {0}")]
    Unavailable(String),
}

impl Keyd for Client<Command, Answer> {
    fn ask(&self, command: Command) -> PortFuture<'_, Result<Reply, NotDone>> {
        Box::pin(async move {
            let answer = tokio::time::timeout(PEER_WAIT, self.call(&command)).await;
            match answer {
                Ok(Ok(Answer::Carried(reply))) => Ok(reply),
                Ok(Ok(Answer::Refused(Refusal::Forbidden(why)))) => Err(NotDone::Refused(why)),
                Ok(Ok(Answer::Refused(Refusal::Unavailable(why)))) => {
                    Err(NotDone::Unavailable(why))
                }
                Ok(Ok(Answer::Refused(Refusal::Aws(aws)))) => Err(NotDone::Refused(aws.message)),
                Ok(Ok(Answer::Refused(Refusal::Repeated(_)))) => {
                    Err(NotDone::Refused("it answers with another refusal".to_owned()))
                }
                Ok(Err(error)) => Err(NotDone::Unavailable(error.to_string())),
                Err(_) => Err(NotDone::Unavailable(format!("no answer in {PEER_WAIT:?}"))),
            }
        })
    }
}

/// The ledger.
pub trait Ledger: Send + Sync {
    /// Appends; completes when all is durable.
    ///
    /// # Errors
    /// It is not, or nobody knows.
    fn append(&self, items: Vec<AppendItem>) -> PortFuture<'_, Result<(), String>>;
}

impl Ledger for TrailClient {
    fn append(&self, items: Vec<AppendItem>) -> PortFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let append = TrailClient::append(self, items);
            match tokio::time::timeout(PEER_WAIT, append).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer in {PEER_WAIT:?}")),
            }
        })
    }
}
