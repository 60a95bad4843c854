//! The managed host of the story: a stock `sshd` where one is installed, else a minimal host of the tour's own.
//! Either trusts keyd's authority for the principal `ROLE@web-1`, and nobody else.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::{Env as _, SystemEnv};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::ssh::put_string;
use writ_proof::ssh_cert::{CertFields, CertKind, CriticalOptions};
use writ_proof::sshsig::SshPublicKey;
use writ_ssh::SoftUserKey;
use zeroize::Zeroizing;

use super::super::site::write;
use super::crew::text;
use super::minimal::Minimal;
use super::ssh::Door;
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

#[expect(dead_code, reason = "they run as long as they are held")]
enum Kind {
    Minimal(Minimal),
    Sshd(Daemon),
}

/// A process that ends with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
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
            false => match Sshd::new(folder, &host_key, &seed, &log).and_then(|sshd| {
                sshd.probe()?;
                Ok((sshd.start(&authority)?, sshd.login))
            }) {
                Ok(((daemon, address), login)) => {
                    let what = format!("{SSHD}, at {address}");
                    return Ok(Host { address, key, login, log, what, _kind: Kind::Sshd(daemon) });
                }
                Err(error) => format!("{error:#}"),
            },
        };
        let host_key = SoftKey::from_seed(&seed)?;
        let login = "svc".to_owned();
        let host = Minimal::start(host_key, &authority, &log)?;
        let address = host.address;
        let what = format!("the minimal SSH host that is built into this tour ({why})");
        Ok(Host { address, key, login, log, what, _kind: Kind::Minimal(host) })
    }
}

/// A stock `sshd` as whoever runs the tour, for whoever runs the tour.
struct Sshd<'h> {
    folder: &'h Path,
    log: &'h Path,
    public: SshPublicKey,
    login: String,
}

impl<'h> Sshd<'h> {
    /// Writes what it needs, if there is one.
    fn new(folder: &'h Path, key: &SoftKey, seed: &[u8; 32], log: &'h Path) -> Result<Sshd<'h>> {
        if !Path::new(SSHD).exists() {
            bail!("there is no {SSHD}");
        }
        let login = user()?;
        write_durably(&folder.join("host_key"), &private_key(key, seed)?, 0o600)?;
        write(&folder.join("principals"), format!("{login}@{NAME}\n").as_bytes())?;
        // As root it wants this folder, which the system's start script makes.
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").context("sshd wants the folder /run/sshd")?;
        }
        Ok(Sshd { folder, log, public: SshPublicKey::Ed25519(key.public_key().0), login })
    }

    /// Sees whether it lets this user in at all: accounts may be locked or have no shell. The authority that it trusts
    /// for that is made up, and gone before the host takes part.
    fn probe(&self) -> Result<()> {
        let [authority, key] = [fresh()?, fresh()?];
        let path = self.folder.join("probe_ca.pub");
        let public = SshPublicKey::Ed25519(authority.public_key().0);
        write(&path, format!("{public}\n").as_bytes())?;
        let fields = CertFields {
            nonce: [0; 32],
            key: key.public_key(),
            serial: 1,
            kind: CertKind::User,
            key_id: "probe".to_owned(),
            principals: vec![format!("{}@{NAME}", self.login)],
            valid_after: 0,
            valid_before: u64::MAX,
            critical: CriticalOptions::default(),
            extensions: BTreeSet::new(),
        };
        let user = SoftUserKey::certified(key, fields.sign(&authority)?.to_bytes());
        let (_daemon, address) = self.start(&path)?;
        let door = Door::to(address, self.public.clone())?;
        let let_in = door.enter_with(&user, &self.login).and_then(|visit| visit.run("exit 0"));
        std::fs::remove_file(path)?;
        let_in.map(|_| ()).with_context(|| format!("{SSHD} does not let `{}` in", self.login))
    }

    /// Starts it, trusting this authority.
    #[expect(clippy::disallowed_methods, reason = "the tour starts its own managed host")]
    fn start(&self, authority: &Path) -> Result<(Daemon, SocketAddr)> {
        let path = |name: &str| self.folder.join(name);
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
        command.arg("-D").arg("-f").arg(path("sshd_config")).arg("-E").arg(self.log);
        let daemon = command.stdin(Stdio::null()).spawn().context("sshd cannot be started")?;
        let mut daemon = Daemon(daemon);
        let began = SystemEnv.monotonic();
        while TcpStream::connect(address).is_err() {
            let late = SystemEnv.monotonic().saturating_sub(began) > START_MAX;
            if late || daemon.0.try_wait()?.is_some() {
                let said = std::fs::read_to_string(self.log).unwrap_or_default();
                bail!("sshd does not serve: {}", said.lines().last().unwrap_or("it says nothing"));
            }
            std::thread::sleep(POLL);
        }
        Ok((daemon, address))
    }
}

fn fresh() -> Result<SoftKey> {
    let mut seed = Zeroizing::new([0; 32]);
    SystemEnv.fill(&mut *seed);
    Ok(SoftKey::from_seed(&seed)?)
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
