//! `ssh-keygen -Y` accepts what we sign, and we accept what it signs.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use aws_lc_rs::digest::{SHA512, digest};
use tempfile::TempDir;
use writ_proof::cbor_map;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::sha256;
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_proof::statement::{Namespace, Signed, Statement};

struct Wish {
    text: String,
}
cbor_map!(Wish { 1: text });

impl Statement for Wish {
    const NAMESPACE: Namespace = Namespace::Request;
}

#[expect(clippy::disallowed_methods, reason = "the test's judge is a program of its own")]
fn ssh_keygen(folder: &Path, arguments: &[&str], input: Option<&str>) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    match input {
        Some(name) => command.stdin(File::open(folder.join(name)).unwrap()),
        None => command.stdin(Stdio::null()),
    };
    command.status().expect("ssh-keygen of OpenSSH must be installed").success()
}

#[expect(clippy::disallowed_methods, reason = "a file of a test needs no durability")]
fn put(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.path().join(name), content).unwrap();
}

/// Whether `ssh-keygen -Y verify` takes `armor` as alice's signature over `message`.
pub(crate) fn openssh_accepts(
    key: &SshPublicKey,
    armor: &str,
    message: &[u8],
    namespace: &str,
) -> bool {
    let folder = TempDir::new().unwrap();
    put(&folder, "allowed", format!("alice@sec namespaces=\"{namespace}\" {key}\n"));
    put(&folder, "message", message);
    put(&folder, "message.sig", armor);
    let arguments =
        ["-Y", "verify", "-f", "allowed", "-I", "alice@sec", "-n", namespace, "-s", "message.sig"];
    ssh_keygen(folder.path(), &arguments, Some("message"))
}

#[test]
fn statement_verifies_with_stock_ssh_keygen() {
    let soft = SoftKey::from_seed(&[1; 32]).unwrap();
    let mut signed = Signed::new(&Wish { text: "a\nb\u{0}c".to_owned() }).unwrap();
    signed.sign(&soft).unwrap();
    let signature = SshSig::from_bytes(&signed.signatures()[0]).unwrap();
    let armor = signature.to_armor();
    assert!(openssh_accepts(signature.key(), &armor, signed.body(), "request@writ"));
    assert!(!openssh_accepts(signature.key(), &armor, signed.body(), "approval@writ"));
    let mut changed = signed.body().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    assert!(!openssh_accepts(signature.key(), &armor, &changed, "request@writ"));
}

#[test]
fn signature_of_ssh_keygen_verifies_here() {
    for kind in ["ed25519", "ecdsa"] {
        let folder = TempDir::new().unwrap();
        let make = ["-q", "-t", kind, "-N", "", "-f", "key"];
        assert!(ssh_keygen(folder.path(), &make, None));
        let key: SshPublicKey =
            std::fs::read_to_string(folder.path().join("key.pub")).unwrap().parse().unwrap();
        // ECDSA is randomised: several signatures meet short integers and set top bits.
        for n in 0..8 {
            let message = format!("wish {n}");
            put(&folder, "message", &message);
            let sign = ["-Y", "sign", "-n", "request@writ", "-f", "key", "message"];
            std::fs::remove_file(folder.path().join("message.sig")).ok();
            assert!(ssh_keygen(folder.path(), &sign, None));
            let armor = std::fs::read_to_string(folder.path().join("message.sig")).unwrap();
            let signature = SshSig::from_armor(&armor).unwrap();
            assert_eq!(signature.to_armor(), armor);
            let verified = signature.verify(message.as_bytes(), "request@writ").unwrap();
            assert_eq!((verified.key, verified.hardware), (key.clone(), None));
            assert!(signature.verify(b"other", "request@writ").is_err());
        }
    }
}

#[test]
fn hardware_signature_is_read_as_openssh_reads_it() {
    // A software key plays the token: it signs what PROTOCOL.u2f makes a token sign.
    let soft = SoftKey::from_seed(&[2; 32]).unwrap();
    let application = "ssh:writ";
    let message = b"approve";
    let string = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[..], bytes].concat()
    };
    let algorithm = string(b"sk-ssh-ed25519@openssh.com");
    let namespace = string(b"approval@writ");
    let rest = [string(b""), string(b"sha512")].concat();
    let blob = [
        b"SSHSIG".to_vec(),
        namespace.clone(),
        rest.clone(),
        string(digest(&SHA512, message).as_ref()),
    ]
    .concat();
    let flags = [5, 0, 0, 0, 9];
    let signed = [&sha256(application.as_bytes()).0[..], &flags, &sha256(&blob).0].concat();
    let inner = [algorithm.clone(), string(&soft.sign(&signed).unwrap()), flags.to_vec()].concat();
    let public = [algorithm, string(&soft.public_key().0), string(application.as_bytes())].concat();
    let bytes = [
        b"SSHSIG".to_vec(),
        1u32.to_be_bytes().to_vec(),
        string(&public),
        namespace,
        rest,
        string(&inner),
    ]
    .concat();
    let signature = SshSig::from_bytes(&bytes).unwrap();
    let verified = signature.verify(message, "approval@writ").unwrap();
    let hardware = verified.hardware.unwrap();
    assert!(hardware.user_present() && hardware.user_verified());
    assert_eq!(hardware.counter, 9);
    assert!(openssh_accepts(&verified.key, &signature.to_armor(), message, "approval@writ"));
}
