//! The schema as auditors see it, and databases that are refused.

use expect_test::{Expect, expect};
use rusqlite::Connection;
use writ_model::SystemEnv;

use crate::engine::SqliteEngine;

fn check_refused(prepare: &str, expected: &Expect) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch(prepare).unwrap();
    let error = SqliteEngine::open(&path, &SystemEnv).err().unwrap().to_string();
    expected.assert_eq(&error.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn database_of_another_program_is_refused() {
    check_refused(
        "CREATE TABLE t (x)",
        &expect![
            "`DIR/store.db` cannot be opened: it is the database of another program; name another data directory"
        ],
    );
}

#[test]
fn database_of_a_newer_program_is_refused() {
    check_refused(
        "PRAGMA application_id = 0x57726974; PRAGMA user_version = 99; CREATE TABLE t (x)",
        &expect![
            "`DIR/store.db` cannot be opened: it has schema 99, this program knows up to 2; start the newer program that wrote it, or restore a backup made before the upgrade"
        ],
    );
}

#[test]
fn file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), &[b'x'; 4096]).unwrap();
    let error = SqliteEngine::open(&path, &SystemEnv).err().unwrap().to_string();
    assert!(error.contains("is not a SQLite database"), "{error}");
}

#[test]
fn fresh_database_has_the_documented_tables_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(SqliteEngine::open(&path, &SystemEnv).unwrap());
    drop(SqliteEngine::open(&path, &SystemEnv).unwrap());
    let connection = Connection::open(&path).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT m.name || '(' || group_concat(c.name, ' ') || ')' FROM sqlite_schema m,
             pragma_table_info(m.name) c WHERE m.type = 'table' GROUP BY m.name ORDER BY m.name",
        )
        .unwrap();
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    expect![[r#"
        cell(name version body)
        change(revision ordinal account kind id body actor request_id at)
        meta(one epoch revision schema)
        node(id seen_revision beat)
        object(account kind id revision body)
        outbox(revision ordinal count request_id event_id logs node record use_position kind)"#]]
    .assert_eq(&tables.join("\n"));
    let integer = |name: &str| -> i64 {
        connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    };
    assert_eq!((integer("application_id"), integer("user_version")), (0x5772_6974, super::SCHEMA));
}
