//! Answers of passkeys: whoever reaches the console sends what they like, to sign in.

use writ_console::session::Gate;
use writ_console::webauthn::{Assertion, Posted};
use writ_model::Timestamp;
use writ_proof::hash::sha256;
use writ_proof::sshsig::{SshPublicKey, SshSig};

const CLIENT_DATA: &[u8] =
    br#"{"type":"webauthn.get","challenge":"AAAA","origin":"http://localhost:1","crossOrigin":false}"#;

/// Base64url without padding (RFC 4648, section 5).
fn encoded(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let word = part.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
        let word = word << (8 * (3 - part.len()));
        for n in 0..=part.len() {
            text.push(DIGITS[(word >> (18 - 6 * n)) as usize & 63] as char);
        }
    }
    text
}

/// The SSHSIG of an answer, if it has the form of one.
fn signature(posted: &Posted) -> Option<SshSig> {
    let key = SshPublicKey::SkEcdsa { point: [4; 65], application: "localhost".to_owned() };
    Assertion::read(posted).ok()?.signature(&key, "sign-in@writ").ok()
}

pub(crate) fn run(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        let taken = Gate::new(&[7; 32]).take(text, Timestamp::from_secs(1));
        assert!(taken.is_err(), "a challenge that nobody gave out");
    }
    if let Ok(posted) = serde_json::from_slice::<Posted>(input) {
        signature(&posted);
    }
    // The same with a head that fits: the first byte says how long the signature is.
    let Some((length, rest)) = input.split_first() else { return };
    let (der, data) = rest.split_at(usize::from(*length).min(rest.len()));
    let data = [&sha256(b"localhost").0[..], data].concat();
    let json = format!(
        r#"{{"credentialId":"AAAA","clientDataJSON":"{}","authenticatorData":"{}","signature":"{}"}}"#,
        encoded(CLIENT_DATA),
        encoded(&data),
        encoded(der),
    );
    let posted = serde_json::from_str(&json).expect("it is JSON");
    if let Some(made) = signature(&posted) {
        let again = SshSig::from_bytes(&made.to_bytes());
        assert!(again.is_ok_and(|again| again == made), "a signature that is not read again");
        assert!(made.verify(b"x", "sign-in@writ").is_err(), "a signature that nobody made");
    }
}
