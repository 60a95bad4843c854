//! A session channel whose program runs: bytes in both directions, each recorded before it goes on.

use std::sync::Arc;

use bytes::Bytes;
use writ_proof::cbor;
use writ_proof::recording::event::Exit;
use writ_proof::recording::{Direction, Kind};
use writ_ssh::{Channel, ChannelEvent, ChannelOpen, ChannelRequest, SessionRequest, Stream};

use super::open::{Started, data, frame, window};
use super::{Dead, Session, bastion_frame, printable};
use crate::recorder::Record;

/// Serves one channel that the operator opens.
pub(super) async fn serve(session: Arc<Session>, open: ChannelOpen) {
    let Some(opening) = session.open_channel(open).await else { return };
    let number = opening.number;
    if let Some(Started { number, client, host, files }) = opening.program(&session).await {
        let pump = Pump { session: &session, number, client: &client, host: &host };
        let carried = match files {
            Some(rights) => pump.carry_files(rights).await,
            None => pump.carry().await,
        };
        if carried.is_err() {
            // Nothing of it goes on; the session is about to end.
            return session.rest().await;
        }
        let closed = bastion_frame(number, Kind::Close, Vec::new());
        session.keep(vec![closed], Vec::new()).await.ok();
    }
    session.judge.release(number);
}

/// The two channels of one program.
pub(super) struct Pump<'a> {
    pub(super) session: &'a Arc<Session>,
    pub(super) number: u32,
    pub(super) client: &'a Channel,
    pub(super) host: &'a Channel,
}

impl Pump<'_> {
    /// Carries everything until either side closes.
    async fn carry(&self) -> Result<(), Dead> {
        tokio::select! {
            to_host = self.carry_down() => {
                self.host.close();
                to_host
            }
            from_host = self.carry_up() => {
                self.client.close();
                from_host
            }
        }
    }

    async fn carry_down(&self) -> Result<(), Dead> {
        while let Some(event) = self.client.next().await {
            match event {
                ChannelEvent::Close => break,
                ChannelEvent::Data { bytes, .. } => {
                    let length = bytes.len();
                    self.pass(Direction::ToHost, &bytes).await?;
                    if self.host.send(Stream::Main, bytes).await.is_err() {
                        break;
                    }
                    self.client.accept(length);
                }
                ChannelEvent::Eof => {
                    self.host.eof().ok();
                }
                ChannelEvent::Request(request) => self.request(request).await?,
            }
        }
        Ok(())
    }

    async fn carry_up(&self) -> Result<(), Dead> {
        while let Some(event) = self.host.next().await {
            match event {
                ChannelEvent::Close => break,
                ChannelEvent::Data { stream, bytes } => {
                    let length = bytes.len();
                    let direction = match stream {
                        Stream::Main => Direction::FromHost,
                        Stream::Stderr => Direction::Errors,
                    };
                    self.pass(direction, &bytes).await?;
                    if self.client.send(stream, bytes).await.is_err() {
                        break;
                    }
                    self.host.accept(length);
                }
                ChannelEvent::Eof => {
                    self.client.eof().ok();
                }
                ChannelEvent::Request(request) => self.host_request(request).await?,
            }
        }
        Ok(())
    }

    /// Records bytes, and waits until they may go on.
    async fn pass(&self, direction: Direction, bytes: &Bytes) -> Result<(), Dead> {
        let frames = data(self.number, direction, bytes);
        self.session.keep(frames, Vec::new()).await?;
        self.session.pass().await
    }

    /// A request of the operator to the running program.
    pub(super) async fn request(&self, request: ChannelRequest) -> Result<(), Dead> {
        let Ok(wanted) = request.parse() else {
            return self.refuse(request, "it is malformed").await;
        };
        let content = match &wanted {
            SessionRequest::WindowChange(size) => {
                frame(self.number, Kind::Window, cbor::to_vec(&window(*size)))
            }
            SessionRequest::Signal(name) => {
                frame(self.number, Kind::Signal, name.clone().into_bytes())
            }
            // It reads no more, or asks whether we are there (OpenSSH, PROTOCOL).
            SessionRequest::Other { name, .. }
                if name == "eow@openssh.com" || name == "keepalive@openssh.com" =>
            {
                request.answer(false);
                return Ok(());
            }
            _ => return self.refuse(request, "a program runs in this channel already").await,
        };
        self.session.keep(vec![content], Vec::new()).await?;
        self.session.pass().await?;
        let sent = self.host.notify(&wanted);
        request.answer(sent.is_ok());
        Ok(())
    }

    async fn refuse(&self, request: ChannelRequest, why: &str) -> Result<(), Dead> {
        self.session.refuse(self.number, printable(request.name()), why).await;
        request.answer(false);
        Ok(())
    }

    /// What the host tells of the program.
    pub(super) async fn host_request(&self, request: ChannelRequest) -> Result<(), Dead> {
        let (Ok(told), exit) = (request.parse(), request.name().starts_with("exit-")) else {
            request.answer(false);
            return Ok(());
        };
        if !exit {
            // Among them keepalive@openssh.com, which any answer satisfies.
            request.answer(false);
            return Ok(());
        }
        let exit = match &told {
            SessionRequest::ExitSignal { signal, .. } => Exit::Signal(signal.clone()),
            SessionRequest::ExitStatus(status) => Exit::Status(*status),
            _ => return Ok(()),
        };
        let content = cbor::to_vec(&exit);
        let direction = Direction::FromHost;
        let record = Record { channel: self.number, direction, kind: Kind::Exit, content };
        self.session.keep(vec![record], Vec::new()).await?;
        self.session.pass().await?;
        // The operator may have closed the channel.
        self.client.notify(&told).ok();
        request.answer(true);
        Ok(())
    }
}
