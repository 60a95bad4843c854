//! The index against a sorted map, and its rules of visibility.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use writ_model::env::TestEnv;
use writ_model::{AccountId, Nonce};

use super::*;
use crate::format::{
    FORMAT, Manifest, Metadata, ObjectIdentity, SealedManifest, SegmentRef, SseMode,
};

struct Fixture {
    index: Index,
    bucket: Nonce,
    _dir: tempfile::TempDir,
}

fn item() -> Vec<Vec<u8>> {
    vec![b"record".to_vec()]
}

fn bucket(name: &str, id: u8) -> Bucket {
    Bucket {
        name: name.to_owned(),
        id: Nonce([id; 16]),
        account: AccountId::from_number(1).unwrap(),
        created: Timestamp::from_secs(1),
        policy: None,
    }
}

impl Fixture {
    async fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture { index: open(dir.path()), bucket: Nonce([1; 16]), _dir: dir };
        fixture.done(Change::CreateBucket(bucket("one", 1))).await.unwrap();
        fixture
    }

    /// Commits and acknowledges.
    async fn done(&self, change: Change) -> Result<u64, CommitError> {
        let rev = self.index.commit(change, item()).await?;
        self.index.acknowledge(rev);
        self.index.published(rev).await;
        Ok(rev)
    }

    fn put(&self, key: &str, object: u8, condition: Condition) -> Change {
        Change::Put(put(self.bucket, key, Nonce([object; 16]), condition))
    }

    fn etag(&self, key: &str) -> Option<String> {
        self.index.entry(self.bucket, key).unwrap().map(|(e, _)| e.etag)
    }
}

fn open(dir: &Path) -> Index {
    let env = Arc::new(TestEnv::new(Timestamp::from_secs(100), 7));
    Index::open(&dir.join("index.sqlite"), &"us-east-1".parse().unwrap(), env).unwrap()
}

fn put(bucket: Nonce, key: &str, object: Nonce, condition: Condition) -> Put {
    let manifest = Manifest {
        format: FORMAT,
        identity: ObjectIdentity {
            region: "us-east-1".parse().unwrap(),
            bucket,
            bucket_arn: "arn:aws:s3:::one".parse().unwrap(),
            key: key.to_owned(),
            object,
        },
        segments: vec![SegmentRef { segment: object, part: 0, length: 3, header_digest: [0; 32] }],
        length: 3,
        etag: object.to_string(),
        sse: SseMode::Kms,
        metadata_digest: [0; 32],
        sums: Vec::new(),
    };
    let sealed = SealedManifest {
        manifest: writ_proof::cbor::to_vec(&manifest),
        tag: [0; 32],
        metadata: writ_proof::cbor::to_vec(&Metadata::default()),
    };
    let key_arn = "arn:aws:kms:us-east-1:000000000001:key/x".parse().unwrap();
    Put {
        bucket,
        entry: Entry {
            key: key.to_owned(),
            object,
            size: 3,
            etag: object.to_string(),
            mtime: Timestamp::from_secs(5),
        },
        body: Body { sealed, key_arn, wrapped: vec![1], context: Vec::new() },
        condition,
    }
}

#[tokio::test]
async fn write_is_visible_only_after_its_acknowledgement() {
    let f = Fixture::new().await;
    let first = f.index.commit(f.put("k", 1, Condition::default()), item()).await.unwrap();
    assert_eq!(f.etag("k"), None);
    let second = f.index.commit(f.put("k", 2, Condition::default()), item()).await.unwrap();
    f.index.acknowledge(second);
    assert_eq!(f.etag("k"), None, "a later acknowledgement waits for the earlier one");
    f.index.acknowledge(first);
    f.index.published(second).await;
    assert_eq!(f.etag("k"), Some(Nonce([2; 16]).to_string()));
    // The cleaning step follows; a commit behind it shows that it is over.
    f.done(f.put("other", 3, Condition::default())).await.unwrap();
    assert_eq!(f.index.garbage("", 9).unwrap(), vec![segment_file(Nonce([1; 16]), 0)]);
    f.done(Change::Delete {
        bucket: f.bucket,
        keys: vec![
            ("k".to_owned(), Condition::default()),
            ("none".to_owned(), Condition::default()),
        ],
        at: Timestamp::from_secs(9),
    })
    .await
    .unwrap();
    assert_eq!(f.etag("k"), None);
}

