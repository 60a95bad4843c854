//! Packets between two processes over an inherited `SOCK_SEQPACKET` socketpair.
//!
//! A packet is whole or absent. Its first byte says how it travels: 0 inline, 1 as a sealed memfd
//! (large packets), 2 inline with descriptors for the receiver. A packet of [`Message`]s is the
//! concatenation of `kind u8 | id u64 BE | length u32 BE | body`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::arena;
use crate::limits::{BATCH_MAX, FDS_MAX, LARGE_PACKET_MAX_BYTES, PACKET_MAX_BYTES};

const INLINE: u8 = 0;
const MEMFD: u8 = 1;
const WITH_FDS: u8 = 2;

/// The seals that a large packet's memfd must carry, so that its sender cannot change it later.
const SEALS: SealFlags = SealFlags::from_bits_retain(
    SealFlags::SHRINK.bits() | SealFlags::GROW.bits() | SealFlags::WRITE.bits(),
);

thread_local! {
    /// Where packets arrive: a thread has one buffer of the largest size, wiped after each packet, so
    /// that a packet of 500 bytes costs no allocation and no wiping of 96 KiB.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One end of a channel. Sends and receives block; several threads may share it.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// A received packet with the descriptors that came along. Its bytes may hold secrets: wiped, and
/// never shown.
pub struct Packet {
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet of {} bytes", self.bytes.len())
    }
}

/// A packet as it will be sent. To make it can fail for want of descriptors or memory, of which the channel knows nothing.
#[derive(Debug)]
pub enum Prepared<'a> {
    /// It goes as it is.
    Inline(&'a [u8]),
    /// It goes in a sealed memfd.
    Large(File),
}

impl Prepared<'_> {
    /// Makes it.
    ///
    /// # Errors
    /// `InvalidInput` above [`LARGE_PACKET_MAX_BYTES`]; whatever a memfd lacks.
    pub fn new(packet: &[u8]) -> io::Result<Prepared<'_>> {
        if packet.len() <= PACKET_MAX_BYTES {
            return Ok(Prepared::Inline(packet));
        }
        if packet.len() > LARGE_PACKET_MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the packet is too large"));
        }
        let memfd = memfd_create("writ-packet", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = File::from(memfd);
        file.write_all(packet)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(Prepared::Large(file))
    }
}

impl Channel {
    /// Two connected ends, both close-on-exec.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel { socket: a }, Channel { socket: b }))
    }

    /// The end that this process inherited as descriptor `number`.
    pub fn inherited(number: RawFd) -> io::Result<Channel> {
        arena::inherited_fd(number).map(Channel::from)
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// `EPIPE` when the peer is gone, `InvalidInput` above [`LARGE_PACKET_MAX_BYTES`].
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.send_prepared(&Prepared::new(packet)?)
    }

    /// Sends what was prepared.
    ///
    /// # Errors
    /// `EPIPE` when the peer is gone.
    pub fn send_prepared(&self, prepared: &Prepared<'_>) -> io::Result<()> {
        match prepared {
            Prepared::Inline(packet) => self.send_parts(INLINE, packet, &[]),
            Prepared::Large(file) => self.send_parts(MEMFD, &[], &[file.as_fd()]),
        }
    }

    /// Sends one packet of at most [`PACKET_MAX_BYTES`] along with descriptors.
    pub fn send_with_fds(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_parts(WITH_FDS, packet, fds)
    }

    /// Receives one packet; `None` when the peer is gone.
    ///
    /// # Errors
    /// `InvalidData` for a packet that no honest peer sends; the channel is then unusable.
    pub fn recv(&self) -> io::Result<Option<Packet>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(PACKET_MAX_BYTES + 1, 0);
            let received = self.recv_into(scratch);
            let used = received.as_ref().map_or(scratch.len(), |(used, _)| *used);
            scratch.get_mut(..used).unwrap_or_default().zeroize();
            received.map(|(_, packet)| packet)
        })
    }

    /// The packet, in a buffer of its own size, and how many bytes of `buffer` it came through.
    fn recv_into(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<Packet>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let iov = &mut [IoSliceMut::new(buffer)];
            match recvmsg(&self.socket, iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok((0, None)),
                other => break other?,
            }
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok((0, None));
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(invalid("the packet is cut"));
        }
        let whole = buffer.get(..received.bytes).unwrap_or_default();
        let packet = match (whole.split_first(), fds.len()) {
            (Some((&INLINE, body)), 0) | (Some((&WITH_FDS, body)), _) => {
                Packet { bytes: body.to_vec().into(), fds }
            }
            (Some((&MEMFD, _)), 1) => {
                let memfd = fds.pop().ok_or_else(|| invalid("no memfd"))?;
                Packet { bytes: read_memfd(memfd)?, fds }
            }
            _ => return Err(invalid("the packet's form is unknown")),
        };
        Ok((received.bytes, Some(packet)))
    }

    fn send_parts(&self, form: u8, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
        }
        let iov = [IoSlice::new(std::slice::from_ref(&form)), IoSlice::new(body)];
        loop {
            match sendmsg(&self.socket, &iov, &mut control, SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map(|_| ()).map_err(io::Error::from),
            }
        }
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Channel {
        Channel { socket }
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> OwnedFd {
        channel.socket
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Wants a reply with the same id.
    Request,
    /// Answers a request.
    Reply,
    /// Wants no reply; its id is 0.
    Push,
}

/// One message of a packet. Its body is an encoding that the two peers agree on.
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// Pairs replies with requests.
    pub id: u64,
    /// The encoded body, wiped like its packet.
    pub body: Zeroizing<Vec<u8>>,
}

