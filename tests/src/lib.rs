//! The harness of the system tests: the real binary, real clients, and eyes on the ledger's files.
//!
//! It needs `WRIT_BIN`, the binary built with the feature `failpoints`, and `WRIT_TOOLS`, the folder
//! whose `venv` has the AWS CLI and boto3; `cargo xtask test system` provides both. Without the
//! variables the places under `target/` are used.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests may stop, print, write files and start programs"
)]

pub mod agent;
pub mod browser;
pub mod clients;
pub mod database;
pub mod http;
pub mod keyd;
pub mod ledger;
pub mod manifest;
pub mod process;
pub mod search;
pub mod sink;
pub mod site;
pub mod skip;
pub mod wait;

pub use browser::Browser;
pub use clients::{Client, Clients, Credentials, Failure};
pub use ledger::Ledger;
pub use site::{Options, Site};
pub use skip::skipped;
pub use wait::until;
