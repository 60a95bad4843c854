//! Packets: `u32 length | u8 kind | u32 id | …`.

use writ_proof::ssh::{SshReader, put_string};

use crate::limits::{SFTP_HANDLE_MAX_BYTES, SFTP_MAX_EXTENDED, SFTP_PACKET_MAX_BYTES};

/// Kinds of packet (draft-ietf-secsh-filexfer-02, section 3).
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// Cuts a stream into packets.
#[derive(Debug, Default)]
pub(super) struct Framer {
    bytes: Vec<u8>,
    /// How much of it has been taken.
    taken: usize,
}

impl Framer {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        // What is left moves only when it is the smaller part: each byte moves once on the average, however
        // small the packets and the pieces are.
        if self.taken >= self.waiting_bytes() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that have come and are in no packet yet that was taken.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The next packet, without its length.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        let waiting = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 || length > SFTP_PACKET_MAX_BYTES {
            return Err("a packet is empty or larger than 256 KiB");
        }
        let Some(packet) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.taken += 4 + length;
        Ok(Some(packet))
    }
}

/// Appends a packet.
pub(super) fn put(bytes: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length: usize = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.push(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
}

/// Appends a status for the operator.
pub(super) fn status(bytes: &mut Vec<u8>, id: u32, code: u32, message: &str) {
    let mut texts = Vec::new();
    put_string(&mut texts, message.as_bytes());
    put_string(&mut texts, b"en");
    put(bytes, kind::STATUS, &[&id.to_be_bytes(), &code.to_be_bytes(), &texts]);
}

/// What the bastion looks at in a file's attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attrs {
    pub(super) size: Option<u64>,
    pub(super) permissions: Option<u32>,
    /// True if anything is there.
    pub(super) any: bool,
}

impl Attrs {
    /// Bits of the mode beyond those that everybody knows.
    pub(super) fn has_special_bits(self) -> bool {
        self.permissions.is_some_and(|mode| mode & 0o7000 != 0)
    }

    /// A symbolic link, by the type in the mode.
    pub(super) fn is_link(self) -> bool {
        self.permissions.is_some_and(|mode| mode & 0o170_000 == 0o120_000)
    }

    pub(super) fn read(reader: &mut SshReader<'_>) -> Result<Attrs, writ_proof::Error> {
        const SIZE: u32 = 1;
        const OWNER: u32 = 2;
        const PERMISSIONS: u32 = 4;
        const TIMES: u32 = 8;
        const EXTENDED: u32 = 0x8000_0000;
        let flags = reader.number()?;
        let mut attrs = Attrs { any: flags != 0, ..Attrs::default() };
        if flags & !(SIZE | OWNER | PERMISSIONS | TIMES | EXTENDED) != 0 {
            return Err(malformed("attributes have unknown flags"));
        }
        if flags & SIZE != 0 {
            attrs.size = Some(reader.long()?);
        }
        if flags & OWNER != 0 {
            reader.long()?;
        }
        if flags & PERMISSIONS != 0 {
            attrs.permissions = Some(reader.number()?);
        }
        if flags & TIMES != 0 {
            reader.long()?;
        }
        if flags & EXTENDED != 0 {
            let count = reader.number()?;
            if count > SFTP_MAX_EXTENDED {
                return Err(malformed("attributes have too many extensions"));
            }
            for _ in 0..count {
                reader.string()?;
                reader.string()?;
            }
        }
        Ok(attrs)
    }
}

fn malformed(why: &'static str) -> writ_proof::Error {
    writ_proof::Error::Malformed { what: "SFTP packet", why }
}

/// A request as the operator sent it, without its id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// On one path; what follows the path, whole.
    Path {
        path: &'a [u8],
        flags: u32,
        attrs: Attrs,
        tail: &'a [u8],
    },
    /// On two paths.
    Paths(&'a [u8], &'a [u8]),
    /// On a handle.
    Handle {
        handle: &'a [u8],
        attrs: Attrs,
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        most: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    /// An extension that needs no path and no handle.
    Limits,
    /// An extension, or a kind, that nobody knows.
    Unknown,
}

/// Reads what follows the id of a request of this kind; `extension` is its name if it is one.
pub(super) fn request<'a>(
    kind: u8,
    extension: &str,
    reader: &mut SshReader<'a>,
) -> Result<Request<'a>, writ_proof::Error> {
    let read = match (kind, extension) {
        (kind::OPEN, _) => {
            let path = reader.string()?;
            let tail = reader.rest();
            let flags = reader.number()?;
            Request::Path { path, flags, attrs: Attrs::read(reader)?, tail }
        }
        (kind::SETSTAT | kind::MKDIR, _) | (kind::EXTENDED, "lsetstat@openssh.com") => {
            let path = reader.string()?;
            let tail = reader.rest();
            Request::Path { path, flags: 0, attrs: Attrs::read(reader)?, tail }
        }
        (
            kind::LSTAT
            | kind::OPENDIR
            | kind::REMOVE
            | kind::RMDIR
            | kind::REALPATH
            | kind::STAT
            | kind::READLINK,
            _,
        )
        | (kind::EXTENDED, "statvfs@openssh.com") => {
            let attrs = Attrs::default();
            Request::Path { path: reader.string()?, flags: 0, attrs, tail: b"" }
        }
        (kind::RENAME | kind::SYMLINK, _)
        | (kind::EXTENDED, "posix-rename@openssh.com" | "hardlink@openssh.com") => {
            Request::Paths(reader.string()?, reader.string()?)
        }
        (kind::FSETSTAT, _) => {
            Request::Handle { handle: handle(reader)?, attrs: Attrs::read(reader)? }
        }
        (kind::CLOSE | kind::FSTAT | kind::READDIR, _)
        | (kind::EXTENDED, "fstatvfs@openssh.com" | "fsync@openssh.com") => {
            Request::Handle { handle: handle(reader)?, attrs: Attrs::default() }
        }
        (kind::READ, _) => Request::Read {
            handle: handle(reader)?,
            offset: reader.long()?,
            most: reader.number()?,
        },
        (kind::WRITE, _) => Request::Write {
            handle: handle(reader)?,
            offset: reader.long()?,
            data: reader.string()?,
        },
        (kind::EXTENDED, "limits@openssh.com") => Request::Limits,
        _ => return Ok(Request::Unknown),
    };
    reader.finish()?;
    Ok(read)
}

/// A handle, which is short.
pub(super) fn handle<'a>(reader: &mut SshReader<'a>) -> Result<&'a [u8], writ_proof::Error> {
    let handle = reader.string()?;
    if handle.len() > SFTP_HANDLE_MAX_BYTES {
        return Err(malformed("a handle is longer than 256 bytes"));
    }
    Ok(handle)
}
