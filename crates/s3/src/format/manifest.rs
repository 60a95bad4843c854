//! What an object consists of, under a tag that only its data key can make.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AeadNonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use writ_model::{Env, Nonce};
use writ_proof::cbor::{self, CborError, Decode, Encode, Reader, Writer};
use writ_proof::{cbor_enum, cbor_map};
use zeroize::Zeroizing;

use super::{DataKey, FORMAT, ObjectIdentity, ReadAt, TAG_BYTES};
use crate::S3Error;
use crate::limits::MANIFEST_MAX_BYTES;

/// The last bytes of a segment with a footer.
pub const FOOTER_MAGIC: &[u8; 8] = b"WRITSEND";

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The encryption that the client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseMode {
    /// `AES256`: the same key of the customer, an ETag that is the MD5.
    Aes256,
    /// `aws:kms`.
    Kms,
}
cbor_enum!(SseMode { 0: Aes256, 1: Kms });

impl SseMode {
    /// The value of `x-amz-server-side-encryption`.
    pub fn name(self) -> &'static str {
        match self {
            SseMode::Aes256 => "AES256",
            SseMode::Kms => "aws:kms",
        }
    }
}

/// One segment of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRef {
    /// The segment's id: the object's for a whole object, its own for a part.
    pub segment: Nonce,
    /// Part number; 0 for a whole object.
    pub part: u32,
    /// Plaintext bytes.
    pub length: u64,
    /// SHA-256 of the segment's header.
    pub header_digest: [u8; 32],
}

impl Encode for SegmentRef {
    fn encode(&self, writer: &mut Writer) {
        writer.array(4);
        self.segment.encode(writer);
        self.part.encode(writer);
        self.length.encode(writer);
        self.header_digest.encode(writer);
    }
}

impl Decode for SegmentRef {
    fn decode(reader: &mut Reader<'_>) -> Result<SegmentRef, CborError> {
        if reader.array()? != 4 {
            return Err(reader.invalid("a segment reference of four"));
        }
        Ok(SegmentRef {
            segment: Nonce::decode(reader)?,
            part: u32::decode(reader)?,
            length: u64::decode(reader)?,
            header_digest: <[u8; 32]>::decode(reader)?,
        })
    }
}

/// What an object is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u64,
    /// The object.
    pub identity: ObjectIdentity,
    /// Its segments in the order of their bytes.
    pub segments: Vec<SegmentRef>,
    /// Plaintext bytes in all.
    pub length: u64,
    /// Without quotes.
    pub etag: String,
    /// What the client was told.
    pub sse: SseMode,
    /// SHA-256 of the metadata's encoding.
    pub metadata_digest: [u8; 32],
    /// [`Sums`], sealed.
    pub sums: Vec<u8>,
}
cbor_map!(Manifest {
    1: format,
    2: identity,
    3: segments,
    4: length,
    5: etag,
    6: sse,
    7: metadata_digest,
    8: sums,
});

/// Checksums of content: they never lie on a disk in clear, since they would confirm a guess.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// `CRC64NVME`, `CRC32`, `CRC32C`, `SHA1` or `SHA256`.
    pub algorithm: String,
    /// True for FULL_OBJECT, false for COMPOSITE.
    pub full_object: bool,
    /// Base64, with `-N` for COMPOSITE.
    pub value: String,
    /// Part number and its checksum, of a multipart object.
    pub parts: Vec<(u32, String)>,
    /// MD5 of the content, where it was asked for.
    pub md5: Option<Vec<u8>>,
}
cbor_map!(Sums { 1: algorithm, 2: full_object, 3: value, 4: parts, 5: opt md5 });

/// What the client said about an object; not secret (as at AWS).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// System metadata by header name: `content-type`, `cache-control` and their like, sorted.
    pub system: Vec<(String, String)>,
    /// User metadata without the prefix `x-amz-meta-`, sorted.
    pub user: Vec<(String, String)>,
}
cbor_map!(Metadata { 1: system, 2: user });

/// A manifest with its tag and the metadata that it commits to: footer, manifest file and index row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedManifest {
    /// The manifest's canonical bytes.
    pub manifest: Vec<u8>,
    /// HMAC-SHA256 of them.
    pub tag: [u8; 32],
    /// The metadata's canonical bytes.
    pub metadata: Vec<u8>,
}
cbor_map!(SealedManifest { 1: manifest, 2: tag, 3: metadata });

