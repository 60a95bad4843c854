//! A session channel until its program runs: the terminal, the environment, and what is to be run.

use std::sync::Arc;

use bytes::Bytes;
use writ_keyd_client::operator::Purpose;
use writ_proof::cbor;
use writ_proof::recording::event::{Opened, Terminal, Variable, Window};
use writ_proof::recording::{Direction, Kind};
use writ_ssh::{
    Channel, ChannelEvent, ChannelRequest, OpenFailure, Pty, SessionRequest, Size, Stream,
};

use super::upstream::Upstream;
use super::{Dead, Session, printable};
use crate::access::{Need, files};
use crate::limits::{PART_WAIT, VARIABLES_MAX};
use crate::recorder::Record;
use crate::teller::Event;

/// What a program exits with that the bastion has refused.
const REFUSED_STATUS: u32 = 254;

/// A channel of the operator, whose program does not run yet.
pub(super) struct Opening {
    pub(super) number: u32,
    pub(super) client: Channel,
    pty: Option<Pty>,
    env: Vec<(String, String)>,
    /// Frames from before there was a recording.
    early: Vec<Record>,
}

/// A program that runs on the host.
pub(super) struct Started {
    pub(super) number: u32,
    pub(super) client: Channel,
    pub(super) host: Channel,
    /// The rights, if it is SFTP.
    pub(super) files: Option<crate::sftp::Rights>,
}

/// What is to be run.
enum Program {
    Command(Vec<u8>),
    Files,
    Shell,
}

impl Opening {
    pub(super) fn new(number: u32, client: Channel) -> Opening {
        Opening { number, client, pty: None, env: Vec::new(), early: Vec::new() }
    }

    /// Takes requests until a program runs; `None` if none ever does.
    pub(super) async fn program(mut self, session: &Arc<Session>) -> Option<Started> {
        self.early.push(frame(self.number, Kind::Open, cbor::to_vec(&Opened::Session)));
        loop {
            match self.client.next().await? {
                ChannelEvent::Close => return None,
                // Nobody is there yet who could take it.
                ChannelEvent::Data { bytes, .. } => self.client.accept(bytes.len()),
                ChannelEvent::Eof => {}
                ChannelEvent::Request(request) => {
                    let program = match request.parse() {
                        Ok(SessionRequest::Exec(command)) => Program::Command(command),
                        Ok(SessionRequest::Shell) => Program::Shell,
                        Ok(SessionRequest::Subsystem(name)) if name == "sftp" => Program::Files,
                        Ok(other) => {
                            self.prepare(session, request, other).await;
                            continue;
                        }
                        Err(_) => {
                            self.refuse(session, request, "it is malformed").await;
                            continue;
                        }
                    };
                    match self.start(session, &program).await {
                        Ok((host, files)) => {
                            request.answer(true);
                            let Opening { number, client, .. } = self;
                            return Some(Started { number, client, host, files });
                        }
                        Err(why) => {
                            // A client that hears of a failure shows no reason: it gets a program that says it.
                            request.answer(true);
                            self.say(&why).await;
                            return None;
                        }
                    }
                }
            }
        }
    }

    /// The terminal and the environment: kept until the program starts.
    async fn prepare(
        &mut self,
        session: &Arc<Session>,
        request: ChannelRequest,
        wanted: SessionRequest,
    ) {
        match wanted {
            SessionRequest::Pty(pty) if self.pty.is_none() => {
                match session.judge.take(self.number, Need::Shell) {
                    Ok(_) => {
                        let terminal =
                            Terminal { name: pty.term.clone(), window: window(pty.size) };
                        let opened = cbor::to_vec(&Opened::Terminal(terminal));
                        self.early.push(frame(self.number, Kind::Open, opened));
                        self.pty = Some(pty);
                        request.answer(true);
                    }
                    Err(why) => self.refuse(session, request, &why).await,
                }
            }
            SessionRequest::WindowChange(size) if self.pty.is_some() => {
                let content = cbor::to_vec(&window(size));
                // No program has seen the earlier ones, and a client may send any number of them.
                self.early.retain(|frame| frame.kind != Kind::Window);
                self.early.push(frame(self.number, Kind::Window, content));
                if let Some(pty) = &mut self.pty {
                    pty.size = size;
                }
                request.answer(true);
            }
            SessionRequest::Env { name, value } => {
                let known = name == "LANG" || name == "TERM" || name.starts_with("LC_");
                if !known || self.env.len() >= VARIABLES_MAX {
                    return self.refuse(session, request, "LANG, TERM and LC_* go on alone").await;
                }
                let variable = Variable { name: name.clone(), value: value.clone() };
                self.early.push(frame(self.number, Kind::Env, cbor::to_vec(&variable)));
                self.env.push((name, value));
                request.answer(true);
            }
            SessionRequest::Subsystem(_) => {
                self.refuse(session, request, "the only subsystem is sftp").await;
            }
            _ => {
                let why = match request.name() {
                    "auth-agent-req@openssh.com" | "auth-agent-req" => {
                        "no agent is forwarded: the bastion logs in with a key of its own"
                    }
                    "x11-req" => "no X11 is forwarded",
                    _ => "the bastion does not know it, or it comes too late",
                };
                self.refuse(session, request, why).await;
            }
        }
    }

