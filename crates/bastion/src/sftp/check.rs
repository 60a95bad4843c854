//! Operations on paths: which right each path needs, and asking the host where it really lies.

use writ_proof::recording::event::{FileOperation, SftpEvent};
use writ_proof::ssh::{SshReader, put_string};

use super::file::OpenFile;
use super::packet::{Attrs, kind};
use super::path::{join, normalise, split};
use super::{Output, Pending, Right, Sftp, Wants};

/// An operation on one or two paths, which its text allows.
#[derive(Debug)]
pub(super) struct PathOp {
    pub(super) id: u32,
    pub(super) kind: u8,
    /// The name of an extension.
    pub(super) extension: String,
    pub(super) name: &'static str,
    pub(super) targets: Vec<Target>,
    /// What precedes the paths in the request to the host, besides the name of an extension: of a
    /// symbolic link, what it says.
    pub(super) before: Vec<u8>,
    /// What follows them.
    pub(super) after: Vec<u8>,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

/// One path of an operation.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: Vec<u8>,
    pub(super) rights: Vec<Right>,
    /// Whether the operation works on what a link at the end leads to, not on the link.
    pub(super) follows: bool,
}

impl PathOp {
    /// True if it makes a handle of a file.
    pub(super) fn opens_file(&self) -> bool {
        self.kind == kind::OPEN
    }

    /// What a symbolic link that it makes says.
    fn says(&self) -> Option<&[u8]> {
        self.before.get(4..)
    }

    /// As it is told.
    pub(super) fn told(&self) -> FileOperation {
        let says = self.says().into_iter();
        let paths = says.chain(self.targets.iter().map(|target| target.path.as_slice()));
        FileOperation {
            operation: self.name.to_owned(),
            paths: paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect(),
        }
    }

    /// True if names on the host are others afterwards.
    fn changes(&self) -> bool {
        let by_extension = self.extension.contains("rename") || self.extension.contains("hardlink");
        let by_kind = [kind::REMOVE, kind::MKDIR, kind::RMDIR, kind::RENAME, kind::SYMLINK];
        by_kind.contains(&self.kind) || by_extension || self.opens_file() && self.writes
    }
}

/// An operation whose paths are being looked up.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) op: PathOp,
    /// How many of its paths are real ones by now.
    done: usize,
    /// It waits for what changes names to be answered.
    begun: bool,
}

impl Sftp {
    /// Begins with an operation whose paths the rights allow by their text.
    pub(super) fn begin(&mut self, op: PathOp, output: &mut Output) {
        let text = op.targets.iter().try_for_each(|target| self.target_allowed(target));
        if let Err(reason) = text {
            return self.deny(op.id, op.told(), reason, output);
        }
        let opens = matches!(op.kind, kind::OPEN | kind::OPENDIR);
        if let Err(reason) = if opens { self.room_for(&op) } else { Ok(()) } {
            return self.deny(op.id, op.told(), reason, output);
        }
        self.check = Some(Check { op, done: 0, begun: false });
        self.look_up(output);
    }

    fn target_allowed(&self, target: &Target) -> Result<(), String> {
        target.rights.iter().try_for_each(|right| self.allowed(*right, &target.path))
    }

    /// Whether a link in `folder` may say this. What the host does with `..` depends on where links before it lead,
    /// now and later, which no text tells.
    pub(super) fn end_allowed(&self, folder: &[u8], says: &[u8]) -> Result<(), String> {
        if says.split(|b| *b == b'/').any(|part| part == b"..") {
            return Err("what a link says has no `..` in it: name the whole path".to_owned());
        }
        let end = normalise(folder, says).ok_or("no host has a path that is so long")?;
        self.allowed(Right::Link, &end)
    }

    /// Asks for the next path, once nothing that changes names is in flight.
    pub(super) fn look_up(&mut self, output: &mut Output) {
        let Some(check) = &mut self.check else { return };
        if check.begun || self.changing > 0 {
            return;
        }
        check.begun = true;
        let Some(target) = check.op.targets.get(check.done) else { return self.send(output) };
        let asked = if target.follows { &target.path } else { split(&target.path).0 };
        let mut body = Vec::new();
        put_string(&mut body, asked);
        self.ask(kind::REALPATH, &body, Pending::Realpath, output);
    }

