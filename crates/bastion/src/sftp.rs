//! The watch over SFTP version 3 between an operator and a host (draft-ietf-secsh-filexfer-02, and
//! OpenSSH's extensions).
//!
//! [`Sftp`] stands between both: it reads every packet of either side, forwards what the rights
//! allow, answers the rest with `SSH_FX_PERMISSION_DENIED` and a reason, and tells what happened to
//! files. Paths are normalised by their text, then the host is asked where they really lie, through all
//! symbolic links, and both must be within the rights; what is forwarded is the real path. Between that
//! answer and the operation nothing of this channel that changes names is in flight. Another channel or
//! program of the host may still move a folder in between: rights are no cage for somebody with a shell.
//!
//! The caller makes the events of an [`Output`] durable before it sends the bytes of it, and gives the operator
//! no more window than for what was [taken](Output::taken_bytes) and has gone: what an operator can make the bastion
//! hold is then bounded by the window.

mod check;
mod file;
mod host;
mod operator;
mod packet;
mod path;
mod rights;

use std::collections::BTreeMap;

use writ_proof::recording::event::{FileDenial, FileOperation, SftpEvent};

pub use path::{Glob, normalise};
pub use rights::{Caps, Right, Rights};

use check::{Check, PathOp};
use file::OpenFile;
use packet::{Framer, status};

use crate::limits;

/// `SSH_FX_PERMISSION_DENIED`.
const DENIED: u32 = 3;
/// `SSH_FX_FAILURE`.
const FAILURE: u32 = 4;
/// `SSH_FX_OP_UNSUPPORTED`.
const UNSUPPORTED: u32 = 8;

/// Why the channel must be closed: a peer does not speak the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {who} does not speak SFTP version 3: {why}")]
pub struct Broken {
    /// "operator" or "host".
    pub who: &'static str,
    /// What it did.
    pub why: &'static str,
}

/// What came of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// What happened, to be made durable first.
    pub events: Vec<SftpEvent>,
    /// Bytes for the host.
    pub to_host: Vec<u8>,
    /// Bytes for the operator.
    pub to_operator: Vec<u8>,
    /// Bytes of the operator that were handled: what they led to is in here.
    pub taken_bytes: usize,
    /// More waits that can be handled at once: call [`Sftp::go_on`] when this is durable.
    pub more: bool,
}

/// One SFTP channel.
#[derive(Debug)]
pub struct Sftp {
    rights: Rights,
    caps: Caps,
    stage: Stage,
    operator: Framer,
    host: Framer,
    /// What `.` is on the host.
    home: Vec<u8>,
    /// Requests to the host without answer, by our own ids.
    pending: BTreeMap<u32, Pending>,
    next_id: u32,
    /// Requests without answer that change names.
    changing: usize,
    /// The one operation whose paths are being looked up; what comes after it waits in `operator`.
    check: Option<Check>,
    files: BTreeMap<Vec<u8>, OpenFile>,
    opening: usize,
    opened_files: u64,
    moved_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was said.
    New,
    /// The operator's version went to the host.
    Greeted,
    /// The host was asked where `.` is.
    Home,
    Ready,
}

/// What a request to the host waits for.
#[derive(Debug)]
enum Pending {
    /// Ours: where `.` is.
    Home,
    /// Ours: where a path of the operation that is checked lies.
    Realpath,
    /// Ours: whether that is a link after all.
    Lstat,
    /// The operator's, with the id that it gave.
    Operator { id: u32, wants: Wants, changes: bool },
}

/// What may answer a request, besides a status.
#[derive(Debug)]
enum Wants {
    Status,
    Name,
    Attrs,
    Extended,
    /// A handle, and what will be behind it.
    Handle(Box<OpenFile>),
    /// The answer to closing this handle.
    Closed(Vec<u8>),
    /// Data of this handle, from this offset, at most so many bytes.
    Data {
        handle: Vec<u8>,
        offset: u64,
        most: u32,
    },
}

impl Sftp {
    /// A channel on which nothing was said.
    pub fn new(rights: Rights, caps: Caps) -> Sftp {
        Sftp {
            rights,
            caps,
            stage: Stage::New,
            operator: Framer::default(),
            host: Framer::default(),
            home: Vec::new(),
            pending: BTreeMap::new(),
            next_id: 0,
            changing: 0,
            check: None,
            files: BTreeMap::new(),
            opening: 0,
            opened_files: 0,
            moved_bytes: 0,
        }
    }

