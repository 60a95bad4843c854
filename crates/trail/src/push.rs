//! The stream to watch: every frame of the log, and the checkpoints that watch cosigns.
//!
//! The log itself is the backlog: a cursor reads it, and at most [`PUSH_WINDOW`] frames are under way. How
//! bytes travel (mTLS) is the connector's matter.

use std::sync::Arc;
use std::time::Duration;

use writ_model::limits::RECOSIGN_AFTER;
use writ_proof::Hash;
use writ_proof::cbor::Version;
use writ_proof::hash::sha256;
use writ_proof::note::VerifierKey;
use writ_proof::origin::{LogName, SiteId};
use writ_proof::roster::Genesis;
use writ_proof::stream::{FromWatch, Hello, StreamPosition, ToWatch, WitnessReply};

use crate::build::notes::SignedCheckpoint;
use crate::error::TrailError;
use crate::hosts::HostWitness;
use crate::limits::PUSH_WINDOW;
use crate::wal::{Cursor, Place};
use crate::witness::Context;
use crate::writer::keyd::Keyd;

/// How often trail shows that it lives. A quarter of the silence at which watch raises an alarm.
const BEAT: Duration = Duration::from_millis(500);

/// How long a turn waits for watch before it looks at the log again.
const TURN: Duration = Duration::from_millis(50);

/// How long to wait before the next connection.
const RECONNECT: Duration = Duration::from_millis(500);

/// One connection to watch.
pub trait WatchLink: Send {
    /// Sends one message whole.
    fn send(&mut self, message: &ToWatch) -> std::io::Result<()>;

    /// The next message; `None` if none came within `patience`.
    fn recv(&mut self, patience: Duration) -> std::io::Result<Option<FromWatch>>;
}

/// Makes connections to watch.
pub trait WatchConnector: Send {
    /// A new connection, on which nothing has been said.
    fn connect(&mut self) -> std::io::Result<Box<dyn WatchLink>>;
}

/// Starts the thread that keeps watch supplied.
pub(crate) fn start(
    mut connector: Box<dyn WatchConnector>,
    context: Context,
    keyd: Arc<Keyd>,
    genesis: &Genesis,
    genesis_hash: Hash,
) -> Result<(), TrailError> {
    let site = genesis.site.clone();
    // watch's key is the first of the witnesses.
    let key = genesis.witness_keys()?.into_iter().next();
    let mut hosts = HostWitness::new(&context, keyd, genesis)?;
    crate::writer::spawn("push", move || {
        while !context.shared.is_stopping() {
            let ended = connector.connect().map_err(|e| broken(&e)).and_then(|link| {
                let from = (site.clone(), genesis_hash);
                Stream::open(link, &context, &mut hosts, from, key.clone())?.run()
            });
            hosts.look();
            context.shared.watch_has(None);
            if let Err(error) = ended {
                tracing::warn!(%error, "the stream to watch is down");
            }
            context.shared.pause(RECONNECT);
        }
    })
}

struct Stream<'a> {
    link: Box<dyn WatchLink>,
    context: &'a Context,
    hosts: &'a mut HostWitness,
    key: Option<VerifierKey>,
    cursor: Cursor,
    /// Positions after the frames that are under way, oldest first.
    under_way: std::collections::VecDeque<StreamPosition>,
    asked: Option<Asked>,
    held: u64,
    held_at: Duration,
    last_sent: Duration,
}

/// A checkpoint that watch is asked to cosign.
struct Asked {
    request: Hash,
    signed: SignedCheckpoint,
}

