//! The recorder on disks that fail, the watch over file transfers between OpenSSH's own programs, and the gate between
//! a client and a host that cheat.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and damage files on purpose"
)]

mod faults;
mod gate;
#[path = "../../src/tests/people.rs"]
mod people;
mod process;
mod record;
mod sftp;
mod site;
mod world;

use writ_bastion::access::{Access, Held};
