//! Tests of what a login shows: the file may be anything.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::ssh_cert::{CertFields, CriticalOptions};

use super::*;

fn key(seed: u8) -> SoftKey {
    SoftKey::from_seed(&[seed; 32]).unwrap()
}

/// A line of the file, for a session whose deadline is 2,000.
fn line(id: &str, ca: &SoftKey) -> String {
    let fields = CertFields {
        nonce: [7; 32],
        key: key(2).public_key(),
        serial: 4711,
        kind: CertKind::User,
        key_id: id.to_owned(),
        principals: vec!["root@web-1".to_owned()],
        valid_after: 1000,
        valid_before: 1300,
        critical: CriticalOptions::default(),
        extensions: BTreeSet::from([Extension::SessionUntil(2000)]),
    };
    format!("publickey {}\n", fields.sign(ca).unwrap())
}

/// A path where `sshd` would make its file.
fn place() -> tempfile::TempPath {
    tempfile::Builder::new().prefix(PREFIX).tempfile_in(FOLDER).unwrap().into_temp_path()
}

fn shown(text: &str) -> Option<Shown> {
    let path = place();
    crate::disk::replace(&path, text.as_bytes(), 0o600).unwrap();
    named(path.to_str().unwrap(), &key(1).public_key())
}

#[test]
fn only_what_the_authority_signed_is_a_session_and_only_a_login_is_another_one() {
    let session = shown(&line("ses=1", &key(1)));
    let expected =
        Session { v: Version, id: "ses=1".to_owned(), until: Timestamp::from_secs(2000) };
    assert_eq!(session, Some(Shown::Session(expected.clone())));
    // Behind a line of somebody else's choice, too.
    let both = format!("{}{}", line("ses=9", &key(3)), line("ses=1", &key(1)));
    assert_eq!(shown(&both), Some(Shown::Session(expected)));
    for other in ["password\n", "publickey ssh-ed25519 AAAA\n", &line("ses=1", &key(3))] {
        assert_eq!(shown(other), Some(Shown::Other), "{other}");
    }
    for garbage in ["", "x\n", "password\nx\n", "\n"] {
        assert_eq!(shown(garbage), None, "{garbage:?}");
    }
}

#[test]
fn certificate_of_a_session_is_found_without_its_processes() {
    let path = place();
    crate::disk::replace(&path, line("ses=found", &key(1)).as_bytes(), 0o600).unwrap();
    let authority = key(1).public_key();
    assert_eq!(find("ses=found", &authority).unwrap().id, "ses=found");
    assert_eq!(find("ses=other", &authority), None);
}

/// The path is the user's choice. A fifo held up the one thread that ends sessions, for all of the host.
#[test]
fn deadline_fifo_in_the_place_of_a_login_does_not_hold_up_the_end_of_sessions() {
    let path = place();
    std::fs::remove_file(&path).unwrap();
    mknodat(CWD, &*path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let name = path.to_str().unwrap().to_owned();
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(named(&name, &key(1).public_key())).ok());
    assert_eq!(wait.recv_timeout(Duration::from_secs(5)), Ok(None));
}

#[test]
fn file_elsewhere_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sshauth.1");
    crate::disk::replace(&file, line("ses=1", &key(1)).as_bytes(), 0o600).unwrap();
    let authority = key(1).public_key();
    assert_eq!(named(file.to_str().unwrap(), &authority), None);
    let path = place();
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&file, &path).unwrap();
    assert_eq!(named(path.to_str().unwrap(), &authority), None);
    let through = format!("/tmp/sshauth.x/../{}", path.file_name().unwrap().to_str().unwrap());
    assert_eq!(named(&through, &authority), None);
}
