//! A channel of SFTP: every packet is read, and every operation is told before it is done.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use writ_proof::cbor;
use writ_proof::recording::event::{FileOperation, SftpEvent};
use writ_proof::recording::{Direction, Kind};
use writ_ssh::{Channel, ChannelEvent, Stream};

use super::channel::Pump;
use super::open::data;
use super::{Dead, Session, bastion_frame};
use crate::limits::{SFTP_FILE_MAX_BYTES, SFTP_FILES_MAX, SFTP_SESSION_MAX_BYTES};
use crate::recorder::Record;
use crate::sftp::{Broken, Caps, Output, Rights, Sftp};
use crate::teller::Event;

const CAPS: Caps = Caps {
    file_max_bytes: SFTP_FILE_MAX_BYTES,
    session_max_bytes: SFTP_SESSION_MAX_BYTES,
    files: SFTP_FILES_MAX,
};

/// One channel's state; nothing once it is finished.
type Watched = Arc<Mutex<Option<Sftp>>>;

/// Channels of SFTP of a session that are open: what is left of them is told at its end.
#[derive(Default)]
pub(super) struct OpenFiles(Mutex<Vec<(u32, Watched)>>);

/// Bytes on their way, and what they came of.
struct Piece<'a> {
    bytes: Vec<u8>,
    came_of: Vec<Arc<Came<'a>>>,
}

/// What a peer sent. Its window is given back when everything that it led to has gone, in both directions: who reads
/// no answers may ask nothing more.
struct Came<'a> {
    from: &'a Channel,
    bytes: usize,
}

type Queue<'a> = mpsc::UnboundedSender<Piece<'a>>;

impl Pump<'_> {
    /// Carries SFTP until either side closes, or breaks the protocol.
    pub(super) async fn carry_files(&self, rights: Rights) -> Result<(), Dead> {
        let sftp = Arc::new(Mutex::new(Some(Sftp::new(rights, CAPS))));
        self.session.files.add(self.number, Arc::clone(&sftp));
        let (to_host, host_pieces) = mpsc::unbounded_channel();
        let (to_operator, operator_pieces) = mpsc::unbounded_channel();
        // What waits in the two queues is bounded by the windows: they are given back when it has gone.
        let carried = tokio::select! {
            watched = self.watch_files(&sftp, &to_host, &to_operator) => watched,
            sent = send(self.session, host_pieces, self.host) => sent,
            sent = send(self.session, operator_pieces, self.client) => sent,
        };
        self.host.close();
        self.client.close();
        carried?;
        self.session.finish_channel(self.number, &sftp).await
    }

    async fn watch_files<'a>(
        &'a self,
        sftp: &Mutex<Option<Sftp>>,
        to_host: &Queue<'a>,
        to_operator: &Queue<'a>,
    ) -> Result<(), Dead> {
        loop {
            let (from_host, event) = tokio::select! {
                event = self.client.next() => (false, event),
                event = self.host.next() => (true, event),
            };
            let bytes = match event {
                None | Some(ChannelEvent::Close) => return Ok(()),
                Some(ChannelEvent::Data { stream: Stream::Main, bytes }) => bytes,
                Some(ChannelEvent::Data { stream: Stream::Stderr, bytes }) => {
                    self.errors(from_host, bytes).await?;
                    continue;
                }
                Some(ChannelEvent::Eof) => {
                    let done = if from_host { self.client.eof() } else { self.host.eof() };
                    done.ok();
                    continue;
                }
                Some(ChannelEvent::Request(request)) => {
                    match from_host {
                        true => self.host_request(request).await?,
                        false => self.request(request).await?,
                    }
                    continue;
                }
            };
            let direction = if from_host { Direction::FromHost } else { Direction::ToHost };
            let mut frames = data(self.number, direction, &bytes);
            let mut judged = judge(sftp, |sftp| match from_host {
                true => sftp.from_host(&bytes),
                false => sftp.from_operator(&bytes),
            });
            let mut host_bytes = if from_host { bytes.len() } else { 0 };
            loop {
                let output = match judged {
                    Some(Ok(output)) => output,
                    Some(Err(broken)) => return self.broken(broken).await,
                    None => return Ok(()),
                };
                let more = output.more;
                self.keep_files(std::mem::take(&mut frames), &output.events).await?;
                self.hand_on(output, std::mem::take(&mut host_bytes), to_host, to_operator);
                if !more {
                    break;
                }
                // Other sessions go on, too.
                tokio::task::yield_now().await;
                judged = judge(sftp, Sftp::go_on);
            }
        }
    }

    /// Queues what came of some bytes of the host, and of those of the operator that could be handled with them.
    fn hand_on<'a>(
        &'a self,
        output: Output,
        host_bytes: usize,
        to_host: &Queue<'a>,
        to_operator: &Queue<'a>,
    ) {
        let asked = Arc::new(Came { from: self.client, bytes: output.taken_bytes });
        // The host's bytes are answers to the operator. What goes to the host is the operator's doing: the host must
        // not wait for itself.
        let answered = Arc::new(Came { from: self.host, bytes: host_bytes });
        let down = Piece { bytes: output.to_host, came_of: vec![Arc::clone(&asked)] };
        let up = Piece { bytes: output.to_operator, came_of: vec![asked, answered] };
        // A closed queue means that its sender has ended, and with it the channel.
        to_host.send(down).ok();
        to_operator.send(up).ok();
    }

    async fn errors(&self, from_host: bool, bytes: Bytes) -> Result<(), Dead> {
        let length = bytes.len();
        if !from_host {
            self.client.accept(length);
            return Ok(());
        }
        let frames = data(self.number, Direction::Errors, &bytes);
        self.session.keep(frames, Vec::new()).await?;
        self.session.pass().await?;
        if self.client.send(Stream::Stderr, bytes).await.is_ok() {
            self.host.accept(length);
        }
        Ok(())
    }

    /// Bytes that came and what they mean, durable before anything of it goes on.
    async fn keep_files(&self, mut frames: Vec<Record>, events: &[SftpEvent]) -> Result<(), Dead> {
        frames.extend(events.iter().map(|event| of(self.number, event)));
        let told = events.iter().map(|event| told(self.session, self.number, event)).collect();
        self.session.keep(frames, told).await
    }

    async fn broken(&self, broken: Broken) -> Result<(), Dead> {
        let what = "subsystem sftp".to_owned();
        self.session.refuse(self.number, what, &broken.to_string()).await;
        Ok(())
    }
}

