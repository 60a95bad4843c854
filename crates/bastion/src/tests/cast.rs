//! Tests of asciicasts: read back by the rules of asciinema's manual.

use std::io::Cursor;

use serde::Deserialize;
use writ_model::{Timestamp, Uuid};
use writ_proof::cbor::Version;
use writ_proof::recording::event::{FileDenial, FileOperation, Terminal};
use writ_proof::recording::{Chain, Frame, SessionKind};

use super::*;

#[derive(Debug, Deserialize)]
struct HeaderV2 {
    version: u32,
    width: u16,
    height: u16,
    timestamp: u64,
    duration: f64,
    title: String,
    command: Option<String>,
    env: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct HeaderV3 {
    version: u32,
    term: Term,
    timestamp: u64,
    title: String,
}

#[derive(Debug, Deserialize)]
struct Term {
    cols: u16,
    rows: u16,
    r#type: String,
}

fn key() -> RecordingKey {
    RecordingKey::new(&[9; 32]).unwrap()
}

struct Tape {
    bytes: Vec<u8>,
    chain: Chain,
    ns: u64,
}

impl Tape {
    fn new() -> Tape {
        let header = Header {
            v: Version,
            session: "01JGZZZZZZZZZZZZZZZZZZZZZZ".parse().unwrap(),
            request: "01JGYYYYYYYYYYYYYYYYYYYYYY".parse().unwrap(),
            grants: Vec::new(),
            human: "alice".parse().unwrap(),
            host: "web-1".to_owned(),
            kind: SessionKind::Ssh,
            start: Timestamp::from_secs(1_800_000_000),
            key: "k1".to_owned(),
            recorder: Uuid::from_bytes([2; 16]),
            accounts: None,
        };
        let chain = Chain::begin(&header).unwrap();
        Tape { bytes: header.to_bytes().unwrap(), chain, ns: 0 }
    }

    fn put(&mut self, channel: u32, direction: Direction, kind: Kind, content: Vec<u8>) {
        // A third of a millisecond: three make one, and no error may add up.
        self.ns += 333_333;
        let frame = Frame { monotonic_ns: self.ns, channel, direction, kind, content };
        self.chain.push(&mut self.bytes, &frame, &key()).unwrap();
    }

    fn event(&mut self, kind: Kind, event: &impl cbor::Encode) {
        self.put(3, Direction::Bastion, kind, cbor::to_vec(event));
    }

    fn output(&mut self, bytes: &[u8]) {
        self.put(3, Direction::FromHost, Kind::Data, bytes.to_vec());
    }

    fn end(mut self) -> Cursor<Vec<u8>> {
        let wall = Timestamp::from_secs(1_800_000_009);
        self.chain.end(&mut self.bytes, self.ns, wall, "closed");
        Cursor::new(self.bytes)
    }
}

fn sample() -> Cursor<Vec<u8>> {
    let mut tape = Tape::new();
    let window = Window { cols: 100, rows: 30 };
    let terminal = Terminal { name: "xterm".to_owned(), window };
    tape.event(Kind::Open, &Opened::Terminal(terminal));
    tape.event(Kind::Open, &Opened::Exec("top".to_owned()));
    tape.output(b"caf\xc3");
    tape.put(3, Direction::ToHost, Kind::Data, b"secret".to_vec());
    tape.output(b"\xa9 \"x\"\r\n\x1b[0m");
    tape.put(4, Direction::FromHost, Kind::Data, b"another channel".to_vec());
    let wall = Timestamp::from_secs(1_800_000_001);
    tape.chain.checkpoint(&mut tape.bytes, tape.ns, wall);
    tape.event(Kind::Window, &Window { cols: 80, rows: 24 });
    (0..3000).for_each(|_| tape.output(b"."));
    let asked = FileOperation { operation: "open".to_owned(), paths: vec!["/etc".to_owned()] };
    tape.event(Kind::Sftp, &SftpEvent::Denied(FileDenial { asked, reason: "no".to_owned() }));
    tape.event(Kind::Exit, &Exit::Status(3));
    tape.end()
}

fn cast(recording: &mut Cursor<Vec<u8>>, wanted: Wanted) -> (Exported, Vec<String>) {
    let mut cast = Vec::new();
    let exported = export(recording, &key(), wanted, &mut cast).unwrap();
    let text = String::from_utf8(cast).unwrap();
    assert!(text.ends_with('\n'));
    (exported, text.lines().map(str::to_owned).collect())
}

const V2: Wanted = Wanted { version: CastVersion::V2, channel: None, input: false };
const V3: Wanted = Wanted { version: CastVersion::V3, channel: None, input: true };

#[test]
fn version_2_reads_back() {
    let (exported, lines) = cast(&mut sample(), V2);
    let header: HeaderV2 = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((header.version, header.width, header.height), (2, 100, 30));
    assert_eq!((header.timestamp, header.command.as_deref()), (1_800_000_000, Some("top")));
    assert_eq!(header.env["TERM"], "xterm");
    assert!(header.title.contains("alice on web-1") && !header.title.contains("lossy"));
    let events: Vec<(f64, String, String)> =
        lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len() as u64, exported.events);
    assert!(events.windows(2).all(|two| two[0].0 <= two[1].0));
    assert!(events.iter().all(|event| ["o", "i", "m", "r"].contains(&event.1.as_str())));
    let shown: String = events.iter().filter(|e| e.1 == "o").map(|e| e.2.as_str()).collect();
    assert_eq!(shown, format!("caf\u{e9} \"x\"\r\n\u{1b}[0m{}", ".".repeat(3000)));
    assert!(!lines.iter().any(|line| line.contains("secret") || line.contains("another")));
    assert!(events.iter().any(|e| (e.1.as_str(), e.2.as_str()) == ("r", "80x24")));
    assert!((header.duration - events.last().unwrap().0).abs() < 0.001);
}

