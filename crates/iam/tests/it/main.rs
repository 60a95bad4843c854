//! IAM and STS against a snapshot in memory and a stand-in for the key module.

mod access;
mod groups;
mod keys;
mod paging;
mod policies;
mod roles;
mod sts;
mod users;
mod world;
