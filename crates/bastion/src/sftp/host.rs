//! What the host sends.

use writ_proof::recording::event::{FileDenial, FileOperation, SftpEvent};
use writ_proof::ssh::{SshReader, put_string};

use super::check::{absolute, one_name};
use super::packet::{Attrs, handle, kind, put, status};
use super::{DENIED, Output, Pending, Sftp, Stage, Wants};
use crate::limits;

const MALFORMED: &str = "a packet does not parse";
const WRONG: &str = "an answer is of another kind than its request";

/// `SSH_FX_OK`.
const OK: u32 = 0;
/// `SSH_FX_NO_SUCH_FILE`.
const NO_SUCH_FILE: u32 = 2;

/// The extensions that the bastion understands; a client hears of no others.
const EXTENSIONS: [&str; 7] = [
    "posix-rename@openssh.com",
    "statvfs@openssh.com",
    "fstatvfs@openssh.com",
    "hardlink@openssh.com",
    "fsync@openssh.com",
    "lsetstat@openssh.com",
    "limits@openssh.com",
];

impl Sftp {
    pub(super) fn host_packet(
        &mut self,
        packet: &[u8],
        output: &mut Output,
    ) -> Result<(), &'static str> {
        let mut reader = SshReader::new(packet);
        let kind = reader.byte().map_err(|_| MALFORMED)?;
        match self.stage {
            Stage::New => return Err("it speaks before it is asked"),
            Stage::Greeted => return self.version(kind, &mut reader, output),
            Stage::Home | Stage::Ready => {}
        }
        let id = reader.number().map_err(|_| MALFORMED)?;
        let pending = self.pending.remove(&id).ok_or("it answers what nobody asked")?;
        match pending {
            Pending::Home => {
                let home = match kind {
                    kind::NAME => one_name(&mut reader).map_err(|_| MALFORMED)?,
                    _ => return Err("it does not say where `.` is"),
                };
                self.home = absolute(home)?;
                self.stage = Stage::Ready;
                Ok(())
            }
            Pending::Realpath => match kind {
                kind::NAME => {
                    let real = one_name(&mut reader).map_err(|_| MALFORMED)?;
                    self.real_path(real, output)
                }
                kind::STATUS => self.not_there(reader.rest(), output),
                _ => Err(WRONG),
            },
            Pending::Lstat => match kind {
                kind::ATTRS => {
                    let attrs = Attrs::read(&mut reader).map_err(|_| MALFORMED)?;
                    self.real_attrs(attrs, output);
                    Ok(())
                }
                kind::STATUS if status_code(reader.rest()) == Some(NO_SUCH_FILE) => {
                    self.next_path(output);
                    Ok(())
                }
                kind::STATUS => self.not_there(reader.rest(), output),
                _ => Err(WRONG),
            },
            Pending::Operator { id, wants, changes } => {
                self.changing -= usize::from(changes);
                let told = self.answer(id, kind, &wants, reader.rest(), output);
                self.look_up(output);
                told
            }
        }
    }

    fn version(
        &mut self,
        kind: u8,
        reader: &mut SshReader<'_>,
        output: &mut Output,
    ) -> Result<(), &'static str> {
        if kind != kind::VERSION || reader.number().map_err(|_| MALFORMED)? != 3 {
            return Err("it does not answer with version 3");
        }
        let mut extensions = Vec::new();
        while !reader.rest().is_empty() {
            let name = reader.string().map_err(|_| MALFORMED)?;
            let data = reader.string().map_err(|_| MALFORMED)?;
            if EXTENSIONS.iter().any(|known| known.as_bytes() == name) {
                put_string(&mut extensions, name);
                put_string(&mut extensions, data);
            }
        }
        put(&mut output.to_operator, kind::VERSION, &[&3u32.to_be_bytes(), &extensions]);
        self.stage = Stage::Home;
        let mut here = Vec::new();
        put_string(&mut here, b".");
        self.ask(kind::REALPATH, &here, Pending::Home, output);
        Ok(())
    }

    /// The path of the operation that is looked up is not there: the operator gets the host's own answer.
    fn not_there(&mut self, body: &[u8], output: &mut Output) -> Result<(), &'static str> {
        if matches!(status_code(body), None | Some(OK)) {
            return Err(WRONG);
        }
        if let Some(check) = self.check.take() {
            output.events.push(SftpEvent::Asked(check.op.told()));
            put(&mut output.to_operator, kind::STATUS, &[&check.op.id.to_be_bytes(), body]);
        }
        Ok(())
    }

    /// Gives the host's answer to the operator; `body` is what follows the id.
    fn answer(
        &mut self,
        id: u32,
        kind: u8,
        wants: &Wants,
        body: &[u8],
        output: &mut Output,
    ) -> Result<(), &'static str> {
        let fits = match (kind, wants) {
            (kind::STATUS, _) => status_code(body).is_some(),
            (kind::HANDLE, Wants::Handle(_))
            | (kind::DATA, Wants::Data { .. })
            | (kind::NAME, Wants::Name)
            | (kind::ATTRS, Wants::Attrs)
            | (kind::EXTENDED_REPLY, Wants::Extended) => true,
            _ => false,
        };
        if !fits {
            return Err(WRONG);
        }
        match wants {
            Wants::Handle(file) => {
                self.opening -= 1;
                if kind == kind::HANDLE {
                    let mut reader = SshReader::new(body);
                    let handle = handle(&mut reader).map_err(|_| MALFORMED)?.to_vec();
                    reader.finish().map_err(|_| MALFORMED)?;
                    if self.files.insert(handle, (**file).clone()).is_some() {
                        return Err("it gives a handle twice");
                    }
                }
            }
            Wants::Closed(handle) => {
                // Closed or not, nothing may be done with it any more.
                let closed = self.files.remove(handle);
                output.events.extend(closed.and_then(|file| file.transferred(false)));
            }
            Wants::Data { handle, offset, most } if kind == kind::DATA => {
                let mut reader = SshReader::new(body);
                let data = reader.string().map_err(|_| MALFORMED)?;
                reader.finish().map_err(|_| MALFORMED)?;
                if data.len() > usize::try_from(*most).unwrap_or(usize::MAX) {
                    return Err("it sends more data than was asked for");
                }
                if let Some(reason) = self.moved(handle, *offset, data, output) {
                    status(&mut output.to_operator, id, DENIED, &reason);
                    return Ok(());
                }
            }
            _ => {}
        }
        put(&mut output.to_operator, kind, &[&id.to_be_bytes(), body]);
        Ok(())
    }

    /// Counts what was read; answers why the operator does not get it, if so.
    fn moved(
        &mut self,
        handle: &[u8],
        offset: u64,
        data: &[u8],
        output: &mut Output,
    ) -> Option<String> {
        let length = data.len() as u64;
        let of_file = match self.files.get(handle) {
            Some(file) => file.read.bytes.saturating_add(length),
            None => return Some("the file is closed".to_owned()),
        };
        let over = self.over_cap(of_file, length);
        let file = self.files.get_mut(handle)?;
        if let Some(reason) = over {
            let path = String::from_utf8_lossy(&file.path).into_owned();
            let asked = FileOperation { operation: "read".to_owned(), paths: vec![path] };
            output.events.push(SftpEvent::Denied(FileDenial { asked, reason: reason.clone() }));
            return Some(reason);
        }
        file.read.add(offset, data);
        self.moved_bytes = self.moved_bytes.saturating_add(length);
        None
    }
}

fn status_code(body: &[u8]) -> Option<u32> {
    let mut reader = SshReader::new(body);
    let code = reader.number().ok()?;
    (code <= limits::SFTP_MAX_STATUS).then_some(code)
}
