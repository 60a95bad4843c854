//! Carries out one change inside the writer's transaction, or says why not.

use rusqlite::{Connection, OptionalExtension as _, params};
use writ_model::{AccountId, Nonce, Timestamp};
use writ_proof::cbor;

use super::change::{Change, Condition, Conflict, Put};
use super::rows::{Body, Bucket, BucketPolicy, Entry, Part, Upload};
use crate::S3Error;
use crate::format::SegmentRef;
use crate::limits::{BUCKETS_PER_ACCOUNT_MAX, UPLOADS_PER_BUCKET_MAX};

/// Why a change was not applied.
pub(super) enum Refused {
    /// The state does not admit it.
    Conflict(Conflict),
    /// The database failed.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Refused {
        Refused::Failed(error)
    }
}

impl From<Conflict> for Refused {
    fn from(conflict: Conflict) -> Refused {
        Refused::Conflict(conflict)
    }
}

type Applied = Result<(), Refused>;

/// Applies `change` as revision `rev`. `visible` is the highest acknowledged revision.
pub(super) fn apply(tx: &Connection, change: &Change, rev: u64, visible: u64) -> Applied {
    match change {
        Change::Abort { upload, at } => {
            find_upload(tx, *upload)?.ok_or(Conflict::NoSuchUpload)?;
            drop_upload(tx, *upload, &[], *at)?;
        }
        Change::Complete { upload, put, request } => {
            complete(tx, *upload, put, request, rev, visible)?;
        }
        Change::CreateBucket(bucket) => create_bucket(tx, bucket, rev)?,
        Change::CreateUpload(upload) => create_upload(tx, upload, rev)?,
        Change::Delete { bucket, keys, at } => {
            bucket_exists(tx, *bucket)?;
            for (key, condition) in keys {
                delete(tx, *bucket, key, condition, *at, (rev, visible))?;
            }
        }
        Change::DeleteBucket { bucket, at } => delete_bucket(tx, *bucket, *at)?,
        Change::Put(p) => put(tx, p, rev, visible)?,
        Change::PutPart { upload, part } => put_part(tx, *upload, part, rev)?,
        Change::PutPolicy { bucket, policy } => {
            bucket_exists(tx, *bucket)?;
            let (text, principals) = stored_policy(policy.as_ref());
            tx.prepare_cached(
                "UPDATE bucket SET policy = ?2, rev = ?3, principals = ?4 WHERE id = ?1",
            )?
            .execute(params![bucket.0, text, rev, principals])?;
        }
    }
    Ok(())
}

fn create_bucket(tx: &Connection, bucket: &Bucket, rev: u64) -> Applied {
    let owner: Option<u64> = tx
        .prepare_cached("SELECT account FROM bucket WHERE name = ?1")?
        .query_row([&bucket.name], |row| row.get(0))
        .optional()?;
    if let Some(owner) = owner.and_then(AccountId::from_number) {
        return Err(Conflict::BucketExists { owner }.into());
    }
    let count: usize = tx
        .prepare_cached("SELECT count(*) FROM bucket WHERE account = ?1")?
        .query_row([bucket.account.number()], |row| row.get(0))?;
    if count >= BUCKETS_PER_ACCOUNT_MAX {
        return Err(Conflict::TooManyBuckets.into());
    }
    let (text, principals) = stored_policy(bucket.policy.as_ref());
    tx.prepare_cached("INSERT INTO bucket VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
        params![
            bucket.name,
            bucket.id.0,
            bucket.account.number(),
            bucket.created.millis(),
            text,
            rev,
            principals,
        ],
    )?;
    Ok(())
}

/// Text and bound principals, as the table holds them.
fn stored_policy(policy: Option<&BucketPolicy>) -> (Option<&str>, Option<Vec<u8>>) {
    (policy.map(|p| p.text.as_str()), policy.map(|p| cbor::to_vec(&p.principals)))
}

