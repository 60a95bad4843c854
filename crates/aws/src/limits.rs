//! Limits on sizes and counts of what arrives on the wire.

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
