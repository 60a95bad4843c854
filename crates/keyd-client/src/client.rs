//! The calling side of a channel: many callers, one socket, answers paired by id.
//!
//! Two threads serve one channel: one sends what waits, up to 32 messages a packet, one receives.
//! When the peer is gone every waiting caller gets [`CallError::Gone`]; the supervisor then hands
//! over a new end with [`Client::replace`]. Nothing is sent twice: whether to ask again is the
//! caller's decision.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use writ_proof::cbor::{self, Decode, Encode};
use zeroize::Zeroizing;

use crate::channel::{Channel, Message, MessageKind, Prepared, pack, unpack};
use crate::limits::{
    BATCH_MAX, CALL_TIMEOUT, LARGE_PACKET_MAX_BYTES, PACKET_MAX_BYTES, PENDING_MAX,
};

/// Why a call has no answer. Whether the peer acted is unknown, except for `Busy` and `TooLarge`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Too many calls wait already; nothing was sent.
    #[error("too many calls wait for `{0}`")]
    Busy(&'static str),
    /// The answer is not what the protocol allows.
    #[error("`{0}` answered with bytes that are no answer")]
    Garbled(&'static str),
    /// The peer is gone and has not come back yet.
    #[error("`{0}` is not there; it is being restarted")]
    Gone(&'static str),
    /// No answer in time.
    #[error("`{0}` did not answer in time")]
    TimedOut(&'static str),
    /// The request is above the channel's limit; nothing was sent.
    #[error("the request to `{0}` is too large")]
    TooLarge(&'static str),
}

/// Receives what the peer sends unasked: the body of each push.
pub type OnPush = Box<dyn Fn(Vec<u8>) + Send + Sync>;

/// Calls a peer with `Req` and gets `Rep`. Cheap to clone.
pub struct Client<Req, Rep> {
    shared: Arc<Shared>,
    types: PhantomData<fn(Req) -> Rep>,
}

impl<Req, Rep> Clone for Client<Req, Rep> {
    fn clone(&self) -> Self {
        Client { shared: Arc::clone(&self.shared), types: PhantomData }
    }
}

impl<Req: Encode, Rep: Decode> Client<Req, Rep> {
    /// A client of the peer called `peer`, over `channel`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(peer: &'static str, channel: Channel) -> std::io::Result<Self> {
        Self::with_pushes(peer, channel, Box::new(|_| {}))
    }

    /// The same, with pushes going to `on_push` on the receiving thread.
    pub fn with_pushes(
        peer: &'static str,
        channel: Channel,
        on_push: OnPush,
    ) -> std::io::Result<Self> {
        let shared =
            Shared { peer, on_push, state: Mutex::new(State::default()), work: Condvar::new() };
        let client = Client { shared: Arc::new(shared), types: PhantomData };
        client.replace(channel)?;
        Ok(client)
    }

    /// Goes on with a new channel after the peer's restart; waiting callers get [`CallError::Gone`].
    pub fn replace(&self, channel: Channel) -> std::io::Result<()> {
        let generation = {
            let mut state = self.shared.lock();
            state.fail_all();
            state.generation += 1;
            state.connected = true;
            state.generation
        };
        self.shared.work.notify_all();
        let channel = Arc::new(channel);
        spawn("send", self.shared.peer, {
            let (shared, channel) = (Arc::clone(&self.shared), Arc::clone(&channel));
            move || shared.send_loop(generation, &channel)
        })?;
        spawn("recv", self.shared.peer, {
            let shared = Arc::clone(&self.shared);
            move || shared.recv_loop(generation, &channel)
        })
    }

    /// Asks and waits for the answer.
    pub async fn call(&self, request: &Req) -> Result<Rep, CallError> {
        let peer = self.shared.peer;
        let answer = self.begin(request)?;
        match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(body)) => cbor::from_slice(&body).map_err(|_| CallError::Garbled(peer)),
            Ok(Err(_)) => Err(CallError::Gone(peer)),
            Err(_) => Err(CallError::TimedOut(peer)),
        }
    }

    /// The same for threads outside an asynchronous runtime; waits as long as the peer lives.
    pub fn call_blocking(&self, request: &Req) -> Result<Rep, CallError> {
        let peer = self.shared.peer;
        let body = self.begin(request)?.blocking_recv().map_err(|_| CallError::Gone(peer))?;
        cbor::from_slice(&body).map_err(|_| CallError::Garbled(peer))
    }

    /// Sends `body` as a push, which wants no answer. Whether it arrives is unknown.
    ///
    /// # Errors
    /// [`CallError::Gone`] and [`CallError::Busy`]: nothing was sent.
    pub fn push(&self, body: Vec<u8>) -> Result<(), CallError> {
        let mut state = self.shared.lock();
        if !state.connected {
            return Err(CallError::Gone(self.shared.peer));
        }
        if state.queue.len() >= PENDING_MAX {
            return Err(CallError::Busy(self.shared.peer));
        }
        state.queue.push(Message { kind: MessageKind::Push, id: 0, body: body.into() });
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// True while the peer's end is open.
    pub fn is_connected(&self) -> bool {
        self.shared.lock().connected
    }

    fn begin(&self, request: &Req) -> Result<oneshot::Receiver<Zeroizing<Vec<u8>>>, CallError> {
        let peer = self.shared.peer;
        let body = cbor::to_vec(request);
        if body.len() + 64 > LARGE_PACKET_MAX_BYTES {
            return Err(CallError::TooLarge(peer));
        }
        let (reply, answer) = oneshot::channel();
        let mut state = self.shared.lock();
        if !state.connected {
            return Err(CallError::Gone(peer));
        }
        if state.pending.len() >= PENDING_MAX {
            state.pending.retain(|_, waiting| !waiting.is_closed());
        }
        if state.pending.len() >= PENDING_MAX {
            return Err(CallError::Busy(peer));
        }
        state.next_id += 1;
        let id = state.next_id;
        state.pending.insert(id, reply);
        state.queue.push(Message { kind: MessageKind::Request, id, body: body.into() });
        drop(state);
        self.shared.work.notify_one();
        Ok(answer)
    }
}

struct Shared {
    peer: &'static str,
    on_push: OnPush,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// Counts channels; a thread of an older one ends.
    generation: u64,
    connected: bool,
    next_id: u64,
    queue: Vec<Message>,
    pending: HashMap<u64, oneshot::Sender<Zeroizing<Vec<u8>>>>,
}

impl State {
    fn fail_all(&mut self) {
        self.connected = false;
        self.queue.clear();
        self.pending.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_loop(&self, generation: u64, channel: &Channel) {
        loop {
            let batch: Vec<Message> = {
                let mut state = self.lock();
                while state.queue.is_empty() && state.generation == generation && state.connected {
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.generation != generation || !state.connected {
                    return;
                }
                let count = batch_size(&state.queue);
                state.queue.drain(..count).collect()
            };
            let packet = Zeroizing::new(pack(&batch));
            let sent = match Prepared::new(&packet) {
                Ok(prepared) => channel.send_prepared(&prepared),
                // Nothing was sent, and the channel is as it was: these calls alone fail.
                Err(_) => {
                    let mut state = self.lock();
                    batch.iter().for_each(|message| drop(state.pending.remove(&message.id)));
                    Ok(())
                }
            };
            if sent.is_err() {
                return self.lost(generation);
            }
        }
    }

    fn recv_loop(&self, generation: u64, channel: &Channel) {
        while let Ok(Some(packet)) = channel.recv() {
            let Ok(messages) = unpack(&packet.bytes) else { break };
            for mut message in messages {
                match message.kind {
                    MessageKind::Push => (self.on_push)(std::mem::take(&mut *message.body)),
                    MessageKind::Reply => {
                        let waiting = self.lock().pending.remove(&message.id);
                        // A caller that gave up has dropped its end; its answer goes nowhere.
                        waiting.map(|w| w.send(message.body).ok());
                    }
                    MessageKind::Request => return self.lost(generation),
                }
            }
        }
        self.lost(generation);
    }

    fn lost(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation {
            state.fail_all();
        }
        drop(state);
        self.work.notify_all();
    }
}

/// How many of the first messages fit into one packet; at least one.
fn batch_size(queue: &[Message]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Message| {
        bytes += message.body.len() + 13;
        bytes <= PACKET_MAX_BYTES
    };
    queue.iter().take(BATCH_MAX).take_while(fits).count().max(1)
}

fn spawn(what: &str, peer: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(format!("{peer}-{what}")).spawn(work).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo_server(channel: Channel) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            while let Ok(Some(packet)) = channel.recv() {
                let replies: Vec<Message> = unpack(&packet.bytes)
                    .unwrap()
                    .into_iter()
                    .map(|m| Message { kind: MessageKind::Reply, id: m.id, body: m.body })
                    .collect();
                if channel.send(&pack(&replies)).is_err() {
                    return;
                }
            }
        })
    }

    /// A stranger's large request at a time without free descriptors cut front off from keyd for good.
    #[tokio::test]
    async fn call_that_no_descriptor_is_left_for_fails_alone() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let (ours, theirs) = Channel::pair().unwrap();
        echo_server(theirs);
        let client: Client<Vec<u8>, Vec<u8>> = Client::new("echo", ours).unwrap();
        let large = vec![7; PACKET_MAX_BYTES + 1];
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
        assert!(matches!(client.call(&large).await, Err(CallError::Gone(_))));
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(client.call(&vec![1]).await.unwrap(), [1]);
    }

    #[tokio::test]
    async fn calls_in_flight_get_their_own_answers() {
        let (ours, theirs) = Channel::pair().unwrap();
        let server = echo_server(theirs);
        let client: Client<u64, u64> = Client::new("echo", ours).unwrap();
        let calls: Vec<_> = (0..500u64)
            .map(|n| {
                let client = client.clone();
                #[expect(clippy::disallowed_methods, reason = "a test has no supervised spawn")]
                tokio::spawn(async move { (n, client.call(&n).await.unwrap()) })
            })
            .collect();
        for call in calls {
            let (asked, answered) = call.await.unwrap();
            assert_eq!(asked, answered);
        }
        drop(client);
        drop(server);
    }

    #[tokio::test]
    async fn peer_gone_fails_waiting_calls_and_a_new_channel_serves_again() {
        let (ours, theirs) = Channel::pair().unwrap();
        let client: Client<u64, u64> = Client::new("echo", ours).unwrap();
        drop(theirs);
        assert_eq!(client.call(&1).await, Err(CallError::Gone("echo")));
        let (ours, theirs) = Channel::pair().unwrap();
        let _server = echo_server(theirs);
        client.replace(ours).unwrap();
        assert_eq!(client.call(&2).await, Ok(2));
    }

    #[tokio::test]
    async fn large_request_travels_too() {
        let (ours, theirs) = Channel::pair().unwrap();
        let _server = echo_server(theirs);
        let client: Client<Vec<u8>, Vec<u8>> = Client::new("echo", ours).unwrap();
        let body = vec![5u8; 3 << 20];
        assert_eq!(client.call(&body).await.unwrap(), body);
        let error = client.call(&vec![0u8; LARGE_PACKET_MAX_BYTES]).await.unwrap_err();
        assert_eq!(error, CallError::TooLarge("echo"));
    }
}
