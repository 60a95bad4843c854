//! What a verifier needs, and nothing else: strict CBOR, leaf and frame codecs, Merkle trees, signed
//! notes, checkpoints, statements and their signatures, the roster.
//!
//! The crate is pure: no I/O, no clock, not async. keyd, trail, watch and `writ verify` share it, so
//! that what one writes the others can check. It decides nothing about access.

pub mod cbor;