#[tokio::test]
async fn unacknowledged_commit_is_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (index, env) = (open(dir.path()), ());
    let rev = index.commit(Change::CreateBucket(bucket("one", 1)), item()).await.unwrap();
    index.acknowledge(rev);
    let put = Change::Put(put(Nonce([1; 16]), "k", Nonce([5; 16]), Condition::default()));
    let rev = index.commit(put, item()).await.unwrap();
    drop((index, env));
    let index = open(dir.path());
    let rows = index.outbox().unwrap();
    assert_eq!(
        rows.last().unwrap(),
        &OutboxRow { rev, ordinal: 0, count: 1, item: b"record".to_vec() }
    );
    assert_eq!(index.entry(Nonce([1; 16]), "k").unwrap(), None);
    for row in rows {
        index.acknowledge(row.rev);
    }
    assert!(index.entry(Nonce([1; 16]), "k").unwrap().is_some());
    assert!(matches!(
        index.commit(Change::CreateBucket(bucket("two", 2)), Vec::new()).await,
        Err(CommitError::Unrecorded)
    ));
}

#[tokio::test]
async fn condition_is_decided_in_the_transaction() {
    let f = Fixture::new().await;
    let absent = Condition { absent: true, etag: None };
    let is = |etag: &str| Condition { absent: false, etag: Some(etag.to_owned()) };
    let conflict = |outcome: Result<u64, CommitError>| match outcome {
        Err(CommitError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    };
    assert_eq!(conflict(f.done(f.put("k", 1, is("x"))).await), Conflict::NoSuchKey);
    f.done(f.put("k", 2, absent.clone())).await.unwrap();
    let held = f.done(f.put("k", 3, absent.clone())).await;
    assert_eq!(conflict(held), Conflict::Precondition("If-None-Match"));
    assert_eq!(conflict(f.done(f.put("k", 4, is("x"))).await), Conflict::Precondition("If-Match"));
    f.done(f.put("k", 5, is(&Nonce([2; 16]).to_string()))).await.unwrap();
    f.done(f.put("k", 6, is("*"))).await.unwrap();
    f.index.commit(f.put("k", 7, Condition::default()), item()).await.unwrap();
    assert_eq!(conflict(f.done(f.put("k", 8, is("*"))).await), Conflict::Concurrent);
}

#[test]
fn key_that_is_overwritten_never_vanishes_from_a_read() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let f = runtime.block_on(async {
        let f = Fixture::new().await;
        f.done(f.put("k", 1, Condition::default())).await.unwrap();
        f
    });
    let query = ListQuery { limit: 9, ..ListQuery::default() };
    let (held, is_held) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        // All connections are busy, so that the readers begin before the writes and read after them.
        let mut release = Vec::new();
        for _ in 0..READERS {
            let (go, wait) = std::sync::mpsc::channel::<()>();
            let (f, held) = (&f, held.clone());
            scope.spawn(move || {
                f.index.pool.with(|_| {
                    held.send(()).unwrap();
                    wait.recv().ok();
                });
            });
            release.push(go);
        }
        (0..READERS).for_each(|_| is_held.recv().unwrap());
        let get = scope.spawn(|| f.etag("k"));
        let list = scope.spawn(|| f.index.list(f.bucket, &query).unwrap().entries.len());
        std::thread::sleep(std::time::Duration::from_millis(200));
        runtime.block_on(async {
            f.done(f.put("k", 2, Condition::default())).await.unwrap();
            // A commit behind the cleaning shows that it is over.
            f.done(f.put("other", 3, Condition::default())).await.unwrap();
        });
        drop(release);
        assert_eq!(get.join().unwrap(), Some(Nonce([2; 16]).to_string()));
        assert_eq!(list.join().unwrap(), 2);
    });
}

