//! The journal's export format (systemd, "Journal Export Formats"): entries of fields, an empty line after each.
//!
//! `KEY=value\n`, or for values with newlines `KEY\n | length u64 little-endian | value | \n`.
//!
//! Whoever may write to the journal chooses values, of any length. An entry is therefore read from its first byte to
//! its last, field by field, however many reads of the file that takes, and never from within a value.

use writ_proof::limits::HOST_PAYLOAD_MAX_BYTES;

use crate::limits::{JOURNAL_FIELD_MAX_BYTES, JOURNAL_NAME_MAX_BYTES};

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

/// An entry, as far as it has been read. What it holds in memory is what is told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    place: Place,
    taken: u64,
    text: Vec<u8>,
    partial: bool,
}

/// Where in an entry its next byte lies. `kept` is of the field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In a name, of which so much is read.
    Name(Vec<u8>),
    /// In a value that ends with its line.
    Line { kept: bool },
    /// In a length, of which so much is read.
    Length { kept: bool, read: Vec<u8> },
    /// In a value of which so many bytes are left.
    Value { kept: bool, left: u64 },
    /// Before the newline behind such a value.
    Behind { kept: bool },
}

impl Default for Place {
    fn default() -> Place {
        Place::Name(Vec::new())
    }
}

/// What some bytes of an entry were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// All of them are of the entry, and it goes on.
    On,
    /// It ends within them.
    Whole,
    /// This is not the format.
    Wrong(&'static str),
}

impl Entry {
    /// Reads on, and takes what it reads off `bytes`. After anything but [`Read::On`], it is over.
    pub fn read(&mut self, bytes: &mut &[u8]) -> Read {
        while !bytes.is_empty() {
            let before = bytes.len();
            let read = self.step(bytes);
            self.taken += (before - bytes.len()) as u64;
            if read != Read::On {
                return read;
            }
        }
        Read::On
    }

    /// Passes over bytes that nobody keeps, if `there` are so many; answers how many.
    pub fn skip(&mut self, there: u64) -> u64 {
        let is_full = self.text.len() + 1 >= HOST_PAYLOAD_MAX_BYTES;
        let Place::Value { kept, left } = &mut self.place else { return 0 };
        if *kept && !is_full {
            return 0;
        }
        let (kept, skipped) = (*kept, there.min(*left));
        *left -= skipped;
        if *left == 0 {
            self.place = Place::Behind { kept };
        }
        self.partial |= kept && skipped > 0;
        self.taken += skipped;
        skipped
    }

    /// How many bytes it takes so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The fields that are kept, a line each, and whether something of them is missing.
    pub fn told(self) -> (Vec<u8>, bool) {
        (self.text, self.partial)
    }

    fn step(&mut self, bytes: &mut &[u8]) -> Read {
        match &mut self.place {
            Place::Name(_) => return self.name(bytes),
            Place::Line { kept } => {
                let kept = *kept;
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let value = take(bytes, end.unwrap_or(bytes.len()));
                self.keep(kept, value);
                if end.is_some() {
                    take(bytes, 1);
                    self.end(kept);
                }
            }
            Place::Length { kept, read } => {
                let kept = *kept;
                read.extend_from_slice(take(bytes, 8 - read.len()));
                if let Some(length) = read.first_chunk() {
                    let left = u64::from_le_bytes(*length);
                    if left > JOURNAL_FIELD_MAX_BYTES {
                        return Read::Wrong("a value is longer than the journal's can be");
                    }
                    self.place = match left {
                        0 => Place::Behind { kept },
                        _ => Place::Value { kept, left },
                    };
                }
            }
            Place::Value { kept, left } => {
                let kept = *kept;
                let value = take(bytes, usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= value.len() as u64;
                if *left == 0 {
                    self.place = Place::Behind { kept };
                }
                self.keep(kept, value);
            }
            Place::Behind { kept } => {
                let kept = *kept;
                if take(bytes, 1) != b"\n" {
                    return Read::Wrong("a value does not end where it says");
                }
                self.end(kept);
            }
        }
        Read::On
    }

    fn name(&mut self, bytes: &mut &[u8]) -> Read {
        let Place::Name(name) = &mut self.place else { return Read::On };
        let byte = take(bytes, 1).first().copied().unwrap_or_default();
        match byte {
            b'\n' if name.is_empty() => return Read::Whole,
            b'\n' | b'=' if !name.is_empty() => {
                let name = std::mem::take(name);
                let kept = self.begin(&name);
                self.place = match byte {
                    b'=' => Place::Line { kept },
                    _ => Place::Length { kept, read: Vec::new() },
                };
            }
            b'A'..=b'Z' | b'0'..=b'9' | b'_' if name.len() < JOURNAL_NAME_MAX_BYTES => {
                name.push(byte);
            }
            _ => return Read::Wrong("what should be a field's name is none"),
        }
        Read::On
    }

    /// A field begins; answers whether its value is kept.
    fn begin(&mut self, name: &[u8]) -> bool {
        if !KEPT.iter().any(|kept| kept.as_bytes() == name) {
            return false;
        }
        // Room for the name, a byte of the value, and the line's end.
        let fits = self.text.len() + name.len() + 3 <= HOST_PAYLOAD_MAX_BYTES;
        if fits {
            self.text.extend_from_slice(name);
            self.text.push(b'=');
        }
        self.partial |= !fits;
        fits
    }

    fn keep(&mut self, kept: bool, value: &[u8]) {
        if kept {
            let room = (HOST_PAYLOAD_MAX_BYTES - 1).saturating_sub(self.text.len());
            let shown = value.get(..room).unwrap_or(value);
            self.text.extend_from_slice(shown);
            self.partial |= shown.len() < value.len();
        }
    }

    fn end(&mut self, kept: bool) {
        if kept {
            self.text.push(b'\n');
        }
        self.place = Place::default();
    }
}

/// Takes the first bytes off, at most so many.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &[u8] = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000000\n_PID=77\n\
        SYSLOG_IDENTIFIER=sshd\nCODE_FILE=x.c\nMESSAGE=Accepted publickey for root\n\n";

