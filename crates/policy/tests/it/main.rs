//! Tests of the policy engine through its public API.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers and tables of tests; clippy exempts only the test functions themselves"
)]

mod documents;
mod layers;
mod matching;
mod operators;
mod permits;
mod random;
mod reference;
