//! What the index knows: buckets, entries, bodies, uploads and parts.

use writ_model::{AccountId, Arn, Nonce, Timestamp, UniqueId};
use writ_proof::cbor_map;

use crate::format::{Metadata, SealedManifest, SegmentRef, SseMode};

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name, one namespace for the installation.
    pub name: String,
    /// Its id: another one for a later bucket of the same name.
    pub id: Nonce,
    /// Owner.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
    /// The bucket policy.
    pub policy: Option<BucketPolicy>,
}

/// A bucket policy, bound to whom it meant when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPolicy {
    /// The text, verbatim.
    pub text: String,
    /// The users and roles that it names, with the unique ids that they had.
    pub principals: Vec<(Arn, String)>,
}

impl BucketPolicy {
    /// The unique id that a principal of the policy had.
    pub fn unique_id(&self, arn: &Arn) -> Option<UniqueId> {
        let (_, id) = self.principals.iter().find(|(name, _)| name == arn)?;
        id.parse().ok()
    }
}

impl Bucket {
    /// `arn:aws:s3:::NAME`.
    pub fn arn(&self) -> Arn {
        Arn::build("s3", "", None, &self.name)
    }

    /// `arn:aws:s3:::NAME/KEY`.
    pub fn object_arn(&self, key: &str) -> Arn {
        Arn::build("s3", "", None, &format!("{}/{key}", self.name))
    }
}

/// What a list shows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The body's id.
    pub object: Nonce,
    /// Plaintext bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was written; never earlier than what it replaced.
    pub mtime: Timestamp,
}

/// What a read needs of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Manifest, tag and metadata.
    pub sealed: SealedManifest,
    /// The KMS key.
    pub key_arn: Arn,
    /// The wrapped data key.
    pub wrapped: Vec<u8>,
    /// Pairs that the customer added to the encryption context.
    pub context: Vec<(String, String)>,
}
cbor_map!(Body { 1: sealed, 2: key_arn, 3: wrapped, 4: context });

/// An open multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: Nonce,
    /// The bucket.
    pub bucket: Nonce,
    /// The object's key.
    pub key: String,
    /// The body that it will become.
    pub object: Nonce,
    /// Who began it.
    pub initiator: Arn,
    /// When.
    pub created: Timestamp,
    /// The KMS key.
    pub key_arn: Arn,
    /// The wrapped data key of the whole object.
    pub wrapped: Vec<u8>,
    /// Pairs that the customer added to the encryption context.
    pub context: Vec<(String, String)>,
    /// What the object will say of itself.
    pub metadata: Metadata,
    /// What the client was told.
    pub sse: SseMode,
    /// The checksum algorithm that CreateMultipartUpload named.
    pub algorithm: Option<String>,
    /// True for FULL_OBJECT; absent where none was named.
    pub full_object: Option<bool>,
}
cbor_map!(Upload {
    1: id, 2: bucket, 3: key, 4: object, 5: initiator, 6: created, 7: key_arn, 8: wrapped,
    9: context, 10: metadata, 11: sse, 12: opt algorithm, 13: opt full_object,
});

/// A part of an open upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The segment, with number and length.
    pub segment: SegmentRef,
    /// Without quotes.
    pub etag: String,
    /// When it was written.
    pub mtime: Timestamp,
    /// The part's checksum and MD5, sealed.
    pub sums: Vec<u8>,
}

/// The answer of an upload that was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The object's key.
    pub key: String,
    /// Its ETag.
    pub etag: String,
    /// SHA-256 of the list of parts that completed it.
    pub request: [u8; 32],
}

/// One row of the outbox: an audit record that the ledger has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The commit.
    pub rev: u64,
    /// Its place among the commit's records, from 0.
    pub ordinal: u32,
    /// How many the commit has.
    pub count: u32,
    /// The record, as `writ_proof::append::AppendItem` encodes it, without its commit.
    pub item: Vec<u8>,
}
