//! Registrations of passkeys: whoever has a link sends what they like.

use writ_console::webauthn::{Expected, register};
use writ_proof::sshsig::SshPublicKey;

const CLIENT_DATA: &[u8] = br#"{"type":"webauthn.create","challenge":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","origin":"http://localhost:1"}"#;

pub(crate) fn run(input: &[u8]) {
    let expected = Expected {
        challenge: &[7; 32],
        origins: &["http://localhost:1"],
        rp_id: "localhost",
        any_attestation: true,
    };
    let _read = register(input, b"", &expected);
    let Ok(made) = register(CLIENT_DATA, input, &expected) else { return };
    let length = made.passkey.credential_id.len();
    assert!((1..=1023).contains(&length), "a credential id of {length} bytes");
    let again = SshPublicKey::from_blob(&made.key.to_blob());
    assert!(again.is_ok_and(|key| key == made.key), "a key that OpenSSH would not read");
}
