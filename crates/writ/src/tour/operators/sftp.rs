//! As much of SFTP (draft-ietf-secsh-filexfer-02) as it takes to read one file: both sides, the client for the
//! story, the server for its minimal host.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use writ_proof::ssh::{SshReader, put_string};
use writ_ssh::{Channel, ChannelEvent, Stream};

const INIT: u8 = 1;
const VERSION: u8 = 2;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const LSTAT: u8 = 7;
const FSTAT: u8 = 8;
const REALPATH: u8 = 16;
const STAT: u8 = 17;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;

/// `SSH_FXF_READ`
const FOR_READING: u32 = 1;
const OK: u32 = 0;
const END_OF_FILE: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const NOT_SUPPORTED: u32 = 8;
/// A packet above this is refused.
const PACKET_MAX_BYTES: usize = 256 * 1024;
/// A read answers with no more than this.
const READ_MAX_BYTES: u32 = 32 * 1024;

/// Reads a small file, whole.
pub async fn read(channel: &Channel, path: &str) -> Result<Vec<u8>> {
    let mut packets = Packets { channel, bytes: Vec::new() };
    packets.send(INIT, &3u32.to_be_bytes()).await?;
    ensure!(packets.next().await?.first() == Some(&VERSION), "there is no SFTP");
    let mut open = 1u32.to_be_bytes().to_vec();
    put_string(&mut open, path.as_bytes());
    open.extend_from_slice(&FOR_READING.to_be_bytes());
    open.extend_from_slice(&0u32.to_be_bytes());
    packets.send(OPEN, &open).await?;
    let handle = packets.answer(HANDLE).await?.context("no handle")?;
    let mut reading = 2u32.to_be_bytes().to_vec();
    reading.extend_from_slice(&handle);
    reading.extend_from_slice(&0u64.to_be_bytes());
    reading.extend_from_slice(&READ_MAX_BYTES.to_be_bytes());
    packets.send(READ, &reading).await?;
    let data = packets.answer(DATA).await?.unwrap_or_default();
    let mut closing = 3u32.to_be_bytes().to_vec();
    closing.extend_from_slice(&handle);
    packets.send(CLOSE, &closing).await?;
    packets.answer(STATUS).await.ok();
    Ok(SshReader::new(&data).string().unwrap_or_default().to_vec())
}

/// Serves files to read, until the client leaves.
pub async fn serve(channel: &Channel) {
    let mut packets = Packets { channel, bytes: Vec::new() };
    let mut files = Files { open: BTreeMap::new(), next: 0 };
    while let Ok(packet) = packets.next().await {
        let Ok((kind, answer)) = files.answer(&packet) else { return };
        if packets.send(kind, &answer).await.is_err() {
            return;
        }
    }
}

struct Packets<'c> {
    channel: &'c Channel,
    bytes: Vec<u8>,
}

impl Packets<'_> {
    async fn send(&self, kind: u8, rest: &[u8]) -> Result<()> {
        let mut bytes = u32::try_from(rest.len() + 1)?.to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(rest);
        Ok(self.channel.send(Stream::Main, Bytes::from(bytes)).await?)
    }

    /// The next packet: its kind and what follows.
    async fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some((length, rest)) = self.bytes.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length))?;
                ensure!(length > 0 && length <= PACKET_MAX_BYTES, "a packet has a strange length");
                if let Some(packet) = rest.get(..length).map(<[u8]>::to_vec) {
                    self.bytes.drain(..4 + length);
                    return Ok(packet);
                }
            }
            match self.channel.next().await {
                Some(ChannelEvent::Data { bytes, stream: Stream::Main }) => {
                    self.channel.accept(bytes.len());
                    self.bytes.extend_from_slice(&bytes);
                }
                Some(ChannelEvent::Data { bytes, .. }) => self.channel.accept(bytes.len()),
                Some(ChannelEvent::Request(_)) => {}
                Some(ChannelEvent::Eof | ChannelEvent::Close) | None => bail!("the peer left"),
            }
        }
    }

    /// What follows the id in an answer of this kind; nothing at the end of a file. Another answer is a refusal.
    async fn answer(&mut self, wanted: u8) -> Result<Option<Vec<u8>>> {
        let packet = self.next().await?;
        let mut reader = SshReader::new(&packet);
        let kind = reader.byte()?;
        reader.number()?;
        if kind == wanted {
            return Ok(Some(reader.rest().to_vec()));
        }
        ensure!(kind == STATUS, "the answer is of kind {kind}");
        match reader.number()? {
            END_OF_FILE => Ok(None),
            code => bail!("status {code}: {}", String::from_utf8_lossy(reader.string()?)),
        }
    }
}

