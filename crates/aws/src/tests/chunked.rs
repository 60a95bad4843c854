//! The decoder against a table of bodies, at every split, and against random ones.

use proptest::prelude::*;

use super::*;
use crate::sigv4::client::ChunkWriter;
use crate::sigv4::{ChunkChain, Claim, DateSource, Form, Scope, SigError, SigningKey};

fn framing(mode: PayloadMode, length: u64) -> Framing {
    let trailer = mode.has_trailer().then_some("x-amz-checksum-crc32");
    Framing::from_headers(mode, Some(&length.to_string()), trailer).unwrap()
}

#[derive(Debug, PartialEq, Eq, Default)]
struct Decoded {
    data: Vec<u8>,
    chunks: Vec<(u64, Option<Seal>)>,
    trailer: Vec<(String, String)>,
    trailer_seal: Option<Seal>,
    ended: bool,
}

fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<Decoded, ChunkedError> {
    let mut decoder = Decoder::new(framing);
    let mut out = Decoded::default();
    for piece in pieces {
        let mut input = *piece;
        while let Some(event) = decoder.next(&mut input)? {
            match event {
                Event::ChunkEnd { size, seal } => out.chunks.push((size, seal)),
                Event::Data(data) => out.data.extend_from_slice(data),
                Event::End => out.ended = true,
                Event::Trailer { name, value } => out.trailer.push((name, value)),
                Event::TrailerSignature(seal) => out.trailer_seal = Some(seal),
            }
        }
        assert!(input.is_empty(), "everything is taken before more is asked for");
    }
    decoder.finish()?;
    assert!(out.ended);
    assert_eq!(decoder.decoded(), out.data.len() as u64);
    Ok(out)
}

const UNSIGNED: PayloadMode = PayloadMode::UnsignedChunksTrailer;
const FIELD: &str = "x-amz-checksum-crc32:NSRBwg==\r\n";

#[test]
fn unsigned_body_decodes_at_every_split() {
    let body = format!("3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n{FIELD}\r\n");
    let whole = decode(framing(UNSIGNED, 13), &[body.as_bytes()]).unwrap();
    assert_eq!(whole.data, b"abc0123456789");
    assert_eq!(whole.chunks, [(3, None), (10, None), (0, None)]);
    let field = ("x-amz-checksum-crc32".to_owned(), "NSRBwg==".to_owned());
    assert_eq!(whole.trailer, [field]);
    for at in 0..=body.len() {
        let (a, b) = body.as_bytes().split_at(at);
        assert_eq!(decode(framing(UNSIGNED, 13), &[a, b]), Ok(Decoded { ..decoded_like(&whole) }));
        let cut = decode(framing(UNSIGNED, 13), &[a]);
        assert_eq!(cut.is_ok(), at == body.len(), "cut at {at}");
    }
}

fn decoded_like(other: &Decoded) -> Decoded {
    Decoded {
        data: other.data.clone(),
        chunks: other.chunks.clone(),
        trailer: other.trailer.clone(),
        trailer_seal: other.trailer_seal,
        ended: other.ended,
    }
}