#[tokio::test]
async fn full_disk_refuses_commits_and_the_writer_goes_on() {
    let Some(disk) = crate::tmpfs::Tmpfs::mount("2m") else { return };
    let f = Fixture {
        index: open(disk.path()),
        bucket: Nonce([1; 16]),
        _dir: tempfile::tempdir().unwrap(),
    };
    f.done(Change::CreateBucket(bucket("one", 1))).await.unwrap();
    f.done(f.put("k", 1, Condition::default())).await.unwrap();
    let waiting = f.index.commit(f.put("k", 2, Condition::default()), item()).await.unwrap();
    let filler = disk.fill();
    let mut refused = 0;
    for n in 3..200 {
        match f.index.commit(f.put("more", n, Condition::default()), item()).await {
            Ok(_) => assert_eq!(refused, 0, "the disk is full"),
            Err(CommitError::Full) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "the disk never became full");
    f.index.acknowledge(waiting);
    f.index.published(waiting).await;
    assert_eq!(f.etag("k"), Some(Nonce([2; 16]).to_string()));
    std::fs::remove_file(filler).unwrap();
    f.index.commit(f.put("after", 201, Condition::default()), item()).await.unwrap();
    f.index.commit(f.put("after", 202, Condition::default()), item()).await.unwrap();
    let garbage = f.index.garbage("", 9).unwrap();
    assert_eq!(garbage, vec![segment_file(Nonce([1; 16]), 0)], "the acknowledgement was not lost");
    assert!(f.index.outbox().unwrap().iter().all(|row| row.rev > waiting));
}

#[tokio::test]
async fn pinned_files_are_not_removable() {
    let f = Fixture::new().await;
    f.done(f.put("k", 1, Condition::default())).await.unwrap();
    let (found, pin) = f.index.pinned(f.bucket, "k").unwrap();
    assert!(found.is_some());
    f.done(f.put("k", 2, Condition::default())).await.unwrap();
    f.done(f.put("other", 3, Condition::default())).await.unwrap();
    let file = segment_file(Nonce([1; 16]), 0);
    assert_eq!(f.index.garbage("", 9).unwrap(), vec![file.clone()]);
    assert_eq!(f.index.removable("", 1).unwrap(), (Vec::new(), Some(file.clone())));
    drop(pin);
    assert_eq!(f.index.removable("", 9).unwrap(), (vec![file], None));
}

#[tokio::test]
async fn bucket_rules_hold() {
    let f = Fixture::new().await;
    let taken = f.done(Change::CreateBucket(bucket("one", 2))).await;
    assert!(matches!(taken, Err(CommitError::Conflict(Conflict::BucketExists { .. }))));
    f.done(f.put("k", 1, Condition::default())).await.unwrap();
    let delete = || Change::DeleteBucket { bucket: f.bucket, at: Timestamp::from_secs(9) };
    let full = f.done(delete()).await;
    assert!(matches!(full, Err(CommitError::Conflict(Conflict::BucketNotEmpty))));
    let arn = "arn:aws:iam::000000000001:user/u".parse().unwrap();
    let principals = vec![(arn, "AIDA".to_owned())];
    let policy = Some(BucketPolicy { text: "{}".to_owned(), principals });
    f.done(Change::PutPolicy { bucket: f.bucket, policy: policy.clone() }).await.unwrap();
    assert_eq!(f.index.bucket("one").unwrap().policy, policy);
    let keys = vec![("k".to_owned(), Condition::default())];
    let at = Timestamp::from_secs(9);
    f.done(Change::Delete { bucket: f.bucket, keys, at }).await.unwrap();
    f.done(delete()).await.unwrap();
    assert_eq!(f.index.bucket("one"), None);
    let gone = f.done(f.put("k", 3, Condition::default())).await;
    assert!(matches!(gone, Err(CommitError::Conflict(Conflict::NoSuchBucket))));
}

#[tokio::test]
async fn index_of_the_first_schema_is_brought_to_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path());
    let new = Bucket {
        policy: Some(BucketPolicy { text: "{}".to_owned(), principals: Vec::new() }),
        ..bucket("one", 1)
    };
    let rev = index.commit(Change::CreateBucket(new.clone()), item()).await.unwrap();
    index.acknowledge(rev);
    drop(index);
    let old = Connection::open(dir.path().join("index.sqlite")).unwrap();
    old.execute_batch("ALTER TABLE bucket DROP COLUMN principals").unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    for _ in 0..2 {
        assert_eq!(open(dir.path()).bucket("one").as_deref(), Some(&new));
    }
}

