//! The body of an upload: its framing, hashes and trailers, checked while it streams.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use writ_aws::ApiError;
use writ_aws::checksum::{Algorithm, Checksum, Hasher};
use writ_aws::chunked::{ChunkedError, Decoder, Event, Framing, Seal};
use writ_aws::sigv4::PayloadMode;

use super::call::Call;
use super::fault::{argument, bad_digest, checksum as checksum_fault, s3, storage};
use super::sink::{Sink, Written};
use crate::limits::PUT_MAX_BYTES;

/// What the head says of the body.
pub(crate) struct Claims {
    mode: PayloadMode,
    framing: Option<Framing>,
    /// Bytes of plaintext.
    pub(crate) length: u64,
    /// The checksum that the client names; its value is in a header or in the trailer.
    pub(crate) algorithm: Option<Algorithm>,
    value: Option<Checksum>,
    md5: Option<[u8; 16]>,
}

impl Claims {
    /// Reads the head of PutObject or UploadPart.
    pub(crate) fn of(call: &Call) -> Result<Claims, ApiError> {
        let mode = PayloadMode::parse(&call.payload)
            .map_err(|_| argument("x-amz-content-sha256", &call.payload, "Invalid payload mode"))?;
        let framing = match mode.is_chunked() {
            false => None,
            true => {
                let length = call.amz("x-amz-decoded-content-length");
                let trailer = call.amz("x-amz-trailer");
                Some(Framing::from_headers(mode, length, trailer).map_err(|e| chunked(&e))?)
            }
        };
        let length = match &framing {
            Some(framing) => Some(framing.decoded_length()),
            None => call.head.content_length(),
        };
        let missing =
            || s3("MissingContentLength", "You must provide the Content-Length HTTP header.");
        let length = length.ok_or_else(missing)?;
        if length > PUT_MAX_BYTES {
            let text = "Your proposed upload exceeds the maximum allowed size";
            return Err(s3("EntityTooLarge", text).with("ProposedSize", length.to_string()));
        }
        let (algorithm, value) = named_checksum(call, framing.as_ref())?;
        let md5 = call.head.header("content-md5").map(read_md5).transpose()?;
        Ok(Claims { mode, framing, length, algorithm, value, md5 })
    }
}

impl Claims {
    /// True if the client will compare the MD5 of the body.
    pub(crate) fn names_md5(&self) -> bool {
        self.md5.is_some()
    }
}

fn read_md5(text: &str) -> Result<[u8; 16], ApiError> {
    let bytes = STANDARD.decode(text.trim()).ok();
    bytes
        .and_then(|b| b.try_into().ok())
        .ok_or_else(|| s3("InvalidDigest", "The Content-MD5 you specified was invalid."))
}

/// The one checksum that the head names, with its value unless that comes in the trailer.
fn named_checksum(
    call: &Call,
    framing: Option<&Framing>,
) -> Result<(Option<Algorithm>, Option<Checksum>), ApiError> {
    let mut found = None;
    let mut several = false;
    for (name, text) in call.amz_all() {
        let Some(algorithm) = Algorithm::of_header(&name) else { continue };
        let algorithm = algorithm.map_err(|e| checksum_fault(&e))?;
        let value = Checksum::parse(algorithm, text).map_err(|e| checksum_fault(&e))?;
        several |= found.replace((algorithm, Some(value))).is_some();
    }
    for name in framing.map(Framing::trailers).unwrap_or_default() {
        let Some(algorithm) = Algorithm::of_header(name) else { continue };
        let algorithm = algorithm.map_err(|e| checksum_fault(&e))?;
        several |= found.replace((algorithm, None)).is_some();
    }
    if several {
        let text =
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(s3("InvalidRequest", text));
    }
    if found.is_none() && call.amz("x-amz-sdk-checksum-algorithm").is_some() {
        let text = "x-amz-sdk-checksum-algorithm specified, but no corresponding \
                    x-amz-checksum-* or x-amz-trailer headers were found.";
        return Err(s3("InvalidRequest", text));
    }
    Ok(found.map_or((None, None), |(algorithm, value)| (Some(algorithm), value)))
}

