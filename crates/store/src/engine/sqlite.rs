//! State in SQLite: one file, write-ahead log, every commit fsynced.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, named_params};
use writ_model::{AccountId, Env, Revision, StoreEpoch, Timestamp};
use writ_proof::cbor;

use super::sqlite_schema::migrate;
use super::{
    Beat, Cell, Changes, Engine, Group, Load, Outcome, check_cell, check_outbox, sequence,
};
use crate::{Body, Change, Expect, Object, ObjectId, OutboxRow, StoreError, Transaction};

/// The node that the outbox rows of the one writing process name.
const NODE: &str = "front";

/// How long a statement waits for another process's lock, such as that of a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The engine over one SQLite file.
pub struct SqliteEngine {
    connection: Connection,
    epoch: StoreEpoch,
    /// The newest commit, which this process made or loaded: it is the only writer.
    revision: Revision,
}

impl SqliteEngine {
    /// Opens the database at `path`, or makes it. Refuses what is not a store of this or an older
    /// program.
    pub fn open(path: &Path, env: &dyn Env) -> Result<SqliteEngine, StoreError> {
        let shown = path.display().to_string();
        let foreign = |what| StoreError::Foreign { path: shown.clone(), what };
        // The file is made here, because SQLite would give it the umask's permissions.
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(|error| foreign(format!("{error}; check the data directory")))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        migrate(&mut connection, &shown, env)?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(foreign(format!(
                "its file system allows only journal mode `{mode}`, and WAL is needed; use a \
                 local disk"
            )));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let (epoch, revision) = meta(&connection)?;
        Ok(SqliteEngine { connection, epoch, revision })
    }
}

impl Engine for SqliteEngine {
    fn load(&mut self) -> Result<Load, StoreError> {
        let transaction = self.connection.transaction()?;
        let (epoch, revision) = meta(&transaction)?;
        let mut objects = Vec::new();
        {
            let mut statement = transaction.prepare(
                "SELECT account, kind, id, revision, body FROM object ORDER BY account, kind, id",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let id = object_id(row, 0)?;
                let body = Body::decode(id.kind, row.get_ref(4)?.as_str().map_err(field)?)?;
                let object = Object { account: id.account, body };
                if object.id() != id {
                    let what = format!("object `{id}` says that it is `{}`", object.id());
                    return Err(StoreError::corrupt(what));
                }
                objects.push((object, Revision(uint(row, 3)?)));
            }
        }
        // Kinds sort by name on disk and by declaration in memory; the answer's order is ours.
        objects.sort_by_cached_key(|(object, _)| object.id());
        (self.epoch, self.revision) = (epoch, revision);
        Ok(Load { epoch, revision, objects })
    }

