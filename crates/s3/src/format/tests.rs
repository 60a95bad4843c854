//! The format against a second implementation, and against everything that a thief of disks can do.

use proptest::prelude::*;
use writ_keyd_client::arena::Arena;
use writ_model::env::TestEnv;
use writ_model::{Nonce, Timestamp};

use super::*;
use crate::S3Error;

const FRAME: usize = 4096;
const VECTORS: &str = include_str!("../../tests/vectors/segments.txt");

fn key() -> DataKey {
    let mut bytes = [0u8; 32];
    bytes.iter_mut().zip(0u8..).for_each(|(b, n)| *b = n);
    DataKey::take(&Arena::new(1).unwrap(), &mut bytes).unwrap()
}

fn header() -> SegmentHeader {
    SegmentHeader {
        identity: ObjectIdentity {
            region: "us-east-1".parse().unwrap(),
            bucket: Nonce([0x11; 16]),
            bucket_arn: "arn:aws:s3:::vectors".parse().unwrap(),
            key: "a/b é".to_owned(),
            object: Nonce([0x22; 16]),
        },
        upload: None,
        part: 0,
        key_arn: "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000"
            .parse()
            .unwrap(),
        wrapped: b"wrapped".to_vec(),
        context: vec![("team".to_owned(), "red".to_owned())],
        frame_log2: 12,
        salt: [0x33; 32],
    }
}

fn plain(n: usize) -> Vec<u8> {
    (0..n).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

fn seal(header: &SegmentHeader, data: &[u8], step: usize) -> (Vec<u8>, [u8; 32]) {
    let mut out = Vec::new();
    let mut writer = SegmentWriter::begin(&key(), header, &mut out).unwrap();
    for chunk in data.chunks(step.max(1)) {
        writer.push(chunk, &mut out).unwrap();
    }
    let (length, digest) = writer.finish(&mut out).unwrap();
    assert_eq!(length, data.len() as u64);
    (out, digest)
}

fn open(
    file: &Vec<u8>,
    digest: &[u8; 32],
    length: usize,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, S3Error> {
    let reader = SegmentReader::open(file, "x", &key(), digest, length as u64, 0)?;
    let mut cursor = reader.range(range);
    let mut all = Vec::new();
    while let Some(bytes) = cursor.next(file, 3)? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

fn vector(name: &str) -> &'static str {
    VECTORS.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).unwrap()
}

#[test]
fn segment_of_each_size_is_that_of_the_python_script() {
    assert_eq!(hex::encode(header().to_bytes().unwrap()), vector("header"));
    for n in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME] {
        let (bytes, _) = seal(&header(), &plain(n), 1000);
        assert_eq!(hex::encode(sha256(&bytes)), vector(&format!("segment-{n}")), "{n}");
    }
    assert_eq!(hex::encode(seal(&header(), b"hello", 2).0), vector("segment-5-whole"));
}

#[test]
fn manifest_of_the_python_script_opens_and_is_ours() {
    let sums = hex::decode(vector("sums")).unwrap();
    let opened = open_sums(&key(), b"subject", &sums).unwrap();
    assert_eq!((opened.algorithm.as_str(), opened.value.as_str()), ("CRC32", "AAAAAA=="));
    let (_, digest) = seal(&header(), b"hello", 5);
    let manifest = Manifest {
        format: FORMAT,
        identity: header().identity,
        segments: vec![SegmentRef {
            segment: Nonce([0x22; 16]),
            part: 0,
            length: 5,
            header_digest: digest,
        }],
        length: 5,
        etag: "0123456789abcdef0123456789abcdef".to_owned(),
        sse: SseMode::Kms,
        metadata_digest: [0; 32],
        sums,
    };
    let metadata = Metadata {
        system: vec![("content-type".to_owned(), "text/plain".to_owned())],
        user: vec![("who".to_owned(), "me".to_owned())],
    };
    let sealed = SealedManifest::seal(&key(), manifest, &metadata).unwrap();
    assert_eq!(hex::encode(writ_proof::cbor::to_vec(&sealed)), vector("manifest"));
    assert_eq!(sealed.open(&key(), "x").unwrap().length, 5);

    let mut file = seal(&header(), b"hello", 5).0;
    sealed.write_footer(&mut file);
    assert_eq!(read_footer(&file, "x").unwrap(), Some(sealed.clone()));
    for at in 0..sealed.manifest.len() {
        let mut bad = sealed.clone();
        bad.manifest[at] ^= 1;
        assert!(bad.open(&key(), "x").is_err(), "manifest bit at {at}");
    }
    let mut bad = sealed.clone();
    bad.metadata[3] ^= 1;
    assert!(bad.open(&key(), "x").is_err());
}

