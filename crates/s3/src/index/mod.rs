//! The index of one region: buckets, keys, uploads, and the records that the ledger still lacks.
//!
//! A commit is durable with its audit records, but **visible** only once the ledger has acknowledged
//! those: readers see, of each key, the newest revision at or below the visible one. What a commit
//! superseded is removed after that. One thread writes (SQLite in WAL mode, `synchronous=FULL`,
//! group commit); a pool of connections reads.

mod apply;
mod change;
mod list;
mod pins;
mod pool;
mod read;
mod rows;
mod token;
mod visible;
mod writer;

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use writ_model::{Env, Region, StoreEpoch, Timestamp, Uuid};

pub use apply::{manifest_file, segment_file};
pub use change::{Change, Condition, Conflict, Put};
pub use list::{ListPage, ListQuery, successor};
pub use pins::Pin;
pub use read::{Completion, UploadPage};
pub use rows::{Body, Bucket, BucketPolicy, Completed, Entry, OutboxRow, Part, Upload};
pub use token::TokenKey;
pub use writer::CommitError;

use crate::S3Error;
use crate::limits::{INDEX_CACHE_KIB, OUTBOX_MAX, READERS};
use pins::Pins;
use pool::Pool;
use visible::Visible;
use writer::{Message, Writer};

/// The schema that this program writes and the highest that it reads.
const SCHEMA: u64 = 2;

/// The index. Reads block for a moment: call them where blocking is allowed.
pub struct Index {
    writer: Writer,
    pool: Pool,
    visible: Arc<Visible>,
    pins: Arc<Pins>,
    tokens: TokenKey,
    epoch: StoreEpoch,
}

impl Index {
    /// Opens or makes the index in `path`. Nothing of an unacknowledged commit is visible yet.
    pub fn open(path: &Path, region: &Region, env: Arc<dyn Env>) -> Result<Index, S3Error> {
        let connection = connect(path)?;
        migrate(&connection, region, env.as_ref())?;
        let meta = Meta::read(&connection)?;
        if meta.region != region.as_str() {
            return Err(S3Error::Foreign { found: meta.region, expected: region.to_string() });
        }
        let first: Option<u64> = connection
            .query_row("SELECT min(rev) FROM outbox", [], |row| row.get(0))
            .optional()?
            .flatten();
        let visible = first.map_or(meta.rev, |rev| rev.saturating_sub(1));
        let visible = Arc::new(Visible::new(visible, read::buckets(&connection)?));
        let readers = (1..READERS).map(|_| connect(path)).collect::<Result<_, _>>()?;
        Ok(Index {
            pool: Pool::new(connect(path)?, readers),
            visible: Arc::clone(&visible),
            pins: Arc::default(),
            tokens: TokenKey::new(&meta.token_key)?,
            epoch: meta.epoch,
            writer: Writer::start(connection, meta.rev, visible, env)?,
        })
    }

    /// Names this life of the index; its revisions are counted within it.
    pub fn epoch(&self) -> StoreEpoch {
        self.epoch
    }

    /// What seals the tokens of lists.
    pub fn tokens(&self) -> &TokenKey {
        &self.tokens
    }

    /// Commits `change` with its records (at least one): durable, not yet visible.
    pub async fn commit(&self, change: Change, items: Vec<Vec<u8>>) -> Result<u64, CommitError> {
        if self.visible.waiting() >= OUTBOX_MAX {
            return Err(CommitError::Busy);
        }
        self.writer.commit(change, items)?.await.map_err(|_| CommitError::Unknown)?
    }

    /// Waits until the index takes no more writes: only a start tells what is on disk.
    pub async fn stopped(&self) {
        self.writer.stopped().await;
    }

    /// The ledger has the records of `rev`: it becomes visible as soon as all before it are.
    pub fn acknowledge(&self, rev: u64) {
        if let Some((from, to)) = self.visible.acknowledge(rev) {
            self.writer.tell(Message::Acknowledged { from, to });
        }
    }

    /// Waits until `rev` is visible.
    pub async fn published(&self, rev: u64) {
        self.visible.wait(rev).await;
    }

    /// The highest revision that readers see.
    pub fn visible_rev(&self) -> u64 {
        self.visible.watermark()
    }

    /// A visible bucket.
    pub fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        self.visible.bucket(name)
    }

    /// The visible buckets of `account` after `marker`, by name.
    pub fn buckets_of(&self, account: writ_model::AccountId) -> Vec<Arc<Bucket>> {
        self.visible.buckets_of(account)
    }

    /// Files that nothing names any more have been unlinked.
    pub fn collected(&self, files: Vec<String>) {
        self.writer.tell(Message::Collected(files));
    }
}

fn connect(path: &Path) -> Result<Connection, S3Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    let cache = INDEX_CACHE_KIB / (i64::try_from(READERS).unwrap_or(1) + 1);
    connection.pragma_update(None, "cache_size", -cache)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn migrate(connection: &Connection, region: &Region, env: &dyn Env) -> Result<(), S3Error> {
    let found: u64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        SCHEMA => return Ok(()),
        0 => {}
        1 => {
            let tx = connection.unchecked_transaction()?;
            tx.execute_batch("ALTER TABLE bucket ADD COLUMN principals BLOB")?;
            tx.pragma_update(None, "user_version", SCHEMA)?;
            return Ok(tx.commit()?);
        }
        _ => return Err(S3Error::Version { what: "the object index", found, known: SCHEMA }),
    }
    let mut token_key = [0u8; 32];
    env.fill(&mut token_key);
    let tx = connection.unchecked_transaction()?;
    tx.execute_batch(include_str!("schema.sql"))?;
    tx.execute(
        "INSERT INTO meta VALUES (1, ?1, 0, ?2, ?3)",
        params![Uuid::random(env).bytes(), token_key, region.as_str()],
    )?;
    tx.pragma_update(None, "user_version", SCHEMA)?;
    tx.commit()?;
    Ok(())
}

struct Meta {
    epoch: StoreEpoch,
    rev: u64,
    token_key: [u8; 32],
    region: String,
}

impl Meta {
    fn read(connection: &Connection) -> Result<Meta, S3Error> {
        Ok(connection.query_row("SELECT epoch, rev, token_key, region FROM meta", [], |row| {
            Ok(Meta {
                epoch: Uuid::from_bytes(row.get(0)?),
                rev: row.get(1)?,
                token_key: row.get(2)?,
                region: row.get(3)?,
            })
        })?)
    }
}

fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[cfg(test)]
mod tests;
