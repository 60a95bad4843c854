//! Tests of the SSHSIG parser.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::ed25519::SoftKey;

fn soft() -> SoftKey {
    SoftKey::from_seed(&[1; 32]).unwrap()
}

#[test]
fn signature_format_is_fixed() {
    let signature = SshSig::sign(b"message", "request@writ", &soft()).unwrap();
    expect![[r#"
        -----BEGIN SSH SIGNATURE-----
        U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgiojj3XQJ8ZX9UtstPLpdcspnCb
        8dlBIb83SIAbQPb1wAAAAMcmVxdWVzdEB3cml0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3Nz
        aC1lZDI1NTE5AAAAQA4LL4Fvl98tXWR4X+0h+tLFMEMoJj2MJ3IYgUzIfIXb89M3+RQEUk
        PIx5bMRELAmrwRta9F4BifuHqmPtmHLAQ=
        -----END SSH SIGNATURE-----
    "#]]
    .assert_eq(&signature.to_armor());
    assert_eq!(SshSig::from_armor(&signature.to_armor()).unwrap(), signature);
    assert_eq!(SshSig::from_bytes(&signature.to_bytes()).unwrap(), signature);
    assert_eq!(signed_blob(b"m", "approval@writ").len(), 105);
}

#[test]
fn signature_is_worth_nothing_elsewhere() {
    let signature = SshSig::sign(b"message", "request@writ", &soft()).unwrap();
    let verified = signature.verify(b"message", "request@writ").unwrap();
    assert_eq!(verified.hardware, None);
    assert_eq!(verified.key, *signature.key());
    assert!(signature.verify(b"messagE", "request@writ").is_err());
    assert!(signature.verify(b"message", "approval@writ").is_err());
    let mut renamed = signature.clone();
    renamed.namespace = "approval@writ".to_owned();
    assert!(renamed.verify(b"message", "approval@writ").is_err());
    let mut longer = signature.clone();
    longer.signature.push(0);
    assert!(longer.verify(b"message", "request@writ").is_err());
}

#[test]
fn every_changed_byte_breaks_the_signature() {
    let bytes = SshSig::sign(b"message", "request@writ", &soft()).unwrap().to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let verified =
            SshSig::from_bytes(&changed).and_then(|s| s.verify(b"message", "request@writ"));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn public_key_line_round_trips() {
    let key = SshPublicKey::Ed25519(soft().public_key().0);
    assert_eq!(format!("{key} alice@example").parse::<SshPublicKey>().unwrap(), key);
    let sk = SshPublicKey::SkEcdsa { point: [4; 65], application: "ssh:writ".to_owned() };
    assert_eq!(sk.to_string().parse::<SshPublicKey>().unwrap(), sk);
    let line = key.to_string().replacen("ssh-ed25519", "ssh-rsa", 1);
    assert!(line.parse::<SshPublicKey>().is_err());
    assert!("ssh-rsa AAAAB3NzaC1yc2E=".parse::<SshPublicKey>().is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        point in any::<[u8; 32]>(),
    ) {
        SshSig::from_bytes(&bytes).ok();
        SshPublicKey::from_blob(&bytes).ok();
        let namespace = "n".to_owned();
        let mut ecdsa = [4; 65];
        ecdsa[1..33].copy_from_slice(&point);
        let application = "ssh:writ".to_owned();
        for key in [
            SshPublicKey::Ed25519(point),
            SshPublicKey::Ecdsa(ecdsa),
            SshPublicKey::SkEd25519 { key: point, application: application.clone() },
            SshPublicKey::SkEcdsa { point: ecdsa, application },
        ] {
            let mut signature = Vec::new();
            put_string(&mut signature, key.algorithm().as_bytes());
            put_string(&mut signature, &bytes);
            signature.extend_from_slice(&[5, 0, 0, 0, 1]);
            let signature = SshSig { key, namespace: namespace.clone(), signature };
            prop_assert!(signature.verify(b"m", "n").is_err());
        }
    }
}