#[test]
fn version_3_reads_back() {
    let (exported, lines) = cast(&mut sample(), V3);
    let header: HeaderV3 = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((header.version, header.term.cols, header.term.rows), (3, 100, 30));
    assert_eq!((header.term.r#type.as_str(), header.timestamp), ("xterm", 1_800_000_000));
    assert!(header.title.contains("01JGZZ"));
    let (comments, rest): (Vec<&String>, Vec<&String>) =
        lines[1..].iter().partition(|line| line.starts_with('#'));
    assert!(comments[0].starts_with("# checkpoint frame 6 after "), "{comments:?}");
    assert!(comments[1].starts_with("# end frame "));
    let events: Vec<(f64, String, String)> =
        rest.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len() as u64, exported.events);
    assert!(events.iter().all(|event| event.0 >= 0.0));
    assert!(events.iter().all(|e| ["o", "i", "m", "r", "x"].contains(&e.1.as_str())));
    // 3,010 frames of a third of a millisecond: intervals add up to the time of the last one.
    let total: f64 = events.iter().map(|event| event.0).sum();
    assert!((total - 1.003).abs() < 0.002, "{total}");
    let last = events.last().unwrap();
    assert_eq!((last.1.as_str(), last.2.as_str()), ("x", "3"));
    assert!(events.iter().any(|e| (e.1.as_str(), e.2.as_str()) == ("i", "secret")));
    assert!(events.iter().any(|e| e.1 == "m" && e.2 == "refused: no"));
}

#[test]
fn what_is_no_utf_8_is_replaced_and_the_header_says_so() {
    for (pieces, expected) in [
        (&[b"a\xff".as_slice(), b"b"][..], "a\u{fffd}b"),
        (&[b"\xe2\x82", b"\xac"], "\u{20ac}"),
        (&[b"\xe2", b"\x82", b"\xac"], "\u{20ac}"),
        (&[b"\xf0\x9f", b"x"], "\u{fffd}x"),
        (&[b"x\xe2\x82"], "x\u{fffd}"),
        (&[b"\xc3", b"\xc3\xa9"], "\u{fffd}\u{e9}"),
    ] {
        let mut tape = Tape::new();
        tape.event(Kind::Open, &Opened::Shell);
        pieces.iter().for_each(|piece| tape.output(piece));
        let (exported, lines) = cast(&mut tape.end(), V2);
        let events = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap());
        let shown: String = events.map(|event: (f64, String, String)| event.2).collect();
        assert_eq!(shown, expected);
        let lossy = expected.contains('\u{fffd}');
        assert_eq!((exported.lossy, lines[0].contains("lossy")), (lossy, lossy), "{expected}");
    }
}

#[test]
fn recording_that_is_changed_or_cut_is_not_exported() {
    let bytes = sample().into_inner();
    let refused = |bytes: Vec<u8>| export(&mut Cursor::new(bytes), &key(), V3, &mut Vec::new());
    assert!(refused(bytes[..bytes.len() - 1].to_vec()).is_err());
    let mut changed = bytes.clone();
    changed[1000] ^= 1;
    assert!(refused(changed).is_err());
    let other = RecordingKey::new(&[8; 32]).unwrap();
    assert!(export(&mut Cursor::new(bytes), &other, V3, &mut Vec::new()).is_err());
}
