//! The index behind LookupEvents: which events an account has, by time and by eight attributes.
//!
//! Derived from the log and made again from it at will. It holds no record: those lie in the account's
//! log, and a row says at which leaf.

use std::path::Path;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use serde_json::Value;
use writ_model::{AccountId, Timestamp, Uuid};
use writ_proof::cbor;
use writ_proof::hash::sha256;

use crate::error::TrailError;
use crate::limits::{LOOKUP_PAGE_MAX, LOOKUP_VALUE_MAX_BYTES};
use crate::protocol::{Attribute, LookupEvent, LookupPage, LookupQuery};

/// The version of the index's tables; another one is deleted and made again.
pub(crate) const INDEX_VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS event (
        account INTEGER NOT NULL, time INTEGER NOT NULL, seq INTEGER NOT NULL,
        id TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, read_only INTEGER NOT NULL,
        user TEXT, access_key TEXT, management INTEGER NOT NULL, resources TEXT NOT NULL,
        PRIMARY KEY (account, time DESC, seq DESC)) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS event_id ON event (account, id);
    CREATE INDEX IF NOT EXISTS event_name ON event (account, name, time DESC, seq DESC);
    CREATE INDEX IF NOT EXISTS event_source ON event (account, source, time DESC, seq DESC);
    CREATE INDEX IF NOT EXISTS event_user ON event (account, user, time DESC, seq DESC);
    CREATE INDEX IF NOT EXISTS event_key ON event (account, access_key, time DESC, seq DESC);
    CREATE TABLE IF NOT EXISTS resource (
        account INTEGER NOT NULL, what INTEGER NOT NULL, value TEXT NOT NULL,
        time INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (account, what, value, time DESC, seq DESC)) WITHOUT ROWID;";

const RESOURCE_NAME: i64 = 0;
const RESOURCE_TYPE: i64 = 1;

/// The index, for its one writer or for one reader.
pub struct Lookup {
    db: Connection,
}

/// Reads the record at a leaf of an account's log.
pub type ReadRecord<'a> = &'a dyn Fn(AccountId, u64) -> Result<Vec<u8>, TrailError>;

impl Lookup {
    /// Opens or makes the index.
    pub fn open(path: &Path) -> Result<Lookup, TrailError> {
        let db = Connection::open(path)?;
        // Durability is the log's; a lost tail is made again from it.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "OFF")?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != 0 && version != INDEX_VERSION {
            db.execute_batch("DROP TABLE IF EXISTS event; DROP TABLE IF EXISTS resource;")?;
        }
        db.execute_batch(SCHEMA)?;
        db.pragma_update(None, "user_version", INDEX_VERSION)?;
        Ok(Lookup { db })
    }

    /// Adds events of account logs: account, leaf index, record. Adding again changes nothing.
    pub fn add(&mut self, events: &[(AccountId, u64, Vec<u8>)]) -> Result<(), TrailError> {
        let transaction = self.db.transaction()?;
        for (account, seq, record) in events {
            let Ok(value) = serde_json::from_slice::<Value>(record) else { continue };
            Row::of(&value).insert(&transaction, *account, *seq)?;
        }
        Ok(transaction.commit()?)
    }

    /// One page.
    ///
    /// # Errors
    /// [`TrailError::Refused`] for a token of another question, a page size out of bounds or a start
    /// after the end.
    pub fn page(
        &self,
        query: &LookupQuery,
        read: ReadRecord<'_>,
    ) -> Result<LookupPage, TrailError> {
        let refused = |why: &str| TrailError::Refused(why.to_owned());
        if !(1..=LOOKUP_PAGE_MAX).contains(&query.max) {
            return Err(refused("MaxResults is not 1 to 50"));
        }
        if query.start.zip(query.end).is_some_and(|(start, end)| start > end) {
            return Err(refused("InvalidTimeRange"));
        }
        if query.attribute.as_ref().is_some_and(|(_, v)| v.len() > LOOKUP_VALUE_MAX_BYTES) {
            return Err(refused("the value to look up is too long"));
        }
        let after = match &query.next {
            Some(token) => {
                Some(open_token(token, query).ok_or_else(|| refused("InvalidNextToken"))?)
            }
            None => None,
        };
        let (sql, parameters) = statement(query, after);
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(parameters))?;
        let mut page = LookupPage::default();
        let mut last = None;
        while let Some(row) = rows.next()? {
            if page.events.len() as u64 == query.max {
                page.next = last.map(|last| make_token(query, last));
                break;
            }
            let (time, seq) = (unsigned(row.get(0)?), unsigned(row.get(1)?));
            let resources: String = row.get(7)?;
            let id: String = row.get(2)?;
            page.events.push(LookupEvent {
                event_id: id.parse().unwrap_or(Uuid::from_bytes([0; 16])),
                event_name: row.get(3)?,
                event_source: row.get(4)?,
                read_only: row.get(5)?,
                user_name: row.get(6)?,
                resources: serde_json::from_str(&resources).unwrap_or_default(),
                access_key_id: row.get(8)?,
                time: Timestamp::from_millis(time),
                record: read(query.account, seq)?,
            });
            last = Some((time, seq));
        }
        Ok(page)
    }
}

