//! What only this engine can do wrong.

use std::os::unix::fs::PermissionsExt;

use writ_model::{SystemEnv, Uuid};

use super::*;
use crate::state::Revocation;
use crate::{LogName, OutboxRecord, RecordKind};

fn transaction(subject: &str) -> Transaction {
    let account = AccountId::from_number(1).unwrap();
    let record = OutboxRecord {
        event_id: Uuid::random(&SystemEnv),
        kind: RecordKind::Event,
        logs: vec![LogName::Account(account), LogName::Operator],
        record: vec![b'r'; 2000],
        use_position: None,
    };
    let body = Revocation { subject: subject.to_owned(), before: Timestamp::from_secs(1) };
    Transaction::new("actor", Uuid::random(&SystemEnv), record).put(Object::new(account, body))
}

fn commit(engine: &mut SqliteEngine, transaction: Transaction) -> Result<Outcome, StoreError> {
    let at = Timestamp::from_secs(5);
    let transactions = &[transaction];
    engine.commit(&Group { transactions, acknowledged: Revision(0), at })
}

#[test]
fn database_is_synchronous_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let engine = SqliteEngine::open(&path, &SystemEnv).unwrap();
    let pragma = |name: &str| -> String {
        engine
            .connection
            .pragma_query_value(None, name, |row| Ok(format!("{:?}", row.get_ref(0)?)))
            .unwrap()
    };
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert!(pragma("journal_mode").starts_with("Text"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn commit_on_a_full_database_changes_nothing_and_works_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = SqliteEngine::open(&folder.path().join("store.db"), &SystemEnv).unwrap();
    let limit = |engine: &SqliteEngine, pages: i64| {
        engine
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
            .unwrap()
    };
    commit(&mut engine, transaction("first")).unwrap();
    limit(&engine, 1);
    let full = (0..50).find_map(|i| commit(&mut engine, transaction(&format!("s{i}"))).err());
    assert!(matches!(full, Some(StoreError::Full { what: "the disk" })), "{full:?}");
    let (before, rows) = (engine.load().unwrap(), engine.outbox().unwrap());
    assert_eq!(rows.len() as u64, before.revision.0);
    limit(&engine, 1 << 20);
    let outcome = commit(&mut engine, transaction("last")).unwrap();
    assert_eq!(outcome.revision, Some(before.revision.next()));
}

#[test]
fn write_of_another_process_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut first = SqliteEngine::open(&path, &SystemEnv).unwrap();
    let mut second = SqliteEngine::open(&path, &SystemEnv).unwrap();
    commit(&mut first, transaction("a")).unwrap();
    let error = commit(&mut second, transaction("b")).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn object_that_claims_another_name_is_refused_at_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut engine = SqliteEngine::open(&path, &SystemEnv).unwrap();
    commit(&mut engine, transaction("a")).unwrap();
    engine.connection.execute("UPDATE object SET id = 'b'", []).unwrap();
    assert!(matches!(engine.load(), Err(StoreError::Corrupt { .. })));
}

#[test]
fn use_position_of_a_record_survives() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = SqliteEngine::open(&folder.path().join("store.db"), &SystemEnv).unwrap();
    let mut wanted = transaction("a");
    let boot = Uuid::random(&SystemEnv);
    let position =
        writ_proof::use_record::UsePosition { boot, seq: 7, hash: writ_proof::Hash([3; 32]) };
    wanted.records[0].use_position = Some(position);
    commit(&mut engine, wanted).unwrap();
    assert_eq!(engine.outbox().unwrap()[0].use_position, Some(position));
}