impl SealedManifest {
    /// Seals `manifest`, whose metadata digest is set here.
    pub fn seal(
        key: &DataKey,
        mut manifest: Manifest,
        metadata: &Metadata,
    ) -> Result<SealedManifest, S3Error> {
        let metadata = cbor::to_vec(metadata);
        manifest.metadata_digest = sha256(&metadata);
        let manifest = cbor::to_vec(&manifest);
        if manifest.len() > MANIFEST_MAX_BYTES {
            let limit = MANIFEST_MAX_BYTES as u64;
            return Err(S3Error::TooLarge { what: "the manifest", limit });
        }
        let tag = hmac::sign(&manifest_key(key)?, &manifest);
        let mut sealed = SealedManifest { manifest, tag: [0; 32], metadata };
        sealed.tag.copy_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The manifest, once its tag and the metadata's digest are right. Every Get does this first.
    pub fn open(&self, key: &DataKey, name: &str) -> Result<Manifest, S3Error> {
        let damaged = || S3Error::Damaged { what: "the manifest", name: name.to_owned() };
        hmac::verify(&manifest_key(key)?, &self.manifest, &self.tag).map_err(|_| damaged())?;
        let manifest = self.peek()?;
        if sha256(&self.metadata) != manifest.metadata_digest {
            return Err(damaged());
        }
        Ok(manifest)
    }

    /// The manifest **without a check of its tag**: for lists, heads and `fsck`.
    pub fn peek(&self) -> Result<Manifest, S3Error> {
        let manifest: Manifest = decode("the manifest", &self.manifest)?;
        if manifest.format != FORMAT {
            let found = manifest.format;
            return Err(S3Error::Version { what: "the manifest", found, known: FORMAT });
        }
        Ok(manifest)
    }

    /// The metadata; [`SealedManifest::open`] has checked it, or it is only for display.
    pub fn metadata(&self) -> Result<Metadata, S3Error> {
        decode("the metadata", &self.metadata)
    }

    /// SHA-256 of the manifest, which the records of Put, Complete and Get carry.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.manifest)
    }

    /// Appends the footer of a single-part object.
    pub fn write_footer(&self, out: &mut Vec<u8>) {
        let bytes = cbor::to_vec(self);
        out.extend_from_slice(&bytes);
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(FOOTER_MAGIC);
    }

    /// Bytes that the footer takes.
    pub fn footer_bytes(&self) -> u64 {
        cbor::to_vec(self).len() as u64 + 12
    }
}

/// Reads the footer of a segment, if it has one. Nothing of it is verified.
pub fn read_footer(file: &dyn ReadAt, name: &str) -> Result<Option<SealedManifest>, S3Error> {
    let damaged = || S3Error::Damaged { what: "the footer", name: name.to_owned() };
    let size = file.size().map_err(S3Error::io("asking for a segment's length"))?;
    let Some(at) = size.checked_sub(12) else { return Ok(None) };
    let mut end = [0u8; 12];
    file.read_exact_at(&mut end, at).map_err(|_| damaged())?;
    let (length, magic) = end.split_at(4);
    if magic != FOOTER_MAGIC {
        return Ok(None);
    }
    let length = length.iter().fold(0usize, |high, b| (high << 8) | usize::from(*b));
    let from = at.checked_sub(length as u64).ok_or_else(damaged)?;
    if length > MANIFEST_MAX_BYTES {
        return Err(damaged());
    }
    let mut bytes = vec![0u8; length];
    file.read_exact_at(&mut bytes, from).map_err(|_| damaged())?;
    decode("the footer", &bytes).map(Some)
}

/// Seals checksums: `salt 32 | ciphertext | tag 16`. `subject` says whose they are.
pub fn seal_sums(
    key: &DataKey,
    subject: &[u8],
    sums: &Sums,
    env: &dyn Env,
) -> Result<Vec<u8>, S3Error> {
    let mut out = vec![0u8; 32];
    env.fill(&mut out);
    let (cipher, nonce) = sums_cipher(key, &out)?;
    let mut body = cbor::to_vec(sums);
    cipher
        .seal_in_place_append_tag(nonce, Aad::from(subject), &mut body)
        .map_err(|_| S3Error::Stopped { what: "AES-256-GCM" })?;
    out.extend_from_slice(&body);
    Ok(out)
}

/// Opens what [`seal_sums`] made for the same subject.
pub fn open_sums(key: &DataKey, subject: &[u8], sealed: &[u8]) -> Result<Sums, S3Error> {
    let damaged = || S3Error::Damaged { what: "the checksums", name: hex::encode(subject) };
    let (salt, body) = sealed.split_at_checked(32).ok_or_else(damaged)?;
    let (cipher, nonce) = sums_cipher(key, salt)?;
    let mut body = Zeroizing::new(body.to_vec());
    let plain = body.len().checked_sub(TAG_BYTES).ok_or_else(damaged)?;
    cipher.open_in_place(nonce, Aad::from(subject), &mut body).map_err(|_| damaged())?;
    decode("the checksums", body.get(..plain).unwrap_or_default())
}

fn manifest_key(key: &DataKey) -> Result<hmac::Key, S3Error> {
    let derived = key.derive::<32>(&[], &[b"writ-s3-man-v1"])?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, derived.as_slice()))
}

fn sums_cipher(key: &DataKey, salt: &[u8]) -> Result<(LessSafeKey, AeadNonce), S3Error> {
    let stopped = |_| S3Error::Stopped { what: "AES-256-GCM" };
    let derived = key.derive::<44>(salt, &[b"writ-s3-sum-v1"])?;
    let (key, nonce) = derived.split_at(32);
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(stopped)?;
    let nonce = AeadNonce::try_assume_unique_for_key(nonce).map_err(stopped)?;
    Ok((LessSafeKey::new(key), nonce))
}

fn decode<T: Decode>(what: &'static str, bytes: &[u8]) -> Result<T, S3Error> {
    cbor::from_slice(bytes).map_err(|source| S3Error::Decode { what, source })
}
