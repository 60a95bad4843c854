//! The state of the connection layer: messages of the peer in, events and messages for it out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, oneshot};
use writ_proof::ssh::SshReader;

use super::answers::{Answers, Ticket};
use super::channel::Stream;
use crate::error::Error;
use crate::limits;
use crate::wire::{Message, name, number, printable};

/// `SSH_EXTENDED_DATA_STDERR`, the only kind of extended data.
const STDERR: u32 = 1;
const UNKNOWN: Error = Error::Protocol("a message is for a channel that is not open");

/// Why a channel is not opened (RFC 4254 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum OpenFailure {
    /// It is not allowed.
    Prohibited = 1,
    /// What it leads to cannot be reached.
    ConnectFailed = 2,
    /// Its type is unknown.
    UnknownType = 3,
    /// There are too many.
    ResourceShortage = 4,
}

impl OpenFailure {
    fn from_number(number: u32) -> OpenFailure {
        match number {
            2 => OpenFailure::ConnectFailed,
            3 => OpenFailure::UnknownType,
            4 => OpenFailure::ResourceShortage,
            _ => OpenFailure::Prohibited,
        }
    }
}

/// Why the connection ended, for everybody who still holds a part of it.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// We left.
    ByUs,
    /// An error ended it, or the peer.
    Because(Error),
}

/// An event of the connection.
pub(crate) enum Arrival {
    Global { ticket: Option<Ticket>, name: String, data: Bytes },
    Open { id: u32, kind: String, data: Bytes },
    Refused { kind: String, why: OpenFailure },
}

/// An event of a channel.
pub(crate) enum Item {
    Close,
    Data(Stream, BytesMut),
    Eof,
    Request { ticket: Option<Ticket>, name: String, data: Bytes },
}

pub(crate) type Opened = Result<(), (OpenFailure, String)>;

enum Phase {
    /// We asked for it.
    Asked(oneshot::Sender<Opened>),
    Open,
    /// The peer asked for it, and the consumer has not decided.
    Undecided,
}

/// One channel.
struct State {
    phase: Phase,
    /// The peer's number of it.
    remote: u32,
    /// What we may still send.
    out_window: u32,
    out_packet: u32,
    /// What the peer may still send.
    in_window: u32,
    /// Bytes that the consumer has accepted and of which the peer has not been told.
    accepted: u32,
    /// Bytes that the consumer has been given, or will be, and has not accepted.
    unaccepted: u32,
    inbox: VecDeque<Item>,
    answers: Answers,
    asked: VecDeque<oneshot::Sender<bool>>,
    eof_got: bool,
    eof_sent: bool,
    close_got: bool,
    close_sent: bool,
    abandoned: bool,
    readable: Arc<Notify>,
}

