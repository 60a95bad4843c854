//! `aws-chunked`: S3's own framing of a body inside HTTP's.
//!
//! The decoder is incremental and total: bytes in, [`Event`]s out, and nothing is allocated from
//! a size that the client claims. It checks framing, lengths and that the trailer is exactly the
//! one that the request's signed head announced. It does not check signatures: it hands out each
//! chunk's signature with the SHA-256 of its data, and whoever holds the signing key runs them
//! through [`crate::sigv4::ChunkChain`]. Until that has happened the data is unproven, so nothing
//! of it may become visible.
//!
//! Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
//! Chunks" and "… Including Trailing Headers", Amazon S3 API Reference.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

use crate::limits::{
    CHUNK_HEADER_MAX_BYTES, CHUNK_SIGNED_MAX_BYTES, CHUNK_SIGNED_MIN_BYTES,
    CHUNK_UNSIGNED_MAX_BYTES, TRAILER_MAX_BYTES, TRAILERS_MAX,
};
use crate::sigv4::{PayloadMode, hex32};

/// Why a body in `aws-chunked` framing is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkedError {
    /// A chunk's header line is not of its form, or a chunk does not end where it says.
    #[error("a chunk is malformed: {0}")]
    ChunkMalformed(&'static str),
    /// A signed chunk that is not the last has less than 8 KiB.
    #[error("a signed chunk of {size} bytes is not the last")]
    ChunkTooSmall {
        /// Its size.
        size: u64,
    },
    /// A chunk is over the limit.
    #[error("a chunk of {size} bytes is over the limit of {limit}")]
    ChunkTooLarge {
        /// The size that it claims.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A chunk's header line is over 4 KiB.
    #[error("a chunk's header line is over {CHUNK_HEADER_MAX_BYTES} bytes")]
    HeaderTooLong,
    /// The data is not as long as `x-amz-decoded-content-length` says, or the body ended early.
    #[error("the body ends or goes on at byte {found} of its data, expected {expected}")]
    IncompleteBody {
        /// What `x-amz-decoded-content-length` says.
        expected: u64,
        /// What came; when there is too much, what had come with the next chunk.
        found: u64,
    },
    /// `x-amz-decoded-content-length` is not a number.
    #[error("x-amz-decoded-content-length `{0}` is not a number")]
    LengthMalformed(String),
    /// The trailer is not what `x-amz-trailer` named, or not of its form.
    #[error("the trailer is malformed: {0}")]
    MalformedTrailer(&'static str),
    /// `x-amz-decoded-content-length` is missing.
    #[error("the header x-amz-decoded-content-length is missing")]
    MissingContentLength,
    /// The payload mode has no `aws-chunked` framing.
    #[error("the payload is not in aws-chunked framing")]
    NotChunked,
    /// Bytes follow the end of the body.
    #[error("bytes follow the end of the body")]
    TrailingData,
}

impl ChunkedError {
    /// S3's code, message and status.
    pub fn s3(&self) -> (&'static str, &'static str, u16) {
        match self {
            ChunkedError::ChunkTooSmall { .. } => (
                "InvalidChunkSizeError",
                "Only the last chunk is allowed to have a size less than 8192 bytes",
                403,
            ),
            ChunkedError::ChunkTooLarge { .. } => {
                ("InvalidChunkSizeError", "The chunk size exceeds the maximum allowed", 400)
            }
            ChunkedError::ChunkMalformed(_)
            | ChunkedError::HeaderTooLong
            | ChunkedError::NotChunked
            | ChunkedError::TrailingData => {
                ("InvalidRequest", "The body is not well-formed aws-chunked data", 400)
            }
            ChunkedError::IncompleteBody { .. } => {
                ("IncompleteBody", "The request body terminated unexpectedly", 400)
            }
            ChunkedError::LengthMalformed(_) => {
                ("InvalidArgument", "x-amz-decoded-content-length is not a number", 400)
            }
            ChunkedError::MalformedTrailer(_) => (
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not \
                 conform to our published schema.",
                400,
            ),
            ChunkedError::MissingContentLength => {
                ("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
            }
        }
    }
}

/// What a request's head says about its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    mode: PayloadMode,
    decoded_length: u64,
    trailers: Vec<String>,
}

impl Framing {
    /// Reads `x-amz-decoded-content-length` and `x-amz-trailer` of a request of this mode.
    ///
    /// A mode with a trailer must name at least one field, and only such a mode may name any.
    pub fn from_headers(
        mode: PayloadMode,
        decoded_length: Option<&str>,
        trailer: Option<&str>,
    ) -> Result<Framing, ChunkedError> {
        if !mode.is_chunked() {
            return Err(ChunkedError::NotChunked);
        }
        let text = decoded_length.ok_or(ChunkedError::MissingContentLength)?.trim_ascii();
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let length = if plain { text.parse().ok() } else { None };
        let decoded_length = length
            .ok_or_else(|| ChunkedError::LengthMalformed(text.chars().take(128).collect()))?;
        let trailers = match trailer {
            Some(list) => read_names(list)?,
            None => Vec::new(),
        };
        if mode.has_trailer() == trailers.is_empty() {
            let text = "x-amz-trailer and x-amz-content-sha256 do not agree";
            return Err(ChunkedError::MalformedTrailer(text));
        }
        Ok(Framing { mode, decoded_length, trailers })
    }

    /// Bytes of data in the whole body.
    pub fn decoded_length(&self) -> u64 {
        self.decoded_length
    }

    /// The fields that the trailer must have, lower case, sorted.
    pub fn trailers(&self) -> &[String] {
        &self.trailers
    }
}

fn read_names(list: &str) -> Result<Vec<String>, ChunkedError> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let mut names: Vec<String> = Vec::new();
    for name in list.split(',').map(str::trim_ascii) {
        if name.is_empty() || !name.bytes().all(token) || names.len() == TRAILERS_MAX {
            return Err(ChunkedError::MalformedTrailer("x-amz-trailer is not a list of names"));
        }
        names.push(name.to_ascii_lowercase());
    }
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    if names.len() != before || names.iter().any(|n| n == SIGNATURE_FIELD) {
        return Err(ChunkedError::MalformedTrailer("x-amz-trailer names a field it must not"));
    }
    Ok(names)
}

/// `content-encoding` without `aws-chunked`; `None` when nothing is left to store.
pub fn strip_aws_chunked(content_encoding: &str) -> Option<String> {
    let rest: Vec<&str> = content_encoding
        .split(',')
        .map(str::trim_ascii)
        .filter(|c| !c.is_empty() && !c.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    if rest.is_empty() { None } else { Some(rest.join(", ")) }
}

/// The signature of a chunk or trailer, and what it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// The signature that came.
    pub signature: [u8; 32],
    /// SHA-256 of the chunk's data, or of the trailer's lines `name:value\n` in order of names.
    pub sha256: [u8; 32],
}

/// What the decoder found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A chunk is complete; the empty chunk, which ends the data, is one too.
    ChunkEnd {
        /// Bytes of data in it.
        size: u64,
        /// Its signature, in the signed modes.
        seal: Option<Seal>,
    },
    /// The next bytes of data: a piece of the input.
    Data(&'a [u8]),
    /// The body is complete and its framing is right.
    End,
    /// A field of the trailer.
    Trailer {
        /// Its name, lower case: one that `x-amz-trailer` named.
        name: String,
        /// Its value, trimmed: visible ASCII and spaces.
        value: String,
    },
    /// The trailer's signature.
    TrailerSignature(Seal),
}

const SIGNATURE_FIELD: &str = "x-amz-trailer-signature";

/// An incremental decoder of one body.
pub struct Decoder {
    framing: Framing,
    state: State,
    /// The line that is being read; at most [`CHUNK_HEADER_MAX_BYTES`] and a line end.
    line: Vec<u8>,
    /// Size of the last chunk that had data, and the sum of all.
    chunk_size: u64,
    decoded: u64,
    chunk_hash: Option<digest::Context>,
    chunk_signature: [u8; 32],
    /// Fields of the trailer that are still to come, bytes of it so far, and what came.
    missing: Vec<String>,
    trailer_bytes: usize,
    trailer: BTreeMap<String, String>,
    sealed: bool,
    blank_skipped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data { left: u64 },
    DataEnd,
    Done,
    Failed,
    Header,
    Trailer,
}

impl Decoder {
    /// A decoder for a body of this framing.
    pub fn new(framing: Framing) -> Decoder {
        let missing = framing.trailers.clone();
        Decoder {
            framing,
            state: State::Header,
            line: Vec::new(),
            chunk_size: u64::MAX,
            decoded: 0,
            chunk_hash: None,
            chunk_signature: [0; 32],
            missing,
            trailer_bytes: 0,
            trailer: BTreeMap::new(),
            sealed: false,
            blank_skipped: false,
        }
    }

    /// Takes bytes off the front of `input` up to the next event.
    ///
    /// `None` means that `input` is used up and more is needed. After [`Event::End`] any further
    /// byte is an error; after an error every call fails.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ChunkedError> {
        let result = self.step(input);
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Checks that the body is complete, when no more bytes come.
    pub fn finish(&self) -> Result<(), ChunkedError> {
        if self.state == State::Done { Ok(()) } else { Err(self.incomplete(self.decoded)) }
    }

    /// Bytes of data so far.
    pub fn decoded(&self) -> u64 {
        self.decoded
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, ChunkedError> {
        loop {
            let event = match self.state {
                State::Failed => return Err(ChunkedError::ChunkMalformed("an earlier error")),
                State::Done if input.is_empty() => return Ok(None),
                State::Done => return Err(ChunkedError::TrailingData),
                State::Data { left } => return Ok(self.data(input, left)),
                State::Header => {
                    if !self.read_line(input, CHUNK_HEADER_MAX_BYTES)? {
                        return Ok(None);
                    }
                    self.strip_crlf()?;
                    self.chunk_header()?
                }
                State::DataEnd => {
                    let ended = self.read_line(input, 0).map_err(|_| LONG_CHUNK)?;
                    if !ended {
                        return Ok(None);
                    }
                    self.strip_crlf()?;
                    if !self.line.is_empty() {
                        return Err(LONG_CHUNK);
                    }
                    self.state = State::Header;
                    Some(self.chunk_end(self.chunk_size))
                }
                State::Trailer => {
                    let room = TRAILER_MAX_BYTES.saturating_sub(self.trailer_bytes);
                    let long = ChunkedError::MalformedTrailer("it is over 8 KiB");
                    if !self.read_line(input, room).map_err(|_| long)? {
                        return Ok(None);
                    }
                    self.trailer_bytes += self.line.len() + 1;
                    self.trailer_line()?
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Hands out data of the chunk; never more than the input holds.
    fn data<'a>(&mut self, input: &mut &'a [u8], left: u64) -> Option<Event<'a>> {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at_checked(take)?;
        *input = rest;
        if data.is_empty() {
            return None;
        }
        if let Some(hash) = &mut self.chunk_hash {
            hash.update(data);
        }
        let taken = u64::try_from(take).unwrap_or(u64::MAX);
        self.decoded = self.decoded.saturating_add(taken);
        let left = left.saturating_sub(taken);
        self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
        Some(Event::Data(data))
    }

    /// Moves bytes into `line` up to a line feed, which is dropped. False when there is none yet.
    ///
    /// The line, without a carriage return at its end, has at most `max` bytes.
    fn read_line(&mut self, input: &mut &[u8], max: usize) -> Result<bool, ChunkedError> {
        let found = input.iter().position(|b| *b == b'\n');
        let (part, rest) = match found {
            Some(at) => (input.get(..at), input.get(at + 1..)),
            None => (Some(*input), Some(&[][..])),
        };
        let (part, rest) = (part.unwrap_or_default(), rest.unwrap_or_default());
        if self.line.len().saturating_add(part.len()) > max + 1 {
            return Err(ChunkedError::HeaderTooLong);
        }
        self.line.extend_from_slice(part);
        *input = rest;
        let text = self.line.len() - usize::from(self.line.last() == Some(&b'\r'));
        if text > max { Err(ChunkedError::HeaderTooLong) } else { Ok(found.is_some()) }
    }

    fn strip_crlf(&mut self) -> Result<(), ChunkedError> {
        match self.line.pop() {
            Some(b'\r') => Ok(()),
            _ => Err(ChunkedError::ChunkMalformed("a line does not end in CR LF")),
        }
    }

    /// `size` or `size;chunk-signature=hex`.
    fn chunk_header(&mut self) -> Result<Option<Event<'static>>, ChunkedError> {
        let signed = self.framing.mode.has_chunk_signatures();
        let (size, signature) = read_chunk_header(&self.line, signed)?;
        self.line.clear();
        if size == 0 {
            if self.decoded != self.framing.decoded_length {
                return Err(self.incomplete(self.decoded));
            }
            self.begin_chunk(signature);
            self.state = State::Trailer;
            return Ok(Some(self.chunk_end(0)));
        }
        if signed && self.chunk_size < CHUNK_SIGNED_MIN_BYTES {
            return Err(ChunkedError::ChunkTooSmall { size: self.chunk_size });
        }
        let limit = if signed { CHUNK_SIGNED_MAX_BYTES } else { CHUNK_UNSIGNED_MAX_BYTES };
        if size > limit {
            return Err(ChunkedError::ChunkTooLarge { size, limit });
        }
        let sum = self.decoded.saturating_add(size);
        if sum > self.framing.decoded_length {
            return Err(self.incomplete(sum));
        }
        self.chunk_size = size;
        self.begin_chunk(signature);
        self.state = State::Data { left: size };
        Ok(None)
    }

    fn begin_chunk(&mut self, signature: Option<[u8; 32]>) {
        self.chunk_hash = signature.map(|_| digest::Context::new(&digest::SHA256));
        self.chunk_signature = signature.unwrap_or_default();
    }

    fn chunk_end(&mut self, size: u64) -> Event<'static> {
        let signature = self.chunk_signature;
        let seal = self.chunk_hash.take().map(|hash| Seal { signature, sha256: finish(hash) });
        Event::ChunkEnd { size, seal }
    }

    fn trailer_line(&mut self) -> Result<Option<Event<'static>>, ChunkedError> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            return self.trailer_end();
        }
        let bad = ChunkedError::MalformedTrailer;
        if self.sealed {
            return Err(bad("a field follows the signature"));
        }
        let visible = |b: &u8| matches!(b, b'\t' | b' '..=b'~');
        let text = std::str::from_utf8(line).ok().filter(|t| t.as_bytes().iter().all(visible));
        let (name, value) =
            text.and_then(|t| t.split_once(':')).ok_or(bad("a line is not a header field"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_ascii().to_owned());
        if name == SIGNATURE_FIELD {
            return self.trailer_signature(&value).map(Some);
        }
        let at = self.missing.iter().position(|n| *n == name);
        let at = at.ok_or(bad("a field was not named in x-amz-trailer, or comes twice"))?;
        self.missing.swap_remove(at);
        self.trailer.insert(name.clone(), value.clone());
        Ok(Some(Event::Trailer { name, value }))
    }

    fn trailer_signature(&mut self, value: &str) -> Result<Event<'static>, ChunkedError> {
        let bad = ChunkedError::MalformedTrailer;
        if self.framing.mode != PayloadMode::SignedChunksTrailer {
            return Err(bad("a signature where the mode has none"));
        }
        if !self.missing.is_empty() {
            return Err(bad("a field that x-amz-trailer named is missing"));
        }
        let signature = hex32(value).ok_or(bad("the signature is not 64 hexadecimal digits"))?;
        self.sealed = true;
        let mut hash = digest::Context::new(&digest::SHA256);
        for (name, value) in &self.trailer {
            hash.update(format!("{name}:{value}\n").as_bytes());
        }
        let sha256 = finish(hash);
        Ok(Event::TrailerSignature(Seal { signature, sha256 }))
    }

    fn trailer_end(&mut self) -> Result<Option<Event<'static>>, ChunkedError> {
        let bad = ChunkedError::MalformedTrailer;
        if !self.missing.is_empty() {
            return Err(bad("a field that x-amz-trailer named is missing"));
        }
        if self.framing.mode == PayloadMode::SignedChunksTrailer && !self.sealed {
            // AWS's own example has an empty line between the fields and their signature.
            if self.blank_skipped {
                return Err(bad("its signature is missing"));
            }
            self.blank_skipped = true;
            return Ok(None);
        }
        self.state = State::Done;
        Ok(Some(Event::End))
    }

    fn incomplete(&self, found: u64) -> ChunkedError {
        ChunkedError::IncompleteBody { expected: self.framing.decoded_length, found }
    }
}

