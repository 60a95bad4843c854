//! Files and folders that are open, and what moved through them.

use writ_proof::hash::Hasher;
use writ_proof::recording::event::{FileTransfer, SftpEvent};

/// Something open on the host.
#[derive(Debug, Clone)]
pub(super) struct OpenFile {
    /// Where it really lies.
    pub(super) path: Vec<u8>,
    pub(super) folder: bool,
    pub(super) reads: bool,
    pub(super) writes: bool,
    /// The host was asked to close it: it may give the same handle to another file at any time.
    pub(super) closing: bool,
    pub(super) read: Stream,
    pub(super) written: Stream,
}

impl OpenFile {
    pub(super) fn new(path: Vec<u8>, folder: bool, reads: bool, writes: bool) -> OpenFile {
        let (read, written) = (Stream::default(), Stream::default());
        OpenFile { path, folder, reads, writes, closing: false, read, written }
    }

    /// What is told of it at its end; nothing of a folder.
    pub(super) fn transferred(self, partial: bool) -> Option<SftpEvent> {
        if self.folder {
            return None;
        }
        Some(SftpEvent::Transferred(FileTransfer {
            path: String::from_utf8_lossy(&self.path).into_owned(),
            read_bytes: self.read.bytes,
            written_bytes: self.written.bytes,
            scattered: self.read.scattered || self.written.scattered,
            read_digest: self.reads.then(|| self.read.hasher.finish()),
            written_digest: self.writes.then(|| self.written.hasher.finish()),
            partial,
        }))
    }
}

/// One direction of a file.
#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) bytes: u64,
    next: u64,
    scattered: bool,
    hasher: Hasher,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn add(&mut self, offset: u64, data: &[u8]) {
        let length = data.len() as u64;
        self.scattered |= offset != self.next;
        self.next = offset.saturating_add(length);
        self.bytes = self.bytes.saturating_add(length);
        self.hasher.update(data);
    }
}