impl<'a> Stream<'a> {
    fn open(
        mut link: Box<dyn WatchLink>,
        context: &'a Context,
        hosts: &'a mut HostWitness,
        (site, genesis): (SiteId, Hash),
        key: Option<VerifierKey>,
    ) -> Result<Stream<'a>, TrailError> {
        let end = end_of(context)?;
        let hello = Hello { v: Version, site, genesis, end };
        link.send(&ToWatch::Hello(hello)).map_err(|e| broken(&e))?;
        let from = match link.recv(Duration::from_secs(5)).map_err(|e| broken(&e))? {
            Some(FromWatch::Welcome(position)) => position,
            Some(FromWatch::Refuse(why)) => return Err(fault(&format!("it refuses: {why}"))),
            _ => return Err(fault("it does not begin with a welcome")),
        };
        let cursor = find(context, from)?;
        context.shared.watch_has(Some(from.next_seq));
        let last_sent = context.env.monotonic();
        let under_way = std::collections::VecDeque::new();
        let (asked, held, held_at) = (None, 0, Duration::ZERO);
        Ok(Stream { link, context, hosts, key, cursor, under_way, asked, held, held_at, last_sent })
    }

    fn run(&mut self) -> Result<(), TrailError> {
        while !self.context.shared.is_stopping() {
            self.send_frames()?;
            self.ask()?;
            self.hosts.look();
            if self.context.env.monotonic().saturating_sub(self.last_sent) >= BEAT {
                self.send(&ToWatch::Beat(self.context.env.now()))?;
            }
            while let Some(message) = self.link.recv(TURN).map_err(|e| broken(&e))? {
                self.take(message)?;
            }
        }
        Ok(())
    }

    fn send_frames(&mut self) -> Result<(), TrailError> {
        let durable = self.context.shared.durable().place;
        while self.under_way.len() < PUSH_WINDOW {
            let Some(placed) = self.cursor.next(Some(durable))? else { break };
            let position = StreamPosition {
                next_seq: placed.located.frame.next_seq(),
                hash: placed.located.hash,
            };
            self.send(&ToWatch::Frame(placed.bytes))?;
            self.under_way.push_back(position);
        }
        Ok(())
    }

    /// Asks for a cosignature: on a new checkpoint, and again once a minute on an old one.
    fn ask(&mut self) -> Result<(), TrailError> {
        let Some(signed) = self.context.notes.latest(LogName::Checkpoint) else { return Ok(()) };
        let age = self.context.env.monotonic().saturating_sub(self.held_at);
        if self.asked.is_some() || (signed.size == self.held && age < RECOSIGN_AFTER) {
            return Ok(());
        }
        let body = self.context.request(self.held.min(signed.size), &signed)?.to_bytes();
        let request = sha256(&body);
        self.send(&ToWatch::Checkpoint(body))?;
        self.asked = Some(Asked { request, signed });
        Ok(())
    }

    fn take(&mut self, message: FromWatch) -> Result<(), TrailError> {
        match message {
            FromWatch::Ack(position) => self.acknowledged(position),
            FromWatch::Answer(answer) => self.answered(&answer),
            FromWatch::Refuse(why) => Err(fault(&format!("it refuses: {why}"))),
            FromWatch::Welcome(_) => Err(fault("it welcomes twice")),
            FromWatch::HostCheckpoint(body) => match self.hosts.cosign(body) {
                Ok(reply) => self.send(&ToWatch::HostCosigned(reply)),
                Err(error) => {
                    tracing::warn!(%error, "watch's host log is not cosigned; it will ask again");
                    Ok(())
                }
            },
        }
    }

    fn acknowledged(&mut self, position: StreamPosition) -> Result<(), TrailError> {
        let Some(at) = self.under_way.iter().position(|p| *p == position) else {
            return Err(fault("it acknowledges what was not sent"));
        };
        self.under_way.drain(..=at);
        self.context.shared.watch_has(Some(position.next_seq));
        Ok(())
    }

    fn answered(&mut self, answer: &WitnessReply) -> Result<(), TrailError> {
        let Some(asked) = self.asked.take_if(|asked| asked.request == answer.request) else {
            return Err(fault("it answers a checkpoint that it was not asked for"));
        };
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        match (answer.status, &self.key) {
            (200, Some(key)) => {
                self.context.cosigned(&asked.signed, &text, key)?;
                self.held = asked.signed.size;
                self.held_at = self.context.env.monotonic();
                Ok(())
            }
            (409, _) => {
                self.held = text.trim().parse().map_err(|_| fault("409 without a size"))?;
                // INVARIANT: asked again at once, but with another request; two 409 in a row for
                // one size would be watch's fault and end in its refusal of the proof.
                self.held_at = Duration::ZERO;
                if self.held > asked.signed.size {
                    return Err(fault(
                        "it holds a larger checkpoint log: this one was rolled back",
                    ));
                }
                Ok(())
            }
            (422, _) => Err(fault("it holds another checkpoint log: a fork")),
            (other, _) => Err(fault(&format!("it does not cosign: status {other}"))),
        }
    }

    fn send(&mut self, message: &ToWatch) -> Result<(), TrailError> {
        self.last_sent = self.context.env.monotonic();
        self.link.send(message).map_err(|e| broken(&e))
    }
}

/// A cursor behind what watch holds; it must hold a prefix of this very log.
fn find(context: &Context, from: StreamPosition) -> Result<Cursor, TrailError> {
    let mut cursor = Cursor::new(&context.shared.dir().join("wal"), Place::default());
    if from == StreamPosition::default() {
        return Ok(cursor);
    }
    let durable = context.shared.durable().place;
    while let Some(placed) = cursor.next(Some(durable))? {
        let position =
            StreamPosition { next_seq: placed.located.frame.next_seq(), hash: placed.located.hash };
        if position == from {
            return Ok(cursor);
        }
    }
    Err(fault("it holds frames that this log does not: one of the two was changed or rolled back"))
}

fn end_of(context: &Context) -> Result<StreamPosition, TrailError> {
    let durable = context.shared.durable();
    let wal = context.shared.dir().join("wal");
    let mut cursor = Cursor::new(&wal, Place { segment: durable.place.segment, offset: 0 });
    let mut end = StreamPosition::default();
    while let Some(placed) = cursor.next(Some(durable.place))? {
        end =
            StreamPosition { next_seq: placed.located.frame.next_seq(), hash: placed.located.hash };
    }
    Ok(end)
}

fn broken(error: &std::io::Error) -> TrailError {
    fault(&error.to_string())
}

fn fault(why: &str) -> TrailError {
    TrailError::Witness { url: "watch".to_owned(), why: why.to_owned() }
}
