//! front's end of the channel to the gateway: KMS on customers' behalf, and the state feed.
//!
//! Requests are KMS calls with their tickets; each is answered in a task of its own. Pushes carry the
//! feed: polls come in, state goes out. The peer is s3 because the channel is s3's.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use writ_bastion::shelf::Lending;
use writ_keyd_client::channel::{Channel, Message, MessageKind, pack, unpack};
use writ_proof::cbor;
use writ_s3::kms_link::{KmsReply, KmsRequest, SealedKey};
use writ_service::pipeline::Pipeline;
use writ_store::{Kind, Subscription, feed};

use super::lender::Lender;

/// KMS calls of the gateway that are in work at once; further ones wait in the channel.
const IN_FLIGHT_MAX: usize = 512;
/// Calls of the bastion's workers in work at once, with some that a lost worker left.
const LENDING_MAX: usize = 64;
/// Frames of the feed that wait for the gateway; when full the subscription waits too.
const FRAMES_MAX: usize = 64;

/// What the gateway needs of the state: who may sign, and what they may do. Keys and aliases stay here.
const KINDS: [Kind; 7] = [
    Kind::Account,
    Kind::AccessKey,
    Kind::Group,
    Kind::ManagedPolicy,
    Kind::Revocation,
    Kind::Role,
    Kind::User,
];

/// What the bastion needs of it: who may come in, and which customers there are.
const BASTION_KINDS: [Kind; 9] = [
    Kind::AccessApproval,
    Kind::AccessGrant,
    Kind::AccessRequest,
    Kind::Account,
    Kind::Consent,
    Kind::Lockbox,
    Kind::Person,
    Kind::RosterEntry,
    Kind::Support,
];

/// Serves the gateway over the newest channel to it.
pub struct Gateway {
    pipeline: Arc<Pipeline>,
    runtime: Handle,
}

impl Gateway {
    /// Begins to serve `channel`.
    pub fn new(pipeline: Arc<Pipeline>, channel: Channel) -> Result<Gateway> {
        let gateway = Gateway { pipeline, runtime: Handle::current() };
        gateway.replace(channel)?;
        Ok(gateway)
    }

    /// Serves a new channel after the gateway's restart; the old one ends by itself.
    pub fn replace(&self, channel: Channel) -> std::io::Result<()> {
        let channel = Arc::new(channel);
        let (polls, incoming) = mpsc::channel(FRAMES_MAX);
        let sender = Sender { channel: Arc::clone(&channel), order: Arc::default() };
        self.serve_feed(incoming, sender.clone());
        let (pipeline, runtime) = (Arc::clone(&self.pipeline), self.runtime.clone());
        std::thread::Builder::new().name("s3-link".to_owned()).spawn(move || {
            let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
            while let Ok(Some(packet)) = channel.recv() {
                let Ok(messages) = unpack(&packet.bytes) else { break };
                for mut message in messages {
                    match message.kind {
                        MessageKind::Push => {
                            // A full queue loses a poll; the node asks again in 250 ms.
                            polls.try_send(std::mem::take(&mut *message.body)).ok();
                        }
                        MessageKind::Request => {
                            let Ok(slot) = runtime.block_on(Arc::clone(&slots).acquire_owned())
                            else {
                                return;
                            };
                            let (pipeline, sender) = (Arc::clone(&pipeline), sender.clone());
                            let _runtime = runtime.enter();
                            writ_service::task::spawn("forwarded", async move {
                                answer(message, &pipeline, &sender).await;
                                drop(slot);
                            });
                        }
                        MessageKind::Reply => return,
                    }
                }
            }
        })?;
        Ok(())
    }

    fn serve_feed(&self, incoming: mpsc::Receiver<Vec<u8>>, sender: Sender) {
        let subscription = self.pipeline.store.subscribe(&KINDS);
        serve_feed(&self.runtime, "s3-feed", subscription, incoming, sender);
    }
}

/// Serves the bastion over the newest channel to it: a feed of who may come in, and what is wanted of its
/// recordings.
pub struct Gatekeeper {
    pipeline: Arc<Pipeline>,
    lender: Arc<Lender>,
    runtime: Handle,
}

impl Gatekeeper {
    /// Begins to serve `channel`.
    pub fn new(
        pipeline: Arc<Pipeline>,
        lender: Arc<Lender>,
        channel: Channel,
    ) -> Result<Gatekeeper> {
        let gatekeeper = Gatekeeper { pipeline, lender, runtime: Handle::current() };
        gatekeeper.replace(channel)?;
        Ok(gatekeeper)
    }

