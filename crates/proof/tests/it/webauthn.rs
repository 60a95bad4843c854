//! A browser's signature, as an authenticator would make it: judged by `ssh-keygen` and by us.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_proof::hash::sha256;
use writ_proof::sshsig::{SshPublicKey, SshSig, VerifiedSsh, signed_blob};

use crate::ssh_keygen::openssh_accepts;

const MESSAGE: &[u8] = b"the statement";
const NAMESPACE: &str = "approval@writ";
const RP_ID: &str = "console.example";

/// What the authenticator and the browser are told to do; a test changes one thing.
struct Ceremony {
    rp_id: &'static str,
    origin: &'static str,
    flags: u8,
    /// The client data after the origin.
    rest: &'static str,
    /// The client data before the challenge.
    head: &'static str,
    challenge: Vec<u8>,
    extensions: Vec<u8>,
    algorithm: &'static str,
    trailing: &'static [u8],
}

impl Default for Ceremony {
    fn default() -> Ceremony {
        Ceremony {
            rp_id: RP_ID,
            origin: "https://console.example",
            flags: 5,
            rest: r#","crossOrigin":false}"#,
            head: r#"{"type":"webauthn.get","challenge":""#,
            challenge: signed_blob(MESSAGE, NAMESPACE),
            extensions: Vec::new(),
            algorithm: "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            trailing: b"",
        }
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

/// A positive integer without leading zeros, with one where the top bit is set (RFC 4251).
fn mpint(fixed: &[u8]) -> Vec<u8> {
    let short = &fixed[fixed.iter().take_while(|b| **b == 0).count()..];
    let sign: &[u8] = if short.first().is_some_and(|b| b & 0x80 != 0) { &[0] } else { &[] };
    string(&[sign, short].concat())
}

impl Ceremony {
    /// The SSHSIG blob of a signature by a new key.
    fn sign(&self) -> Vec<u8> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let challenge = URL_SAFE_NO_PAD.encode(&self.challenge);
        let client_data =
            format!("{}{challenge}\",\"origin\":\"{}\"{}", self.head, self.origin, self.rest);
        let counter = 7u32.to_be_bytes();
        let signed = [
            &sha256(self.rp_id.as_bytes()).0[..],
            &[self.flags],
            &counter,
            &self.extensions,
            &sha256(client_data.as_bytes()).0,
        ]
        .concat();
        let signature = pair.sign(&SystemRandom::new(), &signed).unwrap();
        let (r, s) = signature.as_ref().split_at(32);
        let inner = [
            string(self.algorithm.as_bytes()),
            string(&[mpint(r), mpint(s)].concat()),
            vec![self.flags],
            counter.to_vec(),
            string(self.origin.as_bytes()),
            string(client_data.as_bytes()),
            string(&self.extensions),
            self.trailing.to_vec(),
        ]
        .concat();
        let public = [
            string(b"sk-ecdsa-sha2-nistp256@openssh.com"),
            string(b"nistp256"),
            string(pair.public_key().as_ref()),
            string(RP_ID.as_bytes()),
        ]
        .concat();
        [
            b"SSHSIG".to_vec(),
            1u32.to_be_bytes().to_vec(),
            string(&public),
            string(NAMESPACE.as_bytes()),
            string(b""),
            string(b"sha512"),
            string(&inner),
        ]
        .concat()
    }

    fn ours(blob: &[u8]) -> Result<VerifiedSsh, writ_proof::Error> {
        SshSig::from_bytes(blob)?.verify(MESSAGE, NAMESPACE)
    }

    fn openssh(blob: &[u8]) -> bool {
        let signature = SshSig::from_bytes(blob).unwrap();
        openssh_accepts(signature.key(), &signature.to_armor(), MESSAGE, NAMESPACE)
    }
}

#[test]
fn signature_of_a_browser_verifies_here_and_with_ssh_keygen() {
    // ECDSA is randomised: several signatures meet short integers and set top bits.
    for _ in 0..8 {
        let blob = Ceremony::default().sign();
        assert!(Ceremony::openssh(&blob));
        let verified = Ceremony::ours(&blob).unwrap();
        assert!(
            matches!(&verified.key, SshPublicKey::SkEcdsa { application, .. } if application == RP_ID)
        );
        let flags = verified.hardware.unwrap();
        assert!(flags.user_present() && flags.user_verified() && !flags.backed_up());
        assert_eq!(flags.counter, 7);
        let webauthn = verified.webauthn.unwrap();
        assert_eq!(webauthn.origin, "https://console.example");
        assert!(webauthn.client_data.ends_with(br#""crossOrigin":false}"#));
    }
    let extended = Ceremony {
        flags: 0x85,
        extensions: b"\xa1\x61a\x01".to_vec(),
        rest: r#","crossOrigin":false,"other_keys_can_be_added_here":"1"}"#,
        ..Ceremony::default()
    }
    .sign();
    assert!(Ceremony::openssh(&extended));
    assert_eq!(Ceremony::ours(&extended).unwrap().webauthn.unwrap().extensions, b"\xa1\x61a\x01");
}

#[test]
fn whatever_ssh_keygen_refuses_of_a_browser_is_refused_here() {
    let honest = Ceremony::default;
    let table = [
        ("another site's key", Ceremony { rp_id: "evil.example", ..honest() }),
        ("data of a registration", Ceremony { flags: 0x45, ..honest() }),
        ("extensions that no flag tells", Ceremony { extensions: vec![0xa0], ..honest() }),
        ("a flag without extensions", Ceremony { flags: 0x85, ..honest() }),
        ("another statement", Ceremony { challenge: signed_blob(b"x", NAMESPACE), ..honest() }),
        ("another namespace", Ceremony { challenge: signed_blob(MESSAGE, "x@writ"), ..honest() }),
        (
            "a registration",
            Ceremony { head: r#"{"type":"webauthn.create","challenge":""#, ..honest() },
        ),
        ("a quote in the origin", Ceremony { origin: "https://a\"b", ..honest() }),
        ("bytes at its end", Ceremony { trailing: b"x", ..honest() }),
        ("another algorithm", Ceremony { algorithm: "ecdsa-sha2-nistp256", ..honest() }),
        (
            "the form without a browser",
            Ceremony { algorithm: "sk-ecdsa-sha2-nistp256@openssh.com", ..honest() },
        ),
    ];
    for (name, ceremony) in table {
        let blob = ceremony.sign();
        assert!(!Ceremony::openssh(&blob), "{name}");
        assert!(Ceremony::ours(&blob).is_err(), "{name}");
    }
}

/// What ssh-keygen lets pass and we do not.
#[test]
fn page_within_another_page_is_refused() {
    for rest in [
        r#","crossOrigin":true}"#,
        r#","crossOrigin":false,"crossOrigin":true}"#,
        r#","crossOrigin":true,"crossOrigin":false}"#,
        r#","crossOrigin":false,"topOrigin":"https://evil.example"}"#,
        r#","type":"webauthn.create"}"#,
        r#","origin":"https://evil.example"}"#,
        r#","crossOrigin":false"#,
        "} {",
    ] {
        let blob = Ceremony { rest, ..Ceremony::default() }.sign();
        assert!(Ceremony::openssh(&blob), "{rest}: stricter than we thought");
        assert!(Ceremony::ours(&blob).is_err(), "{rest}");
    }
    assert!(Ceremony::ours(&Ceremony { rest: "}", ..Ceremony::default() }.sign()).is_ok());
}

#[test]
fn every_changed_byte_of_a_browsers_signature_breaks_it() {
    let blob = Ceremony::default().sign();
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        assert!(Ceremony::ours(&changed).is_err(), "byte {at}");
    }
}
