//! The head of a segment: whose bytes these are. Hashed into the key and the tag of each frame.

use writ_model::{Arn, Nonce, Region};
use writ_proof::cbor::{self, CborError, Decode, Encode, Reader, Writer};
use writ_proof::cbor_map;

use super::FORMAT;
use crate::S3Error;
use crate::limits::{FRAME_LOG2_RANGE, SEGMENT_HEADER_MAX_BYTES, WRAPPED_KEY_MAX_BYTES};

/// The first bytes of a segment.
pub const SEGMENT_MAGIC: &[u8; 8] = b"WRITSEG1";

/// Which object bytes belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectIdentity {
    /// Where it lies.
    pub region: Region,
    /// The bucket's id: a bucket of the same name made later has another one.
    pub bucket: Nonce,
    /// `arn:aws:s3:::BUCKET`.
    pub bucket_arn: Arn,
    /// The object's key.
    pub key: String,
    /// This body's id.
    pub object: Nonce,
}
cbor_map!(ObjectIdentity { 2: region, 3: bucket, 4: bucket_arn, 5: key, 6: object });

/// The header of a segment, at most [`SEGMENT_HEADER_MAX_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The object.
    pub identity: ObjectIdentity,
    /// The multipart upload that it is a part of.
    pub upload: Option<Nonce>,
    /// 1 to 10,000; 0 is a whole object.
    pub part: u32,
    /// The KMS key that wraps the data key.
    pub key_arn: Arn,
    /// The wrapped data key: KMS's ciphertext blob.
    pub wrapped: Vec<u8>,
    /// Pairs that the customer added to the encryption context.
    pub context: Vec<(String, String)>,
    /// log2 of a frame's plaintext bytes.
    pub frame_log2: u64,
    /// Makes the segment's key its own.
    pub salt: [u8; 32],
}

impl Encode for SegmentHeader {
    fn encode(&self, writer: &mut Writer) {
        writer.map(13);
        let mut field = |key: u64, value: &dyn Encode| {
            writer.uint(key);
            value.encode(writer);
        };
        field(1, &FORMAT);
        field(2, &self.identity.region);
        field(3, &self.identity.bucket);
        field(4, &self.identity.bucket_arn);
        field(5, &self.identity.key);
        field(6, &self.identity.object);
        field(7, &self.upload);
        field(8, &self.part);
        field(9, &self.key_arn);
        field(10, &self.wrapped);
        field(11, &self.context);
        field(12, &self.frame_log2);
        field(13, &self.salt);
    }
}

impl Decode for SegmentHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<SegmentHeader, CborError> {
        if reader.map()? != 13 {
            return Err(reader.invalid("a segment header of 13 fields"));
        }
        key(reader, 1)?;
        if reader.uint()? != FORMAT {
            return Err(reader.invalid("a segment of format 1"));
        }
        Ok(SegmentHeader {
            identity: ObjectIdentity {
                region: field(reader, 2)?,
                bucket: field(reader, 3)?,
                bucket_arn: field(reader, 4)?,
                key: field(reader, 5)?,
                object: field(reader, 6)?,
            },
            upload: field(reader, 7)?,
            part: field(reader, 8)?,
            key_arn: field(reader, 9)?,
            wrapped: field(reader, 10)?,
            context: field(reader, 11)?,
            frame_log2: field(reader, 12)?,
            salt: field(reader, 13)?,
        })
    }
}

fn key(reader: &mut Reader<'_>, expected: u64) -> Result<(), CborError> {
    match reader.uint()? {
        found if found == expected => Ok(()),
        _ => Err(CborError::Key { key: expected }),
    }
}

fn field<T: Decode>(reader: &mut Reader<'_>, expected: u64) -> Result<T, CborError> {
    key(reader, expected)?;
    T::decode(reader)
}

impl SegmentHeader {
    /// The canonical bytes, which every tag of the segment covers.
    pub fn to_bytes(&self) -> Result<Vec<u8>, S3Error> {
        let limit = |what, limit: usize| S3Error::TooLarge { what, limit: limit as u64 };
        if self.wrapped.len() > WRAPPED_KEY_MAX_BYTES {
            return Err(limit("the wrapped data key", WRAPPED_KEY_MAX_BYTES));
        }
        let bytes = cbor::to_vec(self);
        if bytes.len() > SEGMENT_HEADER_MAX_BYTES {
            return Err(limit("the segment header", SEGMENT_HEADER_MAX_BYTES));
        }
        Ok(bytes)
    }

    /// Reads the canonical bytes and refuses frame sizes that no version writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<SegmentHeader, S3Error> {
        let header: SegmentHeader = cbor::from_slice(bytes)
            .map_err(|source| S3Error::Decode { what: "the segment header", source })?;
        if !FRAME_LOG2_RANGE.contains(&header.frame_log2) {
            return Err(S3Error::TooLarge {
                what: "the frame size",
                limit: *FRAME_LOG2_RANGE.end(),
            });
        }
        Ok(header)
    }

    /// Plaintext bytes in each frame but the last.
    pub fn frame_bytes(&self) -> u64 {
        1 << self.frame_log2.min(*FRAME_LOG2_RANGE.end())
    }
}
