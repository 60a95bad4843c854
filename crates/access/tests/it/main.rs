//! What may be filed, what each decision makes, and what ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests may stop, measure and print"
)]

mod decision;
mod ends;
mod pages;
mod request;
mod world;
