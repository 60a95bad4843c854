//! A host gets its certificate: once, with a one-time token of watch's administrators.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use writ_model::Env;
use writ_proof::Hash;
use writ_proof::cbor::{self, Version};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hostlog::{Enrol, FromAgent, Refusal, ToAgent, enrolment_message};
use writ_proof::roster::HostName;

use crate::config::{AuditConfig, Config, FileConfig, SIGNED_FILE};
use crate::error::AgentError;
use crate::identity::{
    AUTHORITY_FILE, CERTIFICATE_FILE, HOST_FILE, KEPT_FOLDER, SEED_FILE, WATCH_KEY_FILE,
};
use crate::limits::HANDSHAKE_MAX;
use crate::readable::Readable;
use crate::ship::Connection;
use crate::{CONFIG_FILE, disk, tls};

/// What an enrolment needs.
#[derive(Debug, Clone)]
pub struct EnrolArgs {
    /// Where watch listens for agents: `HOST:PORT`.
    pub watch: String,
    /// What `writ watch token HOST` printed.
    pub token: String,
    /// The agent's folder; it is made.
    pub dir: PathBuf,
    /// Folders below which files may be reported, whatever watch signs; none for those of an earlier enrolment, or
    /// `/var/log`.
    pub readable: Vec<PathBuf>,
}

/// Makes the key, gets the certificate and writes the folder of an agent. What is in its `agent.toml`, or a first
/// proposal, is what this host reports, unless watch has signed something else for it. Answers the name under which
/// watch knows this host.
///
/// # Errors
/// watch cannot be reached, is another one than the token names, or refuses the token; `agent.toml` is not sound.
pub fn enrol(args: &EnrolArgs, env: &dyn Env) -> Result<HostName, AgentError> {
    let (secret, pin) = args.token.trim().split_once('.').ok_or(AgentError::Token)?;
    let secret: Hash = secret.parse().map_err(|_| AgentError::Token)?;
    let pin: Hash = pin.parse().map_err(|_| AgentError::Token)?;
    let mut seed = [0; 32];
    env.fill(&mut seed);
    let key = SoftKey::from_seed(&seed)?;
    let public = key.public_key().0;
    let proof = key.sign(enrolment_message(secret.as_bytes(), &public).as_bytes())?;
    disk::create_dir(&args.dir)?;
    disk::create_dir(&args.dir.join(KEPT_FOLDER))?;
    Readable::save(&args.dir, &args.readable)?;
    let config = proposal(&args.dir, &args.watch)?;
    let request = Enrol { v: Version, token: secret.0, key: public, proof, config };
    let mut connection = Connection::open(connect(&args.watch)?, tls::enrolling_config(pin)?)
        .map_err(|error| stranger(error, &args.watch))?;
    connection.send(&FromAgent::Enrol(request)).map_err(AgentError::Network)?;
    let enrolled = match connection.recv(HANDSHAKE_MAX).map_err(AgentError::Network)? {
        Some(ToAgent::Enrolled(enrolled)) => enrolled,
        Some(ToAgent::Refuse(Refusal::Other(why))) => return Err(AgentError::Refused(why)),
        _ => return Err(AgentError::Refused("it gave no certificate".to_owned())),
    };
    let config = &enrolled.config;
    if !config.is_signed(&enrolled.host, &enrolled.key) {
        return Err(AgentError::Refused("its configuration is not signed".to_owned()));
    }
    Readable::load(&args.dir)?.admit(&config.text).map_err(|why| {
        let name = &enrolled.host;
        AgentError::Refused(format!("what it has signed for `{name}` cannot be used here: {why}"))
    })?;
    let write = |name: &str, bytes: &[u8], mode| disk::replace(&args.dir.join(name), bytes, mode);
    let kept = args.dir.join(KEPT_FOLDER);
    disk::replace(&kept.join(CERTIFICATE_FILE), enrolled.certificate.as_bytes(), 0o644)?;
    disk::replace(&kept.join(SIGNED_FILE), &cbor::to_vec(config), 0o600)?;
    write(SEED_FILE, &seed, 0o600)?;
    write(AUTHORITY_FILE, enrolled.authority.as_bytes(), 0o644)?;
    write(WATCH_KEY_FILE, &enrolled.key, 0o644)?;
    write(CONFIG_FILE, config.text.as_bytes(), 0o644)?;
    write(HOST_FILE, format!("{}\n", enrolled.host).as_bytes(), 0o644)?;
    Ok(enrolled.host)
}

/// Connects to `HOST:PORT`.
pub(crate) fn connect(watch: &str) -> Result<TcpStream, AgentError> {
    let mut last = std::io::Error::other("the name has no address");
    for address in watch.to_socket_addrs().map_err(AgentError::Network)? {
        match TcpStream::connect_timeout(&address, HANDSHAKE_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(match last.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            AgentError::Unreached { watch: watch.to_owned(), source: last }
        }
        _ => AgentError::Network(last),
    })
}

/// A handshake that failed for what the peer has shown or said: it is no watch, or another one. One that only took
/// too long, or was cut off, says nothing of who it is.
fn stranger(error: AgentError, watch: &str) -> AgentError {
    match error {
        AgentError::Network(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            AgentError::Stranger { watch: watch.to_owned(), source }
        }
        other => other,
    }
}

/// What this host would report.
fn proposal(dir: &Path, watch: &str) -> Result<String, AgentError> {
    let path = dir.join(CONFIG_FILE);
    if let Some(bytes) = disk::read_if_there(&path)? {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let admitted = Readable::load(dir)?.admit(&text);
        admitted.map_err(|why| AgentError::Config { path, why })?;
        return Ok(text);
    }
    let class = "security".to_owned();
    let log = FileConfig { name: "sshd".to_owned(), path: "/var/log/auth.log".into(), class };
    let config = Config {
        watch: watch.to_owned(),
        audit: AuditConfig { read: true, canary: false },
        file: vec![log],
        ..Config::default()
    };
    let to_do = "# What this host reports to watch. What counts is what watch has signed: `writ watch configure`.";
    Ok(format!("{to_do}\n{}", config.to_toml()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use writ_model::Timestamp;
    use writ_model::env::TestEnv;

    use super::*;

    fn failure(watch: String) -> String {
        let temp = tempfile::tempdir().unwrap();
        let (token, dir) = (format!("{}.{}", Hash([1; 32]), Hash([2; 32])), temp.path().join("a"));
        let args = EnrolArgs { watch, token, dir, readable: Vec::new() };
        let env = TestEnv::new(Timestamp::from_secs(1), 1);
        enrol(&args, &env).unwrap_err().to_string()
    }

    #[test]
    fn enrolment_at_a_wrong_port_or_with_a_wrong_token_says_what_to_check() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let other = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            peer.read_to_end(&mut Vec::new()).ok();
            drop(listener);
        });
        let wrong = failure(address.clone());
        let check = "is not the watch that the token names: check --watch and the token";
        assert_eq!(wrong, format!("what answers at {address} {check}"));
        other.join().unwrap();
        let refused = failure(address.clone());
        assert!(refused.contains(&format!("at {address}: is watch running there?")), "{refused}");
        assert!(refused.contains("`agents` in its ready.json"), "{refused}");
    }
}