    fn changes(&mut self, after: Revision, limit: usize) -> Result<Changes, StoreError> {
        let transaction = self.connection.transaction()?;
        let (_, revision) = meta(&transaction)?;
        if after >= revision {
            return Ok(Changes::Batch(Vec::new()));
        }
        let first: Option<i64> =
            transaction.query_row("SELECT min(revision) FROM change", [], |row| row.get(0))?;
        if first.is_none_or(|first| first > int(after.next().0)) {
            return Ok(Changes::Compacted);
        }
        let mut statement = transaction.prepare_cached(
            "SELECT account, kind, id, revision, body, ordinal, actor, request_id, at FROM change
             WHERE revision > :after AND revision <= (
                 SELECT max(revision) FROM (
                     SELECT revision FROM change WHERE revision > :after
                     ORDER BY revision, ordinal LIMIT :limit))
             ORDER BY revision, ordinal",
        )?;
        let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        let mut rows =
            statement.query(named_params! { ":after": int(after.0), ":limit": limit })?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            changes.push(change(row)?);
        }
        Ok(Changes::Batch(changes))
    }

    fn commit(&mut self, group: &Group<'_>) -> Result<Outcome, StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (epoch, current) = meta(&transaction)?;
        if (epoch, current) != (self.epoch, self.revision) {
            let what = format!(
                "the database is at revision {current} of {epoch}, this process at revision {} of \
                 {}: another process wrote to it; stop it and start again",
                self.revision, self.epoch
            );
            return Err(StoreError::corrupt(what));
        }
        let revision = current.next();
        let mut touched = BTreeSet::new();
        let mut results = Vec::new();
        let mut accepted = Vec::new();
        for wanted in group.transactions {
            let result = admit(&transaction, wanted, &touched, revision)?;
            if result.is_ok() {
                touched.extend(wanted.written());
                accepted.push(wanted);
            }
            results.push(result);
        }
        if accepted.is_empty() {
            return Ok(Outcome { results, ..Outcome::default() });
        }
        transaction
            .execute("DELETE FROM outbox WHERE revision <= ?1", [int(group.acknowledged.0)])?;
        let pending: i64 =
            transaction.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
        check_outbox(usize::try_from(pending).unwrap_or(usize::MAX), &accepted)?;
        let outcome = sequence(&accepted, revision, group.at);
        write_changes(&transaction, &outcome.changes)?;
        write_outbox(&transaction, &outcome.rows)?;
        transaction.execute("UPDATE meta SET revision = ?1", [int(revision.0)])?;
        transaction.commit()?;
        self.revision = revision;
        Ok(Outcome { results, ..outcome })
    }

    fn beat(&mut self, node: &str, seen: Revision, at: Timestamp) -> Result<Beat, StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO node (id, seen_revision, beat) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET seen_revision = ?2, beat = ?3",
            (node, int(seen.0), int(at.millis())),
        )?;
        let (epoch, revision) = meta(&transaction)?;
        transaction.commit()?;
        Ok(Beat { epoch, revision })
    }

    fn outbox(&mut self) -> Result<Vec<OutboxRow>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT revision, ordinal, count, request_id, event_id, logs, record, use_position, kind
             FROM outbox ORDER BY revision, ordinal",
        )?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(outbox_row(row)?);
        }
        Ok(all)
    }

    fn compact(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        let newest = int(self.revision.0);
        let statement = "DELETE FROM change WHERE at < ?1 AND revision <> ?2";
        Ok(self.connection.execute(statement, (int(before.millis()), newest))?)
    }

    fn cell(&mut self, name: &str) -> Result<Option<Cell>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT version, body FROM cell WHERE name = ?1")?;
        let mut rows = statement.query([name])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(Cell { version: uint(row, 0)?, body: row.get(1)? }))
    }

    fn swap_cell(
        &mut self,
        name: &str,
        expected: u64,
        body: &[u8],
    ) -> Result<Option<u64>, StoreError> {
        check_cell(body)?;
        let version = expected + 1;
        let statement = if expected == 0 {
            "INSERT INTO cell (name, version, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE cell SET version = ?2, body = ?3 WHERE name = ?1 AND version = ?2 - 1"
        };
        let swapped = self.connection.execute(statement, (name, int(version), body))?;
        Ok((swapped == 1).then_some(version))
    }
}

/// Writes the objects of one transaction if its preconditions hold; the inner error drops it alone.
fn admit(
    connection: &Connection,
    wanted: &Transaction,
    touched: &BTreeSet<ObjectId>,
    revision: Revision,
) -> Result<Result<(), StoreError>, StoreError> {
    let conflict = |id: &ObjectId, expected, found| {
        Ok(Err(StoreError::Conflict { object: Box::new(id.clone()), expected, found }))
    };
    for (id, expected) in &wanted.preconditions {
        if touched.contains(id) {
            return conflict(id, *expected, None);
        }
        let found = written(connection, id)?;
        let holds = match expected {
            Expect::Absent => found.is_none(),
            Expect::At(revision) => found == Some(*revision),
            Expect::Unchanged => found.is_some(),
        };
        if !holds {
            return conflict(id, *expected, found);
        }
    }
    for id in wanted.written() {
        let missing = wanted.deletes.contains(&id) && written(connection, &id)?.is_none();
        if missing || touched.contains(&id) {
            return conflict(&id, Expect::Unchanged, None);
        }
    }
    let mut bodies = Vec::with_capacity(wanted.puts.len());
    for object in &wanted.puts {
        match object.body.encode() {
            Ok(body) => bodies.push((object.id(), body)),
            Err(error) => return Ok(Err(error)),
        }
    }
    let mut delete = connection
        .prepare_cached("DELETE FROM object WHERE account = ?1 AND kind = ?2 AND id = ?3")?;
    for id in &wanted.deletes {
        delete.execute((id.account.to_string(), id.kind.as_str(), &id.id))?;
    }
    let mut put = connection.prepare_cached(
        "INSERT INTO object (account, kind, id, revision, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (account, kind, id) DO UPDATE SET revision = ?4, body = ?5",
    )?;
    for (id, body) in &bodies {
        put.execute((id.account.to_string(), id.kind.as_str(), &id.id, int(revision.0), body))?;
    }
    Ok(Ok(()))
}

