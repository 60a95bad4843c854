//! Goal: SQLite gives the same history as the model in memory. Method: random commits, conflicts,
//! clean and unclean restarts, acknowledgements, compactions and cells are given to both, and all that
//! can be asked is compared after each step.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use writ_model::env::TestEnv;
use writ_model::{Env, Revision, Timestamp};
use writ_store::engine::{Changes, Engine, Group, MemoryDisk, MemoryEngine, SqliteEngine};
use writ_store::{Expect, Object, Transaction};

use crate::support::{account, record, revocation, transaction, user};

#[derive(Debug, Clone)]
enum Step {
    Acknowledge,
    Beat(u64),
    Changes {
        after: u64,
        limit: usize,
    },
    Commit(Vec<Wanted>),
    Compact {
        age_secs: u64,
    },
    Reopen,
    SwapCell {
        name: u8,
        expected: u64,
    },
    /// The files are copied while the database is open, and the copy is opened.
    Crash,
    Wait {
        secs: u64,
    },
}

#[derive(Debug, Clone)]
struct Wanted {
    writes: Vec<(u8, Write)>,
    requires: Option<(u8, bool)>,
    records: usize,
    ending: bool,
}

#[derive(Debug, Clone, Copy)]
enum Write {
    Create,
    Delete,
    DeleteBlind,
    PutBlind,
    Update,
    UpdateStale,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop_oneof![
        4 => Just(Write::Create),
        2 => Just(Write::Delete),
        1 => Just(Write::DeleteBlind),
        2 => Just(Write::PutBlind),
        4 => Just(Write::Update),
        1 => Just(Write::UpdateStale),
    ];
    let wanted = (
        prop::collection::btree_map(0u8..6, write, 1..4),
        prop::option::of((0u8..6, any::<bool>())),
        1usize..3,
        any::<bool>(),
    )
        .prop_map(|(writes, requires, records, ending)| Wanted {
            writes: writes.into_iter().collect(),
            requires,
            records,
            ending,
        });
    let step = prop_oneof![
        2 => Just(Step::Acknowledge),
        1 => (0u64..20).prop_map(Step::Beat),
        2 => (0u64..20, 0usize..6).prop_map(|(after, limit)| Step::Changes { after, limit }),
        8 => prop::collection::vec(wanted, 1..6).prop_map(Step::Commit),
        1 => (0u64..30).prop_map(|age_secs| Step::Compact { age_secs }),
        1 => Just(Step::Reopen),
        1 => (0u8..2, 0u64..3).prop_map(|(name, expected)| Step::SwapCell { name, expected }),
        1 => Just(Step::Crash),
        2 => (0u64..20).prop_map(|secs| Step::Wait { secs }),
    ];
    prop::collection::vec(step, 1..24)
}

/// Even numbers are users, whose names come in two spellings; odd ones are revocations.
fn object(number: u8, revision: Revision) -> Object {
    if number % 2 == 1 {
        return revocation(&format!("subject{number}"), revision.0);
    }
    let name = if revision.0.is_multiple_of(2) {
        format!("User{number}")
    } else {
        format!("uSER{number}")
    };
    Object::new(account(u64::from(number % 3)), user(&name))
}

struct World {
    env: TestEnv,
    disk: MemoryDisk,
    model: MemoryEngine,
    folder: tempfile::TempDir,
    file: u32,
    sqlite: SqliteEngine,
    acknowledged: Revision,
}

impl World {
    fn new() -> World {
        // Two worlds of the same seed draw the same epoch.
        let now = Timestamp::from_secs(1_000_000);
        let disk = MemoryDisk::new(&TestEnv::new(now, 1));
        let folder = tempfile::tempdir().unwrap();
        let sqlite =
            SqliteEngine::open(&folder.path().join("0.db"), &TestEnv::new(now, 1)).unwrap();
        let model = MemoryEngine::open(&disk);
        let (env, acknowledged) = (TestEnv::new(now, 2), Revision(0));
        World { env, disk, model, folder, file: 0, sqlite, acknowledged }
    }

