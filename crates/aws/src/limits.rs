//! Limits on sizes and counts of what arrives on the wire.

// ---- signatures -------------------------------------------------------------------------------

/// Bytes of a request's head (method, path, query, header names and values) that are looked at.
pub const HEAD_MAX_BYTES: usize = 64 * 1024;

/// Header fields in one request.
pub const HEADERS_MAX: usize = 100;

/// Names in one `SignedHeaders` list: no more than a request can have fields.
pub const SIGNED_HEADERS_MAX: usize = HEADERS_MAX;

/// Name and value pairs in one query string.
pub const QUERY_PAIRS_MAX: usize = 1_000;

/// Characters of an access key id (IAM's `accessKeyIdType`).
pub const ACCESS_KEY_ID_MAX_CHARS: usize = 128;

/// Characters of a service's signing name in a credential scope.
pub const SERVICE_NAME_MAX_CHARS: usize = 64;

// ---- aws-chunked bodies -----------------------------------------------------------------------

/// Bytes of one chunk header line, without its line end.
pub const CHUNK_HEADER_MAX_BYTES: usize = 4 * 1024;

/// Bytes of one signed chunk. Its signature can only be checked once all of it has been read, so
/// this bounds how much data is taken on trust.
pub const CHUNK_SIGNED_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of every signed chunk but the last, at least (S3's own rule). It bounds the number of
/// signatures that one body can ask keyd to check.
pub const CHUNK_SIGNED_MIN_BYTES: u64 = 8 * 1024;

/// Bytes of one unsigned chunk: S3's largest single upload. Several SDKs send a whole body of
/// known length as one unsigned chunk, and nothing is buffered for it.
pub const CHUNK_UNSIGNED_MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Bytes of the trailer section of one body.
pub const TRAILER_MAX_BYTES: usize = 8 * 1024;

/// Fields that `x-amz-trailer` may name.
pub const TRAILERS_MAX: usize = 8;

// ---- checksums --------------------------------------------------------------------------------

/// Parts of a multipart upload, and so the largest `N` of a composite checksum `base64-N`.
pub const PARTS_MAX: u32 = 10_000;

// ---- codecs -----------------------------------------------------------------------------------

/// Bytes of a form or JSON body (CloudTrail's and KMS's largest members are well below).
pub const PARAMETERS_MAX_BYTES: usize = 1024 * 1024;

/// Bytes of an XML body: `CompleteMultipartUpload` with 10,000 parts and their checksums.
pub const XML_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Parameters in one form.
pub const FORM_PAIRS_MAX: usize = 2_000;

/// Segments of one parameter's name (`Tags.member.1.Key` has four).
pub const FORM_DEPTH_MAX: usize = 24;

/// Bytes of one parameter's name.
pub const FORM_NAME_MAX_BYTES: usize = 512;

/// The largest index of a list in a form.
pub const FORM_INDEX_MAX: u32 = 10_000;

/// Arrays and objects inside each other in JSON.
pub const JSON_DEPTH_MAX: usize = 32;

/// Values in one JSON body, at any depth.
pub const JSON_VALUES_MAX: usize = 50_000;

/// Elements inside each other in XML.
pub const XML_DEPTH_MAX: usize = 8;

/// Elements in one XML body: 10,000 parts with their number, ETag and checksums.
pub const XML_ELEMENTS_MAX: usize = 100_000;

/// Attributes of one XML element.
pub const XML_ATTRIBUTES_MAX: usize = 8;

/// Bytes of an S3 object key.
pub const OBJECT_KEY_MAX_BYTES: usize = 1024;

/// Parameters in the query string of an S3 request.
pub const S3_QUERY_PAIRS_MAX: usize = 100;