fn delete_bucket(tx: &Connection, bucket: Nonce, at: Timestamp) -> Applied {
    bucket_exists(tx, bucket)?;
    // A key counts by its newest row; a deletion that is not acknowledged yet leaves nothing behind.
    let held: Option<i64> = tx
        .prepare_cached(
            "SELECT 1 FROM entry e WHERE bucket = ?1 AND object IS NOT NULL AND rev = \
             (SELECT max(rev) FROM entry WHERE bucket = e.bucket AND key = e.key) LIMIT 1",
        )?
        .query_row([bucket.0], |row| row.get(0))
        .optional()?;
    if held.is_some() {
        return Err(Conflict::BucketNotEmpty.into());
    }
    let uploads: Vec<[u8; 16]> = tx
        .prepare_cached("SELECT id FROM upload WHERE bucket = ?1")?
        .query_map([bucket.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for upload in uploads {
        drop_upload(tx, Nonce(upload), &[], at)?;
    }
    tx.prepare_cached("DELETE FROM bucket WHERE id = ?1")?.execute([bucket.0])?;
    Ok(())
}

fn create_upload(tx: &Connection, upload: &Upload, rev: u64) -> Applied {
    bucket_exists(tx, upload.bucket)?;
    let open: u64 = tx
        .prepare_cached("SELECT count(*) FROM upload WHERE bucket = ?1")?
        .query_row([upload.bucket.0], |row| row.get(0))?;
    if open >= UPLOADS_PER_BUCKET_MAX {
        return Err(Conflict::TooManyUploads.into());
    }
    tx.prepare_cached("INSERT INTO upload VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        upload.id.0,
        upload.bucket.0,
        upload.key.as_bytes(),
        upload.created.millis(),
        cbor::to_vec(upload),
        rev,
    ])?;
    Ok(())
}

fn put_part(tx: &Connection, upload: Nonce, part: &Part, rev: u64) -> Applied {
    find_upload(tx, upload)?.ok_or(Conflict::NoSuchUpload)?;
    let number = part.segment.part;
    let old: Option<[u8; 16]> = tx
        .prepare_cached("SELECT segment FROM part WHERE upload = ?1 AND number = ?2")?
        .query_row(params![upload.0, number], |row| row.get(0))
        .optional()?;
    if let Some(old) = old {
        discard(tx, &segment_file(Nonce(old), number), part.mtime, "part replaced")?;
    }
    tx.prepare_cached("INSERT OR REPLACE INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
        upload.0,
        number,
        part.segment.segment.0,
        part.segment.length,
        part.etag,
        part.mtime.millis(),
        part.segment.header_digest,
        part.sums,
        rev,
    ])?;
    Ok(())
}

fn complete(
    tx: &Connection,
    upload: Nonce,
    new: &Put,
    request: &[u8; 32],
    rev: u64,
    visible: u64,
) -> Applied {
    find_upload(tx, upload)?.ok_or(Conflict::NoSuchUpload)?;
    let manifest = new.body.sealed.peek().map_err(|_| Conflict::InvalidPart)?;
    for segment in &manifest.segments {
        let present: Option<[u8; 16]> = tx
            .prepare_cached("SELECT segment FROM part WHERE upload = ?1 AND number = ?2")?
            .query_row(params![upload.0, segment.part], |row| row.get(0))
            .optional()?;
        if present != Some(segment.segment.0) {
            return Err(Conflict::InvalidPart.into());
        }
    }
    put(tx, new, rev, visible)?;
    tx.prepare_cached("INSERT INTO completed VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        params![
            upload.0,
            new.bucket.0,
            new.entry.key.as_bytes(),
            new.entry.etag,
            request,
            new.entry.mtime.millis(),
        ],
    )?;
    Ok(drop_upload(tx, upload, &manifest.segments, new.entry.mtime)?)
}

