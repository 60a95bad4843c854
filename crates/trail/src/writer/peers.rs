//! One channel: a thread that reads requests, a thread that sends answers.
//!
//! A peer that does not read its answers holds up nobody but itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel};
use std::time::Duration;

use writ_keyd_client::channel::{Channel, Message, MessageKind, pack, unpack};
use writ_keyd_client::limits::{BATCH_MAX, PACKET_MAX_BYTES};
use writ_keyd_client::protocol::Role;
use writ_proof::append::{AppendRefusal, AppendReply, AppendRequest};
use writ_proof::cbor;

use super::prepare::{self, source_of};
use super::queue::{Append, Job, Queue};
use super::shared::Shared;
use crate::error::TrailError;
use crate::limits::OUTSTANDING_MAX;
use crate::protocol::{LookupQuery, Reply, Request};

/// Between two looks whether the peers are gone.
const TURN: Duration = Duration::from_millis(2);

/// A question for the lookup thread, and who waits for its answer.
pub(crate) struct Question {
    pub(crate) query: LookupQuery,
    pub(crate) answer: Out,
}

/// What every channel needs.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) queue: Arc<Queue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lookups: SyncSender<Question>,
    /// Requests of all channels whose answers have not left yet.
    pub(crate) unanswered: Arc<AtomicUsize>,
    /// Channels on which something may still come.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Peers {
    /// Serves a channel until its peer is gone.
    pub(crate) fn attach(&self, role: Role, channel: Channel) -> Result<(), TrailError> {
        let channel = Arc::new(channel);
        let (sender, answers) = self::channel();
        let outstanding = Arc::new(AtomicUsize::new(0));
        spawn(role, "send", {
            let counts = [Arc::clone(&outstanding), Arc::clone(&self.unanswered)];
            let channel = Arc::clone(&channel);
            move || send_loop(&channel, &answers, &counts)
        })?;
        let peer = Peer { peers: self.clone(), role, sender, outstanding };
        self.open.fetch_add(1, Ordering::SeqCst);
        let receiving = spawn(role, "recv", move || {
            peer.recv_loop(&channel);
            peer.peers.open.fetch_sub(1, Ordering::SeqCst);
        });
        if receiving.is_err() {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        receiving
    }

    /// Waits until every peer is gone and what it had sent is done; false if that took longer.
    pub(crate) fn wait_gone(&self, patience: Duration) -> bool {
        // In this order: a request is counted before its channel is seen to end.
        let gone =
            || self.open.load(Ordering::SeqCst) == 0 && self.unanswered.load(Ordering::SeqCst) == 0;
        let turns = patience.as_millis() / TURN.as_millis();
        for _ in 0..turns {
            if gone() {
                return true;
            }
            std::thread::sleep(TURN);
        }
        gone()
    }
}

/// Answers one request, once.
pub(crate) struct Out {
    id: u64,
    sender: Sender<(u64, Reply)>,
}

impl Out {
    pub(crate) fn send(self, reply: Reply) {
        // A peer that is gone needs no answer.
        self.sender.send((self.id, reply)).ok();
    }
}

struct Peer {
    peers: Peers,
    role: Role,
    sender: Sender<(u64, Reply)>,
    outstanding: Arc<AtomicUsize>,
}

impl Peer {
    fn recv_loop(&self, channel: &Channel) {
        while let Ok(Some(packet)) = channel.recv() {
            let Ok(messages) = unpack(&packet.bytes) else { break };
            for message in messages {
                let request = cbor::from_slice::<Request>(&message.body);
                let (MessageKind::Request, Ok(request)) = (message.kind, request) else {
                    tracing::error!(peer = self.role.name(), "a message is no request; hanging up");
                    return;
                };
                if self.outstanding.load(Ordering::SeqCst) >= OUTSTANDING_MAX {
                    tracing::error!(peer = self.role.name(), "answers are not read; hanging up");
                    return;
                }
                self.outstanding.fetch_add(1, Ordering::SeqCst);
                self.peers.unanswered.fetch_add(1, Ordering::SeqCst);
                self.serve(Out { id: message.id, sender: self.sender.clone() }, request);
            }
        }
    }

    fn serve(&self, out: Out, request: Request) {
        match request {
            Request::Append(request) => self.append(out, request),
            Request::Head => out.send(match self.peers.shared.operator() {
                Some(head) => Reply::Head(head),
                None => {
                    Reply::Refused("no checkpoint of the operator log is signed yet".to_owned())
                }
            }),
            Request::Status => out.send(Reply::Status(self.peers.shared.status())),
            Request::Lookup(_) if self.role != Role::Front => {
                out.send(Reply::Refused("only front may look events up".to_owned()));
            }
            Request::Lookup(query) => {
                match self.peers.lookups.try_send(Question { query, answer: out }) {
                    Ok(()) => {}
                    Err(TrySendError::Full(q) | TrySendError::Disconnected(q)) => {
                        q.answer.send(Reply::Refused("too many lookups wait".to_owned()));
                    }
                }
            }
        }
    }

    fn append(&self, out: Out, request: AppendRequest) {
        let refuse = |out: Out, why| out.send(Reply::Append(AppendReply::Refused(why)));
        let Some(source) = source_of(self.role) else {
            let why = format!("{} may not append", self.role.name());
            return refuse(out, AppendRefusal::Invalid(why));
        };
        let mut request = request;
        let statements = std::mem::take(&mut request.statements);
        let bytes: usize = statements.iter().map(Vec::len).sum();
        if bytes > crate::limits::BATCH_MAX_BYTES / 2 {
            return refuse(out, AppendRefusal::Invalid("its statements are too large".to_owned()));
        }
        match prepare::request(request, source) {
            Err(why) => refuse(out, AppendRefusal::Invalid(why)),
            Ok(items) => {
                let answer = Box::new(move |reply| out.send(Reply::Append(reply)));
                let job = Job::Append(Append { items, statements, answer });
                if let Err(refused) = self.peers.queue.put(job)
                    && let Job::Append(append) = refused.job
                {
                    let why =
                        if refused.full { AppendRefusal::Full } else { AppendRefusal::Closed };
                    (append.answer)(AppendReply::Refused(why));
                }
            }
        }
    }
}

fn send_loop(channel: &Channel, answers: &Receiver<(u64, Reply)>, counts: &[Arc<AtomicUsize>]) {
    let answered = |number| {
        for count in counts {
            count.fetch_sub(number, Ordering::SeqCst);
        }
    };
    while let Ok(first) = answers.recv() {
        let mut bytes = 0;
        let mut messages = Vec::new();
        let mut next = Some(first);
        while let Some((id, reply)) = next.take() {
            let message =
                Message { kind: MessageKind::Reply, id, body: cbor::to_vec(&reply).into() };
            bytes += message.body.len() + 13;
            messages.push(message);
            if messages.len() < BATCH_MAX && bytes < PACKET_MAX_BYTES / 2 {
                next = answers.try_recv().ok();
            }
        }
        let sent = channel.send(&pack(&messages));
        answered(messages.len());
        if sent.is_err() {
            break;
        }
    }
    // A peer that is gone reads no answers: its requests are done with when they are done.
    while answers.recv().is_ok() {
        answered(1);
    }
}

fn spawn(role: Role, what: &str, work: impl FnOnce() + Send + 'static) -> Result<(), TrailError> {
    super::spawn(&format!("{}-{what}", role.name()), work)
}
