//! What the operator sends.

use writ_proof::recording::event::FileOperation;
use writ_proof::ssh::{SshReader, put_string};

use super::check::{PathOp, Target};
use super::file::OpenFile;
use super::packet::{Attrs, Request, kind, put, request, status};
use super::path::{normalise, split};
use super::{FAILURE, Output, Pending, Right, Sftp, Stage, UNSUPPORTED, Wants};

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;

/// What was asked for, once its kind is known.
struct Asked {
    id: u32,
    kind: u8,
    extension: String,
    /// Everything after the id.
    body: Vec<u8>,
}

impl Sftp {
    pub(super) fn operator_packet(
        &mut self,
        packet: &[u8],
        output: &mut Output,
    ) -> Result<(), &'static str> {
        const MALFORMED: &str = "a packet does not parse";
        let mut reader = SshReader::new(packet);
        let kind = reader.byte().map_err(|_| MALFORMED)?;
        if self.stage == Stage::New {
            if kind != kind::INIT || reader.number().map_err(|_| MALFORMED)? < 3 {
                return Err("it does not begin with version 3");
            }
            self.stage = Stage::Greeted;
            put(&mut output.to_host, kind::INIT, &[&3u32.to_be_bytes()]);
            return Ok(());
        }
        let id = reader.number().map_err(|_| MALFORMED)?;
        let body = reader.rest().to_vec();
        let extension = match kind {
            kind::EXTENDED => reader.text().map_err(|_| MALFORMED)?.to_owned(),
            _ => String::new(),
        };
        let asked = Asked { id, kind, extension, body };
        match request(kind, &asked.extension, &mut reader).map_err(|_| MALFORMED)? {
            Request::Path { path, flags, attrs, tail } => {
                self.on_path(&asked, path, flags, attrs, tail, output);
            }
            Request::Paths(first, second) => self.on_paths(&asked, first, second, output),
            Request::Handle { handle, attrs } => self.on_handle(&asked, handle, attrs, output),
            Request::Read { handle, offset, most } => {
                self.read(&asked, handle, offset, most, output);
            }
            Request::Write { handle, offset, data } => {
                self.write(&asked, handle, offset, data, output);
            }
            Request::Limits => self.forward(&asked, Wants::Extended, output),
            Request::Unknown => {
                let name = asked.extension.chars().take(64).collect::<String>();
                let reason = format!("request {kind} {name} is not known here");
                status(&mut output.to_operator, id, UNSUPPORTED, &reason);
                let operation = format!("unknown {kind} {name}");
                let asked = FileOperation { operation, paths: Vec::new() };
                let denial = writ_proof::recording::event::FileDenial { asked, reason };
                output.events.push(writ_proof::recording::event::SftpEvent::Denied(denial));
            }
        }
        Ok(())
    }

    fn forward(&mut self, asked: &Asked, wants: Wants, output: &mut Output) {
        let pending = Pending::Operator { id: asked.id, wants, changes: false };
        self.ask(asked.kind, &asked.body, pending, output);
    }

    fn on_path(
        &mut self,
        asked: &Asked,
        path: &[u8],
        flags: u32,
        attrs: Attrs,
        tail: &[u8],
        output: &mut Output,
    ) {
        let name = name(asked);
        let Some(path) = normalise(&self.home, path) else {
            return self.bad_path(asked, name, output);
        };
        let writes = flags & (WRITE | APPEND | CREATE | TRUNCATE) != 0;
        let reads = flags & READ != 0 || !writes;
        let (rights, follows) = match asked.kind {
            kind::OPEN => (open_rights(reads, writes, attrs), true),
            kind::OPENDIR => (vec![Right::List], true),
            kind::STAT | kind::EXTENDED if attrs == Attrs::default() => (vec![Right::Stat], true),
            kind::LSTAT | kind::READLINK => (vec![Right::Stat], false),
            kind::SETSTAT => (setattr_rights(attrs), true),
            kind::EXTENDED => (setattr_rights(attrs), false),
            kind::MKDIR if attrs.has_special_bits() => (vec![Right::Mkdir, Right::Setattr], false),
            kind::MKDIR => (vec![Right::Mkdir], false),
            kind::REALPATH => return self.real_path_of(asked, &path, output),
            _ => (vec![Right::Remove], false),
        };
        let known = READ | WRITE | APPEND | CREATE | TRUNCATE | EXCLUSIVE;
        let op = PathOp {
            id: asked.id,
            kind: asked.kind,
            extension: asked.extension.clone(),
            name,
            targets: vec![Target { path, rights, follows }],
            before: Vec::new(),
            after: tail.to_vec(),
            reads: asked.kind == kind::OPEN && reads,
            writes: asked.kind == kind::OPEN && writes || asked.kind == kind::SETSTAT,
        };
        if flags & !known != 0 {
            let reason = "the file is to be opened in a way that is not known".to_owned();
            return self.deny(asked.id, op.told(), reason, output);
        }
        self.begin(op, output);
    }

    /// Where a path lies may be asked about what some right covers, and about the home folder, where
    /// every client begins.
    fn real_path_of(&mut self, asked: &Asked, path: &[u8], output: &mut Output) {
        if path != self.home && !self.rights.any(path) {
            let told = told("realpath", &[path]);
            let path = String::from_utf8_lossy(path);
            let reason = format!("your grant gives no right to anything at `{path}`");
            return self.deny(asked.id, told, reason, output);
        }
        let mut body = Vec::new();
        put_string(&mut body, path);
        let pending = Pending::Operator { id: asked.id, wants: Wants::Name, changes: false };
        self.ask(kind::REALPATH, &body, pending, output);
    }

    fn on_paths(&mut self, asked: &Asked, first: &[u8], second: &[u8], output: &mut Output) {
        let name = name(asked);
        let (old, new) = (normalise(&self.home, first), normalise(&self.home, second));
        let (Some(old), Some(new)) = (old, new) else {
            return self.bad_path(asked, name, output);
        };
        let right = if name == "rename" { Right::Rename } else { Right::Link };
        let mut targets = vec![
            Target { path: old, rights: vec![right], follows: false },
            Target { path: new.clone(), rights: vec![right], follows: false },
        ];
        let mut before = Vec::new();
        if asked.kind == kind::SYMLINK {
            // In OpenSSH's order: what the link says, then its name. The draft has it the other way
            // round, but no server that is in use.
            if let Err(reason) = self.end_allowed(split(&new).0, first) {
                return self.deny(asked.id, told(name, &[first, &new]), reason, output);
            }
            put_string(&mut before, first);
            targets.remove(0);
        }
        let op = PathOp {
            id: asked.id,
            kind: asked.kind,
            extension: asked.extension.clone(),
            name,
            targets,
            before,
            after: Vec::new(),
            reads: false,
            writes: false,
        };
        self.begin(op, output);
    }

    fn bad_path(&self, asked: &Asked, name: &str, output: &mut Output) {
        let reason = "no host has a path that is so long, or has a zero byte".to_owned();
        self.deny(asked.id, told(name, &[]), reason, output);
    }

    fn on_handle(&mut self, asked: &Asked, handle: &[u8], attrs: Attrs, output: &mut Output) {
        let Some(file) = self.file(asked, handle, output) else { return };
        let (path, folder, writes) = (file.path.clone(), file.folder, file.writes);
        let mut rights = Vec::new();
        let wants = match (asked.kind, asked.extension.as_str()) {
            (kind::CLOSE, _) => Wants::Closed(handle.to_vec()),
            (kind::FSTAT, _) => Wants::Attrs,
            (kind::READDIR, _) if folder => Wants::Name,
            (kind::FSETSTAT, _) => {
                rights = setattr_rights(attrs);
                Wants::Status
            }
            (kind::EXTENDED, "fsync@openssh.com") if writes => Wants::Status,
            (kind::EXTENDED, "fstatvfs@openssh.com") => Wants::Extended,
            _ => {
                let reason = "the handle was not opened for that".to_owned();
                return self.deny(asked.id, told(name(asked), &[&path]), reason, output);
            }
        };
        let allowed = rights.iter().try_for_each(|right| self.allowed(*right, &path));
        if let Err(reason) = allowed {
            return self.deny(asked.id, told(name(asked), &[&path]), reason, output);
        }
        if asked.kind == kind::FSETSTAT {
            let told = told(name(asked), &[&path]);
            output.events.push(writ_proof::recording::event::SftpEvent::Asked(told));
        }
        if let (Wants::Closed(_), Some(file)) = (&wants, self.files.get_mut(handle)) {
            file.closing = true;
        }
        self.forward(asked, wants, output);
    }

    fn read(&mut self, asked: &Asked, handle: &[u8], offset: u64, most: u32, output: &mut Output) {
        let Some(file) = self.file(asked, handle, output) else { return };
        if !file.reads {
            let told = told("read", &[&file.path]);
            let reason = "the file was not opened for reading".to_owned();
            return self.deny(asked.id, told, reason, output);
        }
        let wants = Wants::Data { handle: handle.to_vec(), offset, most };
        self.forward(asked, wants, output);
    }

    fn write(&mut self, asked: &Asked, handle: &[u8], at: u64, data: &[u8], output: &mut Output) {
        let Some(file) = self.file(asked, handle, output) else { return };
        let (path, writes) = (file.path.clone(), file.writes);
        let length = data.len() as u64;
        let of_file = at.saturating_add(length).max(file.written.bytes.saturating_add(length));
        let refused = match writes {
            false => Some("the file was not opened for writing".to_owned()),
            true => self.over_cap(of_file, length),
        };
        if let Some(reason) = refused {
            return self.deny(asked.id, told("write", &[&path]), reason, output);
        }
        self.moved_bytes = self.moved_bytes.saturating_add(length);
        if let Some(file) = self.files.get_mut(handle) {
            file.written.add(at, data);
        }
        self.forward(asked, Wants::Status, output);
    }

    /// Why no more may be moved, if so.
    pub(super) fn over_cap(&self, of_file: u64, more: u64) -> Option<String> {
        if of_file > self.caps.file_max_bytes {
            return Some(format!("your grant allows {} bytes a file", self.caps.file_max_bytes));
        }
        let session = self.moved_bytes.saturating_add(more);
        (session > self.caps.session_max_bytes)
            .then(|| format!("your grant allows {} bytes a session", self.caps.session_max_bytes))
    }

    fn file(&self, asked: &Asked, handle: &[u8], output: &mut Output) -> Option<&OpenFile> {
        let file = self.files.get(handle).filter(|file| !file.closing);
        if file.is_none() {
            status(&mut output.to_operator, asked.id, FAILURE, "no such handle");
        }
        file
    }
}