    async fn refuse(&self, session: &Arc<Session>, request: ChannelRequest, why: &str) {
        session.refuse(self.number, printable(request.name()), why).await;
        request.answer(false);
    }

    /// Tells the operator why, as a program that prints it and fails.
    async fn say(&self, why: &str) {
        let text = format!("writ: {why}\r\n");
        // A client that takes nothing, or is gone, hears nothing.
        let sent = self.client.send(Stream::Stderr, text.into());
        tokio::time::timeout(PART_WAIT, sent).await.ok();
        self.client.notify(&SessionRequest::ExitStatus(REFUSED_STATUS)).ok();
        self.client.eof().ok();
        self.client.close();
    }

    /// Starts the program on the host. What it asks for is in recording and ledger before.
    async fn start(
        &mut self,
        session: &Arc<Session>,
        program: &Program,
    ) -> Result<(Channel, Option<crate::sftp::Rights>), String> {
        match self.try_start(session, program).await {
            Ok(started) => Ok(started),
            Err(why) => {
                session.judge.release(self.number);
                session.refuse(self.number, program.shown(), &why).await;
                Err(why)
            }
        }
    }

    async fn try_start(
        &mut self,
        session: &Arc<Session>,
        program: &Program,
    ) -> Result<(Channel, Option<crate::sftp::Rights>), String> {
        let (need, rights) = self.need(session, program)?;
        let held = session.judge.take(self.number, need)?;
        let purpose = match program {
            _ if held.scope.interactive => Purpose::Shell,
            Program::Command(command) => Purpose::Command(text(command)?),
            Program::Files => Purpose::Files,
            Program::Shell => Purpose::Shell,
        };
        let upstream = session.upstream(&held, purpose.clone()).await?;
        // What the host does is what the certificate says, whatever is asked of it now.
        if upstream.purpose != Purpose::Shell && upstream.purpose != purpose {
            return Err(
                "this connection was opened for something else: open another one".to_owned()
            );
        }
        self.tell(session, program).await.map_err(|Dead| "the session ends".to_owned())?;
        let host = self.on_host(session, upstream, program).await?;
        Ok((host, rights))
    }

    fn need(
        &self,
        session: &Arc<Session>,
        program: &Program,
    ) -> Result<(Need, Option<crate::sftp::Rights>), String> {
        Ok(match program {
            Program::Shell => (Need::Shell, None),
            // A terminal was given for this channel already, and stays what it needs.
            Program::Command(_) if self.pty.is_some() => (Need::Shell, None),
            Program::Command(command) => match text(command) {
                Ok(command) => (Need::Command(command), None),
                Err(_) => (Need::Shell, None),
            },
            Program::Files => {
                let rules = files(&session.judge.all()?);
                if rules.is_empty() {
                    return Err(session
                        .judge
                        .take(self.number, Need::Files(rules))
                        .err()
                        .unwrap_or_default());
                }
                let rights = crate::access::rights(&rules)
                    .ok_or("your grants name more paths than one session takes")?;
                (Need::Files(rules), Some(rights))
            }
        })
    }

