//! Times and counts of requests, grants and tickets, each with its reason.

use std::time::Duration;

use writ_proof::limits::{GRANT_MAX_HOURS, REQUEST_FUTURE_MAX};

/// How long a request waits for decisions (operator access, section 2.1).
pub const PENDING_LIFETIME: Duration = Duration::from_secs(3600);

/// How old a request may be when it is filed: it was signed a moment ago. What is older was kept by somebody.
pub const REQUEST_AGE_MAX: Duration = Duration::from_secs(15 * 60);

/// How far the time in a request's id may lie from when it was made, so that listings are in order.
pub const ID_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// Requests that one person may have pending, and grants without end, together. When the person leaves all of them end
/// in one commit with that, whose records are bounded (`writ_store::limits::TRANSACTION_MAX_RECORDS`).
pub const PERSON_MAX_OPEN: usize = 12;
const _: () = assert!(PERSON_MAX_OPEN < writ_store::limits::TRANSACTION_MAX_RECORDS);

/// Requests that may be pending at one time. People read them one by one.
pub const PENDING_MAX: usize = 1000;

/// How long before now the id of a request that is pending can have been made.
pub const PENDING_BACK: Duration = Duration::from_secs(2 * 3600);

/// How long before now the id of a grant without end can have been made: its request was pending for an hour, its
/// window began within 14 days of when it was made, and lasts 8 hours at most.
pub const LIVE_BACK: Duration =
    Duration::from_secs(REQUEST_FUTURE_MAX.as_secs() + GRANT_MAX_HOURS as u64 * 3600 + 2 * 3600);

/// Decisions on one request that are kept; a rule has at most 64 people, and the others have no slot.
pub const DECISIONS_MAX: usize = 256;

/// How long a nonce for a decision is good (operator access, section 3.1).
pub const NONCE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Nonces that are out at one time.
pub const NONCES_MAX: usize = 4096;

/// Entries of one page of a listing.
pub const PAGE: usize = 100;

/// Entries that one page looks at; one that is looked through without a full page says where to go on.
pub const PAGE_LOOK_MAX: usize = 10_000;

/// A ticket's title in bytes.
pub const TICKET_TITLE_MAX_BYTES: usize = 200;

/// Tickets that are open at one time.
pub const OPEN_TICKETS_MAX: usize = 10_000;

/// Versions of runbooks in the catalogue.
pub const RUNBOOKS_MAX: usize = 10_000;

/// Runs that are not over at one time.
pub const OPEN_RUNS_MAX: usize = 10_000;