/// Puts messages into one packet.
pub fn pack(messages: &[Message]) -> Vec<u8> {
    let size = messages.iter().map(|m| 13 + m.body.len()).sum();
    let mut packet = Vec::with_capacity(size);
    for message in messages {
        packet.push(match message.kind {
            MessageKind::Request => 0,
            MessageKind::Reply => 1,
            MessageKind::Push => 2,
        });
        packet.extend_from_slice(&message.id.to_be_bytes());
        // INVARIANT: bodies are below LARGE_PACKET_MAX_BYTES; `send` refuses what is not.
        let length = u32::try_from(message.body.len()).unwrap_or(u32::MAX);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&message.body);
    }
    packet
}

/// Takes a packet apart.
///
/// # Errors
/// `InvalidData` for anything that [`pack`] does not make, and for more than [`BATCH_MAX`] messages.
pub fn unpack(packet: &[u8]) -> io::Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut rest = packet;
    while let Some((kind, after)) = rest.split_first() {
        let kind = match kind {
            0 => MessageKind::Request,
            1 => MessageKind::Reply,
            2 => MessageKind::Push,
            _ => return Err(invalid("the message's kind is unknown")),
        };
        let (id, after) = after.split_first_chunk::<8>().ok_or_else(|| invalid("no message id"))?;
        let (length, after) = after.split_first_chunk::<4>().ok_or_else(|| invalid("no length"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let body = after.get(..length).ok_or_else(|| invalid("the message is cut"))?;
        rest = after.get(length..).unwrap_or_default();
        messages.push(Message { kind, id: u64::from_be_bytes(*id), body: body.to_vec().into() });
        if messages.len() > BATCH_MAX {
            return Err(invalid("the packet holds too many messages"));
        }
    }
    Ok(messages)
}

fn read_memfd(memfd: OwnedFd) -> io::Result<Zeroizing<Vec<u8>>> {
    let seals = fcntl_get_seals(&memfd)?;
    if !seals.contains(SEALS) {
        return Err(invalid("the memfd is not sealed"));
    }
    let file = File::from(memfd);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > LARGE_PACKET_MAX_BYTES {
        return Err(invalid("the memfd is too large"));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_of_all_sizes_arrive_whole() {
        let (a, b) = Channel::pair().unwrap();
        for size in [1, 100, PACKET_MAX_BYTES, PACKET_MAX_BYTES + 1, 1 << 20] {
            let packet: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            a.send(&packet).unwrap();
            assert_eq!(b.recv().unwrap().unwrap().bytes.as_slice(), packet, "{size}");
        }
        drop(a);
        assert!(b.recv().unwrap().is_none());
    }

    #[test]
    fn packet_above_the_limit_is_refused() {
        let (a, _b) = Channel::pair().unwrap();
        let error = a.send(&vec![0; LARGE_PACKET_MAX_BYTES + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn descriptors_travel_with_a_packet() {
        let (a, b) = Channel::pair().unwrap();
        let (c, d) = Channel::pair().unwrap();
        a.send_with_fds(b"front", &[c.as_fd()]).unwrap();
        let mut packet = b.recv().unwrap().unwrap();
        assert_eq!(packet.bytes.as_slice(), b"front");
        let received = Channel::from(packet.fds.pop().unwrap());
        received.send(b"hello").unwrap();
        assert_eq!(d.recv().unwrap().unwrap().bytes.as_slice(), b"hello");
    }

    #[test]
    fn memfd_without_seals_is_refused() {
        let (a, b) = Channel::pair().unwrap();
        let memfd = memfd_create("loose", MemfdFlags::CLOEXEC).unwrap();
        a.send_parts(MEMFD, &[], &[memfd.as_fd()]).unwrap();
        assert_eq!(b.recv().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn unpack_is_total_and_inverts_pack(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(messages) = unpack(&packet) {
                prop_assert_eq!(pack(&messages), packet);
            }
        }
    }
}