#[test]
fn sums_of_another_subject_do_not_open() {
    let env = TestEnv::new(Timestamp::from_secs(1), 1);
    let sums = Sums { algorithm: "CRC64NVME".to_owned(), ..Sums::default() };
    let sealed = seal_sums(&key(), b"one", &sums, &env).unwrap();
    assert_eq!(open_sums(&key(), b"one", &sealed).unwrap(), sums);
    assert!(open_sums(&key(), b"two", &sealed).is_err());
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 0x80;
        assert!(open_sums(&key(), b"one", &bad).is_err(), "bit at {at}");
    }
}

#[test]
fn segment_with_any_bit_flipped_does_not_open() {
    let data = plain(FRAME + 10);
    let (file, digest) = seal(&header(), &data, 777);
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1 << (at % 8);
        let outcome = open(&bad, &digest, data.len(), 0..u64::MAX);
        assert!(outcome.is_err(), "byte {at}");
    }
}

#[test]
fn segment_with_frames_moved_does_not_open() {
    let data = plain(3 * FRAME);
    let (file, digest) = seal(&header(), &data, 777);
    let sealed = FRAME + TAG_BYTES;
    let start = file.len() - 3 * sealed;
    let frame = |n: usize| file[start + n * sealed..start + (n + 1) * sealed].to_vec();
    let with = |order: &[usize]| {
        let mut out = file[..start].to_vec();
        order.iter().for_each(|n| out.extend(frame(*n)));
        out
    };
    assert_eq!(open(&with(&[0, 1, 2]), &digest, data.len(), 0..u64::MAX).unwrap(), data);
    for order in
        [&[1, 0, 2][..], &[0, 2, 1], &[0, 0, 2], &[0, 1, 1], &[0, 1], &[0, 1, 2, 2], &[0, 2]]
    {
        // As the manifest says, and as a liar's manifest of the fitting length would.
        for length in [3 * FRAME, order.len() * FRAME] {
            if order == [0, 1, 2] && length == 3 * FRAME {
                continue;
            }
            assert!(open(&with(order), &digest, length, 0..u64::MAX).is_err(), "{order:?}");
        }
    }
    let mut cut = file.clone();
    cut.truncate(file.len() - 1);
    assert!(open(&cut, &digest, data.len(), 0..1).is_err());
    cut.extend_from_slice(&[0, 0]);
    assert!(open(&cut, &digest, data.len(), 0..1).is_err());
}

#[test]
fn segment_of_another_object_does_not_open() {
    let data = plain(100);
    let (_, digest) = seal(&header(), &data, 100);
    let mut other = header();
    other.identity.key = "a/c".to_owned();
    let (file, _) = seal(&other, &data, 100);
    assert!(open(&file, &digest, 100, 0..100).is_err());
    // The header of one with the frames of the other.
    let (own, _) = seal(&header(), &data, 100);
    let mut mixed = own[..own.len() - 116].to_vec();
    mixed.extend_from_slice(&file[file.len() - 116..]);
    assert!(open(&mixed, &digest, 100, 0..100).is_err());
}

#[test]
fn empty_segment_is_still_verified() {
    let (file, digest) = seal(&header(), b"", 1);
    assert_eq!(open(&file, &digest, 0, 0..0).unwrap(), b"");
    let mut bad = file.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert!(open(&bad, &digest, 0, 0..0).is_err());
}

#[test]
fn range_at_each_frame_edge_is_the_slice() {
    let data = plain(3 * FRAME + 5);
    let (file, digest) = seal(&header(), &data, 5000);
    let edges: Vec<usize> =
        (0..4).flat_map(|k| [(k * FRAME).saturating_sub(1), k * FRAME, k * FRAME + 1]).collect();
    for from in &edges {
        for to in edges.iter().filter(|to| *to >= from) {
            let got = open(&file, &digest, data.len(), *from as u64..*to as u64).unwrap();
            assert_eq!(got, data[*from..*to], "{from}..{to}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn segment_of_any_length_and_range_round_trips(
        n in 0usize..5 * FRAME, step in 1usize..9000, a in 0u64..30_000, b in 0u64..30_000,
    ) {
        let data = plain(n);
        let (file, digest) = seal(&header(), &data, step);
        let (from, to) = (a.min(b), a.max(b));
        let got = open(&file, &digest, n, from..to).unwrap();
        let end = n.min(usize::try_from(to).unwrap());
        let begin = end.min(usize::try_from(from).unwrap());
        prop_assert_eq!(got, &data[begin..end]);
    }
}
