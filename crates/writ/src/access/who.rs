//! Who runs a command: a key of the roster, and the installation that is asked.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use writ_model::PersonId;
use writ_proof::ed25519::Signer as _;
use writ_proof::roster::Roster;
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_proof::statement::Signed;

use crate::front::statements::CONTENT_TYPE;
use crate::roster::sign;
use crate::roster::source::SourceArgs;

/// Whose key signs, and where it is sent.
#[derive(clap::Args)]
pub struct WhoArgs {
    /// Your own enrolled SSH key as `ssh-keygen -Y sign -f` takes it: a private key, or a public one whose private half
    /// is in the agent or on a token.
    #[arg(long, value_name = "PATH", conflicts_with = "founder")]
    key: Option<PathBuf>,
    /// The software founder of this number, from DIR/founders; mode dev. The first one without --key.
    #[arg(long, value_name = "N")]
    founder: Option<u32>,
    #[command(flatten)]
    pub source: SourceArgs,
}

impl WhoArgs {
    /// The holder of this key, at the installation of this data directory.
    pub fn new(key: PathBuf, data: PathBuf) -> WhoArgs {
        let source = SourceArgs { data, endpoint: None, ca: None, genesis: None };
        WhoArgs { key: Some(key), founder: None, source }
    }

    /// Whose key it is.
    pub fn person(&self, roster: &Roster) -> Result<PersonId> {
        let key = self.public()?;
        let person = roster.person(&key).cloned();
        person.with_context(|| {
            format!(
                "the key {} is nobody's in the roster: `writ enrol` gives people keys",
                key.fingerprint()
            )
        })
    }

    /// Signs a message in a namespace.
    pub fn sign(&self, message: &[u8], namespace: &str) -> Result<SshSig> {
        match &self.key {
            Some(key) => sign::by_key(message, namespace, key),
            None => Ok(SshSig::sign(message, namespace, &self.soft()?)?),
        }
    }

    /// Sends a request that carries the proof of whoever runs this.
    pub fn call(
        &self,
        namespace: &str,
        method: &'static str,
        target: &str,
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let client = self.source.client()?;
        let [date, proof] =
            sign::proof((method, target, body), |message| self.sign(message, namespace))?;
        let kind = ("content-type", "application/json");
        client.exchange(method, target, &[kind, (date.0, &date.1), (proof.0, &proof.1)], body)
    }

    /// Sends a signed statement.
    pub fn send(&self, path: &str, signed: &Signed) -> Result<Vec<u8>> {
        let client = self.source.client()?;
        client.exchange("POST", path, &[("content-type", CONTENT_TYPE)], &signed.to_bytes())
    }

    fn soft(&self) -> Result<writ_proof::ed25519::SoftKey> {
        let founder = sign::founder(&self.source.data, self.founder.unwrap_or(1));
        founder.context("name your own enrolled key with --key")
    }

    fn public(&self) -> Result<SshPublicKey> {
        let Some(key) = &self.key else {
            return Ok(SshPublicKey::Ed25519(self.soft()?.public_key().0));
        };
        let mut beside = key.as_os_str().to_owned();
        beside.push(".pub");
        let beside = PathBuf::from(beside);
        let path = if beside.is_file() { &beside } else { key };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("`{}` cannot be read", path.display()))?;
        text.parse().with_context(|| {
            format!(
                "the public half of `{}` is not beside it: put it into `{}`",
                key.display(),
                beside.display()
            )
        })
    }
}