fn told(name: &str, paths: &[&[u8]]) -> FileOperation {
    let text = |path: &&[u8]| String::from_utf8_lossy(path).into_owned();
    FileOperation { operation: name.to_owned(), paths: paths.iter().map(text).collect() }
}

fn open_rights(reads: bool, writes: bool, attrs: Attrs) -> Vec<Right> {
    let special = attrs.has_special_bits();
    let wanted = [(reads, Right::Read), (writes, Right::Write), (special, Right::Setattr)];
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, right)| right).collect()
}

/// A new size is a write.
fn setattr_rights(attrs: Attrs) -> Vec<Right> {
    match attrs.size {
        Some(_) => vec![Right::Setattr, Right::Write],
        None => vec![Right::Setattr],
    }
}

fn name(asked: &Asked) -> &'static str {
    match (asked.kind, asked.extension.as_str()) {
        (kind::OPEN, _) => "open",
        (kind::CLOSE, _) => "close",
        (kind::LSTAT, _) => "lstat",
        (kind::FSTAT, _) => "fstat",
        (kind::SETSTAT, _) | (_, "lsetstat@openssh.com") => "setstat",
        (kind::FSETSTAT, _) => "fsetstat",
        (kind::OPENDIR, _) => "opendir",
        (kind::READDIR, _) => "readdir",
        (kind::REMOVE, _) => "remove",
        (kind::MKDIR, _) => "mkdir",
        (kind::RMDIR, _) => "rmdir",
        (kind::REALPATH, _) => "realpath",
        (kind::STAT, _) => "stat",
        (kind::RENAME, _) | (_, "posix-rename@openssh.com") => "rename",
        (kind::READLINK, _) => "readlink",
        (kind::SYMLINK, _) => "symlink",
        (_, "hardlink@openssh.com") => "link",
        (_, "fsync@openssh.com") => "fsync",
        (_, "statvfs@openssh.com" | "fstatvfs@openssh.com") => "statvfs",
        _ => "unknown",
    }
}
