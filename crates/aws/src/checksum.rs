//! S3's object checksums: names, incremental hashers, and how parts become a whole.
//!
//! Source: "Checking object integrity in Amazon S3", S3 User Guide. CRC32 is ISO-HDLC, CRC32C is
//! iSCSI (Castagnoli), CRC64NVME is the NVM Express polynomial; values are big-endian bytes in
//! base64.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, checksum_combine};

use crate::limits::PARTS_MAX;

/// Why a checksum or its name is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// The algorithms of two values, or of a value and its place, differ.
    #[error("checksum algorithms {0} and {1} do not go together")]
    AlgorithmsDiffer(Algorithm, Algorithm),
    /// A composite of no parts, or of more than 10,000.
    #[error("{0} parts, a composite checksum has 1 to 10000")]
    PartCount(usize),
    /// The algorithm cannot make this type of checksum.
    #[error("{algorithm} has no checksum of type {kind}")]
    TypeUnfit {
        /// The algorithm.
        algorithm: Algorithm,
        /// The type that was asked for.
        kind: ChecksumType,
    },
    /// No such algorithm.
    #[error("`{0}` is not a checksum algorithm")]
    Unknown(String),
    /// AWS has this algorithm, we do not yet.
    #[error("checksum algorithm {0} is not supported")]
    Unsupported(&'static str),
    /// The value is not base64 of the right length.
    #[error("`{value}` is not a {algorithm} checksum in base64")]
    ValueMalformed {
        /// The algorithm.
        algorithm: Algorithm,
        /// What came, cut to 128 characters.
        value: String,
    },
}

/// A checksum algorithm that we compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes. S3 computes it when the client sends none.
    Crc64Nvme,
    /// SHA-1, 20 bytes. Guards against accidents only.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// What AWS has and we answer with 501 for now.
const UNSUPPORTED: [&str; 5] = ["MD5", "SHA512", "XXHASH128", "XXHASH3", "XXHASH64"];

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    /// The name in `x-amz-checksum-algorithm` and in XML.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// The header (or trailer) that carries a value.
    pub const fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element in XML that carries a value.
    pub const fn element(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "ChecksumCRC32",
            Algorithm::Crc32c => "ChecksumCRC32C",
            Algorithm::Crc64Nvme => "ChecksumCRC64NVME",
            Algorithm::Sha1 => "ChecksumSHA1",
            Algorithm::Sha256 => "ChecksumSHA256",
        }
    }

    /// Bytes of a value.
    pub const fn size(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// Reads a name such as `CRC32C`, in any case.
    pub fn parse(name: &str) -> Result<Algorithm, ChecksumError> {
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        if let Some(found) = Algorithm::ALL.into_iter().find(|a| same(a.name())) {
            return Ok(found);
        }
        match UNSUPPORTED.into_iter().find(|other| same(other)) {
            Some(known) => Err(ChecksumError::Unsupported(known)),
            None => Err(ChecksumError::Unknown(name.chars().take(128).collect())),
        }
    }

    /// Which algorithm's value a header (or trailer) called `name` carries.
    ///
    /// `None` when the header carries no value, as `x-amz-checksum-mode`, `-type` and
    /// `-algorithm` and everything that is not `x-amz-checksum-*`.
    pub fn of_header(name: &str) -> Option<Result<Algorithm, ChecksumError>> {
        let lower = name.to_ascii_lowercase();
        match lower.strip_prefix("x-amz-checksum-")? {
            "algorithm" | "mode" | "type" => None,
            rest => Some(Algorithm::parse(rest)),
        }
    }

    /// The type of a multipart upload's checksum when the client names none.
    pub const fn default_type(self) -> ChecksumType {
        match self {
            Algorithm::Crc64Nvme => ChecksumType::FullObject,
            _ => ChecksumType::Composite,
        }
    }

    /// Checks that a multipart upload's checksum can be of type `kind`: of the whole object for
    /// the CRCs, composite for all but CRC64NVME.
    pub fn check_type(self, kind: ChecksumType) -> Result<(), ChecksumError> {
        let fits = match kind {
            ChecksumType::Composite => self != Algorithm::Crc64Nvme,
            ChecksumType::FullObject => self.crc().is_some(),
        };
        if fits { Ok(()) } else { Err(ChecksumError::TypeUnfit { algorithm: self, kind }) }
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a multipart object's checksum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// Of the parts' checksums, one after the other.
    Composite,
    /// Of the object's bytes.
    FullObject,
}

impl ChecksumType {
    /// The name in `x-amz-checksum-type`.
    pub const fn name(self) -> &'static str {
        match self {
            ChecksumType::Composite => "COMPOSITE",
            ChecksumType::FullObject => "FULL_OBJECT",
        }
    }

    /// Reads `COMPOSITE` or `FULL_OBJECT`.
    pub fn parse(name: &str) -> Option<ChecksumType> {
        [ChecksumType::Composite, ChecksumType::FullObject].into_iter().find(|t| t.name() == name)
    }
}

impl fmt::Display for ChecksumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A checksum's value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    /// Big-endian bytes, then zeros up to 32.
    value: [u8; 32],
}

