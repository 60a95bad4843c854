//! What a crash or a hand can do to the log, and what opening it then does.

use std::path::Path;
use std::sync::Arc;

use writ_keyd_client::protocol::Role;
use writ_model::SystemEnv;
use writ_proof::origin::LogName;
use writ_trail::reader::Reader;
use writ_trail::wal::{Place, replay, segment_path};
use writ_trail::{Trail, TrailError};

use super::world::{
    Keyd, OPERATOR, account, append, client, config, end, eventually, item, start, wal_dir,
};

/// A ledger with a few frames; answers where each frame begins, and the end.
fn frames(dir: &Path, count: usize) -> Vec<Place> {
    let trail = start(dir);
    let front = client(&trail, Role::Front);
    for _ in 0..count {
        append(&front, item(account(1), "Encrypt", None)).unwrap();
    }
    end(&trail);
    let mut places = Vec::new();
    let found = replay(&wal_dir(dir), &mut |placed| {
        places.push(placed.at);
        Ok(())
    })
    .unwrap();
    places.push(found.place);
    places
}

#[test]
fn torn_tail_is_cut_at_every_byte_of_the_last_frame() {
    let dir = tempfile::tempdir().unwrap();
    let places = frames(dir.path(), 3);
    let path = segment_path(&wal_dir(dir.path()), 0);
    let whole = std::fs::read(&path).unwrap();
    let last = places[places.len() - 2];
    let from = usize::try_from(last.offset).unwrap();
    for length in from..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let found = replay(&wal_dir(dir.path()), &mut |_| Ok(())).unwrap();
        assert_eq!(found.place, last, "{length}");
        assert_eq!(found.cut.is_some(), length > from, "{length}");
        // Zeros after it, as a file system may leave them, change nothing.
        let mut zeroed = whole[..length].to_vec();
        zeroed.resize(whole.len() + 4096, 0);
        if zeroed[..whole.len()] != whole[..] {
            std::fs::write(&path, &zeroed).unwrap();
            let found = replay(&wal_dir(dir.path()), &mut |_| Ok(())).unwrap();
            assert_eq!(found.place, last, "{length} and zeros");
        }
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let trail = start(dir.path());
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    assert!(trail.wait_built(super::world::PATIENCE));
    let size = reader.size(OPERATOR).unwrap();
    let boot = reader.lines(OPERATOR, size).last().unwrap().unwrap();
    let boot: serde_json::Value = serde_json::from_slice(&boot.record).unwrap();
    assert_eq!(boot["incompleteFrameCut"]["offset"], last.offset);
    end(&trail);
}

#[test]
fn every_changed_byte_before_the_last_frame_is_found_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let places = frames(dir.path(), 3);
    let path = segment_path(&wal_dir(dir.path()), 0);
    let whole = std::fs::read(&path).unwrap();
    let last = usize::try_from(places[places.len() - 2].offset).unwrap();
    for at in 0..last {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&path, &changed).unwrap();
        let frame = places.iter().rfind(|p| p.offset <= at as u64).unwrap();
        match replay(&wal_dir(dir.path()), &mut |_| Ok(())) {
            Err(TrailError::Damaged { offset, .. }) => assert_eq!(offset, frame.offset, "{at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    let error = Trail::start(config(dir.path()), Arc::new(SystemEnv)).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("damaged at byte") && text.contains("watch's copy"), "{text}");
}

#[test]
fn segments_that_are_missing_or_cut_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = config(dir.path());
    small.segment_bytes = 4096;
    let trail = Trail::start(small, Arc::new(SystemEnv)).unwrap();
    let front = client(&trail, Role::Front);
    for _ in 0..20 {
        append(&front, item(account(1), "Encrypt", None)).unwrap();
    }
    end(&trail);
    let wal = wal_dir(dir.path());
    let count = writ_trail::wal::segments(&wal).unwrap().len() as u64;
    assert!(count >= 4, "{count} segments");
    let damaged = |why: &str| {
        let error = replay(&wal, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, TrailError::Damaged { .. }), "{why}: {error}");
    };
    for segment in 0..count - 1 {
        let path = segment_path(&wal, segment);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        damaged("missing");
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        damaged("cut");
        std::fs::write(&path, &bytes).unwrap();
    }
    let (a, b) = (segment_path(&wal, 1), segment_path(&wal, 2));
    let (first, second) = (std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    std::fs::write(&a, &second).unwrap();
    std::fs::write(&b, &first).unwrap();
    damaged("swapped");
    std::fs::write(&a, &first).unwrap();
    std::fs::write(&b, &second).unwrap();
    let trail = start(dir.path());
    assert_eq!(trail.status().closed, None);
    end(&trail);
}

#[test]
fn ledger_behind_its_signed_checkpoint_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let keyd = Keyd::new();
    let trail = start(dir.path());
    let image = std::fs::read(segment_path(&wal_dir(dir.path()), 0)).unwrap();
    keyd.attach(&trail);
    append(&client(&trail, Role::Front), item(account(1), "Encrypt", None)).unwrap();
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    eventually("a checkpoint", || reader.checkpoint(LogName::Checkpoint).unwrap().is_some());
    end(&trail);
    // The disk is rolled back to an older image, which is whole by itself.
    std::fs::write(segment_path(&wal_dir(dir.path()), 0), image).unwrap();
    let error = Trail::start(config(dir.path()), Arc::new(SystemEnv)).err().unwrap();
    assert!(matches!(error, TrailError::Fork { .. }), "{error}");
}

#[test]
fn files_that_are_lost_are_made_again_the_same() {
    let dir = tempfile::tempdir().unwrap();
    frames(dir.path(), 30);
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    let log = LogName::Account(account(1));
    let lines =
        || -> Vec<Vec<u8>> { reader.lines(log, 30).map(|line| line.unwrap().bytes).collect() };
    let before = lines();
    std::fs::remove_dir_all(reader.log(log).dir()).unwrap();
    std::fs::remove_file(dir.path().join("trail/lookup.sqlite")).unwrap();
    let trail = start(dir.path());
    assert!(trail.wait_built(super::world::PATIENCE));
    assert_eq!(lines(), before);
    end(&trail);
}