    /// Serves a new channel after the bastion's restart; the old one ends by itself.
    pub fn replace(&self, channel: Channel) -> std::io::Result<()> {
        let channel = Arc::new(channel);
        let (polls, incoming) = mpsc::channel(FRAMES_MAX);
        let sender = Sender { channel: Arc::clone(&channel), order: Arc::default() };
        let subscription = self.pipeline.store.subscribe(&BASTION_KINDS);
        serve_feed(&self.runtime, "bastion-feed", subscription, incoming, sender.clone());
        let (lender, runtime) = (Arc::clone(&self.lender), self.runtime.clone());
        std::thread::Builder::new().name("bastion-link".to_owned()).spawn(move || {
            let slots = Arc::new(Semaphore::new(LENDING_MAX));
            while let Ok(Some(packet)) = channel.recv() {
                let Ok(messages) = unpack(&packet.bytes) else { break };
                for mut message in messages {
                    match message.kind {
                        MessageKind::Push => {
                            // A full queue loses a poll; the node asks again in 250 ms.
                            polls.try_send(std::mem::take(&mut *message.body)).ok();
                        }
                        MessageKind::Request => {
                            // Its few workers ask one thing at a time.
                            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { return };
                            let (lender, sender) = (Arc::clone(&lender), sender.clone());
                            let _runtime = runtime.enter();
                            writ_service::task::spawn("lending", async move {
                                lend(message, &lender, sender).await;
                                drop(slot);
                            });
                        }
                        MessageKind::Reply => return,
                    }
                }
            }
        })?;
        Ok(())
    }
}

fn serve_feed(
    runtime: &Handle,
    name: &'static str,
    subscription: Subscription,
    mut incoming: mpsc::Receiver<Vec<u8>>,
    sender: Sender,
) {
    let (outgoing, mut frames) = mpsc::channel::<Vec<u8>>(FRAMES_MAX);
    let _runtime = runtime.enter();
    writ_service::task::spawn("feed", async move {
        if let Err(error) = feed::serve(subscription, &mut incoming, &outgoing).await {
            tracing::warn!(%error, name, "a feed ended");
        }
    });
    let send = move || {
        while let Some(frame) = frames.blocking_recv() {
            let push = Message { kind: MessageKind::Push, id: 0, body: frame.into() };
            if !sender.send(push) {
                return;
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(send) {
        tracing::error!(%error, name, "a feed has no thread");
    }
}

/// Sends whole packets, one at a time.
#[derive(Clone)]
struct Sender {
    channel: Arc<Channel>,
    order: Arc<Mutex<()>>,
}

impl Sender {
    /// False when the gateway is gone.
    fn send(&self, message: Message) -> bool {
        let _turn = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        self.channel.send(&pack(&[message])).is_ok()
    }
}

async fn lend(message: Message, lender: &Lender, sender: Sender) {
    let Ok(lending) = cbor::from_slice::<Lending>(&message.body) else {
        tracing::error!("the bastion lends something that is none of its own");
        return;
    };
    let body = cbor::to_vec(&lender.serve(lending).await);
    let message = Message { kind: MessageKind::Reply, id: message.id, body: body.into() };
    // Sending may block on a slow peer; a lost wish is its asker's timeout.
    tokio::task::spawn_blocking(move || sender.send(message)).await.ok();
}

async fn answer(message: Message, pipeline: &Pipeline, sender: &Sender) {
    let reply = match cbor::from_slice::<KmsRequest>(&message.body) {
        Ok(request) => {
            let (request_id, event_id) = writ_service::forward::new_ids(pipeline);
            let forwarded = pipeline.forward(request.into_present(request_id, event_id)).await;
            KmsReply {
                status: forwarded.reply.status,
                body: forwarded.reply.body,
                sealed: forwarded.sealed.map(|(handle, sealed)| SealedKey { handle, sealed }),
            }
        }
        Err(error) => {
            tracing::error!(%error, "the gateway sent something that is no request");
            KmsReply { status: 400, body: Vec::new(), sealed: None }
        }
    };
    let (sender, body) = (sender.clone(), cbor::to_vec(&reply));
    let message = Message { kind: MessageKind::Reply, id: message.id, body: body.into() };
    // Sending may block on a slow peer; a lost reply is the peer's timeout.
    tokio::task::spawn_blocking(move || sender.send(message)).await.ok();
}
