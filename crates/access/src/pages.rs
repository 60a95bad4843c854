//! Listings, newest first, a page at a time.
//!
//! Ids begin with the time, so a page begins where the one before it ended: its cost does not grow with how many
//! there are.

use std::sync::Arc;

use writ_model::{AccountId, PersonId};
use writ_store::snapshot::Held;
use writ_store::state::{AccessGrant, AccessRequest};
use writ_store::{Entry, Snapshot, Stored};

use crate::limits;

/// One page.
pub struct Page<'a, T: Stored + writ_store::derived::Derive> {
    /// Its entries.
    pub entries: Vec<&'a Arc<Entry<T>>>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// Requests before the id `before`; of one person, if one is named.
pub fn requests<'a>(
    snapshot: &'a Snapshot,
    before: Option<&str>,
    of: Option<&PersonId>,
) -> Page<'a, AccessRequest> {
    page(snapshot, before, |entry: &AccessRequest| of.is_none_or(|who| entry.requester == *who))
}

/// Grants before the id `before`; of one person, if one is named.
pub fn grants<'a>(
    snapshot: &'a Snapshot,
    before: Option<&str>,
    of: Option<&PersonId>,
) -> Page<'a, AccessGrant> {
    page(snapshot, before, |entry: &AccessGrant| of.is_none_or(|who| entry.person == *who))
}

/// Objects before the id `before`, the last id first.
pub fn page<'a, T: Held>(
    snapshot: &'a Snapshot,
    before: Option<&str>,
    wanted: impl Fn(&T) -> bool,
) -> Page<'a, T> {
    let mut entries: Vec<&Arc<Entry<T>>> = Vec::new();
    let (mut looked, mut last) = (0, None);
    for entry in snapshot.list_back::<T>(AccountId::PLATFORM, before) {
        if entries.len() >= limits::PAGE || looked >= limits::PAGE_LOOK_MAX {
            return Page { entries, next: last };
        }
        looked += 1;
        if wanted(&entry.value) {
            entries.push(entry);
        }
        last = Some(entry.value.id());
    }
    Page { entries, next: None }
}
