//! Appending, its rules, and what lies in the directory afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use writ_keyd_client::channel::{Channel, Message, MessageKind, pack};
use writ_keyd_client::protocol::Role;
use writ_model::SystemEnv;
use writ_proof::append::AppendRequest;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::leaf::{Head, Kind, leaf_hash, rec};
use writ_proof::merkle::{Frontier, inclusion_proof, verify_inclusion};
use writ_proof::note::Note;
use writ_proof::origin::LogName;
use writ_trail::protocol::Request;
use writ_trail::reader::Reader;
use writ_trail::{Trail, TrailError};

use super::world::{
    Keyd, OPERATOR, account, append, client, config, end, eventually, genesis, is_soon, item, start,
};

#[test]
fn appended_records_are_in_their_logs_in_order_and_under_a_signed_root() {
    let dir = tempfile::tempdir().unwrap();
    let (keyd, alice) = (Keyd::new(), account(1));
    let trail = start(dir.path());
    keyd.attach(&trail);
    let front = client(&trail, Role::Front);
    let mut sent = Vec::new();
    for n in 0..300u64 {
        let item = item(alice, "Encrypt", None);
        let position = append(&front, item.clone()).unwrap();
        assert_eq!(position.leaves, [(LogName::Account(alice), n)]);
        sent.push(item);
    }
    let log = LogName::Account(alice);
    let origin = Reader::open(&dir.path().join("trail")).unwrap().origin(log);
    eventually("the head of the account's log is signed for", || {
        let reader = Reader::open(&dir.path().join("trail")).unwrap();
        let Some(note) = reader.checkpoint(LogName::Checkpoint).unwrap() else { return false };
        let checkpoint = Checkpoint::of(&Note::from_bytes(&note).unwrap()).unwrap();
        reader.lines(LogName::Checkpoint, checkpoint.size).any(|line| {
            let line = line.unwrap();
            matches!(Head::from_bytes(&line.record).unwrap(),
                Head::Log(head) if head.origin == origin && head.size == 300)
        })
    });
    end(&trail);

    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    assert_eq!(reader.logs().unwrap().len(), 3);
    for log in reader.logs().unwrap() {
        let size = reader.size(log).unwrap();
        let mut naive = Frontier::new();
        for (line, seq) in reader.lines(log, size).zip(0u64..) {
            let line = line.unwrap();
            assert_eq!((line.leaf.seq, line.leaf.log), (seq, log));
            assert_eq!(rec(line.leaf.kind, &line.record).unwrap(), line.leaf.rec);
            naive.append(leaf_hash(&line.bytes));
        }
        let files = reader.log(log);
        assert_eq!(Frontier::at(&files, size).unwrap(), naive);
        let proof = inclusion_proof(&files, size / 2, size).unwrap();
        let middle = reader.lines(log, size).nth(usize::try_from(size / 2).unwrap());
        let leaf = leaf_hash(&middle.unwrap().unwrap().bytes);
        verify_inclusion(&leaf, size / 2, size, &proof, &naive.root()).unwrap();
    }
    let records: Vec<Vec<u8>> = reader.lines(log, 300).map(|line| line.unwrap().record).collect();
    assert_eq!(records, sent.into_iter().map(|item| item.record).collect::<Vec<_>>());
    let first = reader.lines(OPERATOR, 2).map(|l| l.unwrap().leaf.kind).collect::<Vec<_>>();
    assert_eq!(first, [Kind::Statement, Kind::Boot]);
}

#[test]
fn record_sent_again_keeps_its_place_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let trail = start(dir.path());
    let front = client(&trail, Role::Front);
    let item = item(account(1), "Encrypt", None);
    let first = append(&front, item.clone()).unwrap();
    append(&front, super::world::item(account(1), "Decrypt", None)).unwrap();
    let again = append(&front, item.clone()).unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!((first.wal, &first.leaves), (again.wal, &again.leaves));
    end(&trail);
    let trail = start(dir.path());
    let front = client(&trail, Role::Front);
    let third = append(&front, item.clone()).unwrap();
    assert_eq!(third, again);
    let other = client(&trail, Role::S3);
    let refused = append(&other, item).unwrap_err();
    assert!(matches!(refused, TrailError::Refused(_)), "{refused}");
    end(&trail);
}

