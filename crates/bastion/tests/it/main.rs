//! The recorder on disks that fail, and the watch over file transfers between OpenSSH's own programs.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and damage files on purpose"
)]

mod faults;
mod process;
mod record;
mod sftp;
mod world;
