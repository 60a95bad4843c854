//! KMS against a snapshot in memory and a key module that is not there: refusals, names and lists.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop them")]

mod across;
mod destroyed;
mod world;
