//! Tests of the login request: each kind of key, and every way in which one is not another's.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use proptest::prelude::*;

use super::*;
use crate::ed25519::{Signer, SoftKey};
use crate::hash::sha256;

const SESSION: SessionId = [7; 32];

fn ed25519() -> SoftKey {
    SoftKey::from_seed(&[1; 32]).unwrap()
}

fn ecdsa() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn point(key: &EcdsaKeyPair) -> [u8; 65] {
    key.public_key().as_ref().try_into().unwrap()
}

fn request(key: SshPublicKey) -> UserAuth {
    UserAuth { session_id: SESSION, user: "svc+web-1".to_owned(), key }
}

fn mpint(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|b| *b != 0).unwrap();
    let mut minimal = bytes[start..].to_vec();
    if minimal[0] & 0x80 != 0 {
        minimal.insert(0, 0);
    }
    minimal
}

/// The inner string of an ECDSA signature: r and s.
fn ecdsa_inner(key: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    let fixed = key.sign(&SystemRandom::new(), message).unwrap();
    let mut inner = Vec::new();
    put_string(&mut inner, &mpint(&fixed.as_ref()[..32]));
    put_string(&mut inner, &mpint(&fixed.as_ref()[32..]));
    inner
}

/// A signature blob; a token adds its flags and counter.
fn blob(key: &SshPublicKey, inner: &[u8], token: Option<SkFlags>) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, key.algorithm().as_bytes());
    put_string(&mut blob, inner);
    if let Some(token) = token {
        blob.push(token.flags);
        blob.extend_from_slice(&token.counter.to_be_bytes());
    }
    blob
}

/// What a token signs (PROTOCOL.u2f).
fn by_token(application: &str, token: SkFlags, message: &[u8]) -> Vec<u8> {
    let mut signed = sha256(application.as_bytes()).0.to_vec();
    signed.push(token.flags);
    signed.extend_from_slice(&token.counter.to_be_bytes());
    signed.extend_from_slice(&sha256(message).0);
    signed
}

/// One valid request and signature of each kind of key.
fn all() -> Vec<(UserAuth, Vec<u8>, Option<SkFlags>)> {
    let token = SkFlags { flags: 5, counter: 9 };
    let application = "ssh:writ".to_owned();
    let (soft, curve) = (ed25519(), ecdsa());
    let key = soft.public_key().0;
    let mut all = Vec::new();
    for (key, hardware) in [
        (SshPublicKey::Ed25519(key), None),
        (SshPublicKey::Ecdsa(point(&curve)), None),
        (SshPublicKey::SkEd25519 { key, application: application.clone() }, Some(token)),
        (SshPublicKey::SkEcdsa { point: point(&curve), application }, Some(token)),
    ] {
        let request = request(key);
        let bytes = request.to_bytes();
        let message = match hardware {
            Some(token) => by_token("ssh:writ", token, &bytes),
            None => bytes,
        };
        let inner = match &request.key {
            SshPublicKey::Ed25519(_) | SshPublicKey::SkEd25519 { .. } => {
                soft.sign(&message).unwrap().to_vec()
            }
            _ => ecdsa_inner(&curve, &message),
        };
        let signature = blob(&request.key, &inner, hardware);
        all.push((request, signature, hardware));
    }
    all
}

#[test]
fn login_request_of_each_kind_of_key_is_verified() {
    for (request, signature, hardware) in all() {
        let verified = verify(&request.to_bytes(), &signature).unwrap();
        assert_eq!(*verified.request(), request);
        assert_eq!(verified.hardware(), hardware);
    }
}

#[test]
fn login_request_is_laid_out_as_rfc_4252_says() {
    let bytes = request(SshPublicKey::Ed25519([2; 32])).to_bytes();
    let mut wanted = vec![0, 0, 0, 32];
    wanted.extend_from_slice(&[7; 32]);
    wanted.extend_from_slice(b"\x32\0\0\0\x09svc+web-1\0\0\0\x0essh-connection");
    wanted.extend_from_slice(b"\0\0\0\x09publickey\x01\0\0\0\x0bssh-ed25519\0\0\0\x33");
    wanted.extend_from_slice(b"\0\0\0\x0bssh-ed25519\0\0\0\x20");
    wanted.extend_from_slice(&[2; 32]);
    assert_eq!(bytes, wanted);
}

#[test]
fn every_changed_byte_of_request_or_signature_breaks_it() {
    for (request, signature, _) in all() {
        let bytes = request.to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(verify(&changed, &signature).is_err(), "{:?}: byte {at}", request.key);
        }
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(verify(&bytes, &changed).is_err(), "{:?}: byte {at}", request.key);
        }
        let longer = [signature.as_slice(), &[0]].concat();
        assert!(verify(&bytes, &longer).is_err());
        assert!(verify(&[bytes.as_slice(), &[0]].concat(), &signature).is_err());
    }
}

#[test]
fn signature_of_another_session_user_or_key_is_refused() {
    for (request, signature, _) in all() {
        let changes: [fn(&mut UserAuth); 3] = [
            |request| request.session_id = [8; 32],
            |request| request.user = "root+web-1".to_owned(),
            |request| request.key = SshPublicKey::Ed25519([3; 32]),
        ];
        for change in changes {
            let mut changed = request.clone();
            change(&mut changed);
            assert!(verify(&changed.to_bytes(), &signature).is_err());
        }
    }
}

#[test]
fn request_that_is_another_message_service_or_method_is_refused() {
    let bytes = request(SshPublicKey::Ed25519(ed25519().public_key().0)).to_bytes();
    let swap = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let no_signature = swap(b"publickey\x01", b"publickey\x00");
    let odd_boolean = swap(b"publickey\x01", b"publickey\x02");
    let host_bound = swap(b"\0\0\0\x09publickey", b"\0\0\0\x22publickey-hostbound-v00@openssh.com");
    let other_service = swap(b"ssh-connection", b"ssh-connectioN");
    let other_message = swap(b"\x32\0\0\0\x09svc", b"\x33\0\0\0\x09svc");
    let short_session = [&[0, 0, 0, 31][..], &bytes[5..]].concat();
    let long_user = {
        let mut request = UserAuth::from_bytes(&bytes).unwrap();
        request.user = "u".repeat(limits::SSH_USER_MAX_BYTES + 1);
        request.to_bytes()
    };
    for bad in [
        no_signature,
        odd_boolean,
        host_bound,
        other_service,
        other_message,
        short_session,
        long_user,
    ] {
        // Signed well, so that only the reading can refuse it.
        let signature = blob(&SshPublicKey::Ed25519([0; 32]), &ed25519().sign(&bad).unwrap(), None);
        assert!(UserAuth::from_bytes(&bad).is_err());
        assert!(verify(&bad, &signature).is_err());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = UserAuth::from_bytes(&bytes) {
            prop_assert_eq!(request.to_bytes(), bytes.clone());
        }
        verify_signature(&SshPublicKey::Ed25519([4; 32]), b"m", &bytes).ok();
    }
}
