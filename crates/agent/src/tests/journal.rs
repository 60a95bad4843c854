//! Tests of followed journal exports.

use std::fs;
use std::io::Write as _;

use super::*;

struct Bench {
    temp: tempfile::TempDir,
    source: FileSource,
}

impl Bench {
    /// An export that comes after the agent.
    fn new() -> Bench {
        let temp = tempfile::tempdir().unwrap();
        let source = source(temp.path(), None);
        Bench { temp, source }
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("journal")
    }

    fn write(&self, bytes: &[u8]) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// Entries that came, and in brackets what else did.
    fn poll(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        for _ in 0..12 {
            let mut events = Vec::new();
            self.source.poll(100, &mut events);
            self.source.committed();
            shown.extend(events.into_iter().map(|event| match event.payload {
                Payload::Line(line) => String::from_utf8(line.text).unwrap(),
                Payload::Gap(gap) => format!("[{:?}]", gap.reason),
                Payload::Note(_) => "[note]".to_owned(),
                other => panic!("{other:?}"),
            }));
        }
        shown
    }

    fn restart(&mut self) {
        self.source = source(self.temp.path(), self.source.cursor());
    }
}

fn source(dir: &Path, cursor: Option<Cursor>) -> FileSource {
    let (path, class) = (dir.join("journal"), "security".to_owned());
    let config = FileConfig { name: "journal".to_owned(), path, class };
    FileSource::new(&config, Shape::Journal, Arc::new(Readable::of(dir)), cursor)
}

fn entry(message: &str) -> Vec<u8> {
    format!("MESSAGE={message}\n\n").into_bytes()
}

/// An entry with a long value in which, wherever one begins to read, there is a field of 1 MiB.
fn hostile(bytes: usize) -> Vec<u8> {
    let field = [b"X\n".as_slice(), &0x10_0000_u64.to_le_bytes()].concat();
    let value = field.repeat(bytes / field.len());
    let length = (value.len() as u64).to_le_bytes();
    [b"MESSAGE=hostile\nBLOB\n".as_slice(), &length, &value, b"\n_PID=7\n\n"].concat()
}

/// A long entry was cut in pieces, and what followed was read from within its value: the length that lay there hid
/// the entries behind it.
#[test]
fn journal_entry_of_any_length_hides_no_other_one() {
    for bytes in [100, 130_000, 300_000, 9 << 20] {
        let mut bench = Bench::new();
        bench.write(&[entry("before"), hostile(bytes), entry("after")].concat());
        let expected = ["MESSAGE=before\n", "MESSAGE=hostile\n_PID=7\n", "MESSAGE=after\n"];
        assert_eq!(bench.poll(), expected, "{bytes}");
        bench.restart();
        assert_eq!(bench.poll(), [""; 0], "{bytes}");
    }
}

/// Nothing but the place where the entry begins is remembered.
#[test]
fn journal_entry_that_comes_in_parts_is_read_from_its_beginning_over_restarts() {
    let whole = hostile(300_000);
    for cut in [10, 22, 25, 150_000, whole.len() - 1] {
        let mut bench = Bench::new();
        bench.write(&entry("before"));
        bench.write(&whole[..cut]);
        assert_eq!(bench.poll(), ["MESSAGE=before\n"], "{cut}");
        bench.restart();
        assert_eq!(bench.poll(), [""; 0], "{cut}");
        bench.write(&whole[cut..]);
        bench.write(&entry("after"));
        assert_eq!(bench.poll(), ["MESSAGE=hostile\n_PID=7\n", "MESSAGE=after\n"], "{cut}");
    }
}

/// Its end may lie within an entry.
#[test]
fn journal_that_was_there_before_the_agent_is_taken_in_from_the_entry_at_its_end() {
    let whole = hostile(300_000);
    for cut in [0, 10, 150_000, whole.len()] {
        let mut bench = Bench::new();
        bench.write(&entry("old"));
        bench.write(&whole[..cut]);
        bench.source = source(bench.temp.path(), None);
        assert_eq!(bench.poll(), ["[note]"], "{cut}");
        bench.restart();
        assert_eq!(bench.poll(), [""; 0], "{cut}");
        bench.write(&whole[cut..]);
        bench.write(&entry("new"));
        let hostile: &[&str] = if cut < whole.len() { &["MESSAGE=hostile\n_PID=7\n"] } else { &[] };
        assert_eq!(bench.poll(), [hostile, &["MESSAGE=new\n"]].concat(), "{cut}");
    }
}

#[test]
fn journal_that_is_no_export_is_a_fault_until_it_is_begun_anew() {
    let mut bench = Bench::new();
    bench.write(&entry("one"));
    bench.write(b"no field\nMESSAGE=two\n\n");
    assert_eq!(bench.poll(), ["MESSAGE=one\n"]);
    assert!(bench.source.fault().unwrap().contains("behind byte 13"));
    bench.restart();
    assert_eq!(bench.poll(), [""; 0]);
    assert!(bench.source.fault().unwrap().contains("begin the file anew"));
    fs::rename(bench.path(), bench.temp.path().join("journal.1")).unwrap();
    bench.write(&entry("three"));
    assert_eq!(bench.poll(), ["[Damaged]", "MESSAGE=three\n"]);
    assert_eq!(bench.source.fault(), None);
    bench.write(b"no field\n");
    assert_eq!(bench.poll(), [""; 0]);
    fs::OpenOptions::new().write(true).open(bench.path()).unwrap().set_len(0).unwrap();
    bench.write(&entry("4"));
    assert_eq!(bench.poll(), ["[note]", "[Rotated]", "MESSAGE=4\n"]);
}

#[test]
fn journal_that_was_rotated_within_an_entry_tells_what_there_is() {
    let mut bench = Bench::new();
    bench.write(b"_PID=1\nMESSAGE=hal");
    assert_eq!(bench.poll(), [""; 0]);
    fs::rename(bench.path(), bench.temp.path().join("journal.1")).unwrap();
    bench.write(&entry("two"));
    assert_eq!(bench.poll(), ["_PID=1\nMESSAGE=hal", "MESSAGE=two\n"]);
}