impl OpenFiles {
    fn add(&self, channel: u32, sftp: Watched) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, sftp)| sftp.lock().unwrap_or_else(PoisonError::into_inner).is_some());
        open.push((channel, sftp));
    }
}

impl Session {
    /// Tells what was still open in all channels of SFTP: those files are partial.
    pub(super) async fn finish_files(&self) {
        let open =
            std::mem::take(&mut *self.files.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (channel, sftp) in open {
            // The session ends anyway.
            self.finish_channel(channel, &sftp).await.ok();
        }
    }

    async fn finish_channel(&self, channel: u32, sftp: &Mutex<Option<Sftp>>) -> Result<(), Dead> {
        let sftp = sftp.lock().unwrap_or_else(PoisonError::into_inner).take();
        let events = sftp.map(Sftp::finish).unwrap_or_default();
        if events.is_empty() {
            return Ok(());
        }
        let frames = events.iter().map(|event| of(channel, event)).collect();
        let told = events.iter().map(|event| told(self, channel, event)).collect();
        self.keep(frames, told).await
    }
}

/// Takes a step of the channel; `None` once it is finished.
fn judge(
    sftp: &Mutex<Option<Sftp>>,
    step: impl FnOnce(&mut Sftp) -> Result<Output, Broken>,
) -> Option<Result<Output, Broken>> {
    sftp.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(step)
}

/// Sends pieces in their order to `to`, and gives back the windows of what has gone with them.
async fn send(
    session: &Arc<Session>,
    mut pieces: mpsc::UnboundedReceiver<Piece<'_>>,
    to: &Channel,
) -> Result<(), Dead> {
    while let Some(piece) = pieces.recv().await {
        if !piece.bytes.is_empty() {
            session.pass().await?;
            if to.send(Stream::Main, piece.bytes.into()).await.is_err() {
                return Ok(());
            }
        }
        for came in piece.came_of.into_iter().filter_map(Arc::into_inner) {
            came.from.accept(came.bytes);
        }
    }
    Ok(())
}

fn of(channel: u32, event: &SftpEvent) -> Record {
    bastion_frame(channel, Kind::Sftp, cbor::to_vec(event))
}

/// The event of the operator log.
fn told(session: &Session, channel: u32, event: &SftpEvent) -> Event {
    let mut shown = session.shown();
    shown.push(("channel", channel.to_string()));
    let mut asked = |asked: &FileOperation| {
        shown.push(("operation", asked.operation.clone()));
        shown.push(("paths", asked.paths.join("\n")));
    };
    match event {
        SftpEvent::Asked(operation) => {
            asked(operation);
            Event::new("FileOperation", shown)
        }
        SftpEvent::Denied(denial) => {
            asked(&denial.asked);
            let refused = Some(("AccessDenied", denial.reason.clone()));
            Event { refused, ..Event::new("RefuseFileOperation", shown) }
        }
        SftpEvent::Transferred(file) => {
            let digest = |hash: Option<writ_proof::hash::Hash>| {
                hash.map_or_else(|| "-".to_owned(), |hash| hash.to_string())
            };
            shown.extend([
                ("path", file.path.clone()),
                ("bytesRead", file.read_bytes.to_string()),
                ("bytesWritten", file.written_bytes.to_string()),
                ("sha256Read", digest(file.read_digest)),
                ("sha256Written", digest(file.written_digest)),
                ("scattered", file.scattered.to_string()),
                ("partial", file.partial.to_string()),
            ]);
            Event::new("FileTransfer", shown)
        }
    }
}
