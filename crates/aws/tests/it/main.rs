//! Tests of the crate from outside: published vectors and foreign signers.

mod sigv4_round_trip;
mod sigv4_vectors;