fn put(tx: &Connection, new: &Put, rev: u64, visible: u64) -> Applied {
    bucket_exists(tx, new.bucket)?;
    let key = new.entry.key.as_bytes();
    let present = newest(tx, new.bucket, key)?;
    check(&new.condition, present.as_ref(), visible)?;
    let mtime = present.map_or(0, |p| p.mtime).max(new.entry.mtime.millis());
    insert_entry(tx, new.bucket, key, rev, Some(&new.entry), mtime)?;
    tx.prepare_cached("INSERT INTO body VALUES (?1, ?2)")?
        .execute(params![new.entry.object.0, cbor::to_vec(&new.body)])?;
    Ok(())
}

fn delete(
    tx: &Connection,
    bucket: Nonce,
    key: &str,
    condition: &Condition,
    at: Timestamp,
    (rev, visible): (u64, u64),
) -> Applied {
    let present = newest(tx, bucket, key.as_bytes())?;
    check(condition, present.as_ref(), visible)?;
    match present {
        Some(present) if present.etag.is_some() && present.rev != rev => {
            let mtime = present.mtime.max(at.millis());
            Ok(insert_entry(tx, bucket, key.as_bytes(), rev, None, mtime)?)
        }
        _ => Ok(()),
    }
}

fn insert_entry(
    tx: &Connection,
    bucket: Nonce,
    key: &[u8],
    rev: u64,
    entry: Option<&Entry>,
    mtime: u64,
) -> rusqlite::Result<()> {
    let etag = entry.map_or("", |e| e.etag.as_str());
    tx.prepare_cached("INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(
        params![
            bucket.0,
            key,
            rev,
            entry.map(|e| e.object.0),
            entry.map_or(0, |e| e.size),
            etag,
            mtime,
        ],
    )?;
    tx.prepare_cached("INSERT INTO touched VALUES (?1, ?2, ?3)")?
        .execute(params![rev, bucket.0, key])?;
    Ok(())
}

/// The newest row of a key, acknowledged or not; `etag` is absent for a deletion.
struct Newest {
    rev: u64,
    etag: Option<String>,
    mtime: u64,
}

fn newest(tx: &Connection, bucket: Nonce, key: &[u8]) -> rusqlite::Result<Option<Newest>> {
    tx.prepare_cached(
        "SELECT rev, iif(object IS NULL, NULL, etag), mtime FROM entry \
         WHERE bucket = ?1 AND key = ?2 ORDER BY rev DESC LIMIT 1",
    )?
    .query_row(params![bucket.0, key], |row| {
        Ok(Newest { rev: row.get(0)?, etag: row.get(1)?, mtime: row.get(2)? })
    })
    .optional()
}

fn check(condition: &Condition, present: Option<&Newest>, visible: u64) -> Result<(), Conflict> {
    if !condition.absent && condition.etag.is_none() {
        return Ok(());
    }
    if present.is_some_and(|p| p.rev > visible) {
        return Err(Conflict::Concurrent);
    }
    let etag = present.and_then(|p| p.etag.as_deref());
    if condition.absent && etag.is_some() {
        return Err(Conflict::Precondition("If-None-Match"));
    }
    match (condition.etag.as_deref(), etag) {
        (None, _) | (Some("*"), Some(_)) => Ok(()),
        (Some(_), None) => Err(Conflict::NoSuchKey),
        (Some(wanted), Some(found)) if wanted == found => Ok(()),
        (Some(_), Some(_)) => Err(Conflict::Precondition("If-Match")),
    }
}

fn bucket_exists(tx: &Connection, bucket: Nonce) -> Applied {
    tx.prepare_cached("SELECT 1 FROM bucket WHERE id = ?1")?
        .query_row([bucket.0], |_| Ok(()))
        .optional()?
        .ok_or_else(|| Conflict::NoSuchBucket.into())
}

