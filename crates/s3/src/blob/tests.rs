//! Files that are whole or absent, and folders that are ours or refused.

use std::io::Write;

use writ_keyd_client::arena::Arena;
use writ_model::env::TestEnv;
use writ_model::{AccountId, Timestamp};

use super::*;
use crate::format::{
    DataKey, FORMAT, Manifest, Metadata, ObjectIdentity, SealedManifest, SegmentHeader, SegmentRef,
    SegmentWriter, SseMode,
};
use crate::index::{Body, Bucket, Change, Condition, Entry, Index, Put};

fn region() -> Region {
    "us-east-1".parse().unwrap()
}

fn files(blobs: &Blobs) -> Vec<String> {
    let mut names = Vec::new();
    blobs
        .walk(|name, _| {
            names.push(name.to_owned());
            Ok(())
        })
        .unwrap();
    names
}

#[test]
fn file_appears_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Arc::new(Blobs::open(dir.path(), &region(), 0).unwrap());
    let mut dropped = blobs.create(Some(100)).unwrap();
    dropped.write(b"half").unwrap();
    drop(dropped);
    assert_eq!(files(&blobs), Vec::<String>::new());
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    let mut file = blobs.create(Some(5)).unwrap();
    file.write(b"whole").unwrap();
    let name = segment_file(Nonce([0xab; 16]), 3);
    file.seal(&name).unwrap();
    assert_eq!(fs::read(dir.path().join("seg/ab/ab").join(&name)).unwrap(), b"whole");
    assert!(blobs.segment(Nonce([0xab; 16]), 3).is_ok());
    blobs.unlink(&name).unwrap();
    blobs.unlink(&name).unwrap();
    let gone = blobs.segment(Nonce([0xab; 16]), 3);
    assert!(matches!(gone, Err(S3Error::Missing { .. })));
}

#[test]
fn folder_of_another_region_or_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Blobs::open(dir.path(), &region(), 0).unwrap());
    assert!(Blobs::open(dir.path(), &region(), 0).is_ok());
    let other = Blobs::open(dir.path(), &"eu-west-1".parse().unwrap(), 0);
    assert!(matches!(other, Err(S3Error::Foreign { .. })));
    for (text, version) in [("writ-s3 2 us-east-1\n", true), ("", false), ("junk", false)] {
        let mut file = File::create(dir.path().join("region")).unwrap();
        Write::write_all(&mut file, text.as_bytes()).unwrap();
        let refused = Blobs::open(dir.path(), &region(), 0).err().unwrap();
        assert_eq!(matches!(refused, S3Error::Version { .. }), version, "{text:?}");
    }
}

#[test]
fn volume_below_its_floor_takes_no_writes() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Blobs::open(dir.path(), &region(), 0).unwrap().admits(0).is_ok());
    let full = Blobs::open(dir.path(), &region(), u64::MAX).unwrap();
    assert!(matches!(full.admits(0), Err(S3Error::Full { .. })));
}

