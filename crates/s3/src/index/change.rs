//! Mutations, and why one is not made. Every decision is taken inside the writer's transaction.

use writ_model::{AccountId, Nonce, Timestamp};

use super::rows::{Body, Bucket, BucketPolicy, Entry, Part, Upload};

/// What a write demands of the object that it replaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// `If-None-Match: *`.
    pub absent: bool,
    /// `If-Match`: the ETag without quotes, or `*`.
    pub etag: Option<String>,
}

/// One commit. Its records become durable with it or not at all.
#[derive(Debug, Clone)]
pub enum Change {
    /// AbortMultipartUpload.
    Abort {
        /// The upload.
        upload: Nonce,
        /// When.
        at: Timestamp,
    },
    /// CompleteMultipartUpload.
    Complete {
        /// The upload.
        upload: Nonce,
        /// What it becomes.
        put: Put,
        /// SHA-256 of the list of parts.
        request: [u8; 32],
    },
    /// CreateBucket.
    CreateBucket(Bucket),
    /// CreateMultipartUpload.
    CreateUpload(Box<Upload>),
    /// DeleteObject and DeleteObjects.
    Delete {
        /// The bucket.
        bucket: Nonce,
        /// Keys, each with what it demands.
        keys: Vec<(String, Condition)>,
        /// When.
        at: Timestamp,
    },
    /// DeleteBucket.
    DeleteBucket {
        /// The bucket.
        bucket: Nonce,
        /// When.
        at: Timestamp,
    },
    /// PutObject, CopyObject.
    Put(Put),
    /// UploadPart, UploadPartCopy.
    PutPart {
        /// The upload.
        upload: Nonce,
        /// The part; one of the same number is replaced.
        part: Part,
    },
    /// PutBucketPolicy, DeleteBucketPolicy.
    PutPolicy {
        /// The bucket.
        bucket: Nonce,
        /// The policy, or none.
        policy: Option<BucketPolicy>,
    },
}

/// A new body under a key.
#[derive(Debug, Clone)]
pub struct Put {
    /// The bucket.
    pub bucket: Nonce,
    /// The row that lists show.
    pub entry: Entry,
    /// Manifest and wrapped key.
    pub body: Body,
    /// What must hold of the present object.
    pub condition: Condition,
}

/// Why a mutation was not made. Nothing of it, its records included, was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The name is taken.
    #[error("the bucket exists and belongs to {owner}")]
    BucketExists {
        /// Its owner.
        owner: AccountId,
    },
    /// It holds objects.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// Another write of the same key is under way, and a condition depends on it.
    #[error("a conflicting write is under way")]
    Concurrent,
    /// The upload no longer has the parts that the manifest names.
    #[error("a part was replaced meanwhile")]
    InvalidPart,
    /// No such bucket.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// `If-Match` on a key that is not there.
    #[error("the key does not exist")]
    NoSuchKey,
    /// No such upload.
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// A condition does not hold.
    #[error("the condition `{0}` does not hold")]
    Precondition(&'static str),
    /// The account has as many buckets as it may.
    #[error("the account has too many buckets")]
    TooManyBuckets,
    /// The bucket has as many open uploads as it may.
    #[error("the bucket has too many open uploads")]
    TooManyUploads,
}