fn find_upload(tx: &Connection, upload: Nonce) -> rusqlite::Result<Option<()>> {
    tx.prepare_cached("SELECT 1 FROM upload WHERE id = ?1")?
        .query_row([upload.0], |_| Ok(()))
        .optional()
}

/// Removes an upload and makes garbage of its parts, those in `kept` excepted.
fn drop_upload(
    tx: &Connection,
    upload: Nonce,
    kept: &[SegmentRef],
    at: Timestamp,
) -> rusqlite::Result<()> {
    let parts: Vec<(u32, [u8; 16])> = tx
        .prepare_cached("SELECT number, segment FROM part WHERE upload = ?1")?
        .query_map([upload.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let kept: std::collections::HashSet<Nonce> = kept.iter().map(|s| s.segment).collect();
    for (number, segment) in parts {
        if !kept.contains(&Nonce(segment)) {
            discard(tx, &segment_file(Nonce(segment), number), at, "part of no object")?;
        }
    }
    tx.prepare_cached("DELETE FROM part WHERE upload = ?1")?.execute([upload.0])?;
    tx.prepare_cached("DELETE FROM upload WHERE id = ?1")?.execute([upload.0])?;
    Ok(())
}

/// The name of a segment's file.
pub fn segment_file(segment: Nonce, part: u32) -> String {
    format!("{segment}.{part}")
}

/// The name of the manifest's file of a multipart object.
pub fn manifest_file(object: Nonce) -> String {
    format!("{object}.man")
}

fn discard(tx: &Connection, file: &str, at: Timestamp, why: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO garbage VALUES (?1, ?2, ?3)")?.execute(params![
        file,
        at.millis(),
        why
    ])?;
    Ok(())
}

/// Forgets the records of acknowledged revisions `from..=to` and what they superseded.
pub(super) fn acknowledge(
    tx: &Connection,
    (from, to): (u64, u64),
    at: Timestamp,
) -> Result<(), S3Error> {
    let touched: Vec<(u64, [u8; 16], Vec<u8>)> = tx
        .prepare_cached("SELECT rev, bucket, key FROM touched WHERE rev BETWEEN ?1 AND ?2")?
        .query_map([from, to], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (rev, bucket, key) in touched {
        let old: Vec<[u8; 16]> = tx
            .prepare_cached(
                "SELECT object FROM entry WHERE bucket = ?1 AND key = ?2 AND rev < ?3 \
                 AND object IS NOT NULL",
            )?
            .query_map(params![bucket, key, rev], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for object in old {
            drop_body(tx, Nonce(object), at)?;
        }
        tx.prepare_cached(
            "DELETE FROM entry WHERE bucket = ?1 AND key = ?2 AND \
             (rev < ?3 OR (rev = ?3 AND object IS NULL))",
        )?
        .execute(params![bucket, key, rev])?;
    }
    tx.prepare_cached("DELETE FROM touched WHERE rev BETWEEN ?1 AND ?2")?.execute([from, to])?;
    tx.prepare_cached("DELETE FROM outbox WHERE rev BETWEEN ?1 AND ?2")?.execute([from, to])?;
    Ok(())
}

fn drop_body(tx: &Connection, object: Nonce, at: Timestamp) -> Result<(), S3Error> {
    let content: Option<Vec<u8>> = tx
        .prepare_cached("SELECT content FROM body WHERE object = ?1")?
        .query_row([object.0], |row| row.get(0))
        .optional()?;
    let Some(content) = content else { return Ok(()) };
    let body: Body = cbor::from_slice(&content)
        .map_err(|source| S3Error::Decode { what: "an object's row", source })?;
    for segment in body.sealed.peek()?.segments {
        discard(tx, &segment_file(segment.segment, segment.part), at, "object gone")?;
        if segment.part > 0 {
            discard(tx, &manifest_file(object), at, "object gone")?;
        }
    }
    tx.prepare_cached("DELETE FROM body WHERE object = ?1")?.execute([object.0])?;
    Ok(())
}
