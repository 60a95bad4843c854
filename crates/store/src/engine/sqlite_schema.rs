//! The tables of the SQLite engine, and the steps that lead to them.

use rusqlite::Connection;
use writ_model::{Env, Uuid};

use crate::StoreError;

/// `Writ` in ASCII: marks a database as ours (SQLite, "PRAGMA application_id").
pub(super) const APPLICATION_ID: i64 = 0x5772_6974;

/// Each step leads from the schema of its index to the next one. Steps are only ever added.
const STEPS: &[&str] = &[
    "
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch TEXT NOT NULL,
        revision INTEGER NOT NULL,
        schema INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE object (
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (account, kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE change (
        revision INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        body TEXT,
        actor TEXT NOT NULL,
        request_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (revision, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (
        revision INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        count INTEGER NOT NULL,
        request_id TEXT NOT NULL,
        event_id TEXT NOT NULL UNIQUE,
        logs TEXT NOT NULL,
        node TEXT NOT NULL,
        record BLOB NOT NULL,
        use_position BLOB,
        PRIMARY KEY (revision, ordinal)
    ) STRICT;
    CREATE TABLE node (
        id TEXT PRIMARY KEY,
        seen_revision INTEGER NOT NULL,
        beat INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cell (
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'event';
",
];

/// The schema that this program makes and uses.
pub(super) const SCHEMA: i64 = STEPS.len() as i64;

/// Brings a database to the newest schema; refuses what is not ours or newer.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &str,
    env: &dyn Env,
) -> Result<(), StoreError> {
    let found = identify(connection, path)?;
    if found == SCHEMA {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done = usize::try_from(found).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    if found == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute(
            "INSERT INTO meta (one, epoch, revision, schema) VALUES (1, ?1, 0, ?2)",
            (Uuid::random(env).to_string(), SCHEMA),
        )?;
    }
    transaction.execute("UPDATE meta SET schema = ?1", [SCHEMA])?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    Ok(())
}

/// The schema of a database that is ours; 0 if it is empty.
fn identify(connection: &Connection, path: &str) -> Result<i64, StoreError> {
    let foreign = |what: String| StoreError::Foreign { path: path.to_owned(), what };
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
        let tables =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let (application, schema, tables) = match read() {
        Ok(found) => found,
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(foreign(
                "it is not a SQLite database; name another data directory, or restore the file \
                 from a backup"
                    .to_owned(),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if application == 0 && schema == 0 && tables == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(foreign(
            "it is the database of another program; name another data directory".to_owned(),
        ));
    }
    if !(1..=SCHEMA).contains(&schema) {
        return Err(foreign(format!(
            "it has schema {schema}, this program knows up to {SCHEMA}; start the newer program \
             that wrote it, or restore a backup made before the upgrade"
        )));
    }
    Ok(schema)
}

#[cfg(test)]
#[path = "../tests/sqlite_schema.rs"]
mod tests;