    /// The host says where a path lies.
    pub(super) fn real_path(
        &mut self,
        real: &[u8],
        output: &mut Output,
    ) -> Result<(), &'static str> {
        let real = absolute(real)?;
        let Some(check) = &mut self.check else { return Err("it answers what nobody asked") };
        let Some(target) = check.op.targets.get_mut(check.done) else {
            return Err("it answers what nobody asked");
        };
        let said = target.path.clone();
        target.path = match target.follows {
            true => real.clone(),
            false => join(&real, split(&said).1),
        };
        let link = target.path != said;
        let may_end_in_link = target.follows && check.op.writes;
        let (path, done) = (target.path.clone(), check.done);
        let Some(check) = &self.check else { return Ok(()) };
        let allowed = check.op.targets.get(done).map_or(Ok(()), |one| self.target_allowed(one));
        // A link leads on from where its folder really lies.
        let end = check.op.says().map_or(Ok(()), |says| self.end_allowed(&real, says));
        let allowed = allowed.and(end);
        if let Err(reason) = allowed {
            let through = if link { " (through a symbolic link)" } else { "" };
            self.refuse(format!("{reason}{through}"), output);
        } else if may_end_in_link {
            let mut body = Vec::new();
            put_string(&mut body, &path);
            self.ask(kind::LSTAT, &body, Pending::Lstat, output);
        } else {
            self.next_path(output);
        }
        Ok(())
    }

    /// The host says what lies at the end of a path: a link there is one that it did not resolve.
    pub(super) fn real_attrs(&mut self, attrs: Attrs, output: &mut Output) {
        if attrs.is_link() {
            self.refuse(
                "the path ends in a symbolic link that leads nowhere known".to_owned(),
                output,
            );
        } else {
            self.next_path(output);
        }
    }

    pub(super) fn next_path(&mut self, output: &mut Output) {
        if let Some(check) = &mut self.check {
            check.done += 1;
            check.begun = false;
        }
        self.look_up(output);
    }

    fn refuse(&mut self, reason: String, output: &mut Output) {
        if let Some(Check { op, .. }) = self.check.take() {
            self.deny(op.id, op.told(), reason, output);
        }
    }

    /// Sends the operation with its real paths.
    fn send(&mut self, output: &mut Output) {
        let Some(Check { op, .. }) = self.check.take() else { return };
        let mut body = Vec::new();
        if !op.extension.is_empty() {
            put_string(&mut body, op.extension.as_bytes());
        }
        body.extend_from_slice(&op.before);
        op.targets.iter().for_each(|target| put_string(&mut body, &target.path));
        body.extend_from_slice(&op.after);
        let path = || op.targets.first().map(|target| target.path.clone()).unwrap_or_default();
        let wants = match op.kind {
            kind::OPEN => {
                self.opened_files += 1;
                Wants::Handle(Box::new(OpenFile::new(path(), false, op.reads, op.writes)))
            }
            kind::OPENDIR => Wants::Handle(Box::new(OpenFile::new(path(), true, false, false))),
            kind::REALPATH | kind::READLINK => Wants::Name,
            kind::STAT | kind::LSTAT => Wants::Attrs,
            kind::EXTENDED if op.extension.starts_with("statvfs") => Wants::Extended,
            _ => Wants::Status,
        };
        if let Wants::Handle(_) = wants {
            self.opening += 1;
        }
        if op.kind != kind::REALPATH {
            output.events.push(SftpEvent::Asked(op.told()));
        }
        let pending = Pending::Operator { id: op.id, wants, changes: op.changes() };
        self.ask(op.kind, &body, pending, output);
    }
}

/// A path that the host names.
pub(super) fn absolute(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let odd = "it names a path that is not absolute";
    if path.starts_with(b"/") { normalise(b"/", path).ok_or(odd) } else { Err(odd) }
}

/// The one name in an answer to REALPATH.
pub(super) fn one_name<'a>(reader: &mut SshReader<'a>) -> Result<&'a [u8], writ_proof::Error> {
    let odd = writ_proof::Error::Malformed { what: "SFTP packet", why: "it is not one name" };
    if reader.number()? != 1 {
        return Err(odd);
    }
    let name = reader.string()?;
    reader.string()?;
    Attrs::read(reader)?;
    reader.finish()?;
    Ok(name)
}
