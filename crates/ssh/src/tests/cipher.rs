//! Packets, byte for byte. The wanted bytes were made with Python's `cryptography`, from the
//! specifications.

use std::time::Duration;

use writ_model::{SystemEnv, Timestamp};

use super::*;

/// Pads with 0xaa.
struct Padding;

impl Env for Padding {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0xaa);
    }
}

const PAYLOAD: &[u8] = b"\x05\0\0\0\x0cssh-userauth";

fn key(cipher: Cipher) -> Vec<u8> {
    (0..64).take(cipher.key_bytes()).collect()
}

/// Two packets under one key, in hexadecimal; for AES-GCM the invocation counter wraps in its low half.
#[test]
fn packet_is_made_as_the_specification_says() {
    let carry = "00010203ffffffffffffffff";
    for (cipher, wanted) in [
        (
            Cipher::Aes128Gcm,
            "00000020e57909aaa4496736c3516c46802cec177b263964282999cb461e97520814916be1c48c135115a69b1499421c928e1888\
             000000201100a298fa931a7dcf1615e9c70fcec9edcd7fde18f0a778f5f7dc16dc2a936c940e57b0e4759c2a761ec25ff39f5b8c",
        ),
        (
            Cipher::Aes256Gcm,
            "00000020fe3c7390afcef2c7a95bbfc7edf524e79b15fb5316cb6a4051d87bc48cd2bd5aa490422f595a533a78eeee8d90e68d74\
             00000020b193a0d4a6f634548d5b505791401f0e3fb9e9c7f7d658539e7477240e8ac2b64110f02dda395c8aed651f8663034e57",
        ),
        (
            Cipher::ChaCha20Poly1305,
            "94450e411ebd4231adead5a27b4c2912ca312f528cd9595f4b07f1f6ac221bc8fb2411598b7bc33ac7234bd6\
             c922a7bd6f597cd93106cb09455c0b5cd6667667649995ea641b56dfbe5b74edf8734ac2858239416b6a04b5",
        ),
    ] {
        let iv = hex::decode(carry).unwrap();
        let (mut sealer, mut opener) = (Sealer::plain(), Opener::plain());
        sealer.rekey(cipher, &key(cipher), &iv, true).unwrap();
        opener.rekey(cipher, &key(cipher), &iv, true).unwrap();
        let mut wire = BytesMut::new();
        sealer.seal(PAYLOAD, &Padding, &mut wire).unwrap();
        sealer.seal(PAYLOAD, &Padding, &mut wire).unwrap();
        assert_eq!(hex::encode(&wire), wanted, "{cipher:?}");
        assert_eq!(opener.open(&mut wire).unwrap().unwrap(), PAYLOAD);
        assert_eq!(opener.open(&mut wire).unwrap().unwrap(), PAYLOAD);
        assert_eq!(opener.open(&mut wire), Ok(None));
        assert_eq!(opener.used().packets, 2);
    }
}

/// Every size of payload, fed byte by byte where it is short.
#[test]
fn packet_of_each_size_round_trips() {
    for cipher in [None, Some(Cipher::ChaCha20Poly1305), Some(Cipher::Aes256Gcm)] {
        let (mut sealer, mut opener) = (Sealer::plain(), Opener::plain());
        if let Some(cipher) = cipher {
            sealer.rekey(cipher, &key(cipher), &[7; 12], false).unwrap();
            opener.rekey(cipher, &key(cipher), &[7; 12], false).unwrap();
        }
        for size in (1..100).chain([32_768, 34_900]) {
            let payload = vec![3; size];
            let mut wire = BytesMut::new();
            sealer.seal(&payload, &SystemEnv, &mut wire).unwrap();
            let mut input = BytesMut::new();
            if size < 100 {
                while wire.len() > 1 {
                    input.extend_from_slice(&wire.split_to(1));
                    assert_eq!(opener.open(&mut input), Ok(None));
                }
            }
            input.unsplit(wire);
            assert_eq!(opener.open(&mut input).unwrap().unwrap(), payload, "{cipher:?} {size}");
        }
        assert!(sealer.seal(&[0; 35_000], &SystemEnv, &mut BytesMut::new()).is_err());
    }
}

#[test]
fn packet_that_is_changed_replayed_or_cut_is_forged() {
    for cipher in Cipher::ALL {
        let keyed = || {
            let mut opener = Opener::plain();
            opener.rekey(cipher, &key(cipher), &[7; 12], true).unwrap();
            opener
        };
        let mut sealer = Sealer::plain();
        sealer.rekey(cipher, &key(cipher), &[7; 12], true).unwrap();
        let mut wire = BytesMut::new();
        sealer.seal(PAYLOAD, &SystemEnv, &mut wire).unwrap();
        for at in 0..wire.len() {
            let mut changed = wire.clone();
            changed[at] ^= 1;
            // A changed length may make it wait for more; it never gives a payload.
            assert!(!matches!(keyed().open(&mut changed), Ok(Some(_))), "{cipher:?} byte {at}");
        }
        let mut opener = keyed();
        let mut twice = [&wire[..], &wire[..]].concat().as_slice().into();
        assert!(opener.open(&mut twice).unwrap().is_some());
        // With ChaCha20 the length is another already; it may make it wait.
        assert!(!matches!(opener.open(&mut twice), Ok(Some(_))));
        // Another packet's turn.
        let mut second = BytesMut::new();
        sealer.seal(PAYLOAD, &SystemEnv, &mut second).unwrap();
        assert!(!matches!(keyed().open(&mut second), Ok(Some(_))));
    }
}