/// Bodies that announce `abc` and one CRC32 in the trailer.
#[test]
fn unsigned_body_that_is_wrong_is_refused() {
    let long = format!("3;{}\r\n", "x".repeat(CHUNK_HEADER_MAX_BYTES));
    let fat = format!("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:{}\r\n\r\n", "A".repeat(9000));
    let table: &[(&str, &str)] = &[
        ("", "IncompleteBody"),
        ("3\r\nab", "IncompleteBody"),
        ("0\r\n", "IncompleteBody"),
        ("2\r\nab\r\n0\r\n", "IncompleteBody"),
        ("4\r\nabcd", "IncompleteBody"),
        ("3\r\nabc\r\n1\r\nd", "IncompleteBody"),
        ("3\r\nabc\r\n0\r\n", "IncompleteBody"),
        ("3\r\nabcd", "InvalidRequest"),
        ("3\r\nabc\n", "InvalidRequest"),
        ("3\r\nabc\rX", "InvalidRequest"),
        ("3\nabc\r\n", "InvalidRequest"),
        ("3;a=b\r\nabc\r\n", "InvalidRequest"),
        ("\r\n", "InvalidRequest"),
        ("-3\r\n", "InvalidRequest"),
        ("+3\r\n", "InvalidRequest"),
        ("0x3\r\n", "InvalidRequest"),
        ("3 \r\n", "InvalidRequest"),
        ("00000000000000003\r\n", "InvalidRequest"),
        ("ffffffffffffffff\r\n", "InvalidChunkSizeError"),
        (&long, "InvalidRequest"),
        (&fat, "MalformedTrailerError"),
        ("3\r\nabc\r\n0\r\n\r\n", "MalformedTrailerError"),
        ("3\r\nabc\r\n0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n", "MalformedTrailerError"),
        ("3\r\nabc\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", "MalformedTrailerError"),
        ("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:\u{1}\r\n\r\n", "MalformedTrailerError"),
        (
            "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\nx-amz-checksum-crc32:A\r\n\r\n",
            "MalformedTrailerError",
        ),
        (
            "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\nx-amz-trailer-signature:00\r\n\r\n",
            "MalformedTrailerError",
        ),
        ("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\n\r\nx", "InvalidRequest"),
    ];
    for (body, code) in table {
        let refused = decode(framing(UNSIGNED, 3), &[body.as_bytes()]).unwrap_err();
        assert_eq!(refused.s3().0, *code, "{body:?}: {refused}");
    }
}

#[test]
fn decoder_stays_failed_after_an_error() {
    let mut decoder = Decoder::new(framing(UNSIGNED, 3));
    assert!(decoder.next(&mut b"x\r\n".as_slice()).is_err());
    assert!(decoder.next(&mut b"3\r\n".as_slice()).is_err());
    assert!(decoder.finish().is_err());
}

#[test]
fn framing_wants_a_length_and_a_fitting_trailer() {
    let read =
        |mode, length, trailer| Framing::from_headers(mode, length, trailer).map_err(|e| e.s3().0);
    let signed = PayloadMode::SignedChunks;
    let crc = Some("x-amz-checksum-crc32");
    assert!(read(signed, Some("0"), None).is_ok());
    assert!(read(UNSIGNED, Some(" 5 "), crc).is_ok());
    assert_eq!(read(signed, None, None), Err("MissingContentLength"));
    for bad in ["", "-1", "1.0", "99999999999999999999"] {
        assert_eq!(read(signed, Some(bad), None), Err("InvalidArgument"), "{bad}");
    }
    assert_eq!(read(signed, Some("1"), crc), Err("MalformedTrailerError"));
    for bad in [None, Some(""), Some("a,,b"), Some("a,A"), Some("a b"), Some(SIGNATURE_FIELD)] {
        assert_eq!(read(UNSIGNED, Some("1"), bad), Err("MalformedTrailerError"), "{bad:?}");
    }
    assert_eq!(read(PayloadMode::Unsigned, Some("1"), None), Err("InvalidRequest"));
}

#[test]
fn aws_chunked_is_taken_out_of_the_content_encoding() {
    assert_eq!(strip_aws_chunked("aws-chunked"), None);
    assert_eq!(strip_aws_chunked("AWS-Chunked, gzip").as_deref(), Some("gzip"));
    assert_eq!(strip_aws_chunked("br,aws-chunked,gzip").as_deref(), Some("br, gzip"));
    assert_eq!(strip_aws_chunked("gzip").as_deref(), Some("gzip"));
}

fn key() -> SigningKey {
    SigningKey::derive(b"secret", "20130524", "us-east-1", "s3")
}

fn claim() -> Claim {
    Claim {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        scope: Scope {
            date: "20130524".to_owned(),
            region: "us-east-1".parse().unwrap(),
            service: "s3".to_owned(),
        },
        signed_at: writ_model::Timestamp::parse_basic("20130524T000000Z").unwrap(),
        date_source: DateSource::AmzDate,
        signed_headers: vec!["host".to_owned()],
        signature: [7; 32],
        form: Form::Header,
        session_token: None,
        token_in_query: false,
    }
}

/// Verifies every seal as keyd does.
fn verify(decoded: &Decoded) -> Result<(), SigError> {
    let (key, mut chain) = (key(), ChunkChain::new(&claim()));
    for (_, seal) in &decoded.chunks {
        let seal = seal.unwrap();
        chain.verify_chunk(&key, &seal.signature, &seal.sha256)?;
    }
    match decoded.trailer_seal {
        Some(seal) => chain.verify_trailer(&key, &seal.signature, &seal.sha256),
        None => Ok(()),
    }
}