    fn transaction(&mut self, wanted: &Wanted) -> Transaction {
        let load = self.model.load().unwrap();
        let mut built = transaction();
        built.records.extend((1..wanted.records).map(|_| record()));
        built.endings = wanted.ending;
        for (number, write) in &wanted.writes {
            let object = object(*number, load.revision);
            let id = object.id();
            let at = load.objects.iter().find(|(o, _)| o.id() == id).map(|(_, at)| *at);
            built = match (write, at) {
                (Write::Create, _) => built.create(object),
                (Write::Delete, at) => built.delete(id, at.unwrap_or(Revision(1))),
                (Write::DeleteBlind, _) => {
                    built.deletes.push(id);
                    built
                }
                (Write::PutBlind, _) => built.put(object),
                (Write::Update, at) => built.update(object, at.unwrap_or(Revision(1))),
                (Write::UpdateStale, at) => {
                    built.update(object, Revision(at.map_or(7, |at| at.0 + 1)))
                }
            };
        }
        if let Some((number, there)) = wanted.requires {
            let expect = if there { Expect::Unchanged } else { Expect::Absent };
            built = built.require(object(number, Revision(0)).id(), expect);
        }
        built
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Acknowledge => self.acknowledged = self.model.load().unwrap().revision,
            Step::Beat(seen) => {
                let (seen, at) = (Revision(*seen), self.env.now());
                let (ours, theirs) =
                    (self.model.beat("n", seen, at), self.sqlite.beat("n", seen, at));
                assert_eq!(ours.unwrap(), theirs.unwrap());
            }
            Step::Changes { after, limit } => {
                let after = Revision(*after);
                let expected = self.model.changes(after, *limit).unwrap();
                assert_eq!(self.sqlite.changes(after, *limit).unwrap(), expected);
            }
            Step::Commit(group) => self.commit(group),
            Step::Compact { age_secs } => {
                let now = self.env.now().millis();
                let before = Timestamp::from_millis(now - age_secs * 1000);
                let expected = self.model.compact(before).unwrap();
                assert_eq!(self.sqlite.compact(before).unwrap(), expected);
            }
            Step::Reopen => {
                self.model = MemoryEngine::open(&self.disk);
                let path = self.path(self.file);
                self.sqlite = SqliteEngine::open(&path, &self.env).unwrap();
            }
            Step::SwapCell { name, expected } => {
                let (name, body) = (name.to_string(), self.env.nonce().0);
                let swapped = self.model.swap_cell(&name, *expected, &body).unwrap();
                assert_eq!(self.sqlite.swap_cell(&name, *expected, &body).unwrap(), swapped);
                assert_eq!(self.sqlite.cell(&name).unwrap(), self.model.cell(&name).unwrap());
            }
            Step::Crash => self.crash(),
            Step::Wait { secs } => self.env.advance(Duration::from_secs(*secs)),
        }
    }

    fn commit(&mut self, group: &[Wanted]) {
        let transactions: Vec<Transaction> = group.iter().map(|w| self.transaction(w)).collect();
        let before = self.model.load().unwrap().revision;
        let group = Group {
            transactions: &transactions,
            acknowledged: self.acknowledged,
            at: self.env.now(),
        };
        let expected = self.model.commit(&group).unwrap();
        let outcome = self.sqlite.commit(&group).unwrap();
        assert_eq!(format!("{outcome:?}"), format!("{expected:?}"));
        let some = expected.results.iter().any(Result::is_ok);
        assert_eq!(expected.revision, some.then_some(before.next()));
        for (row, at) in expected.rows.iter().zip(0u32..) {
            assert_eq!((row.ordinal, row.count as usize), (at, expected.rows.len()));
        }
    }

    fn crash(&mut self) {
        let (from, to) = (self.path(self.file), self.path(self.file + 1));
        std::fs::copy(&from, &to).unwrap();
        let log = |path: &Path| path.with_extension("db-wal");
        if log(&from).exists() {
            std::fs::copy(log(&from), log(&to)).unwrap();
        }
        self.file += 1;
        self.sqlite = SqliteEngine::open(&to, &self.env).unwrap();
        self.model = MemoryEngine::open(&self.disk);
    }

    fn path(&self, file: u32) -> std::path::PathBuf {
        self.folder.path().join(format!("{file}.db"))
    }

    fn compare(&mut self) {
        let expected = self.model.load().unwrap();
        assert_eq!(self.sqlite.load().unwrap(), expected);
        assert_eq!(self.sqlite.outbox().unwrap(), self.model.outbox().unwrap());
        let history = self.model.changes(Revision(0), usize::MAX).unwrap();
        assert_eq!(self.sqlite.changes(Revision(0), usize::MAX).unwrap(), history);
        if let Changes::Batch(changes) = history {
            // What was published one by one is what a load finds.
            let empty = writ_store::Snapshot::empty(expected.epoch);
            let mut replayed: Vec<_> = empty.apply(&changes, expected.revision).objects().collect();
            replayed.sort_by_key(|(object, _)| object.id());
            assert_eq!(replayed, expected.objects);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_and_memory_give_identical_histories(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.compare();
        }
    }
}

#[test]
fn outbox_at_its_limit_takes_no_mutation() {
    let mut world = World::new();
    let engines: [&mut dyn Engine; 2] = [&mut world.model, &mut world.sqlite];
    for engine in engines {
        let mut error = None;
        for i in 0..writ_store::limits::OUTBOX_MAX_ROWS {
            let mut wanted = transaction().put(revocation(&format!("s{i}"), 1));
            wanted.records.extend((1..16).map(|_| record()));
            let transactions = &[wanted];
            let (acknowledged, at) = (Revision(0), Timestamp::from_secs(1));
            if let Err(e) = engine.commit(&Group { transactions, acknowledged, at }) {
                error = Some((i, e));
                break;
            }
        }
        let (count, error) = error.unwrap();
        assert_eq!(count, writ_store::limits::OUTBOX_MAX_ROWS / 16);
        assert!(error.is_retryable(), "{error}");
        assert_eq!(engine.load().unwrap().objects.len(), count);
    }
}
