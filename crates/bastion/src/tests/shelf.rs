//! The folder of recordings: what it lends, and how it looks for it.

use writ_model::{Timestamp, Uuid};
use writ_proof::recording::{Chain, Direction, Frame, Kind, RecordingKey, SessionKind};

use super::*;

fn session(n: u8) -> Ulid {
    Ulid::from_bytes([n; 16])
}

fn header(n: u8) -> Header {
    Header {
        v: Default::default(),
        session: session(n),
        request: session(100),
        grants: Vec::new(),
        human: "anna".parse().unwrap(),
        host: "web-1".to_owned(),
        kind: SessionKind::Ssh,
        start: Timestamp::from_secs(1),
        key: "k".to_owned(),
        recorder: Uuid::from_bytes([1; 16]),
        accounts: None,
    }
}

/// A recording of some frames; answers its bytes and its last mark.
fn record(dir: &Path, n: u8, ending: &str) -> (Vec<u8>, Mark) {
    let key = RecordingKey::new(&[9; 32]).unwrap();
    let mut bytes = header(n).to_bytes().unwrap();
    let mut chain = Chain::begin(&header(n)).unwrap();
    for seq in 0..3u8 {
        let (direction, content) = (Direction::FromHost, vec![seq; 40_000]);
        let frame = Frame { monotonic_ns: 1, channel: 1, direction, kind: Kind::Data, content };
        chain.push(&mut bytes, &frame, &key).unwrap();
    }
    let mark = chain.end(&mut bytes, 2, Timestamp::from_secs(2), "the operator left");
    write_file(dir.join(format!("{}.{ending}", session(n))), &bytes);
    (bytes, mark)
}

#[test]
fn recordings_are_listed_newest_first_and_lent_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, mark) = record(dir.path(), 1, "rec");
    record(dir.path(), 2, "rec.open");
    write_file(dir.path().join("host.seed"), [0; 32]);
    write_file(dir.path().join(format!("{}.rec", session(3))), b"WRITREC");
    let end = SignedEnd { mark, signature: [7; 64] };
    keep_end(dir.path(), &end).unwrap();
    let shelf = Shelf::new(dir.path().to_owned());
    let Lent::List(page) = shelf.lend(&Want::List(None)) else { panic!() };
    let found: Vec<_> = page.items.iter().map(|one| (one.header.session, one.closed)).collect();
    assert_eq!(found, [(session(2), false), (session(1), true)]);
    assert_eq!(page.next, None);
    let Lent::List(older) = shelf.lend(&Want::List(Some(session(2)))) else { panic!() };
    assert_eq!(older.items.len(), 1);
    let Lent::Facts(facts) = shelf.lend(&Want::Facts(session(1))) else { panic!() };
    assert_eq!((facts.bytes, facts.end), (whole.len() as u64, Some(end)));
    let from = 1000;
    let wanted = PieceWanted { session: session(1), from };
    let Lent::Piece(piece) = shelf.lend(&Want::Piece(wanted)) else { panic!() };
    assert_eq!(piece.bytes, whole[1000..]);
    assert_eq!(piece.total, whole.len() as u64);
    let behind = PieceWanted { session: session(1), from: u64::MAX / 4 };
    let Lent::Piece(piece) = shelf.lend(&Want::Piece(behind)) else { panic!() };
    assert!(piece.bytes.is_empty());
}

#[test]
fn what_is_not_there_or_is_another_sessions_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 1, "rec");
    let own = dir.path().join(format!("{}.rec", session(1)));
    std::fs::copy(own, dir.path().join(format!("{}.rec", session(4)))).unwrap();
    let shelf = Shelf::new(dir.path().to_owned());
    for n in [4, 5] {
        assert!(matches!(shelf.lend(&Want::Facts(session(n))), Lent::Missing(_)), "{n}");
    }
}

/// A file of a test needs no durability.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn write_file(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}
