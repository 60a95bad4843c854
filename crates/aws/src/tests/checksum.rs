//! Checksums against published check values, and the arithmetic of parts.

use proptest::prelude::*;

use super::*;

/// The check values of the catalogue of parametrised CRC algorithms, and of FIPS 180-4, for the
/// text `123456789`.
#[test]
fn hashers_give_the_published_check_values() {
    let table = [
        (Algorithm::Crc32, "cbf43926"),
        (Algorithm::Crc32c, "e3069283"),
        (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ];
    for (algorithm, expected) in table {
        let sum = Checksum::of(algorithm, b"123456789");
        assert_eq!(hex::encode(sum.bytes()), expected, "{algorithm}");
        assert_eq!(Checksum::parse(algorithm, &sum.base64()), Ok(sum));
        assert_eq!(Algorithm::parse(algorithm.name()), Ok(algorithm));
        assert_eq!(Algorithm::of_header(algorithm.header()), Some(Ok(algorithm)));
    }
}

#[test]
fn names_are_known_unsupported_or_unknown() {
    assert_eq!(Algorithm::parse("sha512"), Err(ChecksumError::Unsupported("SHA512")));
    assert_eq!(Algorithm::parse("CRC16"), Err(ChecksumError::Unknown("CRC16".to_owned())));
    let header = Algorithm::of_header("X-Amz-Checksum-XXHASH3");
    assert_eq!(header, Some(Err(ChecksumError::Unsupported("XXHASH3"))));
    for none in ["x-amz-checksum-mode", "x-amz-checksum-type", "x-amz-checksum-algorithm", "etag"] {
        assert_eq!(Algorithm::of_header(none), None, "{none}");
    }
}

#[test]
fn value_of_wrong_length_or_alphabet_is_refused() {
    for text in ["", "AAAA", "AAAAAAA=", "AAAAAAAA", "!!!!!!==", "y/Q5Jg", "y_Q5Jg==", " y/Q5Jg=="]
    {
        assert!(Checksum::parse(Algorithm::Crc32, text).is_err(), "{text}");
    }
    assert!(Checksum::parse(Algorithm::Crc32, "y/Q5Jg==").is_ok());
}

#[test]
fn types_fit_as_s3_documents() {
    use ChecksumType::{Composite, FullObject};
    let table = [
        (Algorithm::Crc32, true, true),
        (Algorithm::Crc32c, true, true),
        (Algorithm::Crc64Nvme, false, true),
        (Algorithm::Sha1, true, false),
        (Algorithm::Sha256, true, false),
    ];
    for (algorithm, composite, full) in table {
        assert_eq!(algorithm.check_type(Composite).is_ok(), composite, "{algorithm}");
        assert_eq!(algorithm.check_type(FullObject).is_ok(), full, "{algorithm}");
        assert!(algorithm.check_type(algorithm.default_type()).is_ok(), "{algorithm}");
        let kind = algorithm.default_type();
        assert_eq!(ChecksumType::parse(kind.name()), Some(kind));
    }
}

#[test]
fn composite_is_the_checksum_of_checksums() {
    let parts = [b"first".as_slice(), b"second"].map(|p| Checksum::of(Algorithm::Sha256, p));
    let whole = ObjectChecksum::composite(Algorithm::Sha256, &parts).unwrap();
    let joined = [parts[0].bytes(), parts[1].bytes()].concat();
    let expected = format!("{}-2", Checksum::of(Algorithm::Sha256, &joined).base64());
    assert_eq!(whole.to_string(), expected);
    assert_eq!(ObjectChecksum::parse(Algorithm::Sha256, &expected), Ok(whole));
    assert_eq!(whole.kind(), ChecksumType::Composite);
    let mixed = [parts[0], Checksum::of(Algorithm::Crc32, b"")];
    assert!(ObjectChecksum::composite(Algorithm::Sha256, &mixed).is_err());
    assert!(ObjectChecksum::composite(Algorithm::Sha256, &[]).is_err());
    assert!(ObjectChecksum::composite(Algorithm::Crc64Nvme, &[]).is_err());
    for text in ["y/Q5Jg==-0", "y/Q5Jg==-10001", "y/Q5Jg==-", "y/Q5Jg==-01", "y/Q5Jg==-+1"] {
        assert!(ObjectChecksum::parse(Algorithm::Crc32, text).is_err(), "{text}");
    }
    assert!(ObjectChecksum::parse(Algorithm::Crc32, "y/Q5Jg==-10000").is_ok());
}

proptest! {
    #[test]
    fn full_object_crc_is_the_one_of_all_bytes(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..6),
    ) {
        let all = parts.concat();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let sums: Vec<_> = parts
                .iter()
                .map(|p| (Checksum::of(algorithm, p), p.len() as u64))
                .collect();
            let full = ObjectChecksum::full(algorithm, &sums).unwrap();
            prop_assert_eq!(full.checksum, Checksum::of(algorithm, &all));
        }
    }

    #[test]
    fn pieces_make_no_difference(
        data in prop::collection::vec(any::<u8>(), 0..2000),
        cut in any::<prop::sample::Index>(),
    ) {
        let at = cut.index(data.len() + 1);
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&data[..at]);
            hasher.update(&data[at..]);
            prop_assert_eq!(hasher.finish(), Checksum::of(algorithm, &data));
        }
    }
}
