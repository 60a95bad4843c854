//! trail's side of the channel to keyd: use records come in, acknowledgements and checkpoints go out.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::{Client, OnPush};
use writ_keyd_client::protocol::{Ack, Answer, Command, Hello, PROTOCOL, Push, Reply};
use writ_proof::cbor;
use writ_proof::use_record::{UseBatch, UsePosition};

use super::queue::{Job, Queue};
use super::shared::Shared;
use crate::error::TrailError;

/// Whoever says hello is sent everything that is not acknowledged.
const HELLO: Command = Command::Hello(Hello { protocol: PROTOCOL, x25519: None });

/// What the sequencer has to say to keyd.
pub(crate) enum Word {
    /// Records up to this one are durable.
    Durable(UsePosition),
    /// Records were turned away, on a full disk for example: keyd shall send what is not durable again.
    SendAgain,
}

/// The connection, which a restart of keyd renews.
pub(crate) struct Keyd {
    client: Mutex<Option<Client<Command, Answer>>>,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

impl Keyd {
    pub(crate) fn new(queue: Arc<Queue>, shared: Arc<Shared>) -> Keyd {
        Keyd { client: Mutex::new(None), queue, shared }
    }

    /// Goes on over a new channel.
    pub(crate) fn attach(&self, channel: Channel) -> Result<(), TrailError> {
        let failed = |e| TrailError::Io { action: "start", path: "keyd-recv".into(), source: e };
        let client = {
            let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.as_ref() {
                Some(client) => client.replace(channel).map_err(failed)?,
                None => {
                    let client = Client::with_pushes("keyd", channel, self.on_push());
                    *slot = Some(client.map_err(failed)?);
                }
            }
            slot.clone()
        };
        if let Some(client) = client
            && let Answer::Carried(Reply::Hello(reply)) = client.call_blocking(&HELLO)?
        {
            self.shared.set_keyd_boot(reply.boot);
        }
        Ok(())
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client().is_some_and(|client| client.is_connected())
    }

    pub(crate) fn call(&self, command: &Command) -> Result<Answer, TrailError> {
        let client = self.client();
        let client = client.ok_or_else(|| TrailError::Keyd("it is not connected".to_owned()))?;
        Ok(client.call_blocking(command)?)
    }

    /// Acknowledges what is durable, the newest position only, until the sequencer ends.
    pub(crate) fn acknowledge(&self, words: &Receiver<Word>) {
        while let Ok(first) = words.recv() {
            let (mut newest, mut again) = (None, false);
            for word in std::iter::once(first).chain(words.try_iter()) {
                match word {
                    Word::Durable(position) => newest = Some(position),
                    Word::SendAgain => again = true,
                }
            }
            let ack = newest.map(|UsePosition { boot, seq, .. }| Command::Ack(Ack { boot, seq }));
            let hello = again.then_some(HELLO);
            for command in ack.into_iter().chain(hello) {
                if let Err(error) = self.call(&command) {
                    // A keyd that is being restarted begins a new chain; it needs nothing of the old.
                    tracing::warn!(%error, "keyd did not take an acknowledgement");
                }
            }
        }
    }

    fn client(&self) -> Option<Client<Command, Answer>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn on_push(&self) -> OnPush {
        let queue = Arc::clone(&self.queue);
        Box::new(move |body| {
            let batch = cbor::from_slice::<Push>(&body)
                .and_then(|Push::UseRecords(bytes)| cbor::from_slice::<UseBatch>(&bytes));
            match batch {
                // A closed queue takes nothing: keyd hears nothing, and stops.
                Ok(batch) => drop(queue.put(Job::Uses(batch))),
                Err(error) => tracing::error!(%error, "keyd pushed what is no use batch"),
            }
        })
    }
}