/// The query: newest first, from behind the token on.
fn statement(query: &LookupQuery, after: Option<(u64, u64)>) -> (String, Vec<Sql>) {
    let mut parameters = vec![number(query.account.number())];
    let mut conditions = vec!["e.account = ?1".to_owned()];
    let mut add = |condition: &str, value: Sql| {
        parameters.push(value);
        conditions.push(condition.replace('?', &format!("?{}", parameters.len())));
    };
    let mut from = "event e".to_owned();
    if let Some((attribute, value)) = &query.attribute {
        let text = Sql::Text(value.clone());
        match attribute {
            Attribute::AccessKeyId => add("e.access_key = ?", text),
            Attribute::EventId => add("e.id = ?", text),
            Attribute::EventName => add("e.name = ?", text),
            Attribute::EventSource => add("e.source = ?", text),
            Attribute::ReadOnly => add("e.read_only = ?", Sql::Integer((value == "true").into())),
            Attribute::Username => add("e.user = ?", text),
            Attribute::ResourceName | Attribute::ResourceType => {
                let what = match attribute {
                    Attribute::ResourceName => RESOURCE_NAME,
                    _ => RESOURCE_TYPE,
                };
                from = "resource r JOIN event e ON e.account = r.account AND e.time = r.time \
                        AND e.seq = r.seq"
                    .to_owned();
                add("r.account = e.account AND r.what = ?", Sql::Integer(what));
                add("r.value = ?", text);
            }
        }
    }
    if !query.data_events {
        add("e.management = ?", Sql::Integer(1));
    }
    if let Some(start) = query.start {
        add("e.time >= ?", number(start.millis()));
    }
    if let Some(end) = query.end {
        add("e.time <= ?", number(end.millis()));
    }
    if let Some((time, seq)) = after {
        add("e.time <= ?", number(time));
        parameters.push(number(time));
        let first = parameters.len();
        parameters.push(number(seq));
        conditions.push(format!("(e.time < ?{first} OR e.seq < ?{})", first + 1));
    }
    let sql = format!(
        "SELECT e.time, e.seq, e.id, e.name, e.source, e.read_only, e.user, e.resources, \
         e.access_key FROM {from} WHERE {} ORDER BY e.time DESC, e.seq DESC LIMIT {}",
        conditions.join(" AND "),
        query.max + 1,
    );
    (sql, parameters)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn number(value: u64) -> Sql {
    Sql::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// What the index holds of a record.
struct Row<'a> {
    time: u64,
    id: &'a str,
    name: &'a str,
    source: &'a str,
    read_only: bool,
    user: Option<&'a str>,
    access_key: Option<&'a str>,
    management: bool,
    resources: Vec<(&'a str, &'a str)>,
}

impl<'a> Row<'a> {
    fn of(record: &'a Value) -> Row<'a> {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        let flag = |pointer: &str| record.pointer(pointer).and_then(Value::as_bool);
        let time = text("/eventTime").and_then(|time| Timestamp::parse_iso(time).ok());
        let resources = record.get("resources").and_then(Value::as_array);
        Row {
            time: time.unwrap_or_default().millis(),
            id: text("/eventID").unwrap_or_default(),
            name: text("/eventName").unwrap_or_default(),
            source: text("/eventSource").unwrap_or_default(),
            read_only: flag("/readOnly").unwrap_or(false),
            user: user_name(record),
            access_key: text("/userIdentity/accessKeyId"),
            management: flag("/managementEvent").unwrap_or(false),
            resources: resources
                .map(|list| list.iter().filter_map(resource).collect())
                .unwrap_or_default(),
        }
    }

    fn insert(&self, db: &Connection, account: AccountId, seq: u64) -> Result<(), TrailError> {
        let (account, time, seq) = (number(account.number()), number(self.time), number(seq));
        let resources = serde_json::to_string(&self.resources).map_err(TrailError::RecordJson)?;
        db.prepare_cached(
            "INSERT OR REPLACE INTO event (account, time, seq, id, name, source, read_only, user, \
             access_key, management, resources) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
        )?
        .execute(params![
            account,
            time,
            seq,
            self.id,
            self.name,
            self.source,
            self.read_only,
            self.user,
            self.access_key,
            self.management,
            resources,
        ])?;
        let mut insert = db.prepare_cached(
            "INSERT OR REPLACE INTO resource (account, what, value, time, seq) \
             VALUES (?1,?2,?3,?4,?5)",
        )?;
        for (kind, name) in &self.resources {
            insert.execute(params![account, RESOURCE_TYPE, kind, time, seq])?;
            insert.execute(params![account, RESOURCE_NAME, name, time, seq])?;
        }
        Ok(())
    }
}

/// `Username` of LookupEvents: the user's name, `root`, or the name of the role's session.
fn user_name(record: &Value) -> Option<&str> {
    let identity = record.get("userIdentity")?;
    let text = |name: &str| identity.get(name).and_then(Value::as_str);
    match text("type")? {
        "Root" => Some("root"),
        "AssumedRole" => text("principalId")?.split_once(':').map(|(_, session)| session),
        _ => text("userName"),
    }
}

fn resource(resource: &Value) -> Option<(&str, &str)> {
    let text = |name: &str| resource.get(name).and_then(Value::as_str);
    Some((text("type")?, text("ARN")?))
}

/// A token says where a page ended, and of which question.
fn make_token(query: &LookupQuery, (time, seq): (u64, u64)) -> String {
    hex::encode(cbor::to_vec(&(question(query), vec![time, seq])))
}

fn open_token(token: &str, query: &LookupQuery) -> Option<(u64, u64)> {
    let bytes = hex::decode(token).ok()?;
    let (of, place): ([u8; 32], Vec<u64>) = cbor::from_slice(&bytes).ok()?;
    match (of == question(query), place.as_slice()) {
        (true, [time, seq]) => Some((*time, *seq)),
        _ => None,
    }
}

fn question(query: &LookupQuery) -> [u8; 32] {
    // AWS lets a client change the page size between pages.
    let bare = LookupQuery { next: None, max: 0, ..query.clone() };
    sha256(&cbor::to_vec(&bare)).0
}

#[cfg(test)]
#[path = "tests/lookup.rs"]
mod tests;