fn write_changes(connection: &Connection, changes: &[Change]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO change (revision, ordinal, account, kind, id, body, actor, request_id, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for change in changes {
        statement.execute((
            int(change.revision.0),
            change.ordinal,
            change.object.account.to_string(),
            change.object.kind.as_str(),
            &change.object.id,
            change.body.as_ref().map(Body::encode).transpose()?,
            &change.actor,
            change.request_id.to_string(),
            int(change.at.millis()),
        ))?;
    }
    Ok(())
}

fn write_outbox(connection: &Connection, rows: &[OutboxRow]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO outbox
         (revision, ordinal, count, request_id, event_id, logs, node, record, use_position, kind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for row in rows {
        let logs: Vec<String> = row.logs.iter().map(ToString::to_string).collect();
        statement.execute((
            int(row.revision.0),
            row.ordinal,
            row.count,
            row.request_id.to_string(),
            row.event_id.to_string(),
            logs.join(" "),
            NODE,
            &row.record,
            row.use_position.as_ref().map(cbor::to_vec),
            row.kind.as_str(),
        ))?;
    }
    Ok(())
}

fn meta(connection: &Connection) -> Result<(StoreEpoch, Revision), StoreError> {
    let mut statement = connection.prepare_cached("SELECT epoch, revision FROM meta")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Err(StoreError::corrupt("table `meta` has no row; restore a backup"));
    };
    Ok((text(row, 0)?, Revision(uint(row, 1)?)))
}

fn written(connection: &Connection, id: &ObjectId) -> Result<Option<Revision>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT revision FROM object WHERE account = ?1 AND kind = ?2 AND id = ?3",
    )?;
    let key = (id.account.to_string(), id.kind.as_str(), &id.id);
    let found: Option<i64> = statement.query_row(key, |row| row.get(0)).optional()?;
    Ok(found.map(|at| Revision(at.unsigned_abs())))
}

/// The columns `account`, `kind`, `id` from column `at` on.
fn object_id(row: &Row<'_>, at: usize) -> Result<ObjectId, StoreError> {
    let account: AccountId = text(row, at)?;
    let kind = row.get_ref(at + 1)?.as_str().map_err(field)?.parse()?;
    Ok(ObjectId { account, kind, id: row.get(at + 2)? })
}

fn change(row: &Row<'_>) -> Result<Change, StoreError> {
    let object = object_id(row, 0)?;
    let body: Option<String> = row.get(4)?;
    Ok(Change {
        revision: Revision(uint(row, 3)?),
        ordinal: row.get(5)?,
        body: body.map(|json| Body::decode(object.kind, &json)).transpose()?,
        object,
        actor: row.get(6)?,
        request_id: text(row, 7)?,
        at: Timestamp::from_millis(uint(row, 8)?),
    })
}

fn outbox_row(row: &Row<'_>) -> Result<OutboxRow, StoreError> {
    let logs: String = row.get(5)?;
    let logs: Result<Vec<_>, _> = logs.split_whitespace().map(str::parse).collect();
    let position: Option<Vec<u8>> = row.get(7)?;
    let position = position.map(|bytes| cbor::from_slice(&bytes)).transpose();
    Ok(OutboxRow {
        revision: Revision(uint(row, 0)?),
        ordinal: row.get(1)?,
        count: row.get(2)?,
        request_id: text(row, 3)?,
        event_id: text(row, 4)?,
        logs: logs.map_err(field)?,
        kind: text(row, 8)?,
        record: row.get(6)?,
        use_position: position.map_err(field)?,
    })
}

fn text<T: FromStr>(row: &Row<'_>, at: usize) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    row.get_ref(at)?.as_str().map_err(field)?.parse().map_err(field)
}

/// SQLite's integers are signed; no number of ours comes near the border.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn uint(row: &Row<'_>, at: usize) -> Result<u64, StoreError> {
    let value: i64 = row.get(at)?;
    u64::try_from(value).map_err(field)
}

fn field(error: impl std::fmt::Display) -> StoreError {
    StoreError::corrupt(format!("a stored row cannot be read: {error}"))
}

#[cfg(test)]
#[path = "../tests/sqlite.rs"]
mod tests;
