//! Tests of the store from outside: engines against their model, publication, feeds, crashes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop them")]

mod crash;
mod feed;
mod full;
mod model;
mod publication;
mod snapshot;
mod stress;
mod support;
