//! The ledger writer over real channels, with a key module, witnesses and watch played by the test.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and damage files on purpose"
)]

#[cfg(feature = "failpoints")]
mod crash;
mod damage;
mod follow;
mod ledger;
mod space;
mod world;
