//! What a login shows of itself: the file that `sshd` makes of it (`ExposeAuthInfo`, sshd_config(5)). It belongs to
//! the user, who may change it and name another one; only what the authority has signed in it counts.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use writ_model::Timestamp;
use writ_proof::cbor::Version;
use writ_proof::ed25519::PublicKey;
use writ_proof::ssh_cert::{CertKind, Certificate, Extension};

use super::Session;
use crate::limits::{AUTH_FILE_MAX_BYTES, AUTH_FOLDER_MAX_FILES};

/// Where `sshd` makes the files, and how their names begin (OpenSSH, `prepare_auth_info_file`).
const FOLDER: &str = "/tmp";
const PREFIX: &str = "sshauth.";

/// What a line of the file begins with: the ways to log in (RFC 4252, RFC 4462).
const METHODS: [&str; 7] = [
    "gssapi-keyex",
    "gssapi-with-mic",
    "hostbased",
    "keyboard-interactive",
    "none",
    "password",
    "publickey",
];

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// A session of the authority.
    Session(Session),
    /// A login without its certificate.
    Other,
}

/// Reads the file that a process names; `None` if it is none of `sshd`.
pub(super) fn named(path: &str, authority: &PublicKey) -> Option<Shown> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    if !name.starts_with(PREFIX) || name.contains('/') {
        return None;
    }
    let text = read(Path::new(path))?;
    if let Some(session) = session(&text, authority) {
        return Some(Shown::Session(session));
    }
    let is_told = |line: &str| METHODS.iter().any(|method| line.split(' ').next() == Some(method));
    (!text.is_empty() && text.lines().all(is_told)).then_some(Shown::Other)
}

/// The session of an id, if any of the files that are there shows its certificate.
pub(super) fn find(id: &str, authority: &PublicKey) -> Option<Session> {
    let entries = std::fs::read_dir(FOLDER).ok()?.take(AUTH_FOLDER_MAX_FILES).flatten();
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    let paths = files.map(|entry| -> PathBuf { entry.path() });
    paths.filter_map(|path| session(&read(&path)?, authority)).find(|session| session.id == id)
}

/// Reads a file without being led elsewhere, or held up by what is no file.
fn read(path: &Path) -> Option<String> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(AUTH_FILE_MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The session of a certificate in `text`, if the authority has signed it.
fn session(text: &str, authority: &PublicKey) -> Option<Session> {
    let certificates = text.lines().filter_map(|line| line.strip_prefix("publickey "));
    let mut ours = certificates.filter_map(|word| {
        let certificate: Certificate = word.parse().ok()?;
        let is_ours =
            certificate.ca() == authority && certificate.unverified().kind == CertKind::User;
        is_ours.then_some(certificate)
    });
    let certificate = ours.next()?;
    let fields = certificate.unverified();
    // sshd has compared the certificate's own time when it let the session in.
    let until = fields.extensions.iter().find_map(|extension| match extension {
        Extension::SessionUntil(until) => Some(*until),
        _ => None,
    });
    let until = Timestamp::from_secs(until.unwrap_or(fields.valid_before));
    Some(Session { v: Version, id: fields.key_id.clone(), until })
}

#[cfg(test)]
#[path = "../tests/shown.rs"]
mod tests;
