//! Lists in UTF-8 byte order. With a delimiter, a whole common prefix costs one seek, so the work
//! follows the results and not the keys.

use rusqlite::{Connection, params};
use writ_model::{Nonce, Timestamp};

use super::rows::Entry;
use crate::S3Error;

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Keys begin with it.
    pub prefix: String,
    /// What follows the prefix up to and with this is rolled up.
    pub delimiter: Option<String>,
    /// The first key that may appear.
    pub start: Vec<u8>,
    /// Objects and common prefixes together.
    pub limit: usize,
}

impl ListQuery {
    /// Begins after `marker`: after the key, or, where it is a common prefix, after all that it rolls
    /// up (`marker` of ListObjects, `start-after` of ListObjectsV2).
    pub fn after(mut self, marker: &str) -> ListQuery {
        if marker.is_empty() {
            return self;
        }
        let rolled = self.common_prefix(marker.as_bytes()).is_some_and(|p| p == marker.as_bytes());
        let start = if rolled { successor(marker.as_bytes()) } else { next_key(marker.as_bytes()) };
        // Nothing follows a prefix of FF bytes alone, which UTF-8 never has.
        self.start = start.unwrap_or_else(|| vec![0xff]);
        self
    }

    /// The common prefix that rolls up `key`, if any.
    fn common_prefix<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        let delimiter = self.delimiter.as_deref().filter(|d| !d.is_empty())?.as_bytes();
        let rest = key.strip_prefix(self.prefix.as_bytes())?;
        let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }
}

/// One page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects, in order.
    pub entries: Vec<Entry>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// The last key or common prefix of the page.
    pub last: Option<String>,
    /// Where the next page begins, if there is more.
    pub next: Option<Vec<u8>>,
}

impl ListPage {
    fn len(&self) -> usize {
        self.entries.len() + self.prefixes.len()
    }
}

/// The smallest byte string above all that begin with `prefix`; none if there is none.
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let end = prefix.iter().rposition(|b| *b < 0xff)?;
    let mut out = prefix.get(..=end)?.to_vec();
    *out.last_mut()? += 1;
    Some(out)
}

fn next_key(key: &[u8]) -> Option<Vec<u8>> {
    Some([key, &[0]].concat())
}

/// A page of what was visible at revision `visible`.
pub(super) fn list(
    connection: &Connection,
    bucket: Nonce,
    query: &ListQuery,
    visible: u64,
) -> Result<ListPage, S3Error> {
    let mut page = ListPage::default();
    let mut from = query.start.clone().max(query.prefix.as_bytes().to_vec());
    let end = successor(query.prefix.as_bytes());
    if query.limit == 0 {
        return Ok(page);
    }
    let mut statement = connection.prepare_cached(
        "SELECT key, rev, object, size, etag, mtime FROM entry \
         WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key, rev DESC",
    )?;
    'seek: loop {
        let mut rows = statement.query(params![bucket.0, from, end])?;
        let mut decided: Option<Vec<u8>> = None;
        while let Some(row) = rows.next()? {
            let key: Vec<u8> = row.get(0)?;
            let rev: u64 = row.get(1)?;
            if rev > visible || decided.as_ref() == Some(&key) {
                continue;
            }
            let object: Option<[u8; 16]> = row.get(2)?;
            decided = Some(key.clone());
            let Some(object) = object else { continue };
            if page.len() >= query.limit {
                page.next = Some(from);
                return Ok(page);
            }
            if let Some(prefix) = query.common_prefix(&key) {
                let name = text(prefix)?;
                page.last = Some(name.clone());
                page.prefixes.push(name);
                let Some(next) = successor(prefix) else { return Ok(page) };
                from = next;
                continue 'seek;
            }
            from = next_key(&key).unwrap_or_default();
            let key = text(&key)?;
            page.last = Some(key.clone());
            page.entries.push(Entry {
                key,
                object: Nonce(object),
                size: row.get(3)?,
                etag: row.get(4)?,
                mtime: Timestamp::from_millis(row.get(5)?),
            });
        }
        return Ok(page);
    }
}

fn text(bytes: &[u8]) -> Result<String, S3Error> {
    String::from_utf8(bytes.to_vec()).map_err(|e| S3Error::Index(e.utf8_error().into()))
}
