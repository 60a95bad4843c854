//! Tests of the host log's verification: one harm, one exit code.

use writ_model::{Nonce, Timestamp, Uuid};
use writ_proof::cbor::Version;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hostlog::log::{Acknowledged, Connected, Enrolment, Event, HostLost, Left};
use writ_proof::hostlog::{Bye, Class, Frame, Gap, GapReason, Lost, Payload, Position};
use writ_proof::roster::Roster;

use super::super::tests::ledger::{KEYD, WATCH, genesis, key};
use super::*;

const HOST_SEED: [u8; 32] = [77; 32];

/// A host log in a folder.
struct Bench {
    temp: tempfile::TempDir,
    root: Root,
    entries: Vec<Event>,
}

fn host_key() -> SoftKey {
    key(HOST_SEED)
}

fn frame(seq: u64, payload: Payload, signer: &SoftKey) -> Vec<u8> {
    let frame = Frame {
        v: Version,
        host: "web-1".parse().unwrap(),
        boot: Uuid::from_bytes([1; 16]),
        epoch: 1,
        seq,
        mono_ms: seq,
        wall: Timestamp::from_secs(5),
        source: "sshd".to_owned(),
        class: Class::Security,
        payload,
        signature: None,
    };
    frame.sign(signer).unwrap().to_bytes().unwrap()
}

fn note(text: &str) -> Payload {
    Payload::Note(text.to_owned())
}

/// What a host of whom nothing bad is known leaves behind.
fn honest() -> Vec<Event> {
    let host = "web-1".parse().unwrap();
    let public = host_key().public_key().0;
    let until = Timestamp::from_secs(9);
    let enrolled = Enrolment { host, key: public, token: Hash([2; 32]), until };
    let host = || "web-1".parse().unwrap();
    let hello = Connected {
        host: host(),
        boot: Uuid::from_bytes([1; 16]),
        epoch: 1,
        instance: Nonce([1; 16]),
        config: Hash([1; 32]),
        end: Position::default(),
    };
    let (class, reason) = (Class::Security, GapReason::Kernel);
    let gap = Payload::Gap(Gap { from: 0, to: 0, count: 2, class, reason });
    let mut events = vec![Event::Enrolled(enrolled), Event::Hello(hello)];
    let mut place = Position::default();
    for (seq, payload) in [note("a"), note("b"), gap, note("c")].into_iter().enumerate() {
        let bytes = frame(seq as u64, payload, &host_key());
        place = place.after(&bytes);
        events.push(Event::Frame(bytes));
    }
    let reason = GapReason::Full;
    let lost = Lost { first: 4, count: 3, class, reason, head: Hash([8; 32]), signature: None };
    let lost = lost.sign(&host(), &host_key()).unwrap();
    events.push(Event::Lost(HostLost { host: host(), lost }));
    place = place.behind(&lost).unwrap();
    let bytes = frame(7, note("d"), &host_key());
    place = place.after(&bytes);
    events.push(Event::Frame(bytes));
    let bye = Bye::sign(&host(), place, "stop".to_owned(), &host_key()).unwrap();
    events.push(Event::Left(Left { host: host(), bye }));
    events
}

impl Bench {
    fn new(entries: Vec<Event>) -> Bench {
        let (genesis, roster) = Roster::begin(&genesis(), None).unwrap();
        let root = Root { genesis, digest: roster.head(), roster };
        let bench = Bench { temp: tempfile::tempdir().unwrap(), root, entries };
        bench.write();
        bench
    }

    fn files(&self) -> HostFiles {
        HostFiles {
            folder: self.temp.path().join("hostlog"),
            kept: self.temp.path().join("host.cosigned"),
        }
    }

