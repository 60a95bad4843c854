//! The managed host of the story: a stock `sshd` where one is installed, else a minimal host of the tour's own.
//! Either trusts keyd's authority for the principal `ROLE@web-1`, and nobody else.

use std::fs::{File, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::{Env as _, SystemEnv};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::ssh::put_string;
use writ_proof::sshsig::SshPublicKey;
use zeroize::Zeroizing;

use super::super::site::write;
use super::crew::text;
use super::minimal::Minimal;
use crate::up::data::write_durably;
use crate::up::ready::SSH_CA_FILE;

/// The host's name in the roster.
pub const NAME: &str = "web-1";
const SSHD: &str = "/usr/sbin/sshd";
/// How long `sshd` may take until it listens.
const START_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// A host that runs. It ends when this value goes.
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    /// The file with its public key.
    pub key: PathBuf,
    /// The login role.
    pub login: String,
    /// Its own log, which the agent follows.
    pub log: PathBuf,
    /// What it is, in words.
    pub what: String,
    _kind: Kind,
}

enum Kind {
    Minimal { _host: Minimal },
    Sshd(Child),
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Kind::Sshd(child) = self {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Host {
    /// Starts one in a folder of its own; the tour's own if `built_in` says so, or if no `sshd` can be had.
    pub fn start(data: &Path, folder: &Path, built_in: bool) -> Result<Host> {
        std::fs::create_dir_all(folder)?;
        let mut seed = Zeroizing::new([0; 32]);
        SystemEnv.fill(&mut *seed);
        let host_key = SoftKey::from_seed(&seed)?;
        let public = SshPublicKey::Ed25519(host_key.public_key().0);
        let key = folder.join("host_key.pub");
        write(&key, format!("{public} {NAME}\n").as_bytes())?;
        let log = folder.join("log");
        File::create(&log)?;
        let authority = data.join(SSH_CA_FILE);
        let why = match built_in {
            true => "--built-in-host".to_owned(),
            false => match sshd(folder, &private_key(&host_key, &seed)?, &authority, &log) {
                Ok((child, address, login)) => {
                    let what = format!("{SSHD}, at {address}");
                    return Ok(Host { address, key, login, log, what, _kind: Kind::Sshd(child) });
                }
                Err(error) => format!("{error:#}"),
            },
        };
        let login = "svc".to_owned();
        let host = Minimal::start(host_key, &authority, &log)?;
        let address = host.address;
        let what = format!("the minimal SSH host that is built into this tour ({why})");
        Ok(Host { address, key, login, log, what, _kind: Kind::Minimal { _host: host } })
    }
}

/// Starts a stock `sshd` as whoever runs the tour, for whoever runs the tour.
#[expect(clippy::disallowed_methods, reason = "the tour starts its own managed host")]
fn sshd(
    folder: &Path,
    private: &[u8],
    authority: &Path,
    log: &Path,
) -> Result<(Child, SocketAddr, String)> {
    if !Path::new(SSHD).exists() {
        bail!("there is no {SSHD}");
    }
    let login = user()?;
    let path = |name: &str| folder.join(name);
    write_durably(&path("host_key"), private, 0o600)?;
    write(&path("principals"), format!("{login}@{NAME}\n").as_bytes())?;
    std::fs::set_permissions(path("principals"), Permissions::from_mode(0o644))?;
    // As root it wants this folder, which the system's start script makes.
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir_all("/run/sshd").context("sshd wants the folder /run/sshd")?;
    }
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = format!(
        "ListenAddress {address}\nHostKey {}\nPidFile none\nTrustedUserCAKeys {}\n\
         AuthorizedPrincipalsFile {}\nAuthorizedKeysFile none\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n\
         LogLevel VERBOSE\nSubsystem sftp internal-sftp\n",
        text(&path("host_key"))?,
        text(authority)?,
        text(&path("principals"))?,
    );
    write(&path("sshd_config"), config.as_bytes())?;
    let mut command = Command::new(SSHD);
    command.arg("-D").arg("-f").arg(path("sshd_config")).arg("-E").arg(log).stdin(Stdio::null());
    let mut child = command.spawn().context("sshd cannot be started")?;
    let began = SystemEnv.monotonic();
    loop {
        if TcpStream::connect(address).is_ok() {
            return Ok((child, address, login));
        }
        let late = SystemEnv.monotonic().saturating_sub(began) > START_MAX;
        if child.try_wait()?.is_some() || late {
            child.kill().ok();
            child.wait()?;
            let said = std::fs::read_to_string(log).unwrap_or_default();
            bail!("sshd does not serve: {}", said.lines().last().unwrap_or("it says nothing"));
        }
        std::thread::sleep(POLL);
    }
}

/// The name of whoever runs the tour.
fn user() -> Result<String> {
    let own = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd")?;
    let named = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1)? == own).then_some(name)
    };
    users.lines().find_map(named).context("/etc/passwd does not name this user")
}

/// An Ed25519 key as OpenSSH keeps it (PROTOCOL.key), without a passphrase.
fn private_key(key: &SoftKey, seed: &[u8; 32]) -> Result<Vec<u8>> {
    let public = key.public_key().0;
    let mut secret = Vec::new();
    // Two equal numbers, by which a wrong passphrase would be noticed.
    secret.extend_from_slice(&[0; 8]);
    put_string(&mut secret, b"ssh-ed25519");
    put_string(&mut secret, &public);
    put_string(&mut secret, &[&seed[..], &public[..]].concat());
    put_string(&mut secret, NAME.as_bytes());
    let padding = 1u8..;
    let missing = secret.len().next_multiple_of(8) - secret.len();
    secret.extend(padding.take(missing));
    let mut bytes = b"openssh-key-v1\0".to_vec();
    for field in ["none", "none", ""] {
        put_string(&mut bytes, field.as_bytes());
    }
    bytes.extend_from_slice(&1u32.to_be_bytes());
    put_string(&mut bytes, &SshPublicKey::Ed25519(public).to_blob());
    put_string(&mut bytes, &secret);
    let text = STANDARD.encode(bytes);
    let mut file = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(70) {
        file.push_str(std::str::from_utf8(line)?);
        file.push('\n');
    }
    file.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    Ok(file.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judged by `ssh-keygen`, where there is one.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the foreign judge")]
    fn private_key_is_one_of_openssh() {
        let key = SoftKey::from_seed(&[7; 32]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_durably(&path, &private_key(&key, &[7; 32]).unwrap(), 0o600).unwrap();
        let Ok(output) = Command::new("ssh-keygen").args(["-y", "-f"]).arg(&path).output() else {
            return;
        };
        let public = SshPublicKey::Ed25519(key.public_key().0).to_string();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(&public), "{text}");
    }
}