/// The server's open files.
struct Files {
    open: BTreeMap<u32, File>,
    next: u32,
}

impl Files {
    fn answer(&mut self, packet: &[u8]) -> Result<(u8, Vec<u8>)> {
        let mut reader = SshReader::new(packet);
        let (kind, id) = (reader.byte()?, reader.number()?);
        if kind == INIT {
            return Ok((VERSION, 3u32.to_be_bytes().to_vec()));
        }
        let (kind, rest) = self.done(kind, &mut reader)?;
        Ok((kind, [&id.to_be_bytes(), rest.as_slice()].concat()))
    }

    fn done(&mut self, kind: u8, reader: &mut SshReader<'_>) -> Result<(u8, Vec<u8>)> {
        let mut rest = Vec::new();
        match kind {
            REALPATH => {
                let path = std::fs::canonicalize(PathBuf::from(reader.text()?));
                let Ok(path) = path else { return Ok(status(NO_SUCH_FILE)) };
                rest.extend_from_slice(&1u32.to_be_bytes());
                put_string(&mut rest, path.as_os_str().as_encoded_bytes());
                put_string(&mut rest, b"");
                rest.extend_from_slice(&0u32.to_be_bytes());
                Ok((NAME, rest))
            }
            LSTAT | STAT => match std::fs::symlink_metadata(reader.text()?) {
                Ok(meta) => Ok((ATTRS, attributes(&meta))),
                Err(_) => Ok(status(NO_SUCH_FILE)),
            },
            OPEN => {
                let (path, flags) = (reader.text()?, reader.number()?);
                if flags != FOR_READING {
                    return Ok(status(NOT_SUPPORTED));
                }
                let Ok(file) = File::open(path) else { return Ok(status(NO_SUCH_FILE)) };
                self.next += 1;
                self.open.insert(self.next, file);
                put_string(&mut rest, &self.next.to_be_bytes());
                Ok((HANDLE, rest))
            }
            FSTAT | READ | CLOSE => self.of_file(kind, reader),
            _ => Ok(status(NOT_SUPPORTED)),
        }
    }

    fn of_file(&mut self, kind: u8, reader: &mut SshReader<'_>) -> Result<(u8, Vec<u8>)> {
        let handle = <[u8; 4]>::try_from(reader.string()?).map(u32::from_be_bytes);
        let handle = handle.ok().filter(|handle| self.open.contains_key(handle));
        let Some(file) = handle.and_then(|handle| self.open.get(&handle)) else {
            return Ok(status(NO_SUCH_FILE));
        };
        match kind {
            FSTAT => Ok((ATTRS, attributes(&file.metadata()?))),
            READ => {
                let (at, most) = (reader.long()?, reader.number()?.min(READ_MAX_BYTES));
                let mut bytes = vec![0; usize::try_from(most)?];
                let read = file.read_at(&mut bytes, at)?;
                if read == 0 {
                    return Ok(status(END_OF_FILE));
                }
                let mut rest = Vec::new();
                put_string(&mut rest, bytes.get(..read).unwrap_or_default());
                Ok((DATA, rest))
            }
            _ => {
                handle.map(|handle| self.open.remove(&handle));
                Ok(status(OK))
            }
        }
    }
}

/// Size and mode of a file.
fn attributes(meta: &std::fs::Metadata) -> Vec<u8> {
    let mut bytes = 0x5u32.to_be_bytes().to_vec();
    bytes.extend_from_slice(&meta.size().to_be_bytes());
    bytes.extend_from_slice(&meta.mode().to_be_bytes());
    bytes
}

fn status(code: u32) -> (u8, Vec<u8>) {
    let mut rest = code.to_be_bytes().to_vec();
    put_string(&mut rest, if code == OK { b"done" } else { b"not possible" });
    put_string(&mut rest, b"en");
    (STATUS, rest)
}