#[test]
fn append_that_breaks_a_rule_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let trail = start(dir.path());
    let front = client(&trail, Role::Front);
    let check = |role: Role, why: &str, change: fn(&mut writ_proof::append::AppendItem)| {
        let client = client(&trail, role);
        let mut changed = item(account(1), "Encrypt", None);
        change(&mut changed);
        let refused = append(&client, changed).unwrap_err();
        assert!(matches!(&refused, TrailError::Refused(_)), "{why}: {refused}");
    };
    check(Role::Front, "log of another account", |i| i.logs = vec![LogName::Account(account(2))]);
    check(Role::Front, "two accounts", |i| i.logs.push(LogName::Account(account(2))));
    check(Role::Front, "no log", |i| i.logs.clear());
    check(Role::Front, "a log twice", |i| i.logs.push(i.logs[0]));
    check(Role::Front, "checkpoint log", |i| i.logs = vec![LogName::Checkpoint]);
    check(Role::Front, "a checkpoint", |i| i.kind = Kind::Checkpoint);
    check(Role::Front, "another id", |i| i.event_id = writ_model::Uuid::from_bytes([1; 16]));
    check(Role::Front, "no JSON", |i| i.record = b"{".to_vec());
    check(Role::Front, "too large", |i| i.record = vec![b' '; 300 * 1024]);
    check(Role::S3, "a statement of s3", |i| i.kind = Kind::Statement);
    check(Role::Watch, "watch appends nothing", |_| {});
    let position = append(&front, item(account(1), "Encrypt", None)).unwrap();
    assert_eq!(position.leaves, [(LogName::Account(account(1)), 0)]);
    end(&trail);
}

#[test]
fn second_writer_and_foreign_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let env = || Arc::new(SystemEnv);
    let trail = start(dir.path());
    let second = Trail::start(config(dir.path()), env()).err().unwrap();
    assert!(matches!(second, TrailError::Locked(_)), "{second}");
    end(&trail);

    let mut other = config(dir.path());
    other.genesis = Some(genesis(2));
    let error = Trail::start(other, env()).err().unwrap();
    assert!(matches!(error, TrailError::Foreign { .. }), "{error}");

    let mut none = config(dir.path());
    none.genesis = None;
    end(&Trail::start(none, env()).unwrap());

    std::fs::write(dir.path().join("trail/layout"), "writ-trail 9\n").unwrap();
    let error = Trail::start(config(dir.path()), env()).err().unwrap();
    assert!(matches!(error, TrailError::Newer { found: 9, .. }), "{error}");

    let stranger = tempfile::tempdir().unwrap();
    std::fs::create_dir(stranger.path().join("trail")).unwrap();
    std::fs::write(stranger.path().join("trail/notes.txt"), "x").unwrap();
    let error = Trail::start(config(stranger.path()), env()).err().unwrap();
    assert!(matches!(error, TrailError::Foreign { .. }), "{error}");
}

#[test]
fn answer_waits_for_keyds_own_record() {
    let dir = tempfile::tempdir().unwrap();
    let keyd = Keyd::new();
    let trail = start(dir.path());
    keyd.attach(&trail);
    let (_, boot) = keyd.make();
    keyd.push(&boot);
    eventually("the boot record is acknowledged", || keyd.state().acked == Some(0));

    let (position, batch) = keyd.make();
    let front = client(&trail, Role::Front);
    let waiting = {
        let front = front.clone();
        std::thread::spawn(move || append(&front, item(account(1), "Decrypt", Some(position))))
    };
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!waiting.is_finished(), "it was answered before keyd's record was durable");
    // Others are not held up.
    append(&front, item(account(1), "Encrypt", None)).unwrap();
    keyd.push(&batch);
    let answered = waiting.join().unwrap().unwrap();
    assert_eq!(answered.leaves[0].1, 0);
    eventually("the record is acknowledged", || keyd.state().acked == Some(1));

    // Sent again, it is acknowledged again and not written again.
    keyd.state().acked = None;
    keyd.push(&batch);
    eventually("the repeated record is acknowledged", || keyd.state().acked == Some(1));

    let mut wrong = position;
    wrong.hash = writ_proof::Hash([9; 32]);
    let refused = append(&front, item(account(1), "Decrypt", Some(wrong))).unwrap_err();
    assert!(matches!(refused, TrailError::Refused(_)), "{refused}");
    end(&trail);
}

/// The acknowledgement was left out if the repeated batch met others' records in one frame.
#[test]
fn record_of_keyd_sent_again_among_others_is_acknowledged_again() {
    let dir = tempfile::tempdir().unwrap();
    let keyd = Keyd::new();
    let trail = start(dir.path());
    keyd.attach(&trail);
    let (_, boot) = keyd.make();
    keyd.push(&boot);
    eventually("the boot record is acknowledged", || keyd.state().acked == Some(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for n in 1..=4 {
            let (front, is_over) = (client(&trail, Role::Front), &is_over);
            threads.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    append(&front, item(account(n), "Encrypt", None)).unwrap();
                }
            });
        }
        let all_acknowledged = (0..20).all(|_| {
            keyd.state().acked = None;
            keyd.push(&boot);
            is_soon(|| keyd.state().acked == Some(0))
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(all_acknowledged, "a record that was sent again was not acknowledged again");
    });
    end(&trail);
}

