//! The choice, from both offers.

use writ_model::SystemEnv;

use super::*;

fn kexinit(kex: &str, host_keys: &str, ciphers: &str, compression: &str, guess: bool) -> Vec<u8> {
    Message::new(number::KEXINIT)
        .raw(&[0; 16])
        .string(kex)
        .string(host_keys)
        .string(ciphers)
        .string(ciphers)
        .string("hmac-sha2-256")
        .string("hmac-sha2-256")
        .string(compression)
        .string(compression)
        .string("")
        .string("")
        .boolean(guess)
        .number(0)
        .done()
}

fn choose(theirs: &[u8], first: bool, strict_before: bool) -> Result<Chosen, Error> {
    let algorithms = Algorithms::default();
    let host_keys = ["ssh-ed25519".to_owned()];
    let offer = Offer { role: Role::Server, algorithms: &algorithms, host_keys: &host_keys, first };
    offer.choose(theirs, strict_before)
}

const STRICT: &str = "curve25519-sha256,mlkem768x25519-sha256,kex-strict-c-v00@openssh.com";
const CIPHERS: &str = "aes128-ctr,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com";

#[test]
fn clients_first_that_the_server_has_is_chosen() {
    let theirs = kexinit(STRICT, "ssh-rsa,ssh-ed25519", CIPHERS, "zlib,none", false);
    let chosen = choose(&theirs, true, false).unwrap();
    assert_eq!(chosen.kex, Kex::Curve25519);
    assert_eq!((chosen.to_server, chosen.to_client), (Cipher::Aes128Gcm, Cipher::Aes128Gcm));
    assert!(chosen.strict && !chosen.ext_info && !chosen.skip_guess);
    let ours = Offer {
        role: Role::Client,
        algorithms: &Algorithms::default(),
        host_keys: &["ssh-ed25519".to_owned()],
        first: true,
    }
    .message(&SystemEnv);
    let chosen = choose(&ours, true, false).unwrap();
    assert_eq!((chosen.kex, chosen.to_server), (Kex::MlKem768X25519, Cipher::Aes256Gcm));
    assert!(chosen.strict && chosen.ext_info);
}

#[test]
fn markers_count_in_the_first_exchange_alone() {
    let with = kexinit(STRICT, "ssh-ed25519", CIPHERS, "none", false);
    let without = kexinit("curve25519-sha256", "ssh-ed25519", CIPHERS, "none", false);
    assert!(!choose(&with, false, false).unwrap().strict);
    assert!(choose(&without, false, true).unwrap().strict);
    assert!(!choose(&without, true, true).unwrap().strict);
}

#[test]
fn chacha_needs_strict_kex() {
    let chacha = "chacha20-poly1305@openssh.com";
    let with = kexinit(STRICT, "ssh-ed25519", chacha, "none", false);
    assert_eq!(choose(&with, true, false).unwrap().to_client, Cipher::ChaCha20Poly1305);
    let without = kexinit("curve25519-sha256", "ssh-ed25519", chacha, "none", false);
    assert!(matches!(choose(&without, true, false), Err(Error::NoCommon { what: "cipher", .. })));
}

#[test]
fn nothing_in_common_is_refused_by_its_name() {
    for (theirs, wanted) in [
        (kexinit("x", "ssh-ed25519", CIPHERS, "none", false), "key exchange"),
        (kexinit(STRICT, "ssh-rsa", CIPHERS, "none", false), "host key"),
        (kexinit(STRICT, "ssh-ed25519", "aes128-ctr", "none", false), "cipher"),
        (kexinit(STRICT, "ssh-ed25519", CIPHERS, "zlib@openssh.com", false), "compression"),
        (kexinit("", "ssh-ed25519", CIPHERS, "none", false), "key exchange"),
        // The markers are no methods.
        (
            kexinit("kex-strict-s-v00@openssh.com", "ssh-ed25519", CIPHERS, "none", false),
            "key exchange",
        ),
    ] {
        let error = choose(&theirs, true, false).unwrap_err();
        assert!(matches!(error, Error::NoCommon { what, .. } if what == wanted), "{error}");
    }
    let mut longer = kexinit(STRICT, "ssh-ed25519", CIPHERS, "none", false);
    longer.push(0);
    assert!(choose(&longer, true, false).is_err());
}

#[test]
fn wrong_guess_is_skipped_and_a_right_one_is_not() {
    let wrong = kexinit(STRICT, "ssh-ed25519", CIPHERS, "none", true);
    assert!(choose(&wrong, true, false).unwrap().skip_guess);
    let right = kexinit("mlkem768x25519-sha256", "ssh-ed25519", CIPHERS, "none", true);
    assert!(!choose(&right, true, false).unwrap().skip_guess);
}