/// The checking end of a body, in front of the file that takes its plaintext.
pub(crate) struct Intake {
    claims: Claims,
    sink: Sink,
    decoder: Option<Decoder>,
    sha256: Option<digest::Context>,
    claimed: Option<Hasher>,
    trailers: BTreeMap<String, String>,
    seals: Vec<Seal>,
    trailer_seal: Option<Seal>,
}

impl Intake {
    pub(crate) fn new(claims: Claims, sink: Sink) -> Intake {
        let sha256 = matches!(claims.mode, PayloadMode::Sha256(_))
            .then(|| digest::Context::new(&digest::SHA256));
        Intake {
            decoder: claims.framing.clone().map(Decoder::new),
            claimed: claims.algorithm.filter(|a| *a != sink.algorithm()).map(Hasher::new),
            claims,
            sink,
            sha256,
            trailers: BTreeMap::new(),
            seals: Vec::new(),
            trailer_seal: None,
        }
    }

    /// Takes bytes as they came over the wire.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), ApiError> {
        let Some(mut decoder) = self.decoder.take() else { return self.plain(bytes) };
        while let Some(event) = decoder.next(&mut bytes).map_err(|e| chunked(&e))? {
            match event {
                Event::Data(data) => self.plain(data)?,
                Event::ChunkEnd { seal, .. } => self.seals.extend(seal),
                Event::Trailer { name, value } => {
                    self.trailers.insert(name, value);
                }
                Event::TrailerSignature(seal) => self.trailer_seal = Some(seal),
                Event::End => {}
            }
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    fn plain(&mut self, data: &[u8]) -> Result<(), ApiError> {
        if self.sink.length() + data.len() as u64 > self.claims.length {
            return Err(incomplete());
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(data);
        }
        if let Some(hasher) = &mut self.claimed {
            hasher.update(data);
        }
        self.sink.feed(data)
    }

    /// Chunk signatures that keyd has not seen, in order, and the trailer's at the end.
    pub(crate) fn take_seals(&mut self) -> (Vec<Seal>, Option<Seal>) {
        (std::mem::take(&mut self.seals), self.trailer_seal.take())
    }

    /// Checks everything that the head and the trailer claim, and writes the last frame.
    pub(crate) fn finish(self) -> Result<Written, ApiError> {
        if let Some(decoder) = &self.decoder {
            decoder.finish().map_err(|e| chunked(&e))?;
        }
        if self.sink.length() != self.claims.length {
            return Err(incomplete());
        }
        if let (PayloadMode::Sha256(expected), Some(sha256)) = (self.claims.mode, self.sha256)
            && !bool::from(sha256.finish().as_ref().ct_eq(&expected))
        {
            let text =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(s3("XAmzContentSHA256Mismatch", text));
        }
        let written = self.sink.finish().map_err(|e| storage(&e))?;
        if let Some(algorithm) = self.claims.algorithm {
            let text = self.trailers.get(algorithm.header()).map(String::as_str);
            let trailed = || Checksum::parse(algorithm, text.unwrap_or_default());
            let expected = self.claims.value.map_or_else(trailed, Ok);
            let computed = self.claimed.map_or(written.checksum, Hasher::finish);
            if computed != expected.map_err(|e| checksum_fault(&e))? {
                return Err(bad_digest(algorithm.name()));
            }
        }
        if self.claims.md5.is_some() && self.claims.md5 != written.md5 {
            return Err(bad_digest("Content-MD5"));
        }
        Ok(written)
    }
}

fn incomplete() -> ApiError {
    s3(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

fn chunked(error: &ChunkedError) -> ApiError {
    let (code, message, status) = error.s3();
    ApiError::new(code, message, status)
}
