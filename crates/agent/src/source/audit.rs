//! The kernel's audit, read as one of the multicast readers: beside auditd, and after its death. Whether the kernel
//! still tells everything is asked each second.

mod record;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use writ_proof::hash::Hasher;
use writ_proof::hostlog::{AuditState, Class, Gap, GapReason, Payload, Record};
use writ_proof::limits::HOST_PAYLOAD_MAX_BYTES;

use super::Event;
use crate::limits::{
    AUDIT_BUFFER_BYTES, AUDIT_LOOK, AUDIT_MAX_MESSAGES, AUDIT_PACKET_BYTES, AUDIT_WAIT,
};
pub use record::{Message, Status, message, split};

/// The source's name.
pub(crate) const NAME: &str = "audit";

/// The multicast group of readers (linux/audit.h, `AUDIT_NLGRP_READLOG`), as a bit.
const READLOG: u32 = 1;

/// Types of messages (linux/audit.h, linux/netlink.h).
const GET: u16 = 1000;
const ADD_RULE: u16 = 1011;
const DELETE_RULE: u16 = 1012;
const LIST_RULES: u16 = 1013;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The first type that is a record of something that happened; below are answers.
const FIRST_RECORD: u16 = 1100;

const REQUEST: u16 = 1;
const ACK: u16 = 4;

/// The open sockets.
pub(crate) struct AuditSource {
    sockets: Option<Sockets>,
    fault: Option<String>,
    state: Option<AuditState>,
    looked: Option<Duration>,
    overrun: u64,
    gone: bool,
}

struct Sockets {
    log: OwnedFd,
    ask: OwnedFd,
    seq: u32,
}

impl AuditSource {
    /// Opens it; what this machine refuses is its fault.
    pub(crate) fn open() -> AuditSource {
        let (sockets, fault) = match Sockets::open() {
            Ok(sockets) => (Some(sockets), None),
            Err(error) => {
                (None, Some(format!("the kernel does not let this process read it: {error}")))
            }
        };
        let mut source =
            AuditSource { sockets, fault, state: None, looked: None, overrun: 0, gone: false };
        source.look();
        source
    }

    pub(crate) fn fault(&self) -> Option<String> {
        let off = self.state.is_some_and(|state| state.enabled == 0);
        let off = off.then(|| "the kernel's audit is off: `auditctl -e 1` puts it on".to_owned());
        self.fault.clone().or(off)
    }

    pub(crate) fn state(&self) -> Option<AuditState> {
        self.state
    }

    /// The socket that becomes readable when there are records.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.sockets.as_ref().map(|sockets| sockets.log.as_fd())
    }

    /// Adds the rule by which execs of `program` are recorded.
    pub(crate) fn watch_program(&mut self, program: &str) -> Result<(), String> {
        let sockets = self.sockets.as_mut().ok_or("there is no audit socket")?;
        match sockets.request(ADD_RULE, &record::exec_rule(program)) {
            Ok(()) => {}
            Err(error) => return Err(error.to_string()),
        }
        let answer =
            sockets.answers(|message| (message.kind == ERROR).then(|| record::errno(message.data)));
        self.look();
        match answer {
            // The rule may be there already.
            Ok(Some(0 | -17)) => Ok(()),
            Ok(Some(code)) => Err(Errno::from_raw_os_error(-code).to_string()),
            Ok(None) => Err("the kernel did not answer".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Removes the rule of [`AuditSource::watch_program`].
    pub(crate) fn forget_program(&mut self, program: &str) {
        let Some(sockets) = &mut self.sockets else { return };
        if let Err(error) = sockets.request(DELETE_RULE, &record::exec_rule(program)) {
            tracing::warn!(%error, "the canary's rule stays with the kernel");
        }
    }

    /// Takes in records, up to `max`, and looks at the state when that is due.
    pub(crate) fn poll(&mut self, now: Duration, max: usize, events: &mut Vec<Event>) {
        if self.looked.is_none_or(|looked| now.saturating_sub(looked) >= AUDIT_LOOK) {
            self.looked = Some(now);
            self.look();
        }
        let Some(sockets) = &self.sockets else { return };
        let mut packet = vec![0; AUDIT_PACKET_BYTES];
        for _ in 0..max {
            match rustix::net::recv(&sockets.log, packet.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    let bytes = packet.get(..count).unwrap_or_default();
                    events.extend(message(bytes).filter(|m| m.kind >= FIRST_RECORD).map(event));
                }
                Err(Errno::NOBUFS) => self.overrun += 1,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    self.fault = Some(format!("the audit socket failed: {error}"));
                    break;
                }
            }
        }
        if std::mem::take(&mut self.overrun) > 0 {
            // How many is not said; the serial numbers of what follows tell.
            let (class, reason) = (Class::Audit, GapReason::Kernel);
            let gap = Gap { from: 0, to: 0, count: 0, class, reason };
            let (source, class) = (NAME.to_owned(), Class::Security);
            events.push(Event { source, class, payload: Payload::Gap(gap) });
        }
    }

    fn look(&mut self) {
        let Some(sockets) = &mut self.sockets else { return };
        match sockets.state() {
            Ok(state) => (self.state, self.gone) = (Some(state), false),
            Err(error) => {
                tracing::warn!(%error, "the kernel does not tell the state of its audit");
                // Once may be a busy moment.
                if std::mem::replace(&mut self.gone, true) {
                    self.state = None;
                }
            }
        }
    }
}