    /// Entries alone.
    fn write_entries(&self) {
        std::fs::create_dir_all(self.files().folder).unwrap();
        let mut bytes = b"WRITHLG\0\0\x01".to_vec();
        for leaf in self.leaves() {
            bytes.extend_from_slice(&u32::try_from(leaf.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&crc32c::crc32c(&leaf).to_be_bytes());
            bytes.extend_from_slice(&leaf);
        }
        write_file(self.files().folder.join("0000000000.log"), bytes);
    }

    fn leaves(&self) -> Vec<Vec<u8>> {
        let entry = |(at, event): (usize, &Event)| {
            let at = Timestamp::from_secs(at as u64);
            Entry { v: Version, at, event: event.clone() }.to_bytes().unwrap()
        };
        self.entries.iter().enumerate().map(entry).collect()
    }

    /// Entries, and everything that is signed of them.
    fn write(&self) {
        self.write_entries();
        let mut tree = Frontier::new();
        self.leaves().iter().for_each(|leaf| {
            tree.append(leaf_hash(leaf));
        });
        let origin = self.root.origin(LogName::Host).to_string();
        let mut note = Checkpoint::new(&origin, tree.size(), tree.root()).to_note().unwrap();
        note.add(note.sign(&origin, &key(WATCH)).unwrap());
        write_file(self.files().folder.join(CHECKPOINT_FILE), note.to_bytes());
        let name = self.root.genesis.keyd_cosigner_name();
        note.add(note.cosign(&name, &key(KEYD), Timestamp::from_secs(1)).unwrap());
        write_file(self.files().folder.join(COSIGNED_FILE), note.to_bytes());
        write_file(self.files().kept, note.to_bytes());
    }

    fn check(&self, seen: Option<(u64, Hash)>) -> Report {
        let mut report = Report::default();
        check(&self.files(), &self.root, seen, &mut report);
        report
    }
}

#[test]
fn honest_host_log_verifies_and_is_remembered() {
    let bench = Bench::new(honest());
    let mut report = Report::default();
    let head = check(&bench.files(), &bench.root, None, &mut report);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(head.map(|(size, _)| size), Some(9));
    assert!(bench.check(head).findings.is_empty());
    let said = report.checked.iter().find(|(name, _)| *name == "host log").unwrap();
    assert_eq!(said.1, "9 entries, 5 frames of 1 hosts, 1 signed gaps");
}

/// Changes of the entries by somebody who does not have watch's key, and by a watch that signs anew.
#[test]
fn host_log_that_is_cut_changed_or_reordered_is_noticed() {
    type Harm = fn(&mut Vec<Event>);
    let harms: [(&str, Harm); 4] = [
        ("cut", |entries| entries.truncate(6)),
        ("deleted", |entries| drop(entries.remove(3))),
        ("reordered", |entries| entries.swap(2, 3)),
        ("changed", |entries| entries[3] = Event::Frame(frame(1, note("x"), &host_key()))),
    ];
    for (name, harm) in harms {
        let mut bench = Bench::new(honest());
        let kept = std::fs::read(bench.files().kept).unwrap();
        harm(&mut bench.entries);
        bench.write_entries();
        assert_eq!(bench.check(None).findings[0].code, Code::HostLog, "{name}");
        // Signed anew by watch: then the ledger's copy of what keyd has cosigned tells.
        bench.write();
        write_file(bench.files().kept, kept);
        let codes: Vec<Code> = bench.check(None).findings.iter().map(|f| f.code).collect();
        assert_eq!(codes[0], Code::Consistency, "{name}: {codes:?}");
    }
}

#[test]
fn folder_that_is_an_old_copy_is_noticed_by_the_ledgers_copy_and_by_the_last_verification() {
    let bench = Bench::new(honest());
    let head = check(&bench.files(), &bench.root, None, &mut Report::default());
    let old = Bench::new(honest()[..5].to_vec());
    assert_eq!(old.check(head).findings[0].code, Code::Consistency);
    std::fs::copy(bench.files().kept, old.files().kept).unwrap();
    assert_eq!(old.check(None).findings[0].code, Code::Consistency);
    std::fs::remove_dir_all(old.files().folder).unwrap();
    assert_eq!(old.check(None).findings[0].code, Code::Files);
}

#[test]
fn signature_of_another_key_has_its_own_code() {
    let bench = Bench::new(honest());
    for (file, code) in [(CHECKPOINT_FILE, Code::Signature), (COSIGNED_FILE, Code::Witnesses)] {
        let path = bench.files().folder.join(file);
        let before = std::fs::read(&path).unwrap();
        let text = String::from_utf8(before.clone()).unwrap();
        let (head, last) = text.trim_end().rsplit_once(' ').unwrap();
        let changed = last.replacen(&last[20..21], if &last[20..21] == "A" { "B" } else { "A" }, 1);
        write_file(&path, format!("{head} {changed}\n"));
        assert_eq!(bench.check(None).findings[0].code, code, "{file}");
        write_file(&path, before);
    }
}

/// What a watch that signs everything itself cannot invent: the host's own word.
#[test]
fn chain_that_the_host_has_not_signed_is_noticed_also_under_good_checkpoints() {
    let stranger = key([78; 32]);
    type Harm = fn(&mut Vec<Event>, &SoftKey);
    let harms: [(&str, Harm); 6] = [
        ("a frame is left out", |entries, _| drop(entries.remove(3))),
        ("two frames change places", |entries, _| entries.swap(2, 3)),
        ("a gap that the host has not signed", |entries, stranger| {
            let (class, reason) = (Class::Security, GapReason::Kernel);
            let gap = Payload::Gap(Gap { from: 0, to: 0, count: 2, class, reason });
            entries[4] = Event::Frame(frame(2, gap, stranger));
        }),
        ("frames are said to be lost", |entries, stranger| {
            let Event::Lost(lost) = &mut entries[6] else { panic!("no loss") };
            lost.lost = lost.lost.sign(&lost.host, stranger).unwrap();
        }),
        ("an end that the host has not signed", |entries, stranger| {
            let Some(Event::Left(left)) = entries.last_mut() else { panic!("no end") };
            let end = left.bye.end;
            left.bye = Bye::sign(&left.host, end, "stop".to_owned(), stranger).unwrap();
        }),
        ("an acknowledgement of no alarm", |entries, _| {
            let by = "ann".to_owned();
            entries.push(Event::Acknowledged(Acknowledged { alarm: 3, by }));
        }),
    ];
    for (name, harm) in harms {
        let mut entries = honest();
        harm(&mut entries, &stranger);
        let codes: Vec<Code> =
            Bench::new(entries).check(None).findings.iter().map(|f| f.code).collect();
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == Code::HostLog), "{name}");
    }
}

/// A file of a test needs no durability.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn write_file(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}
