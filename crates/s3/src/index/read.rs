//! What readers ask.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use writ_model::{AccountId, Nonce};
use writ_proof::cbor;

use super::list::{ListPage, ListQuery, list};
use super::pins::Pin;
use super::rows::{Body, Bucket, BucketPolicy, Completed, Entry, OutboxRow, Part, Upload};
use super::{Index, timestamp};
use crate::S3Error;
use crate::format::SegmentRef;

/// A page of open uploads.
#[derive(Debug, Clone, Default)]
pub struct UploadPage {
    /// Uploads by key, then by id.
    pub uploads: Vec<Upload>,
    /// True if there are more.
    pub more: bool,
}

/// How an upload that was completed answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The answer.
    pub answer: Completed,
    /// The revision to wait for before anybody is told, if it is not visible yet.
    pub hidden: Option<u64>,
}

impl Index {
    /// Runs `work` in one read transaction, with a watermark that its rows are complete for.
    ///
    /// A transaction takes its snapshot with its first read. The watermark is loaded after that: with
    /// an older one, a row that was visible then may have been superseded and removed since.
    fn snapshot<T>(
        &self,
        work: impl FnOnce(&Connection, u64) -> Result<T, S3Error>,
    ) -> Result<T, S3Error> {
        self.pool.with(|connection| {
            let tx = connection.unchecked_transaction()?;
            tx.prepare_cached("SELECT rev FROM meta")?.query_row([], |_| Ok(()))?;
            let visible = self.visible_rev();
            work(&tx, visible)
        })
    }

    /// The visible object under `key`, and what keeps its files while they are read.
    pub fn pinned(
        &self,
        bucket: Nonce,
        key: &str,
    ) -> Result<(Option<(Entry, Body)>, Pin), S3Error> {
        self.pins.pinning(|| {
            let found = self.entry(bucket, key)?;
            let segments = match &found {
                Some((_, body)) => body.sealed.peek()?.segments.iter().map(|s| s.segment).collect(),
                None => Vec::new(),
            };
            Ok((found, segments))
        })
    }

    /// The visible object under `key`.
    pub fn entry(&self, bucket: Nonce, key: &str) -> Result<Option<(Entry, Body)>, S3Error> {
        self.snapshot(|tx, visible| {
            let entry = tx
                .prepare_cached(
                    "SELECT object, size, etag, mtime FROM entry WHERE bucket = ?1 AND key = ?2 \
                     AND rev <= ?3 ORDER BY rev DESC LIMIT 1",
                )?
                .query_row(params![bucket.0, key.as_bytes(), visible], |row| entry(row, key))
                .optional()?
                .flatten();
            let Some(entry) = entry else { return Ok(None) };
            let content: Vec<u8> = tx
                .prepare_cached("SELECT content FROM body WHERE object = ?1")?
                .query_row([entry.object.0], |row| row.get(0))?;
            let body = cbor::from_slice(&content)
                .map_err(|source| S3Error::Decode { what: "an object's row", source })?;
            Ok(Some((entry, body)))
        })
    }

    /// A page of visible keys.
    pub fn list(&self, bucket: Nonce, query: &ListQuery) -> Result<ListPage, S3Error> {
        self.snapshot(|tx, visible| list(tx, bucket, query, visible))
    }

    /// A visible open upload.
    pub fn upload(&self, bucket: Nonce, upload: Nonce) -> Result<Option<Upload>, S3Error> {
        self.snapshot(|connection, visible| {
            let content: Option<Vec<u8>> = connection
                .prepare_cached(
                    "SELECT content FROM upload WHERE id = ?1 AND bucket = ?2 AND rev <= ?3",
                )?
                .query_row(params![upload.0, bucket.0, visible], |row| row.get(0))
                .optional()?;
            content.map(|c| decode_upload(&c)).transpose()
        })
    }

    /// Visible open uploads whose (key, id) is above `after` and whose key begins with `prefix`.
    pub fn uploads(
        &self,
        bucket: Nonce,
        prefix: &str,
        after: (&str, Option<Nonce>),
        limit: usize,
    ) -> Result<UploadPage, S3Error> {
        let (key, id) = after;
        // Without an id every upload of the marker's key is behind it.
        let id = id.map_or([0xff; 16], |id| id.0);
        let end = super::successor(prefix.as_bytes());
        self.snapshot(|connection, visible| {
            let mut statement = connection.prepare_cached(
                "SELECT content FROM upload WHERE bucket = ?1 AND rev <= ?2 \
                 AND key >= ?3 AND (?4 IS NULL OR key < ?4) AND (key, id) > (?5, ?6) \
                 ORDER BY key, id LIMIT ?7",
            )?;
            let contents: Vec<Vec<u8>> = statement
                .query_map(
                    params![
                        bucket.0,
                        visible,
                        prefix.as_bytes(),
                        end,
                        key.as_bytes(),
                        id,
                        limit + 1
                    ],
                    |row| row.get(0),
                )?
                .collect::<Result<_, _>>()?;
            let more = contents.len() > limit;
            let uploads =
                contents.iter().take(limit).map(|c| decode_upload(c)).collect::<Result<_, _>>()?;
            Ok(UploadPage { uploads, more })
        })
    }