impl Checksum {
    /// The checksum of `data`.
    pub fn of(algorithm: Algorithm, data: &[u8]) -> Checksum {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// The value with these bytes; `None` when there are not [`Algorithm::size`] of them.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Checksum> {
        if bytes.len() != algorithm.size() {
            return None;
        }
        let mut value = [0; 32];
        value.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Checksum { algorithm, value })
    }

    /// Reads the base64 text of a header or element.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Checksum, ChecksumError> {
        let bytes = STANDARD.decode(text).ok();
        bytes.and_then(|b| Checksum::from_bytes(algorithm, &b)).ok_or_else(|| {
            ChecksumError::ValueMalformed { algorithm, value: text.chars().take(128).collect() }
        })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value, big-endian.
    pub fn bytes(&self) -> &[u8] {
        self.value.get(..self.algorithm.size()).unwrap_or_default()
    }

    /// The value in base64, as headers and elements carry it.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.bytes())
    }

    /// The checksum of what this and then `next` were made from, where `next` was made from
    /// `next_len` bytes. Only the CRCs can do this.
    pub fn combine(&self, next: &Checksum, next_len: u64) -> Result<Checksum, ChecksumError> {
        let algorithm = self.algorithm;
        if algorithm != next.algorithm {
            return Err(ChecksumError::AlgorithmsDiffer(algorithm, next.algorithm));
        }
        let kind = ChecksumType::FullObject;
        let crc = algorithm.crc().ok_or(ChecksumError::TypeUnfit { algorithm, kind })?;
        Ok(from_crc(algorithm, checksum_combine(crc, self.number(), next.number(), next_len)))
    }

    fn number(&self) -> u64 {
        self.bytes().iter().take(8).fold(0, |high, low| (high << 8) | u64::from(*low))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.base64())
    }
}

fn from_crc(algorithm: Algorithm, crc: u64) -> Checksum {
    let mut value = [0; 32];
    let bytes = crc.to_be_bytes();
    let tail = bytes.iter().skip(8usize.saturating_sub(algorithm.size()));
    for (slot, byte) in value.iter_mut().zip(tail) {
        *slot = *byte;
    }
    Checksum { algorithm, value }
}

/// Computes one checksum over bytes that come in pieces.
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

enum State {
    /// Boxed: four times the size of the other.
    Crc(Box<crc_fast::Digest>),
    Sha(digest::Context),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: Algorithm) -> Hasher {
        let sha = |algorithm| State::Sha(digest::Context::new(algorithm));
        let state = match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => State::Crc(Box::new(crc_fast::Digest::new(crc))),
            (Algorithm::Sha1, None) => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            (_, None) => sha(&digest::SHA256),
        };
        Hasher { algorithm, state }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            State::Crc(crc) => crc.update(data),
            State::Sha(sha) => sha.update(data),
        }
    }

    /// The checksum of everything that was taken.
    pub fn finish(self) -> Checksum {
        match self.state {
            State::Crc(crc) => from_crc(self.algorithm, crc.finalize()),
            State::Sha(sha) => {
                let mut value = [0; 32];
                for (slot, byte) in value.iter_mut().zip(sha.finish().as_ref()) {
                    *slot = *byte;
                }
                Checksum { algorithm: self.algorithm, value }
            }
        }
    }
}

/// An object's checksum: of its bytes, or a composite over its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectChecksum {
    /// The value.
    pub checksum: Checksum,
    /// The number of parts of a composite; `None` for one over the whole object.
    pub parts: Option<u32>,
}

impl ObjectChecksum {
    /// The checksum over the whole object of a single upload.
    pub fn whole(checksum: Checksum) -> ObjectChecksum {
        ObjectChecksum { checksum, parts: None }
    }

    /// The composite over the checksums of the parts, in order.
    pub fn composite(algorithm: Algorithm, parts: &[Checksum]) -> Result<Self, ChecksumError> {
        algorithm.check_type(ChecksumType::Composite)?;
        let count = part_count(parts.len())?;
        let mut hasher = Hasher::new(algorithm);
        for part in parts {
            if part.algorithm != algorithm {
                return Err(ChecksumError::AlgorithmsDiffer(algorithm, part.algorithm));
            }
            hasher.update(part.bytes());
        }
        Ok(ObjectChecksum { checksum: hasher.finish(), parts: Some(count) })
    }

    /// The checksum over the whole object, from the checksums and lengths of its parts in order.
    pub fn full(algorithm: Algorithm, parts: &[(Checksum, u64)]) -> Result<Self, ChecksumError> {
        algorithm.check_type(ChecksumType::FullObject)?;
        part_count(parts.len())?;
        let mut sum = Checksum::of(algorithm, b"");
        for (part, len) in parts {
            sum = sum.combine(part, *len)?;
        }
        Ok(ObjectChecksum::whole(sum))
    }

    /// The type.
    pub fn kind(&self) -> ChecksumType {
        match self.parts {
            Some(_) => ChecksumType::Composite,
            None => ChecksumType::FullObject,
        }
    }

    /// Reads `base64` or `base64-N`.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<ObjectChecksum, ChecksumError> {
        let Some((value, count)) = text.split_once('-') else {
            return Checksum::parse(algorithm, text).map(ObjectChecksum::whole);
        };
        let error =
            || ChecksumError::ValueMalformed { algorithm, value: text.chars().take(128).collect() };
        let plain = count.bytes().all(|b| b.is_ascii_digit()) && !count.starts_with('0');
        let count = if plain { count.parse().ok() } else { None };
        let count = count.filter(|n| (1..=PARTS_MAX).contains(n)).ok_or_else(error)?;
        algorithm.check_type(ChecksumType::Composite)?;
        let checksum = Checksum::parse(algorithm, value).map_err(|_| error())?;
        Ok(ObjectChecksum { checksum, parts: Some(count) })
    }
}

impl fmt::Display for ObjectChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.checksum.base64())?;
        match self.parts {
            Some(count) => write!(f, "-{count}"),
            None => Ok(()),
        }
    }
}

fn part_count(count: usize) -> Result<u32, ChecksumError> {
    let fits = u32::try_from(count).ok().filter(|n| (1..=PARTS_MAX).contains(n));
    fits.ok_or(ChecksumError::PartCount(count))
}

#[cfg(test)]
#[path = "tests/checksum.rs"]
mod tests;