impl State {
    fn new(phase: Phase, window: u32) -> State {
        State {
            phase,
            remote: 0,
            out_window: 0,
            out_packet: 0,
            in_window: window,
            accepted: 0,
            unaccepted: 0,
            inbox: VecDeque::new(),
            answers: Answers::default(),
            asked: VecDeque::new(),
            eof_got: false,
            eof_sent: false,
            close_got: false,
            close_sent: false,
            abandoned: false,
            readable: Arc::new(Notify::new()),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    fn push(&mut self, item: Item) {
        if !self.abandoned {
            self.inbox.push_back(item);
            self.readable.notify_one();
        }
    }

    /// Adds data to what waits already, if that is of the same stream: what waits is then bounded by
    /// the window, not by the number of packets.
    fn push_data(&mut self, stream: Stream, data: &[u8]) {
        match self.inbox.back_mut() {
            Some(Item::Data(last, bytes)) if *last == stream => bytes.extend_from_slice(data),
            _ => self.push(Item::Data(stream, BytesMut::from(data))),
        }
    }
}

/// The connection's state.
pub struct Core {
    window: u32,
    channels_max: usize,
    channels: BTreeMap<u32, State>,
    next: u32,
    arrivals: VecDeque<Arrival>,
    outbox: VecDeque<Vec<u8>>,
    outbox_bytes: usize,
    answers: Answers,
    asked: VecDeque<oneshot::Sender<Option<Bytes>>>,
    pub(crate) leaving: Option<String>,
    pub(crate) ended: Option<Ended>,
}

impl Core {
    /// For at most `channels_max` channels at one time, with windows of `window` bytes.
    pub fn new(channels_max: usize, window: u32) -> Core {
        Core {
            window,
            channels_max,
            channels: BTreeMap::new(),
            next: 0,
            arrivals: VecDeque::new(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            answers: Answers::default(),
            asked: VecDeque::new(),
            leaving: None,
            ended: None,
        }
    }

    /// Takes a message of the peer; false if its type is unknown.
    pub fn receive(&mut self, message: &Bytes) -> Result<bool, Error> {
        let mut reader = SshReader::new(message);
        let kind = reader.byte()?;
        match kind {
            number::GLOBAL_REQUEST => self.global(message, reader)?,
            number::REQUEST_SUCCESS | number::REQUEST_FAILURE => {
                let asked = self.asked.pop_front();
                let asked = asked.ok_or(Error::Protocol("an answer came without its request"))?;
                let data = message.slice_ref(reader.rest());
                // Nobody may be waiting any more.
                asked.send((kind == number::REQUEST_SUCCESS).then_some(data)).ok();
            }
            number::CHANNEL_OPEN => self.open(message, reader)?,
            91..=100 => {
                let id = reader.number()?;
                let channel = self.channels.get_mut(&id).filter(|c| !c.close_got);
                let channel = channel.ok_or(UNKNOWN)?;
                match kind {
                    number::CHANNEL_OPEN_CONFIRMATION => confirmed(channel, reader)?,
                    number::CHANNEL_OPEN_FAILURE => self.failed(id, reader)?,
                    _ if !channel.is_open() => return Err(UNKNOWN),
                    _ => receive_in(channel, kind, message, reader)?,
                }
                self.tidy(id);
            }
            // Late requests to authenticate are ignored (RFC 4252 section 5.1).
            number::USERAUTH_REQUEST => {}
            number::SERVICE_REQUEST | number::SERVICE_ACCEPT | 51..=79 => {
                return Err(Error::Protocol("a message of authentication is out of order"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The next message for the peer.
    pub fn take_message(&mut self) -> Option<Vec<u8>> {
        let message = self.outbox.pop_front()?;
        self.outbox_bytes = self.outbox_bytes.saturating_sub(message.len());
        Some(message)
    }

    /// Bytes of messages that wait.
    pub(crate) fn outbox_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// True while nothing more should be read, since nobody takes what came.
    pub(crate) fn is_full(&self) -> bool {
        self.arrivals.len() >= limits::EVENTS_MAX
            || self.channels.values().any(|c| c.inbox.len() >= limits::EVENTS_MAX)
    }

    pub(crate) fn take_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    fn post(&mut self, message: Message) {
        self.post_all([message.done()]);
    }

    fn post_all(&mut self, messages: impl IntoIterator<Item = Vec<u8>>) {
        for message in messages {
            self.outbox_bytes += message.len();
            self.outbox.push_back(message);
        }
    }

    /// A number for a new channel.
    fn number(&mut self) -> u32 {
        while self.channels.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    fn has_room(&self) -> bool {
        self.channels.len() < self.channels_max
    }

    fn global(&mut self, message: &Bytes, mut reader: SshReader<'_>) -> Result<(), Error> {
        let name = name(&mut reader)?.to_owned();
        let ticket = if boolean(&mut reader)? { Some(self.answers.ask()?) } else { None };
        let data = message.slice_ref(reader.rest());
        self.arrivals.push_back(Arrival::Global { ticket, name, data });
        Ok(())
    }

    fn open(&mut self, message: &Bytes, mut reader: SshReader<'_>) -> Result<(), Error> {
        let kind = name(&mut reader)?.to_owned();
        let (remote, window, packet) = (reader.number()?, reader.number()?, reader.number()?);
        if !self.has_room() || packet == 0 {
            let why = OpenFailure::ResourceShortage;
            self.post(open_failure(remote, why, "too many channels, or packets too small"));
            self.arrivals.push_back(Arrival::Refused { kind, why });
            return Ok(());
        }
        let id = self.number();
        let mut channel = State::new(Phase::Undecided, self.window);
        channel.remote = remote;
        channel.out_window = window;
        channel.out_packet = packet.min(limits::CHANNEL_PACKET_MAX_BYTES);
        self.channels.insert(id, channel);
        let data = message.slice_ref(reader.rest());
        self.arrivals.push_back(Arrival::Open { id, kind, data });
        Ok(())
    }

    fn failed(&mut self, id: u32, mut reader: SshReader<'_>) -> Result<(), Error> {
        let Some(State { phase: Phase::Asked(_), .. }) = self.channels.get(&id) else {
            return Err(UNKNOWN);
        };
        let why = OpenFailure::from_number(reader.number()?);
        let text = printable(reader.string()?);
        if let Some(State { phase: Phase::Asked(asked), .. }) = self.channels.remove(&id) {
            asked.send(Err((why, text))).ok();
        }
        Ok(())
    }

    /// Answers a close where nobody holds the channel any more, and forgets it when both sides closed.
    fn tidy(&mut self, id: u32) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Phase::Asked(asked) = &channel.phase {
            channel.abandoned = asked.is_closed();
            return;
        }
        if channel.abandoned && channel.is_open() && !channel.close_sent {
            channel.close_sent = true;
            let message = Message::new(number::CHANNEL_CLOSE).number(channel.remote);
            self.post(message);
        }
        self.channels.retain(|_, c| !(c.close_sent && c.close_got && c.abandoned));
    }

    // What the handles do.

    pub(crate) fn ask_open(
        &mut self,
        kind: &str,
        data: &[u8],
    ) -> Result<(u32, Arc<Notify>, oneshot::Receiver<Opened>), Error> {
        self.alive()?;
        Error::limit("channels", self.channels.len(), self.channels_max.saturating_sub(1))?;
        let (sender, receiver) = oneshot::channel();
        let id = self.number();
        let state = State::new(Phase::Asked(sender), self.window);
        let readable = Arc::clone(&state.readable);
        self.channels.insert(id, state);
        let message = Message::new(number::CHANNEL_OPEN).string(kind).number(id);
        let message = message.number(self.window).number(limits::CHANNEL_PACKET_MAX_BYTES);
        self.post(message.raw(data));
        Ok((id, readable, receiver))
    }

    pub(crate) fn confirm(&mut self, id: u32) -> Option<Arc<Notify>> {
        let window = self.window;
        let channel = self.channels.get_mut(&id)?;
        channel.phase = Phase::Open;
        let readable = Arc::clone(&channel.readable);
        let message = Message::new(number::CHANNEL_OPEN_CONFIRMATION).number(channel.remote);
        let message = message.number(id).number(window);
        self.post(message.number(limits::CHANNEL_PACKET_MAX_BYTES));
        Some(readable)
    }

    pub(crate) fn refuse(&mut self, id: u32, why: OpenFailure, text: &str) {
        if let Some(channel) = self.channels.remove(&id) {
            self.post(open_failure(channel.remote, why, text));
        }
    }

    pub(crate) fn ask_global(
        &mut self,
        name: &str,
        data: &[u8],
    ) -> Result<oneshot::Receiver<Option<Bytes>>, Error> {
        self.alive()?;
        Error::limit("requests of ours", self.asked.len(), limits::REQUESTS_MAX)?;
        let (sender, receiver) = oneshot::channel();
        self.asked.push_back(sender);
        self.post(Message::new(number::GLOBAL_REQUEST).string(name).boolean(true).raw(data));
        Ok(receiver)
    }

    pub(crate) fn answer_global(&mut self, ticket: Ticket, answer: Option<&[u8]>) {
        let message = match answer {
            Some(data) => Message::new(number::REQUEST_SUCCESS).raw(data),
            None => Message::new(number::REQUEST_FAILURE),
        };
        let due = self.answers.answer(ticket, message.done());
        self.post_all(due);
    }

    pub(crate) fn take_item(&mut self, id: u32) -> Option<Item> {
        self.channels.get_mut(&id)?.inbox.pop_front()
    }

    pub(crate) fn has_closed(&self, id: u32) -> bool {
        self.channels.get(&id).is_none_or(|channel| channel.close_got)
    }

    /// Gives the peer so many bytes of window back, at most what it had sent.
    pub(crate) fn accept(&mut self, id: u32, bytes: usize) {
        let window = self.window;
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(channel.unaccepted);
        channel.unaccepted -= bytes;
        channel.accepted += bytes;
        // One message for a quarter of the window, not one for each packet.
        if channel.accepted < (window / 4).max(1) || channel.close_sent || channel.eof_got {
            return;
        }
        let added = std::mem::take(&mut channel.accepted);
        channel.in_window += added;
        let message = Message::new(number::CHANNEL_WINDOW_ADJUST).number(channel.remote);
        self.post(message.number(added));
    }

    /// Sends as much of the data as window and outbox allow now, and says how much that was.
    pub(crate) fn send(&mut self, id: u32, stream: Stream, data: &[u8]) -> Result<usize, Error> {
        let room = self.outbox_bytes < limits::OUTBOX_MAX_BYTES;
        let channel = self.writer(id)?;
        if channel.eof_sent {
            return Err(Error::Closed);
        }
        let most = channel.out_window.min(channel.out_packet);
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX).min(most);
        let size = if room { size } else { 0 };
        channel.out_window -= size;
        let remote = channel.remote;
        let size = usize::try_from(size).unwrap_or(0);
        let part = data.get(..size).unwrap_or_default();
        if part.is_empty() {
            return Ok(0);
        }
        self.post(match stream {
            Stream::Main => Message::new(number::CHANNEL_DATA).number(remote).string(part),
            Stream::Stderr => {
                let message = Message::new(number::CHANNEL_EXTENDED_DATA).number(remote);
                message.number(STDERR).string(part)
            }
        });
        Ok(size)
    }

    pub(crate) fn eof(&mut self, id: u32) -> Result<(), Error> {
        let channel = self.writer(id)?;
        let remote = channel.remote;
        if !std::mem::replace(&mut channel.eof_sent, true) {
            self.post(Message::new(number::CHANNEL_EOF).number(remote));
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, id: u32) {
        let Ok(channel) = self.writer(id) else { return };
        channel.close_sent = true;
        channel.asked.clear();
        let remote = channel.remote;
        self.post(Message::new(number::CHANNEL_CLOSE).number(remote));
        self.tidy(id);
    }

    /// The channel's handle is gone.
    pub(crate) fn abandon(&mut self, id: u32) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.abandoned = true;
            channel.inbox.clear();
        }
        self.tidy(id);
    }

    pub(crate) fn request(
        &mut self,
        id: u32,
        name: &str,
        data: &[u8],
        want: Option<oneshot::Sender<bool>>,
    ) -> Result<(), Error> {
        let channel = self.writer(id)?;
        let (remote, wanted) = (channel.remote, want.is_some());
        if let Some(sender) = want {
            Error::limit("requests of ours", channel.asked.len(), limits::REQUESTS_MAX)?;
            channel.asked.push_back(sender);
        }
        let message = Message::new(number::CHANNEL_REQUEST).number(remote).string(name);
        self.post(message.boolean(wanted).raw(data));
        Ok(())
    }

    pub(crate) fn answer(&mut self, id: u32, ticket: Ticket, success: bool) {
        let Ok(channel) = self.writer(id) else { return };
        let kind = if success { number::CHANNEL_SUCCESS } else { number::CHANNEL_FAILURE };
        let message = Message::new(kind).number(channel.remote).done();
        let due = channel.answers.answer(ticket, message);
        self.post_all(due);
    }

    /// Ends everything: whoever waits learns it.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
        self.asked.clear();
        self.outbox.clear();
        for channel in self.channels.values_mut() {
            channel.asked.clear();
            channel.phase = Phase::Open;
            channel.readable.notify_one();
        }
    }

    fn alive(&self) -> Result<(), Error> {
        if self.ended.is_some() || self.leaving.is_some() { Err(Error::Closed) } else { Ok(()) }
    }

    /// A channel on which we may still send.
    fn writer(&mut self, id: u32) -> Result<&mut State, Error> {
        self.alive()?;
        let channel = self.channels.get_mut(&id).filter(|c| c.is_open() && !c.close_sent);
        channel.ok_or(Error::Closed)
    }
}

fn open_failure(remote: u32, why: OpenFailure, text: &str) -> Message {
    let message = Message::new(number::CHANNEL_OPEN_FAILURE).number(remote).number(why as u32);
    message.string(crate::wire::text(text)).string("")
}

fn boolean(reader: &mut SshReader<'_>) -> Result<bool, Error> {
    Ok(reader.boolean()?)
}

fn confirmed(channel: &mut State, mut reader: SshReader<'_>) -> Result<(), Error> {
    let (remote, window, packet) = (reader.number()?, reader.number()?, reader.number()?);
    if !matches!(channel.phase, Phase::Asked(_)) || packet == 0 {
        return Err(UNKNOWN);
    }
    channel.remote = remote;
    channel.out_window = window;
    channel.out_packet = packet.min(limits::CHANNEL_PACKET_MAX_BYTES);
    if let Phase::Asked(asked) = std::mem::replace(&mut channel.phase, Phase::Open) {
        // Whoever asked may have gone: then the channel is closed again.
        channel.abandoned = asked.send(Ok(())).is_err();
    }
    Ok(())
}

/// A message in an open channel.
fn receive_in(
    channel: &mut State,
    kind: u8,
    message: &Bytes,
    mut reader: SshReader<'_>,
) -> Result<(), Error> {
    match kind {
        number::CHANNEL_WINDOW_ADJUST => {
            let added = reader.number()?;
            reader.finish()?;
            let window = channel.out_window.checked_add(added);
            channel.out_window = window.ok_or(Error::Protocol("a window is above 2^32 - 1"))?;
        }
        number::CHANNEL_DATA => data(channel, Stream::Main, &mut reader)?,
        number::CHANNEL_EXTENDED_DATA => {
            if reader.number()? != STDERR {
                return Err(Error::Protocol("extended data is of an unknown kind"));
            }
            data(channel, Stream::Stderr, &mut reader)?;
        }
        number::CHANNEL_EOF => {
            reader.finish()?;
            if std::mem::replace(&mut channel.eof_got, true) {
                return Err(Error::Protocol("a channel has two ends"));
            }
            channel.push(Item::Eof);
        }
        number::CHANNEL_CLOSE => {
            reader.finish()?;
            channel.close_got = true;
            channel.asked.clear();
            channel.push(Item::Close);
        }
        number::CHANNEL_REQUEST => {
            let name = name(&mut reader)?.to_owned();
            let wanted = boolean(&mut reader)?;
            // After our close there is nobody to answer.
            let wanted = wanted && !channel.close_sent && !channel.abandoned;
            let ticket = if wanted { Some(channel.answers.ask()?) } else { None };
            let data = message.slice_ref(reader.rest());
            channel.push(Item::Request { ticket, name, data });
        }
        _ => {
            reader.finish()?;
            let asked = channel.asked.pop_front();
            match asked {
                Some(asked) => drop(asked.send(kind == number::CHANNEL_SUCCESS)),
                // After our close the question is forgotten, and its answer may still come.
                None if channel.close_sent => {}
                None => return Err(Error::Protocol("an answer came without its request")),
            }
        }
    }
    Ok(())
}

fn data(channel: &mut State, stream: Stream, reader: &mut SshReader<'_>) -> Result<(), Error> {
    let data = reader.string()?;
    reader.finish()?;
    let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
    if size > limits::CHANNEL_PACKET_MAX_BYTES {
        return Err(Error::Protocol("a packet of data is above what a channel takes"));
    }
    if channel.eof_got {
        return Err(Error::Protocol("data came after a channel's end"));
    }
    let left = channel.in_window.checked_sub(size);
    channel.in_window = left.ok_or(Error::Protocol("data came beyond a channel's window"))?;
    if !data.is_empty() && !channel.close_sent && !channel.abandoned {
        channel.unaccepted += size;
        channel.push_data(stream, data);
    }
    Ok(())
}

#[cfg(test)]
#[path = "../tests/connection.rs"]
mod tests;