    /// Bytes from the operator.
    pub fn from_operator(&mut self, bytes: &[u8]) -> Result<Output, Broken> {
        self.operator.add(bytes);
        if self.held_bytes() > limits::SFTP_HELD_MAX_BYTES {
            let why = "it sends more requests than may wait";
            return Err(Broken { who: "operator", why });
        }
        self.go_on()
    }

    /// Bytes from the host.
    pub fn from_host(&mut self, bytes: &[u8]) -> Result<Output, Broken> {
        let (mut output, mut left) = (Output::default(), limits::SFTP_STEP_MAX_PACKETS);
        let broken = |why| Broken { who: "host", why };
        self.host.add(bytes);
        while let Some(packet) = self.host.next().map_err(broken)? {
            self.host_packet(&packet, &mut output).map_err(broken)?;
            self.advance(&mut left, &mut output)?;
        }
        Ok(output)
    }

    /// Handles more of what waits.
    pub fn go_on(&mut self) -> Result<Output, Broken> {
        let (mut output, mut left) = (Output::default(), limits::SFTP_STEP_MAX_PACKETS);
        self.advance(&mut left, &mut output)?;
        Ok(output)
    }

    /// Bytes of the operator that wait, for the host to be asked or for the rest of their packet. Above
    /// [`limits::SFTP_HELD_MAX_BYTES`] the channel is broken; who gives back no window for them stays below.
    pub fn held_bytes(&self) -> usize {
        self.operator.waiting_bytes()
    }

    /// What is left to tell when the channel ends, in order or not: files that are still open are partial.
    pub fn finish(mut self) -> Vec<SftpEvent> {
        let files = std::mem::take(&mut self.files);
        files.into_values().filter_map(|file| file.transferred(true)).collect()
    }

    /// Handles what waits, until something must be asked of the host first, and no more than `left` packets: each
    /// may be an event.
    fn advance(&mut self, left: &mut usize, output: &mut Output) -> Result<(), Broken> {
        let broken = |why| Broken { who: "operator", why };
        while self.may_go_on() {
            output.more = *left == 0;
            if output.more {
                break;
            }
            let Some(packet) = self.operator.next().map_err(broken)? else { break };
            *left -= 1;
            output.taken_bytes += 4 + packet.len();
            self.operator_packet(&packet, output).map_err(broken)?;
        }
        Ok(())
    }

    fn may_go_on(&self) -> bool {
        let begun = matches!(self.stage, Stage::New | Stage::Ready);
        begun && self.check.is_none() && self.pending.len() < limits::SFTP_MAX_PENDING
    }

    /// Sends a request to the host under an id of ours; `body` is what follows the id.
    fn ask(&mut self, kind: u8, body: &[u8], pending: Pending, output: &mut Output) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        if let Pending::Operator { changes: true, .. } = pending {
            self.changing += 1;
        }
        self.pending.insert(id, pending);
        packet::put(&mut output.to_host, kind, &[&id.to_be_bytes(), body]);
    }

    /// Refuses an operation: the operator reads why, and it is told.
    fn deny(&self, id: u32, asked: FileOperation, reason: String, output: &mut Output) {
        status(&mut output.to_operator, id, DENIED, &reason);
        output.events.push(SftpEvent::Denied(FileDenial { asked, reason }));
    }

    /// What the rights say about a path under a right.
    fn allowed(&self, right: Right, path: &[u8]) -> Result<(), String> {
        if self.rights.allow(right, path) {
            return Ok(());
        }
        let path = String::from_utf8_lossy(path);
        Err(format!("your grant gives no right to {} `{path}`", right.as_str()))
    }

    /// Room for one more open file.
    fn room_for(&self, op: &PathOp) -> Result<(), String> {
        if self.files.len() + self.opening >= limits::SFTP_MAX_HANDLES {
            return Err("too many files are open at once: close some".to_owned());
        }
        if op.opens_file() && self.opened_files >= self.caps.files {
            return Err(format!("your grant allows {} files in one session", self.caps.files));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/sftp.rs"]
mod tests;
