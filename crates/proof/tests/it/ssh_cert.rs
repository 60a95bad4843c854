//! `ssh-keygen` reads our certificates and revocation lists, and we read its.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use writ_model::Timestamp;
use writ_proof::ed25519::{PublicKey, Signer as _, SoftKey};
use writ_proof::krl::Krl;
use writ_proof::ssh_cert::{CertFields, CertKind, Certificate, CriticalOptions, Extension};
use writ_proof::sshsig::SshPublicKey;

/// Its output, and whether it succeeded.
#[expect(clippy::disallowed_methods, reason = "the test's judge is a program of its own")]
fn ssh_keygen(folder: &Path, arguments: &[&str]) -> (String, bool) {
    let mut command = Command::new("ssh-keygen");
    let output = command.current_dir(folder).env("TZ", "UTC").args(arguments).output();
    let output = output.expect("ssh-keygen of OpenSSH must be installed");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

#[expect(clippy::disallowed_methods, reason = "a file of a test needs no durability")]
fn put(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.path().join(name), content).unwrap();
}

fn read(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

fn ca() -> SoftKey {
    SoftKey::from_seed(&[1; 32]).unwrap()
}

fn fields(serial: u64) -> CertFields {
    CertFields {
        nonce: [7; 32],
        key: SoftKey::from_seed(&[2; 32]).unwrap().public_key(),
        serial,
        kind: CertKind::User,
        key_id: format!("req=01J;user=alice;ses={serial}"),
        principals: vec!["svc@web-1".to_owned(), "svc".to_owned()],
        valid_after: 1_800_000_000,
        valid_before: 1_800_000_300,
        critical: CriticalOptions {
            force_command: Some("uptime -p".to_owned()),
            source_address: vec!["192.0.2.1".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            verify_required: true,
        },
        extensions: [Extension::PermitPty, Extension::PermitX11Forwarding].into(),
    }
}

#[test]
fn openssh_shows_what_we_issued() {
    let folder = TempDir::new().unwrap();
    put(&folder, "user-cert.pub", format!("{}\n", fields(7001).sign(&ca()).unwrap()));
    let (shown, good) = ssh_keygen(folder.path(), &["-L", "-f", "user-cert.pub"]);
    assert!(good, "{shown}");
    let authority = SshPublicKey::Ed25519(ca().public_key().0).fingerprint();
    for wanted in [
        "Type: ssh-ed25519-cert-v01@openssh.com user certificate",
        &format!("Signing CA: ED25519 {authority} (using ssh-ed25519)"),
        "Key ID: \"req=01J;user=alice;ses=7001\"",
        "Serial: 7001",
        "Valid: from 2027-01-15T08:00:00 to 2027-01-15T08:05:00",
        "Principals: \n                svc@web-1\n                svc\n",
        "force-command uptime -p",
        "source-address 192.0.2.1/32,2001:db8::/32",
        "verify-required",
        "permit-X11-forwarding\n                permit-pty\n",
    ] {
        assert!(shown.contains(wanted), "{wanted}\n{shown}");
    }
    let host = CertFields {
        kind: CertKind::Host,
        critical: CriticalOptions::default(),
        extensions: [].into(),
        ..fields(1)
    };
    put(&folder, "host-cert.pub", format!("{}\n", host.sign(&ca()).unwrap()));
    let (shown, good) = ssh_keygen(folder.path(), &["-L", "-f", "host-cert.pub"]);
    assert!(good && shown.contains("host certificate"), "{shown}");
}

fn make_key(folder: &TempDir, name: &str, kind: &str) -> SshPublicKey {
    let make = ["-q", "-t", kind, "-N", "", "-C", "", "-f", name];
    assert!(ssh_keygen(folder.path(), &make).1);
    read(folder, &format!("{name}.pub")).parse().unwrap()
}

fn ed25519(key: &SshPublicKey) -> PublicKey {
    let SshPublicKey::Ed25519(key) = key else { panic!("{key:?}") };
    PublicKey(*key)
}

#[test]
fn certificate_of_ssh_keygen_is_read() {
    let folder = TempDir::new().unwrap();
    let ca = ed25519(&make_key(&folder, "ca", "ed25519"));
    let key = ed25519(&make_key(&folder, "user", "ed25519"));
    let sign = |options: &[&str], key: &str| {
        let common = ["-q", "-s", "ca", "-I", "req=1;user=bob;ses=2", "-z", "42"];
        let (text, good) = ssh_keygen(folder.path(), &[&common, options, &[key]].concat());
        assert!(good, "{text}");
        read(&folder, "user-cert.pub").parse::<Certificate>()
    };
    let window = ["-n", "svc,web", "-V", "20270115080000Z:20270115080500Z"];
    let restricted = ["-O", "clear", "-O", "permit-pty", "-O", "source-address=10.0.0.0/8"];
    let force = ["-O", "force-command=id -u", "-O", "extension:made-up@example.org"];
    let options = [&window[..], &restricted, &force].concat();
    let certificate = sign(&options, "user.pub").unwrap();
    assert_eq!(format!("{certificate} user.pub\n"), read(&folder, "user-cert.pub"));
    let now = Timestamp::from_secs(1_800_000_100);
    let fields = certificate.verify(&ca, CertKind::User, now).unwrap();
    assert_eq!((fields.key, fields.serial), (key, 42));
    assert_eq!(fields.key_id, "req=1;user=bob;ses=2");
    assert_eq!(fields.principals, ["svc", "web"]);
    assert_eq!((fields.valid_after, fields.valid_before), (1_800_000_000, 1_800_000_300));
    assert_eq!(fields.critical.force_command.as_deref(), Some("id -u"));
    assert!(!fields.critical.admits("192.0.2.1".parse().unwrap()));
    assert_eq!(fields.extensions, [Extension::PermitPty].into());
    let host = sign(&[&["-h"][..], &window].concat(), "user.pub").unwrap();
    assert!(host.verify(&ca, CertKind::Host, now).is_ok());
    assert!(host.verify(&ca, CertKind::User, now).is_err(), "a host's certificate logs in");
    // Refused: for anybody, an option that nobody knows, an authority of another kind.
    assert!(sign(&window[2..], "user.pub").is_err());
    let unknown = [&window[..], &["-O", "critical:made-up@example.org=1"]].concat();
    assert!(sign(&unknown, "user.pub").is_err());
    make_key(&folder, "other", "ecdsa");
    let arguments = ["-q", "-s", "other", "-I", "x", "-n", "svc", "user.pub"];
    assert!(ssh_keygen(folder.path(), &arguments).1);
    assert!(read(&folder, "user-cert.pub").parse::<Certificate>().is_err());
}

/// Whether `ssh-keygen -Q` calls the certificate or key revoked.
fn revoked(folder: &TempDir, line: &str) -> bool {
    put(folder, "asked.pub", format!("{line}\n"));
    let (text, good) = ssh_keygen(folder.path(), &["-Q", "-f", "krl", "asked.pub"]);
    assert_eq!(good, !text.contains("REVOKED"), "{text}");
    assert!(good || text.contains("REVOKED"), "{text}");
    !good
}

#[test]
fn openssh_refuses_what_our_list_revokes() {
    let folder = TempDir::new().unwrap();
    let mut krl = Krl::new(7, 1_800_000_000, "writ").unwrap();
    let authority = ca().public_key();
    // A single one, a range, and a dense patch that becomes a bitmap.
    let serials = [5, 100, 101, 102, 103, 104, 105, 5000, 5002, 5003, 5007, 5040, 5041, 5100];
    for serial in serials {
        krl.revoke_serials(Some(&authority), serial..=serial).unwrap();
    }
    krl.revoke_serials(Some(&authority), 1 << 40..=(1 << 40) + 1_000_000).unwrap();
    krl.revoke_key_id(Some(&authority), "req=01J;user=alice;ses=9999").unwrap();
    let keys: Vec<SshPublicKey> = (10..14)
        .map(|n| SshPublicKey::Ed25519(SoftKey::from_seed(&[n; 32]).unwrap().public_key().0))
        .collect();
    krl.revoke_key(&keys[0]);
    krl.revoke_fingerprint(&keys[1]);
    krl.revoke_fingerprint(&keys[2]);
    let bytes = krl.to_bytes().unwrap();
    assert_eq!(Krl::from_bytes(&bytes).unwrap(), krl);
    put(&folder, "krl", &bytes);
    let issue = |serial| fields(serial).sign(&ca()).unwrap();
    let near = serials.iter().flat_map(|serial| serial - 1..=serial + 1);
    for serial in near.chain([1 << 40, (1 << 40) - 1, (1 << 40) + 1_000_001, u64::MAX, 9999]) {
        let certificate = issue(serial);
        let ours = krl.revokes(&certificate);
        assert_eq!(revoked(&folder, &certificate.to_string()), ours, "{serial}");
        let expected = serials.contains(&serial) || serial == 1 << 40 || serial == 9999;
        assert_eq!(ours, expected, "{serial}");
    }
    let other = SoftKey::from_seed(&[9; 32]).unwrap();
    assert!(!revoked(&folder, &fields(5).sign(&other).unwrap().to_string()), "of another CA");
    for (key, expected) in keys.iter().zip([true, true, true, false]) {
        assert_eq!(revoked(&folder, &key.to_string()), expected);
        assert_eq!(krl.revokes_key(key), expected);
    }
}

#[test]
fn list_of_ssh_keygen_is_read() {
    let folder = TempDir::new().unwrap();
    let ca = ed25519(&make_key(&folder, "ca", "ed25519"));
    let key = make_key(&folder, "user", "ed25519");
    let dense: String = (200..300).step_by(3).map(|n| format!("serial: {n}\n")).collect();
    let digest = format!("hash: {}\n", SshPublicKey::Ed25519([3; 32]).fingerprint());
    let spec = format!("serial: 4716\nserial: 10-90\n{dense}id: req=06b\nkey: {key}\n{digest}");
    put(&folder, "spec", spec);
    let arguments = ["-k", "-f", "krl", "-s", "ca.pub", "-z", "12", "spec"];
    let (text, good) = ssh_keygen(folder.path(), &arguments);
    assert!(good, "{text}");
    let krl = Krl::from_bytes(&std::fs::read(folder.path().join("krl")).unwrap()).unwrap();
    assert_eq!(krl.version(), 12);
    for (serial, expected) in
        [(4716, true), (10, true), (90, true), (9, false), (91, false), (203, true), (204, false)]
    {
        assert_eq!(krl.revokes_serial(&ca, serial), expected, "{serial}");
    }
    assert!(!krl.revokes_serial(&PublicKey([1; 32]), 4716));
    assert!(krl.revokes_key(&key) && krl.revokes_key(&SshPublicKey::Ed25519([3; 32])));
    // What we write of it, OpenSSH reads as we do.
    put(&folder, "krl", krl.to_bytes().unwrap());
    assert!(revoked(&folder, &key.to_string()));
    let (shown, good) = ssh_keygen(folder.path(), &["-Q", "-l", "-f", "krl"]);
    assert!(good && shown.contains("id: req=06b"), "{shown}");
}