#[tokio::test]
async fn index_of_another_region_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let env = Arc::new(TestEnv::new(Timestamp::from_secs(1), 1));
    let path = dir.path().join("index.sqlite");
    let other = Index::open(&path, &"eu-west-1".parse().unwrap(), env);
    assert!(matches!(other, Err(S3Error::Foreign { .. })));
}

/// What a list should be, from the definition: each key, or the common prefix that rolls it up.
fn expected(keys: &BTreeSet<String>, query: &ListQuery) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for key in keys.iter().filter(|k| k.starts_with(&query.prefix)) {
        let rest = &key[query.prefix.len()..];
        let cut =
            query.delimiter.as_ref().and_then(|d| rest.find(d.as_str()).map(|at| at + d.len()));
        let name = cut.map_or(key.clone(), |cut| key[..query.prefix.len() + cut].to_owned());
        if out.last() != Some(&name) {
            out.push(name);
        }
    }
    out
}

fn merged(page: &ListPage) -> Vec<String> {
    let mut names: Vec<String> = page.entries.iter().map(|e| e.key.clone()).collect();
    names.extend(page.prefixes.iter().cloned());
    names.sort();
    names
}

fn key() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just("a"),
            Just("b"),
            Just("/"),
            Just("%"),
            Just("+"),
            Just("é"),
            Just("😀"),
            Just("\u{1}"),
            Just("\u{7f}")
        ],
        1..6,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn list_of_any_keys_is_that_of_a_sorted_map(
        steps in proptest::collection::vec((key(), any::<bool>(), any::<bool>()), 1..40),
        queries in proptest::collection::vec(
            (
                prop_oneof![Just(String::new()), key()],
                proptest::option::of(prop_oneof![Just("/".to_owned()), Just("a/".to_owned()), Just("é".to_owned())]),
                1usize..5,
            ),
            6,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let f = Fixture::new().await;
            let mut model: BTreeMap<String, u8> = BTreeMap::new();
            let mut hidden = Vec::new();
            for (n, (key, delete, acknowledge)) in (10u8..).zip(&steps) {
                let change = if *delete {
                    let keys = vec![(key.clone(), Condition::default())];
                    Change::Delete { bucket: f.bucket, keys, at: Timestamp::from_secs(9) }
                } else {
                    f.put(key, n, Condition::default())
                };
                // Once one is held back, all later ones are hidden.
                if *acknowledge && hidden.is_empty() {
                    f.done(change).await.unwrap();
                    if *delete { model.remove(key); } else { model.insert(key.clone(), n); }
                } else if hidden.len() < 3 {
                    hidden.push(f.index.commit(change, item()).await.unwrap());
                }
            }
            let keys: BTreeSet<String> = model.keys().cloned().collect();
            for (prefix, delimiter, limit) in queries {
                let base = ListQuery { prefix, delimiter, start: Vec::new(), limit };
                let all = expected(&keys, &base);
                let (mut by_token, mut by_marker) = (Vec::new(), Vec::new());
                let mut query = base.clone();
                loop {
                    let page = f.index.list(f.bucket, &query).unwrap();
                    by_token.extend(merged(&page));
                    assert_eq!(page.last, merged(&page).last().cloned());
                    let Some(next) = page.next else { break };
                    assert_eq!(page.entries.len() + page.prefixes.len(), limit);
                    query.start = next;
                }
                let mut query = base.clone();
                loop {
                    let page = f.index.list(f.bucket, &query).unwrap();
                    by_marker.extend(merged(&page));
                    if page.next.is_none() { break }
                    query = base.clone().after(&page.last.unwrap());
                }
                assert_eq!(by_token, all, "{base:?}");
                assert_eq!(by_marker, all, "{base:?}");
            }
        });
    }
}