#[test]
fn event_of_a_run_of_keyd_that_is_over_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let keyd = Keyd::new();
    let trail = start(dir.path());
    keyd.attach(&trail);
    let (_, boot) = keyd.make();
    keyd.push(&boot);
    // It died with its last record, and the event of it was left in an outbox.
    let (lost, _) = Keyd::new().make();
    append(&client(&trail, Role::Front), item(account(1), "DisableKey", Some(lost))).unwrap();
    end(&trail);
}

#[test]
fn use_records_that_do_not_chain_are_neither_written_nor_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let keyd = Keyd::new();
    let trail = start(dir.path());
    keyd.attach(&trail);
    let (_, boot) = keyd.make();
    keyd.push(&boot);
    eventually("the boot record is acknowledged", || keyd.state().acked == Some(0));
    let (_, lost) = keyd.make();
    let (_, after) = keyd.make();
    keyd.push(&after);
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    eventually("the gap is written down", || {
        let size = reader.size(OPERATOR).unwrap();
        reader.lines(OPERATOR, size).any(|line| line.unwrap().leaf.kind == Kind::Gap)
    });
    assert_eq!(keyd.state().acked, Some(0));
    keyd.push(&lost);
    keyd.push(&after);
    eventually("in order they are taken", || keyd.state().acked == Some(2));
    end(&trail);
}

#[test]
fn checkpoint_that_keyd_signed_and_trail_lost_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let keyd = Keyd::new();
    let trail = start(dir.path());
    keyd.attach(&trail);
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    eventually("the first checkpoint", || {
        reader.checkpoint(LogName::Checkpoint).unwrap().is_some()
    });
    let early = reader.checkpoint(LogName::Checkpoint).unwrap().unwrap();
    let size = |note: &[u8]| Checkpoint::of(&Note::from_bytes(note).unwrap()).unwrap().size;
    append(&client(&trail, Role::Front), item(account(1), "Encrypt", None)).unwrap();
    eventually("a later checkpoint", || {
        reader.checkpoint(LogName::Checkpoint).unwrap().is_some_and(|n| size(&n) > size(&early))
    });
    end(&trail);
    // As if the process had died between keyd's signature and the file.
    let files = reader.log(LogName::Checkpoint);
    let late = reader.checkpoint(LogName::Checkpoint).unwrap().unwrap();
    let note = Checkpoint::of(&Note::from_bytes(&late).unwrap()).unwrap();
    let head = writ_proof::leaf::LogHead {
        origin: note.origin.parse().unwrap(),
        size: note.size,
        root: note.root,
    };
    std::fs::write(files.dir().join("checkpoint"), &early).unwrap();
    std::fs::write(files.dir().join("checkpoint.pending"), writ_proof::cbor::to_vec(&vec![head]))
        .unwrap();
    let trail = start(dir.path());
    keyd.attach(&trail);
    eventually("checkpoints go on", || {
        reader.checkpoint(LogName::Checkpoint).unwrap().is_some_and(|n| size(&n) > size(&late))
    });
    end(&trail);
}

/// What a process that ended just before had sent was taken in after the last checkpoint.
#[test]
fn last_checkpoint_covers_what_a_peer_sent_before_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (keyd, alice) = (Keyd::new(), account(1));
    let trail = start(dir.path());
    keyd.attach(&trail);
    append(&client(&trail, Role::Front), item(alice, "Encrypt", None)).unwrap();
    let (front, theirs) = Channel::pair().unwrap();
    trail.attach(Role::Front, theirs).unwrap();
    let message = |id| {
        let items = (0..10).map(|_| item(alice, "Encrypt", None)).collect();
        let request = Request::Append(AppendRequest { items, statements: Vec::new() });
        let body = writ_proof::cbor::to_vec(&request).into();
        pack(&[Message { kind: MessageKind::Request, id, body }])
    };
    // Made before, so that they come faster than they are written.
    let packets: Vec<_> = (0..50).map(message).collect();
    packets.iter().for_each(|packet| front.send(packet).unwrap());
    // It sends nothing more, but still takes answers.
    rustix::net::shutdown(&front, rustix::net::Shutdown::Write).unwrap();
    end(&trail);
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    let log = LogName::Account(alice);
    assert_eq!(reader.size(log).unwrap(), 501);
    assert_eq!(under_checkpoint(&reader, log), 501);
}

/// Up to which size the newest checkpoint covers a log.
fn under_checkpoint(reader: &Reader, log: LogName) -> u64 {
    let note = reader.checkpoint(LogName::Checkpoint).unwrap().unwrap();
    let checkpoint = Checkpoint::of(&Note::from_bytes(&note).unwrap()).unwrap();
    let origin = reader.origin(log);
    let heads =
        reader.lines(LogName::Checkpoint, checkpoint.size).filter_map(
            |line| match Head::from_bytes(&line.unwrap().record) {
                Ok(Head::Log(head)) if head.origin == origin => Some(head.size),
                _ => None,
            },
        );
    heads.max().unwrap_or(0)
}