fn signed_body(chunks: &[&[u8]], trailer: bool) -> Vec<u8> {
    let (key, claim, mut out) = (key(), claim(), Vec::new());
    let mut writer = ChunkWriter::new(&key, &claim);
    for chunk in chunks {
        writer.chunk(&mut out, chunk);
    }
    if trailer {
        writer.finish_with_trailer(&mut out, &[("x-amz-checksum-crc32", "NSRBwg==")]);
    } else {
        writer.finish(&mut out);
    }
    out
}

fn signed_mode(trailer: bool) -> PayloadMode {
    if trailer { PayloadMode::SignedChunksTrailer } else { PayloadMode::SignedChunks }
}

#[test]
fn signed_chunks_that_are_too_small_or_too_large_are_refused() {
    let small = signed_body(&[b"ab", b"c"], false);
    let refused = decode(framing(PayloadMode::SignedChunks, 3), &[&small]);
    assert_eq!(refused, Err(ChunkedError::ChunkTooSmall { size: 2 }));
    let edge = vec![1; 8192];
    let fits = signed_body(&[&edge, b"c"], false);
    assert!(decode(framing(PayloadMode::SignedChunks, 8193), &[&fits]).is_ok());
    let head = format!("{:x};chunk-signature={}\r\n", (16 << 20) + 1, "0".repeat(64));
    let refused = decode(framing(PayloadMode::SignedChunks, 1 << 40), &[head.as_bytes()]);
    assert!(matches!(refused, Err(ChunkedError::ChunkTooLarge { .. })), "{refused:?}");
}

/// The example of S3's reference has an empty line between the fields and their signature.
#[test]
fn one_empty_line_before_the_trailer_signature_is_skipped() {
    let body = signed_body(&[b"abc"], true);
    let text = String::from_utf8(body).unwrap();
    let spaced = text.replace("NSRBwg==\r\n", "NSRBwg==\n\r\n");
    let decoded = decode(framing(signed_mode(true), 3), &[spaced.as_bytes()]).unwrap();
    assert_eq!(verify(&decoded), Ok(()));
    let twice = text.replace("NSRBwg==\r\n", "NSRBwg==\r\n\r\n\r\n");
    assert!(decode(framing(signed_mode(true), 3), &[twice.as_bytes()]).is_err());
    let stripped = text.split("x-amz-trailer-signature").next().unwrap();
    for end in ["\r\n", "\r\n\r\n"] {
        let without = format!("{stripped}{end}");
        assert!(decode(framing(signed_mode(true), 3), &[without.as_bytes()]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any signed body in any pieces decodes to what was written, and any changed byte of it is
    /// found, by the framing or by the chain.
    #[test]
    fn signed_body_round_trips_and_no_byte_can_change(
        sizes in prop::collection::vec(8192usize..9000, 0..3),
        last in 1usize..40,
        trailer in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        spot in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let mut chunks: Vec<Vec<u8>> = sizes.iter().map(|n| vec![b'a'; *n]).collect();
        chunks.push(vec![b'z'; last]);
        let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let body = signed_body(&slices, trailer);
        let total = chunks.concat();
        let frame = || framing(signed_mode(trailer), total.len() as u64);

        let (a, b) = body.split_at(cut.index(body.len() + 1));
        let decoded = decode(frame(), &[a, b]).unwrap();
        prop_assert_eq!(&decoded.data, &total);
        prop_assert_eq!(verify(&decoded), Ok(()));

        let mut changed = body.clone();
        let at = spot.index(changed.len());
        changed[at] ^= flip;
        if let Ok(other) = decode(frame(), &[&changed]) {
            let same = other == decoded; // the case of a size's digit or of a trailer's name
            prop_assert!(same || verify(&other).is_err(), "byte {} ^ {}", at, flip);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        length in 0u64..400,
        mode in 0..3,
    ) {
        let modes = [UNSIGNED, PayloadMode::SignedChunks, PayloadMode::SignedChunksTrailer];
        let result = decode(framing(modes[mode as usize], length), &[&bytes]);
        prop_assert!(result.is_err() || length < 300);
    }
}