fn event(message: Message<'_>) -> Event {
    let (serial, text) = split(message.data);
    let text = text.get(..HOST_PAYLOAD_MAX_BYTES).unwrap_or(text).to_vec();
    let payload = Payload::Record(Record { kind: message.kind, serial, text });
    Event { source: NAME.to_owned(), class: Class::Audit, payload }
}

impl Sockets {
    fn open() -> rustix::io::Result<Sockets> {
        let log = socket(READLOG)?;
        // Without the right to more, the system's default it is.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&log, AUDIT_BUFFER_BYTES)
            .is_err()
        {
            rustix::net::sockopt::set_socket_recv_buffer_size(&log, AUDIT_BUFFER_BYTES).ok();
        }
        Ok(Sockets { log, ask: socket(0)?, seq: 0 })
    }

    fn state(&mut self) -> std::io::Result<AuditState> {
        self.request(GET, &[])?;
        let status = self.answers(|m| (m.kind == GET).then(|| Status::read(m.data)).flatten())?;
        let status = status.ok_or(std::io::ErrorKind::TimedOut)?;
        self.request(LIST_RULES, &[])?;
        let mut rules = Hasher::new();
        let done = self.answers(|message| {
            if message.kind == LIST_RULES {
                rules.update(message.data);
            }
            (message.kind == DONE).then_some(())
        })?;
        done.ok_or(std::io::ErrorKind::TimedOut)?;
        let Status { enabled, pid, lost } = status;
        Ok(AuditState { enabled, pid, lost, rules: rules.finish() })
    }

    fn request(&mut self, kind: u16, data: &[u8]) -> std::io::Result<()> {
        self.seq = self.seq.wrapping_add(1);
        let bytes = record::request(kind, REQUEST | ACK, self.seq, data);
        rustix::net::send(&self.ask, &bytes, SendFlags::empty())?;
        Ok(())
    }

    /// Shows the answers to the last request to `find` until it has found something, or they end.
    fn answers<T>(
        &mut self,
        mut find: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> std::io::Result<Option<T>> {
        let mut packet = vec![0; AUDIT_PACKET_BYTES];
        let patience = Timespec::try_from(AUDIT_WAIT).unwrap_or_default();
        for _ in 0..AUDIT_MAX_MESSAGES {
            let mut fds = [PollFd::new(&self.ask, PollFlags::IN)];
            if poll(&mut fds, Some(&patience))? == 0 {
                return Ok(None);
            }
            let (count, _) =
                rustix::net::recv(&self.ask, packet.as_mut_slice(), RecvFlags::DONTWAIT)?;
            for message in message(packet.get(..count).unwrap_or_default()) {
                // Late answers to earlier requests are not meant; lists carry the number of no request of ours.
                if message.seq == self.seq
                    && let Some(found) = find(&message)
                {
                    return Ok(Some(found));
                }
                if message.kind == ERROR && message.seq == self.seq {
                    let code = record::errno(message.data);
                    if code != 0 {
                        return Err(std::io::Error::from_raw_os_error(-code));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn socket(groups: u32) -> rustix::io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket =
        rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::AUDIT))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}