    async fn tell(&mut self, session: &Arc<Session>, program: &Program) -> Result<(), Dead> {
        let mut frames = std::mem::take(&mut self.early);
        let (name, opened) = match program {
            Program::Command(command) => {
                let command = String::from_utf8_lossy(command).into_owned();
                ("ExecCommand", Opened::Exec(command))
            }
            Program::Files => ("OpenFiles", Opened::Subsystem("sftp".to_owned())),
            Program::Shell => ("OpenShell", Opened::Shell),
        };
        frames.push(frame(self.number, Kind::Open, cbor::to_vec(&opened)));
        let mut shown = session.shown();
        shown.push(("channel", self.number.to_string()));
        shown.push(("terminal", self.pty.is_some().to_string()));
        if let Opened::Exec(command) = opened {
            shown.push(("command", command));
        }
        session.keep(frames, vec![Event::new(name, shown)]).await
    }

    /// What is asked of the host is judged when it is asked: since the grant was taken the host, keyd and the ledger
    /// have had their time.
    async fn on_host(
        &self,
        session: &Session,
        upstream: &Upstream,
        program: &Program,
    ) -> Result<Channel, String> {
        let broken = |error: writ_ssh::Error| format!("the host: {error}");
        let over = |Dead| "the session ends".to_owned();
        let opened = upstream.host.open_session().await.map_err(broken)?;
        let host = opened.map_err(|(_, why)| format!("the host opens no session: {why}"))?;
        if let Some(pty) = &self.pty {
            session.pass().await.map_err(over)?;
            let request = SessionRequest::Pty(pty.clone());
            if !host.request(&request).await.map_err(broken)? {
                return Err("the host gives no terminal".to_owned());
            }
        }
        session.pass().await.map_err(over)?;
        for (name, value) in &self.env {
            let request = SessionRequest::Env { name: name.clone(), value: value.clone() };
            // What the host takes of it is its own setting (AcceptEnv).
            host.notify(&request).map_err(broken)?;
        }
        let request = match program {
            Program::Command(command) => SessionRequest::Exec(command.clone()),
            Program::Files => SessionRequest::Subsystem("sftp".to_owned()),
            Program::Shell => SessionRequest::Shell,
        };
        match host.request(&request).await.map_err(broken)? {
            true => Ok(host),
            false => Err("the host refuses it".to_owned()),
        }
    }
}

impl Program {
    fn shown(&self) -> String {
        match self {
            Program::Command(command) => {
                format!("exec {}", printable(&String::from_utf8_lossy(command)))
            }
            Program::Files => "subsystem sftp".to_owned(),
            Program::Shell => "shell".to_owned(),
        }
    }
}

impl Session {
    /// Opens a session channel, if a grant is there; its place in the ledger comes first.
    pub(super) async fn open_channel(&self, open: writ_ssh::ChannelOpen) -> Option<Opening> {
        use std::sync::atomic::Ordering;
        let number = self.channels.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(why) = self.judge.take(number, Need::Login) {
            self.refuse(number, "channel session".to_owned(), &why).await;
            open.refuse(OpenFailure::Prohibited, &why);
            return None;
        }
        let mut shown = self.shown();
        shown.push(("channel", number.to_string()));
        let told = self.keep(Vec::new(), vec![Event::new("OpenChannel", shown)]).await;
        match told.ok().and_then(|()| open.accept().ok()) {
            Some(client) => Some(Opening::new(number, client)),
            None => {
                self.judge.release(number);
                None
            }
        }
    }
}

/// A command as text. A grant names commands as text, so another is in none.
fn text(command: &[u8]) -> Result<String, String> {
    let text = String::from_utf8(command.to_vec());
    text.map_err(|_| "a command that is no UTF-8 needs a grant for a shell".to_owned())
}

pub(super) fn window(size: Size) -> Window {
    Window { cols: size.columns, rows: size.rows }
}

pub(super) fn frame(channel: u32, kind: Kind, content: Vec<u8>) -> Record {
    Record { channel, direction: Direction::ToHost, kind, content }
}

/// Bytes as frames, each no larger than a frame may be.
pub(super) fn data(channel: u32, direction: Direction, bytes: &Bytes) -> Vec<Record> {
    let most = writ_proof::limits::RECORDING_CONTENT_MAX_BYTES;
    let one =
        |piece: &[u8]| Record { channel, direction, kind: Kind::Data, content: piece.to_vec() };
    bytes.chunks(most).map(one).collect()
}
