//! Recording, and what the next start finds.

use std::sync::Arc;
use std::time::Duration;

use writ_bastion::Error;
use writ_bastion::recorder::Config;
use writ_proof::recording::{Mark, State};

use super::world::{
    SESSION, config, data, header, key, recorded, say, session, start, start_faulty, verified,
};

#[tokio::test]
async fn session_is_recorded_checkpointed_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let every = Duration::from_millis(100);
    let (recorder, recovered, ledger) =
        start(Config { checkpoint_every: every, ..config(dir.path()) });
    assert_eq!(recovered, []);
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    say(&recording, "hello ").await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    // Time brings a checkpoint when there is something new, and only then.
    assert_eq!(ledger.marks.lock().unwrap().len(), 1);
    let many = (0..600).map(|_| data(b".")).collect();
    recording.accept(many).await.unwrap();
    recording.end("closed by the operator").await.unwrap();
    let marks = ledger.marks.lock().unwrap().clone();
    assert!(marks.len() >= 4, "256 frames bring a checkpoint: {marks:?}");
    let path = dir.path().join(format!("{SESSION}.rec"));
    let verified = verified(&path, &marks).unwrap();
    assert_eq!(verified.state, State::Ended("closed by the operator".to_owned()));
    assert_eq!(recorded(&path), format!("hello {}", ".".repeat(600)));
    assert_eq!(Some(&verified.last), marks.last());
    assert!(!dir.path().join(format!("{SESSION}.rec.open")).exists());
    // A session id serves once.
    let again = recorder.open(header(SESSION), key()).await.err();
    assert_eq!(again, Some(Error::Exists(SESSION.parse().unwrap())));
}

#[tokio::test]
async fn one_sync_serves_all_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, fault, _) = start_faulty(config(dir.path()));
    let mut recordings = Vec::new();
    for n in 0..100 {
        recordings.push(Arc::new(recorder.open(header(&session(n)), key()).await.unwrap()));
    }
    let load = || fault.syncs.load(std::sync::atomic::Ordering::SeqCst);
    let before = load();
    let mut waiting = Vec::new();
    for _ in 0..10 {
        for recording in &recordings {
            waiting.push(recording.accept(vec![data(b"x")]));
        }
    }
    for one in waiting {
        one.await.unwrap();
    }
    let syncs = load() - before;
    assert!(syncs < 200, "{syncs} syncs for 1,000 records");
}

/// Plays a power failure after each acknowledgement: of each file there is what was made durable.
#[tokio::test]
async fn what_was_acknowledged_was_synced_before() {
    for sessions in [1, 20] {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, fault, _) = start_faulty(config(dir.path()));
        let mut recordings = Vec::new();
        for n in 0..sessions {
            recordings.push(recorder.open(header(&session(n)), key()).await.unwrap());
        }
        for n in 0..10 {
            let text = format!("{n};");
            let waiting: Vec<_> =
                recordings.iter().map(|one| one.accept(vec![data(text.as_bytes())])).collect();
            for (one, acknowledged) in waiting.into_iter().enumerate() {
                acknowledged.await.unwrap();
                let name = format!("{}.rec.open", session(one));
                let (_, synced) = fault.lengths.lock().unwrap()[&name];
                let mut left = std::fs::read(dir.path().join(&name)).unwrap();
                left.truncate(usize::try_from(synced).unwrap());
                std::fs::write(dir.path().join("left"), left).unwrap();
                assert!(recorded(&dir.path().join("left")).ends_with(&text), "{one}: {n}");
            }
        }
    }
}

#[tokio::test]
async fn recording_that_was_left_open_is_truncated_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _, _) = start(config(dir.path()));
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    say(&recording, "before the crash").await.unwrap();
    drop((recording, recorder));
    let open = dir.path().join(format!("{SESSION}.rec.open"));
    // The next frame came to the disk in part.
    let mut bytes = std::fs::read(&open).unwrap();
    bytes.extend_from_slice(&[0, 0, 0, 99, 1, 2, 3]);
    std::fs::write(&open, bytes).unwrap();
    let (recorder, recovered, ledger) = start(config(dir.path()));
    let path = dir.path().join(format!("{SESSION}.rec"));
    let marks = ledger.marks.lock().unwrap().clone();
    let verified = verified(&path, &marks).unwrap();
    assert_eq!(verified.state, State::Truncated(7));
    assert!(
        matches!(&recovered[..], [one] if one.mark == verified.last && marks == [one.mark.clone()])
    );
    assert_eq!(recorded(&path), "before the crash");
    let torn = std::fs::read(dir.path().join(format!("{SESSION}.torn"))).unwrap();
    assert_eq!(torn, [0, 0, 0, 99, 1, 2, 3]);
    drop(recorder);
    let (_, recovered, _) = start(config(dir.path()));
    assert_eq!(recovered, []);
}

/// A crash between the end and the renaming.
#[tokio::test]
async fn ended_recording_without_its_name_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _, _) = start(config(dir.path()));
    let recording = recorder.open(header(SESSION), key()).await.unwrap();
    recording.end("done").await.unwrap();
    drop(recorder);
    let path = dir.path().join(format!("{SESSION}.rec"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::rename(&path, dir.path().join(format!("{SESSION}.rec.open"))).unwrap();
    let (_, recovered, _) = start(config(dir.path()));
    assert!(matches!(&recovered[0].mark, Mark::End(end) if end.reason == "done"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn file_without_a_header_was_never_acknowledged_and_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(format!("{SESSION}.rec.open")), b"WRITREC\0\0\x01").unwrap();
    let (_, recovered, _) = start(config(dir.path()));
    assert_eq!(recovered, []);
    assert!(dir.path().join(format!("{SESSION}.torn")).exists());
}

#[tokio::test]
async fn folder_serves_one_recorder() {
    let dir = tempfile::tempdir().unwrap();
    let (_recorder, _, _) = start(config(dir.path()));
    let second = writ_bastion::recorder::SystemDisk::open(dir.path());
    assert!(matches!(second, Err(Error::Locked(_))));
}
