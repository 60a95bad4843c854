//! IAM and STS against a snapshot in memory and a stand-in for the key module.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop them")]

mod access;
mod groups;
mod keys;
mod paging;
mod policies;
mod roles;
mod sts;
mod users;
mod world;
