//! The system tests: the real binary, driven by the AWS CLI, boto3 and hostile clients.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests may stop, print, write files and start programs"
)]

mod bad_input;
mod claims;
mod crash;
mod every_endpoint;
mod https;
mod large;
mod lifecycle;
mod operations;
mod operators;