#[test]
fn claimed_length_reserves_no_space_below_the_floor() {
    let Some(disk) = crate::tmpfs::Tmpfs::mount("32m") else { return };
    let mib = |n: u64| n * 1024 * 1024;
    let blobs = Arc::new(Blobs::open(disk.path(), &region(), mib(16)).unwrap());
    let free = || {
        let stat = rustix::fs::statvfs(disk.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    assert!(matches!(blobs.admits(mib(17)), Err(S3Error::Full { .. })));
    let before = free();
    let claims: Vec<FileWriter> = (0..4).map(|_| blobs.create(Some(mib(15))).unwrap()).collect();
    assert_eq!(free(), before, "a claim alone took space");
    let piece = vec![7; 1024 * 1024];
    let mut refused = 0;
    for mut file in claims {
        refused += u64::from((0..15).any(|_| {
            let written = file.write(&piece);
            assert!(free() >= mib(16), "{}", free());
            matches!(written, Err(S3Error::Full { .. }))
        }));
        std::mem::forget(file);
    }
    assert!(refused >= 3, "{refused} of 4 writers were refused");
}

/// One object in a folder with an index; answers what holds them.
async fn one_object(dir: &Path) -> (Arc<Blobs>, Index) {
    let env = Arc::new(TestEnv::new(Timestamp::from_secs(100), 7));
    let blobs = Arc::new(Blobs::open(dir, &region(), 0).unwrap());
    let index = Index::open(&dir.join("index.sqlite"), &region(), env).unwrap();
    let key = DataKey::take(&Arena::new(1).unwrap(), &mut [7; 32]).unwrap();
    let (bucket, object) = (Nonce([1; 16]), Nonce([2; 16]));
    let identity = ObjectIdentity {
        region: region(),
        bucket,
        bucket_arn: "arn:aws:s3:::one".parse().unwrap(),
        key: "k".to_owned(),
        object,
    };
    let header = SegmentHeader {
        identity: identity.clone(),
        upload: None,
        part: 0,
        key_arn: "arn:aws:kms:us-east-1:000000000001:key/x".parse().unwrap(),
        wrapped: vec![1],
        context: Vec::new(),
        frame_log2: 16,
        salt: [3; 32],
    };
    let mut bytes = Vec::new();
    let mut writer = SegmentWriter::begin(&key, &header, &mut bytes).unwrap();
    writer.push(b"hello", &mut bytes).unwrap();
    let (length, header_digest) = writer.finish(&mut bytes).unwrap();
    let manifest = Manifest {
        format: FORMAT,
        identity,
        segments: vec![SegmentRef { segment: object, part: 0, length, header_digest }],
        length,
        etag: "e".to_owned(),
        sse: SseMode::Kms,
        metadata_digest: [0; 32],
        sums: Vec::new(),
    };
    let sealed = SealedManifest::seal(&key, manifest, &Metadata::default()).unwrap();
    sealed.write_footer(&mut bytes);
    let mut file = blobs.create(None).unwrap();
    file.write(&bytes).unwrap();
    file.seal(&segment_file(object, 0)).unwrap();
    let new = Bucket {
        name: "one".to_owned(),
        id: bucket,
        account: AccountId::from_number(1).unwrap(),
        created: Timestamp::from_secs(1),
        policy: None,
    };
    let entry = Entry {
        key: "k".to_owned(),
        object,
        size: length,
        etag: "e".to_owned(),
        mtime: Timestamp::from_secs(5),
    };
    let body = Body { sealed, key_arn: header.key_arn, wrapped: vec![1], context: Vec::new() };
    let put = Put { bucket, entry, body, condition: Condition::default() };
    for change in [Change::CreateBucket(new), Change::Put(put)] {
        let rev = index.commit(change, vec![b"r".to_vec()]).await.unwrap();
        index.acknowledge(rev);
    }
    (blobs, index)
}

#[tokio::test]
async fn fsck_finds_what_differs_and_repairs_only_orphans() {
    let dir = tempfile::tempdir().unwrap();
    let (blobs, index) = one_object(dir.path()).await;
    assert_eq!(fsck(&blobs, &index, false).unwrap().findings, Vec::new());
    let orphan = segment_file(Nonce([9; 16]), 0);
    blobs.create(None).unwrap().seal(&orphan).unwrap();
    let found = fsck(&blobs, &index, false).unwrap();
    assert_eq!(found.findings, vec![Finding::Orphan { file: orphan.clone() }]);
    assert_eq!(fsck(&blobs, &index, true).unwrap().removed, 1);
    let file = segment_file(Nonce([2; 16]), 0);
    let path = blobs.path(&file);
    let bytes = fs::read(&path).unwrap();
    let header = 12 + usize::from(bytes[11]) + 256 * usize::from(bytes[10]);
    for (at, what) in [(20, "its header"), (header + 40, "its footer")] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        Write::write_all(&mut File::create(&path).unwrap(), &bad).unwrap();
        let findings = fsck(&blobs, &index, true).unwrap().findings;
        let head = Finding::Differs { file: file.clone(), what: "its head" };
        let expected = Finding::Differs { file: file.clone(), what };
        assert!(findings == vec![expected] || (at == 20 && findings == vec![head]), "{findings:?}");
    }
    blobs.unlink(&file).unwrap();
    let found = fsck(&blobs, &index, true).unwrap();
    assert_eq!(found.findings, vec![Finding::Missing { file }]);
}

#[tokio::test]
async fn sweep_removes_unfinished_files_old_orphans_and_garbage() {
    let dir = tempfile::tempdir().unwrap();
    let (blobs, index) = one_object(dir.path()).await;
    drop(File::create(dir.path().join("tmp/17")).unwrap());
    blobs.create(None).unwrap().seal(&segment_file(Nonce([9; 16]), 0)).unwrap();
    let now = writ_model::Env::now(&writ_model::SystemEnv);
    let swept = sweep(&blobs, &index, now).unwrap();
    assert_eq!(swept, Swept { temporary: 1, orphans: 0, garbage: 0 });
    let keys = vec![("k".to_owned(), Condition::default())];
    let delete = Change::Delete { bucket: Nonce([1; 16]), keys, at: Timestamp::from_secs(9) };
    let rev = index.commit(delete, vec![b"r".to_vec()]).await.unwrap();
    index.acknowledge(rev);
    let abort = Change::Abort { upload: Nonce([0; 16]), at: Timestamp::from_secs(9) };
    assert!(index.commit(abort, vec![b"r".to_vec()]).await.is_err());
    let later = now.plus(ORPHAN_AGE_AND_MORE);
    let swept = sweep(&blobs, &index, later).unwrap();
    assert_eq!((swept.garbage, swept.temporary), (1, 0));
    assert_eq!(swept.orphans, 1);
    assert_eq!(files(&blobs), Vec::<String>::new());
}

const ORPHAN_AGE_AND_MORE: std::time::Duration =
    crate::limits::ORPHAN_AGE.saturating_add(std::time::Duration::from_secs(3600));
