//! Messages of the kernel's audit over netlink (linux/netlink.h, linux/audit.h): a header of 16 bytes in the
//! machine's own byte order, then the data, padded to 4 bytes.

const HEADER_BYTES: usize = 16;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// The number of the request that it answers.
    pub seq: u32,
    /// What follows the header.
    pub data: &'a [u8],
}

/// The messages of a packet. What does not fit its own length ends the reading.
pub fn message(packet: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk()?;
        let (kind, tail) = tail.split_first_chunk()?;
        let (_flags, tail) = tail.split_first_chunk::<2>()?;
        let (seq, _) = tail.split_first_chunk()?;
        let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
        let data = rest.get(HEADER_BYTES..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind: u16::from_ne_bytes(*kind), seq: u32::from_ne_bytes(*seq), data })
    })
}

/// The serial number of a record, and its text behind `audit(SECONDS.MILLIS:SERIAL): `. A text of another form
/// is passed on whole, with the number 0.
pub fn split(data: &[u8]) -> (u64, &[u8]) {
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    let parts = || {
        let rest = data.strip_prefix(b"audit(")?;
        let close = rest.iter().position(|byte| *byte == b')')?;
        let stamp = std::str::from_utf8(rest.get(..close)?).ok()?;
        let serial = stamp.split_once(':')?.1.parse().ok()?;
        let text = rest.get(close + 1..)?;
        Some((serial, text.strip_prefix(b": ").unwrap_or(text)))
    };
    parts().unwrap_or((0, data))
}

/// What `AUDIT_GET` answers (`struct audit_status`), as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// 0 off, 1 on, 2 on and locked.
    pub enabled: u32,
    /// auditd's process, 0 for none.
    pub pid: u32,
    /// Lost records.
    pub lost: u32,
}

impl Status {
    /// Reads it; `None` if it is too short.
    pub fn read(data: &[u8]) -> Option<Status> {
        let word = |index: usize| {
            let bytes = data.get(index * 4..index * 4 + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        Some(Status { enabled: word(1)?, pid: word(3)?, lost: word(6)? })
    }
}

/// The error of an `NLMSG_ERROR`: 0, or a negative number.
pub(super) fn errno(data: &[u8]) -> i32 {
    data.first_chunk().map_or(-5, |bytes| i32::from_ne_bytes(*bytes))
}

/// The bytes of a request.
pub(super) fn request(kind: u16, flags: u16, seq: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + data.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&seq.to_ne_bytes());
    bytes.extend_from_slice(&0u32.to_ne_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// `execve` and `execveat`, and the machine's `AUDIT_ARCH_…` (linux/audit.h).
#[cfg(target_arch = "x86_64")]
const EXEC: ([u32; 2], u32) = ([59, 322], 0xC000_003E);
#[cfg(not(target_arch = "x86_64"))]
const EXEC: ([u32; 2], u32) = ([221, 281], 0xC000_00B7);

/// The key of the agent's own rule.
const KEY: &str = "writ-canary";

/// `struct audit_rule_data` of `-a always,exit -F arch=… -S execve,execveat -F exe=PROGRAM -k writ-canary`.
pub(super) fn exec_rule(program: &str) -> Vec<u8> {
    const EXIT: u32 = 4;
    const ALWAYS: u32 = 2;
    const ARCH: u32 = 11;
    const EXE: u32 = 112;
    const FILTERKEY: u32 = 210;
    const EQUAL: u32 = 0x4000_0000;
    const MASK_WORDS: usize = 64;
    const FIELDS: usize = 64;
    let (calls, arch) = EXEC;
    let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
    let fields = [(ARCH, arch), (EXE, length(program)), (FILTERKEY, length(KEY))];
    let mut mask = [0u32; MASK_WORDS];
    for call in calls {
        if let Some(word) = usize::try_from(call / 32).ok().and_then(|index| mask.get_mut(index)) {
            *word |= 1 << (call % 32);
        }
    }
    let padded = |values: &mut dyn Iterator<Item = u32>| {
        let mut all: Vec<u32> = values.collect();
        all.resize(FIELDS, 0);
        all
    };
    let mut words = vec![EXIT, ALWAYS, u32::try_from(fields.len()).unwrap_or(0)];
    words.extend(mask);
    words.extend(padded(&mut fields.iter().map(|(field, _)| *field)));
    words.extend(padded(&mut fields.iter().map(|(_, value)| *value)));
    words.extend(padded(&mut fields.iter().map(|_| EQUAL)));
    words.push(length(program) + length(KEY));
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.extend_from_slice(program.as_bytes());
    bytes.extend_from_slice(KEY.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn record_is_split_into_number_and_text() {
        for (data, expected) in [
            (&b"audit(1700000000.123:456): argc=1 a0=\"id\""[..], (456, &b"argc=1 a0=\"id\""[..])),
            (b"audit(1700000000.123:456): x\0", (456, b"x")),
            (b"no stamp", (0, b"no stamp")),
            (b"audit(1:x): y", (0, b"audit(1:x): y")),
            (b"", (0, b"")),
        ] {
            assert_eq!(split(data), expected);
        }
    }

    #[test]
    fn packet_of_two_messages_is_read() {
        let mut packet = request(1300, 0, 7, b"abc");
        packet.push(0);
        packet.extend_from_slice(&request(1309, 0, 8, b""));
        let all: Vec<(u16, u32, &[u8])> =
            message(&packet).map(|m| (m.kind, m.seq, m.data)).collect();
        assert_eq!(all, [(1300, 7, &b"abc"[..]), (1309, 8, &b""[..])]);
    }

    #[test]
    fn status_of_a_kernel_is_read() {
        // 6.18, audit off: mask, enabled, failure, pid, rate, backlog limit, lost, backlog, …
        let words = [0u32, 0, 1, 0, 0, 64, 3, 0, 127, 15000, 0];
        let data: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        assert_eq!(Status::read(&data), Some(Status { enabled: 0, pid: 0, lost: 3 }));
        assert_eq!(Status::read(&data[..20]), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for found in message(&bytes) {
                split(found.data);
                Status::read(found.data);
            }
        }
    }
}