    /// Visible parts of an upload with numbers above `after`, at most `limit`.
    pub fn parts(&self, upload: Nonce, after: u32, limit: usize) -> Result<Vec<Part>, S3Error> {
        self.snapshot(|connection, visible| {
            let mut statement = connection.prepare_cached(
                "SELECT number, segment, length, etag, mtime, digest, sums FROM part \
                 WHERE upload = ?1 AND number > ?2 AND rev <= ?3 ORDER BY number LIMIT ?4",
            )?;
            let rows = statement.query_map(params![upload.0, after, visible, limit], part)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How an upload that was completed answered.
    pub fn completed(&self, bucket: Nonce, upload: Nonce) -> Result<Option<Completion>, S3Error> {
        self.snapshot(|connection, visible| {
            // Until its commit is visible, the object's row stands there with its revision.
            Ok(connection
                .prepare_cached(
                    "SELECT c.key, c.etag, c.request, (SELECT max(e.rev) FROM entry e \
                     WHERE e.bucket = c.bucket AND e.key = c.key AND e.etag = c.etag AND e.rev > ?3) \
                     FROM completed c WHERE c.upload = ?1 AND c.bucket = ?2",
                )?
                .query_row(params![upload.0, bucket.0, visible], |row| {
                    let key: Vec<u8> = row.get(0)?;
                    let key = String::from_utf8_lossy(&key).into_owned();
                    let answer = Completed { key, etag: row.get(1)?, request: row.get(2)? };
                    Ok(Completion { answer, hidden: row.get(3)? })
                })
                .optional()?)
        })
    }

    /// Records that the ledger has not acknowledged, in order of their revisions.
    pub fn outbox(&self) -> Result<Vec<OutboxRow>, S3Error> {
        self.pool.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT rev, ordinal, count, item FROM outbox ORDER BY 1, 2")?;
            let rows = statement.query_map([], |row| {
                Ok(OutboxRow {
                    rev: row.get(0)?,
                    ordinal: row.get(1)?,
                    count: row.get(2)?,
                    item: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Files above `after` that nothing names any more, in order, at most `limit`.
    pub fn garbage(&self, after: &str, limit: usize) -> Result<Vec<String>, S3Error> {
        self.pool.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT file FROM garbage WHERE file > ?1 ORDER BY 1 LIMIT ?2")?;
            let rows = statement.query_map(params![after, limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// A page of [`Index::garbage`]: what can be unlinked now because nobody reads it, and after which
    /// file the next page begins, if there is one.
    pub fn removable(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<String>, Option<String>), S3Error> {
        let mut next = None;
        let files = self.pins.unpinned(|| {
            let files = self.garbage(after, limit)?;
            next = files.last().filter(|_| files.len() == limit).cloned();
            Ok::<_, S3Error>(files)
        })?;
        Ok((files, next))
    }

    /// Every file that a row names: for the sweep and `fsck`. Calls `found` with each.
    pub fn files(&self, mut found: impl FnMut(String, Option<&Body>)) -> Result<(), S3Error> {
        self.pool.with(|connection| {
            let tx = connection.unchecked_transaction()?;
            let mut statement = tx.prepare("SELECT object, content FROM body")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (object, content): ([u8; 16], Vec<u8>) = (row.get(0)?, row.get(1)?);
                let body: Body = cbor::from_slice(&content)
                    .map_err(|source| S3Error::Decode { what: "an object's row", source })?;
                for segment in body.sealed.peek()?.segments {
                    found(super::segment_file(segment.segment, segment.part), Some(&body));
                    if segment.part > 0 {
                        found(super::manifest_file(Nonce(object)), None);
                    }
                }
            }
            let mut statement = tx.prepare("SELECT segment, number FROM part")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                found(super::segment_file(Nonce(row.get(0)?), row.get(1)?), None);
            }
            Ok(())
        })
    }
}

pub(super) fn buckets(connection: &Connection) -> Result<Vec<Bucket>, S3Error> {
    let mut statement =
        connection.prepare("SELECT name, id, account, created, policy, principals FROM bucket")?;
    let mut rows = statement.query([])?;
    let mut buckets = Vec::new();
    while let Some(row) = rows.next()? {
        let text: Option<String> = row.get(4)?;
        let principals: Option<Vec<u8>> = row.get(5)?;
        // Rows of the first schema have none; their policies then name nobody who exists.
        let principals = principals.map_or_else(|| Ok(Vec::new()), |p| cbor::from_slice(&p));
        let principals = principals
            .map_err(|source| S3Error::Decode { what: "a bucket policy's principals", source })?;
        buckets.push(Bucket {
            name: row.get(0)?,
            id: Nonce(row.get(1)?),
            account: AccountId::from_number(row.get(2)?)
                .ok_or(rusqlite::Error::IntegralValueOutOfRange(2, 0))?,
            created: timestamp(row.get(3)?),
            policy: text.map(|text| BucketPolicy { text, principals }),
        });
    }
    Ok(buckets)
}

fn entry(row: &Row<'_>, key: &str) -> rusqlite::Result<Option<Entry>> {
    let object: Option<[u8; 16]> = row.get(0)?;
    let Some(object) = object else { return Ok(None) };
    Ok(Some(Entry {
        key: key.to_owned(),
        object: Nonce(object),
        size: row.get(1)?,
        etag: row.get(2)?,
        mtime: timestamp(row.get(3)?),
    }))
}

fn part(row: &Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part {
        segment: SegmentRef {
            part: row.get(0)?,
            segment: Nonce(row.get(1)?),
            length: row.get(2)?,
            header_digest: row.get(5)?,
        },
        etag: row.get(3)?,
        mtime: timestamp(row.get(4)?),
        sums: row.get(6)?,
    })
}

fn decode_upload(content: &[u8]) -> Result<Upload, S3Error> {
    cbor::from_slice(content).map_err(|source| S3Error::Decode { what: "an upload's row", source })
}
