//! What may be filed, what each decision makes, and what ends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may stop")]

mod decision;
mod ends;
mod pages;
mod request;
mod world;