    fn read(bytes: &[u8]) -> (Read, Entry) {
        let (mut entry, mut rest) = (Entry::default(), bytes);
        (entry.read(&mut rest), entry)
    }

    #[test]
    fn entry_keeps_who_and_what() {
        let two = [ENTRY, b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n_PID=1\n\n"].concat();
        let (whole, first) = read(&two);
        assert_eq!((whole, first.taken()), (Read::Whole, ENTRY.len() as u64));
        let (text, partial) = first.told();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("SYSLOG_IDENTIFIER=sshd\nMESSAGE=Accepted publickey for root\n"));
        assert!(!text.contains("CODE_FILE") && !partial);
        let (whole, second) = read(&two[ENTRY.len()..]);
        assert_eq!((whole, second.taken()), (Read::Whole, (two.len() - ENTRY.len()) as u64));
        assert_eq!(second.told(), (b"MESSAGE=a\nb\n_PID=1\n".to_vec(), false));
    }

    #[test]
    fn entry_that_is_cut_anywhere_goes_on() {
        let whole = [ENTRY, b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n"].concat();
        let whole = &whole[..whole.len()];
        let expected = read(ENTRY).1;
        for end in 0..ENTRY.len() {
            let (on, mut entry) = read(&whole[..end]);
            assert_eq!((on, entry.taken()), (Read::On, end as u64));
            let mut rest = &whole[end..];
            assert_eq!((entry.read(&mut rest), &entry), (Read::Whole, &expected), "{end}");
        }
    }

    #[test]
    fn what_is_no_entry_is_wrong_and_too_much_is_cut() {
        for wrong in [
            &b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffx\n"[..],
            b"MESSAGE\n\x01\0\0\0\0\0\0\0abc\n",
            b"lo world\n",
            b"=x\n",
            &[b'X'; JOURNAL_NAME_MAX_BYTES + 1],
        ] {
            assert!(matches!(read(wrong).0, Read::Wrong(_)), "{wrong:?}");
        }
        let long = "x".repeat(HOST_PAYLOAD_MAX_BYTES);
        let (whole, entry) = read(format!("MESSAGE={long}\n_PID=1\n\n").as_bytes());
        let (text, partial) = entry.told();
        assert_eq!((whole, text.len(), partial), (Read::Whole, HOST_PAYLOAD_MAX_BYTES, true));
        assert!(text.ends_with(b"x\n"));
    }

    #[test]
    fn what_is_not_kept_is_passed_over() {
        let mut entry = read(b"BLOB\n\x00\x00\x10\0\0\0\0\0abc").1;
        assert_eq!(entry.skip(5), 5);
        assert_eq!(entry.skip(u64::MAX), 0x10_0000 - 8);
        assert_eq!(entry.skip(u64::MAX), 0);
        assert_eq!(entry.read(&mut &b"\n\n"[..]), Read::Whole);
        assert_eq!(entry.taken(), 5 + 8 + 0x10_0000 + 2);
        let mut entry = read(b"MESSAGE\n\x00\x00\x10\0\0\0\0\0abc").1;
        assert_eq!(entry.skip(5), 0, "there is room for it");
    }
    /// What entries are made of, and what they are not.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        let value = (0..40_usize, any::<bool>()).prop_map(|(length, kept)| {
            let name: &[u8] = if kept { b"MESSAGE\n" } else { b"BLOB\n" };
            let length_of = (length as u64).to_le_bytes();
            [name, &length_of, &b"M\n\n=\0".repeat(8)[..length], b"\n"].concat()
        });
        let line = "[A-Z_]{1,9}=[a-z\n=]{0,9}\n".prop_map(String::into_bytes);
        let kept = "_PID=[a-z]{0,9}\n".prop_map(String::into_bytes);
        let noise = prop::collection::vec(any::<u8>(), 0..3);
        prop_oneof![4 => value, 4 => line, 4 => kept, 1 => Just(b"\n".to_vec()), 1 => noise]
    }

    proptest! {
        #[test]
        fn entry_is_the_same_in_whatever_pieces_it_comes(
            parts in prop::collection::vec(part(), 0..12),
            size in 1..40_usize,
        ) {
            let bytes = parts.concat();
            let (read, whole) = read(&bytes);
            let (mut entry, mut at, mut last) = (Entry::default(), 0, Read::On);
            while last == Read::On && at < bytes.len() {
                at += entry.skip((bytes.len() - at).min(size) as u64) as usize;
                let mut piece = &bytes[at..bytes.len().min(at + size)];
                let length = piece.len();
                last = entry.read(&mut piece);
                at += length - piece.len();
            }
            prop_assert_eq!((last, entry.taken()), (read, whole.taken()));
            prop_assert_eq!(entry.told(), whole.told());
        }
    }
}
