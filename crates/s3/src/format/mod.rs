//! The only form in which object bytes touch a disk.
//!
//! ```text
//! segment  = "WRITSEG1" | u32 header length | header | frame*  [ | footer ]
//! K | P    = HKDF-SHA256(data key, salt, "writ-s3-seg-v1" 00 SHA-256(header)), 32 + 7 bytes
//! frame i  = AES-256-GCM(K, P | u32 i | last, aad = SHA-256(header), plaintext) | tag
//! footer   = sealed manifest | u32 length | "WRITSEND"          single-part objects only
//! sealed   = {1: manifest, 2: HMAC-SHA256 tag, 3: metadata}     deterministic CBOR
//! ```
//!
//! This is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the counter fixes the order, `last` is 01
//! in the final frame alone, an empty object is one empty last frame. A data key serves one object;
//! each segment derives its own key from a fresh salt, so nonces cannot repeat. Moving, renaming or
//! splicing files between keys, parts, uploads, buckets or regions fails at the first frame.

mod frame;
mod header;
mod key;
mod manifest;
mod reader;
mod writer;

pub use header::{ObjectIdentity, SEGMENT_MAGIC, SegmentHeader};
pub use key::DataKey;
pub use manifest::{
    FOOTER_MAGIC, Manifest, Metadata, SealedManifest, SegmentRef, SseMode, Sums, open_sums,
    read_footer, seal_sums, sha256,
};
pub use reader::{RangeCursor, ReadAt, SegmentReader};
pub use writer::SegmentWriter;

/// The version that this program writes and the highest that it reads.
pub const FORMAT: u64 = 1;
/// Bytes that authentication adds to each frame.
pub const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests;