const LONG_CHUNK: ChunkedError = ChunkedError::ChunkMalformed("its data is not followed by CR LF");

fn finish(hash: digest::Context) -> [u8; 32] {
    let mut out = [0; 32];
    // INVARIANT: SHA-256 has 32 bytes, so both slices have the same length.
    out.copy_from_slice(hash.finish().as_ref());
    out
}

fn read_chunk_header(line: &[u8], signed: bool) -> Result<(u64, Option<[u8; 32]>), ChunkedError> {
    let bad = ChunkedError::ChunkMalformed;
    let text = std::str::from_utf8(line).map_err(|_| bad("its header is not ASCII"))?;
    let (size, extension) = match text.split_once(';') {
        Some((size, extension)) => (size, Some(extension)),
        None => (text, None),
    };
    let fits = (1..=16).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
    let size = if fits { u64::from_str_radix(size, 16).ok() } else { None };
    let size = size.ok_or(bad("its size is not hexadecimal"))?;
    match (signed, extension) {
        (false, None) => Ok((size, None)),
        (false, Some(_)) => Err(bad("it has an extension where the mode has none")),
        (true, None) => Err(bad("it has no signature")),
        (true, Some(extension)) => {
            let hex = extension.strip_prefix("chunk-signature=").and_then(hex32);
            let signature = hex.ok_or(bad("its signature is not 64 hexadecimal digits"))?;
            Ok((size, Some(signature)))
        }
    }
}

#[cfg(test)]
#[path = "tests/chunked.rs"]
mod tests;
