//! Tests of SSH certificates. Stock OpenSSH judges them in `tests/it/ssh_cert.rs`.

use super::*;
use crate::ed25519::SoftKey;

fn ca() -> SoftKey {
    SoftKey::from_seed(&[1; 32]).unwrap()
}

fn fields() -> CertFields {
    CertFields {
        nonce: [7; 32],
        key: SoftKey::from_seed(&[2; 32]).unwrap().public_key(),
        serial: 4711,
        kind: CertKind::User,
        key_id: "req=1;user=alice;ses=2".to_owned(),
        principals: vec!["svc@web-1".to_owned()],
        valid_after: 1000,
        valid_before: 1300,
        critical: CriticalOptions {
            force_command: Some("id".to_owned()),
            source_address: vec!["192.0.2.1/32".parse().unwrap()],
            verify_required: true,
        },
        extensions: [Extension::PermitPty, Extension::NoTouchRequired].into(),
    }
}

#[test]
fn certificate_is_valid_in_its_interval_only() {
    let certificate = fields().sign(&ca()).unwrap();
    let ca = ca().public_key();
    let at = |ms| certificate.verify(&ca, CertKind::User, Timestamp::from_millis(ms)).is_ok();
    assert_eq!([999_999, 1_000_000, 1_299_999, 1_300_000].map(at), [false, true, true, false]);
    let now = Timestamp::from_secs(1100);
    assert!(certificate.verify(&ca, CertKind::Host, now).is_err());
    assert!(certificate.verify(&fields().key, CertKind::User, now).is_err());
}

#[test]
fn every_changed_byte_is_refused() {
    let certificate = fields().sign(&ca()).unwrap();
    let bytes = certificate.to_bytes();
    assert_eq!(Certificate::from_bytes(&bytes).unwrap(), certificate);
    assert_eq!(certificate.to_string().parse::<Certificate>().unwrap(), certificate);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Certificate::from_bytes(&changed).is_err(), "byte {at}");
        assert!(Certificate::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Certificate::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn what_must_not_be_issued_is_refused() {
    let bad: [fn(&mut CertFields); 8] = [
        |f| f.principals.clear(),
        |f| f.principals.push(String::new()),
        |f| f.serial = 0,
        |f| f.key_id.clear(),
        |f| f.valid_before = f.valid_after,
        |f| f.kind = CertKind::Host,
        |f| f.key_id = "x".repeat(2000),
        |f| f.principals = vec!["x".to_owned(); 300],
    ];
    for (n, spoil) in bad.iter().enumerate() {
        let mut fields = fields();
        spoil(&mut fields);
        assert!(fields.sign(&ca()).is_err(), "{n}");
    }
}

#[test]
fn to_be_signed_bytes_read_back_as_their_fields() {
    let ca = ca().public_key();
    let bytes = fields().to_be_signed(&ca).unwrap();
    assert_eq!(CertFields::from_to_be_signed(&bytes).unwrap(), (fields(), ca));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        assert_ne!(CertFields::from_to_be_signed(&changed).ok(), Some((fields(), ca)), "{at}");
    }
}

/// The signed part with another authority's key or other options in it, signed again.
fn resigned(change: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<Certificate, Error> {
    let signed = change(fields().to_be_signed(&ca().public_key()).unwrap());
    Certificate::assemble(&signed, &ca().sign(&signed).unwrap())
}

#[test]
fn certificate_is_no_authority() {
    let chained = resigned(|mut signed| {
        let key = SshPublicKey::Ed25519(ca().public_key().0).to_blob();
        signed.truncate(signed.len() - key.len() - 4);
        put_string(&mut signed, &fields().sign(&ca()).unwrap().to_bytes());
        signed
    });
    assert!(matches!(chained, Err(Error::Rule { why: "a certificate is no authority", .. })));
}

#[test]
fn options_are_known_unique_and_in_order() {
    let with_options = |pairs: &[(&str, &[u8])]| {
        let mut options = Vec::new();
        for (name, data) in pairs {
            put_string(&mut options, name.as_bytes());
            put_string(&mut options, data);
        }
        CriticalOptions::from_bytes(&options)
    };
    let command = b"\0\0\0\x02id".as_slice();
    assert!(with_options(&[("force-command", command), ("verify-required", b"")]).is_ok());
    for bad in [
        &[("verify-required", b"".as_slice()), ("force-command", command)][..],
        &[("force-command", command), ("force-command", command)],
        &[("unheard-of", b"")],
        &[("verify-required", b"x")],
        &[("force-command", b"")],
        &[("force-command", b"\0\0\0\0")],
        &[("source-address", b"\0\0\0\x0b10.0.0.1/24")],
    ] {
        assert!(with_options(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn networks_hold_what_lies_in_them() {
    for (network, inside, outside) in [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("0.0.0.0/0", "198.51.100.1", "::1"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::/0", "::1", "0.0.0.0"),
    ] {
        let network: Cidr = network.parse().unwrap();
        assert!(network.holds(inside.parse().unwrap()), "{network} {inside}");
        assert!(!network.holds(outside.parse().unwrap()), "{network} {outside}");
    }
    for bad in ["10.0.0.0/33", "10.0.0.1/31", "host", "10.0.0.0/", "10.0.0.0/+8", "::1/129"] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
}
