//! The appender's side of a channel to trail.
//!
//! Cheap to clone. An append answers when its records are durable; nothing is retried here. An append
//! without an answer may have happened: sent again with the same event ids it answers the old positions.

use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::{CallError, Client};
use writ_proof::append::{AppendItem, AppendRefusal, AppendReply, AppendRequest, Position};
use writ_proof::leaf::LogHead;

use crate::error::TrailError;
use crate::protocol::{LookupPage, LookupQuery, Reply, Request, Status};

/// Appends to the ledger and asks it.
#[derive(Clone)]
pub struct TrailClient {
    client: Client<Request, Reply>,
}

impl TrailClient {
    /// A client over `channel`. trail knows by the channel who appends.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(channel: Channel) -> std::io::Result<TrailClient> {
        Ok(TrailClient { client: Client::new("trail", channel)? })
    }

    /// Goes on with a new channel after trail's restart; waiting appends fail.
    pub fn replace(&self, channel: Channel) -> std::io::Result<()> {
        self.client.replace(channel)
    }

    /// True while trail's end is open.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Appends `items` together; answers when all are durable, with the position of each in order.
    ///
    /// # Errors
    /// [`TrailError::Busy`] when the queue is full, [`TrailError::Unavailable`] when the ledger cannot
    /// be written, [`TrailError::Refused`] for a request that breaks a rule, [`TrailError::Call`] when
    /// there is no answer: only then the records may have been appended.
    pub async fn append(&self, items: Vec<AppendItem>) -> Result<Vec<Position>, TrailError> {
        self.append_with(items, Vec::new()).await
    }

    /// The same, with signed statements that the records name by digest.
    pub async fn append_with(
        &self,
        items: Vec<AppendItem>,
        statements: Vec<Vec<u8>>,
    ) -> Result<Vec<Position>, TrailError> {
        let count = items.len();
        let request = Request::Append(AppendRequest { items, statements });
        positions(self.client.call(&request).await?, count)
    }

    /// The same for threads outside an asynchronous runtime.
    pub fn append_blocking(&self, items: Vec<AppendItem>) -> Result<Vec<Position>, TrailError> {
        let count = items.len();
        let request = Request::Append(AppendRequest { items, statements: Vec::new() });
        positions(self.client.call_blocking(&request)?, count)
    }

    /// One page of an account's events, newest first. front only.
    pub async fn lookup(&self, query: LookupQuery) -> Result<LookupPage, TrailError> {
        match self.client.call(&Request::Lookup(query)).await? {
            Reply::Lookup(page) => Ok(page),
            other => Err(unexpected(other)),
        }
    }

    /// The newest checkpoint of the operator log that keyd has signed; at most some seconds old while keyd
    /// and trail run.
    pub async fn head(&self) -> Result<LogHead, TrailError> {
        match self.client.call(&Request::Head).await? {
            Reply::Head(head) => Ok(head),
            other => Err(unexpected(other)),
        }
    }

    /// What trail says of itself.
    pub async fn status(&self) -> Result<Status, TrailError> {
        match self.client.call(&Request::Status).await? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(other)),
        }
    }
}

fn positions(reply: Reply, count: usize) -> Result<Vec<Position>, TrailError> {
    match reply {
        Reply::Append(AppendReply::Done(positions)) if positions.len() == count => Ok(positions),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> TrailError {
    match reply {
        Reply::Append(AppendReply::Refused(AppendRefusal::Closed)) => {
            TrailError::Unavailable("it failed, is below its reserve of space, or stops".to_owned())
        }
        Reply::Append(AppendReply::Refused(AppendRefusal::Full)) => TrailError::Busy,
        Reply::Append(AppendReply::Refused(AppendRefusal::Invalid(why))) | Reply::Refused(why) => {
            TrailError::Refused(why)
        }
        Reply::Append(AppendReply::Done(_))
        | Reply::Head(_)
        | Reply::Lookup(_)
        | Reply::Status(_) => TrailError::Call(CallError::Garbled("trail")),
    }
}
