//! Tests of the feed's readers, of the states of persons, and of the decision.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may stop")]

mod decide;
mod delivery;
mod feed;
mod machine;
mod world;
