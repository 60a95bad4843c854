//! aws-chunked bodies in every mode. The first byte chooses the mode and how the bytes are cut.

use writ_aws::chunked::{Decoder, Event, Framing};
use writ_aws::sigv4::PayloadMode;

const MODES: [(&str, Option<&str>); 4] = [
    ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", None),
    ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", Some("x-amz-checksum-crc32c")),
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Some("x-amz-checksum-crc32c")),
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Some("x-amz-checksum-sha256,x-amz-checksum-crc32")),
];

/// What came out: data, number of chunks, and whether the body was accepted.
fn decode(mode: usize, body: &[u8], piece: usize) -> (Vec<u8>, usize, bool) {
    let (literal, trailer) = MODES[mode];
    let mode = PayloadMode::parse(literal).expect("a mode of AWS");
    let framing = Framing::from_headers(mode, Some("5"), trailer).expect("a framing");
    let mut decoder = Decoder::new(framing);
    let (mut data, mut chunks) = (Vec::new(), 0);
    for mut part in body.chunks(piece) {
        loop {
            match decoder.next(&mut part) {
                Ok(Some(Event::Data(bytes))) => data.extend_from_slice(bytes),
                Ok(Some(Event::ChunkEnd { .. })) => chunks += 1,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return (data, chunks, false),
            }
        }
    }
    let accepted = decoder.finish().is_ok();
    assert!(!accepted || data.len() == 5, "an accepted body has another length");
    (data, chunks, accepted)
}

pub(crate) fn run(input: &[u8]) {
    let Some((first, body)) = input.split_first() else { return };
    let mode = usize::from(first % 4);
    let whole = decode(mode, body, body.len().max(1));
    let pieces = decode(mode, body, 1 + usize::from(first / 4));
    assert!(whole.2 == pieces.2, "how the bytes are cut decides");
    assert!(!whole.2 || whole == pieces, "how the bytes are cut changes the data");
}
