//! What frames hold that are not data: CBOR, sealed like everything.

use crate::hash::Hash;
use crate::{cbor_enum, cbor_map};

/// The contents of a frame of kind open: what was opened or asked for on the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A session channel.
    Session,
    /// A terminal.
    Terminal(Terminal),
    /// A shell.
    Shell,
    /// A command.
    Exec(String),
    /// A subsystem, by its name.
    Subsystem(String),
    /// A connection through the host: `host:port`.
    Forward(String),
    /// Refused: what was asked for, and why it was not given.
    Refused((String, String)),
}
cbor_enum!(Opened {
    0: Session,
    1: Terminal(_),
    2: Shell,
    3: Exec(_),
    4: Subsystem(_),
    5: Forward(_),
    6: Refused(_),
});

/// A terminal that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// The value of `TERM`.
    pub name: String,
    /// Its first size.
    pub window: Window,
}
cbor_map!(Terminal { 1: name, 2: window });

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Columns.
    pub cols: u32,
    /// Rows.
    pub rows: u32,
}
cbor_map!(Window { 1: cols, 2: rows });

/// A variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}
cbor_map!(Variable { 1: name, 2: value });

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(u32),
    /// By this signal, named without `SIG`.
    Signal(String),
}
cbor_enum!(Exit { 0: Status(_), 1: Signal(_) });

/// What happened to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SftpEvent {
    /// An operation was sent to the host: its name and the paths that it names.
    Asked(FileOperation),
    /// An operation was refused by the bastion.
    Denied(FileDenial),
    /// A file that was open is closed, or was cut off.
    Transferred(FileTransfer),
}
cbor_enum!(SftpEvent { 0: Asked(_), 1: Denied(_), 2: Transferred(_) });

/// One operation on one or two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOperation {
    /// Its name: `open`, `rename`, …
    pub operation: String,
    /// The paths after normalisation; bytes that are not UTF-8 are replaced.
    pub paths: Vec<String>,
}
cbor_map!(FileOperation { 1: operation, 2: paths });

/// One operation that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDenial {
    /// What was asked for.
    pub asked: FileOperation,
    /// Why it was refused, as the operator reads it.
    pub reason: String,
}
cbor_map!(FileDenial { 1: asked, 2: reason });

/// What moved through one open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTransfer {
    /// The path after normalisation.
    pub path: String,
    /// Bytes read from the host.
    pub read_bytes: u64,
    /// Bytes written to the host.
    pub written_bytes: u64,
    /// SHA-256 of what was read, in the order of its coming.
    pub read_digest: Option<Hash>,
    /// SHA-256 of what was written, in the order of its going.
    pub written_digest: Option<Hash>,
    /// True if the bytes of a direction were not one run from the file's start: then its digest is no
    /// file's.
    pub scattered: bool,
    /// True if the file was never closed: the session was cut off.
    pub partial: bool,
}
cbor_map!(FileTransfer {
    1: path,
    2: read_bytes,
    3: written_bytes,
    4: opt read_digest,
    5: opt written_digest,
    6: scattered,
    7: partial,
});
