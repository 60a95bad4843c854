//! The journal's export format (systemd, "Journal Export Formats"): entries of fields, an empty line after each.
//!
//! `KEY=value\n`, or for values with newlines `KEY\n | length u64 little-endian | value | \n`.

use writ_proof::limits::HOST_PAYLOAD_MAX_BYTES;

use super::file::Piece;

/// Fields that are kept, besides those of the message: who said it, and when.
const KEPT: [&str; 12] = [
    "__CURSOR",
    "__REALTIME_TIMESTAMP",
    "_BOOT_ID",
    "_COMM",
    "_EXE",
    "_PID",
    "_SYSTEMD_UNIT",
    "_TRANSPORT",
    "_UID",
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
];

/// One entry that is read whole may take so many bytes; a longer one is passed on in pieces as it is.
const ENTRY_MAX_BYTES: usize = 128 * 1024;

/// The entry at the start of `bytes`; `None` if it is not there whole. With `last`, whatever is left is one. What
/// is no entry is passed on as it is, up to its next empty line.
pub(crate) fn entry(bytes: &[u8], last: bool) -> Option<Piece> {
    let Some((fields, taken)) = fields(bytes) else {
        let too_long = bytes.len() >= ENTRY_MAX_BYTES;
        if bytes.is_empty() || !(last || too_long) {
            return None;
        }
        let piece = bytes.get(..HOST_PAYLOAD_MAX_BYTES).unwrap_or(bytes);
        let partial = piece.len() < bytes.len();
        return Some(Piece { text: piece.to_vec(), taken: piece.len(), partial });
    };
    let mut text = Vec::new();
    let mut partial = false;
    for (name, value) in fields {
        let kept = std::str::from_utf8(name).is_ok_and(|name| KEPT.contains(&name));
        let room = HOST_PAYLOAD_MAX_BYTES.saturating_sub(text.len() + name.len() + 2);
        if !kept || room == 0 {
            continue;
        }
        let shown = value.get(..room).unwrap_or(value);
        partial |= shown.len() < value.len();
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(shown);
        text.push(b'\n');
    }
    Some(Piece { text, taken, partial })
}

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The fields of the entry at the start of `bytes`, and how many bytes it takes with its empty line.
pub fn fields(bytes: &[u8]) -> Option<(Fields<'_>, usize)> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..end)?;
        at += end + 1;
        if line.is_empty() {
            return Some((fields, at));
        }
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            fields.push((line.get(..equals)?, line.get(equals + 1..)?));
            continue;
        }
        let (length, value) = bytes.get(at..)?.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let value = value.get(..length)?;
        // Behind the value there is a newline.
        if bytes.get(at + 8 + length)? != &b'\n' {
            return None;
        }
        fields.push((line, value));
        at += 8 + length + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &[u8] = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000000\n_PID=77\n\
        SYSLOG_IDENTIFIER=sshd\nCODE_FILE=x.c\nMESSAGE=Accepted publickey for root\n\n";

    #[test]
    fn entry_keeps_who_and_what() {
        let two = [ENTRY, b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n_PID=1\n\n"].concat();
        let first = entry(&two, false).unwrap();
        assert_eq!(first.taken, ENTRY.len());
        let text = String::from_utf8(first.text).unwrap();
        assert!(text.contains("SYSLOG_IDENTIFIER=sshd\nMESSAGE=Accepted publickey for root\n"));
        assert!(!text.contains("CODE_FILE"));
        let second = entry(&two[first.taken..], false).unwrap();
        assert_eq!(second.text, b"MESSAGE=a\nb\n_PID=1\n");
        assert_eq!(first.taken + second.taken, two.len());
    }

    #[test]
    fn entry_that_is_not_whole_waits() {
        for end in 0..ENTRY.len() {
            assert!(entry(&ENTRY[..end], false).is_none(), "{end}");
        }
        assert_eq!(entry(&ENTRY[..20], true).unwrap().taken, 20);
        let endless = b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffx\n".to_vec();
        assert!(entry(&endless, false).is_none());
        let long = vec![b'x'; ENTRY_MAX_BYTES];
        assert_eq!(entry(&long, false).unwrap().taken, HOST_PAYLOAD_MAX_BYTES);
    }
}
