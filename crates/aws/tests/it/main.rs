//! Tests of the crate from outside: published vectors and foreign signers.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests, which the exemptions of `clippy.toml` do not cover"
)]

mod sigv4_botocore;
mod sigv4_round_trip;
mod sigv4_vectors;
