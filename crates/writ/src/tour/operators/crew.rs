//! The people of the operating side: their software keys, and `writ` as each of them runs it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use writ_model::{Env as _, SystemEnv};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::sshsig::SshPublicKey;
use zeroize::Zeroizing;

use super::super::site::{self, Finished, write};
use crate::access::WhoArgs;
use crate::roster::sign::{SEED, soft_key};
use crate::up::data::write_durably;

/// Those who ask and those who agree; HR knows them all.
pub const PEOPLE: [&str; 4] = ["anna", "boris", "carla", "dora"];

/// Everybody's keys, and the installation that they work at.
pub struct Crew {
    /// The data directory.
    pub data: PathBuf,
    /// Where the keys and everything else of the operators' own lies.
    pub home: PathBuf,
}

impl Crew {
    /// Makes the folder with everybody's key.
    pub fn new(base: &Path) -> Result<Crew> {
        let crew = Crew { data: base.join("data"), home: base.join("operators") };
        std::fs::create_dir_all(&crew.home)?;
        for person in PEOPLE {
            crew.make_key(person)?;
        }
        Ok(crew)
    }

    /// Makes a key: 32 bytes in NAME.seed, the public half beside it.
    pub fn make_key(&self, name: &str) -> Result<SoftKey> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemEnv.fill(&mut *seed);
        write_durably(&self.key(name), &*seed, 0o600)?;
        let key = SoftKey::from_seed(&seed)?;
        let public = SshPublicKey::Ed25519(key.public_key().0);
        write(&self.public(name), format!("{public} {name}\n").as_bytes())?;
        Ok(key)
    }

    /// The file of somebody's key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.home.join(format!("{name}.{SEED}"))
    }

    /// The file of its public half.
    pub fn public(&self, name: &str) -> PathBuf {
        self.home.join(format!("{name}.{SEED}.pub"))
    }

    /// The key itself, for SSH.
    pub fn soft(&self, name: &str) -> Result<SoftKey> {
        soft_key(&self.key(name))
    }

    /// Runs `writ`, without anybody's key.
    pub fn run(&self, words: &[&str]) -> Result<Finished> {
        site::run(&[words, &["--data", text(&self.data)?]].concat())
    }

    /// Runs `writ` with a person's key.
    pub fn run_as(&self, person: &str, words: &[&str]) -> Result<Finished> {
        let key = self.key(person);
        self.run(&[words, &["--key", text(&key)?]].concat())
    }

    /// A person who speaks to the API without our commands, as an attacker would.
    pub fn who(&self, person: &str) -> WhoArgs {
        WhoArgs::new(self.key(person), self.data.clone())
    }

    /// Has these founders sign a change of the roster, and sends it in.
    pub fn change(&self, wish: &[&str], founders: &[&str]) -> Result<Finished> {
        let file = self.propose(wish)?;
        for founder in founders {
            self.run(&["roster", "sign", &file, "--founder", founder])?.saying("written to")?;
        }
        self.run(&["roster", "submit", &file])
    }

    /// Writes a change of the roster into a file for people to sign; the file's name.
    pub fn propose(&self, wish: &[&str]) -> Result<String> {
        let file = self.home.join("statement.roster");
        let file = text(&file)?.to_owned();
        std::fs::remove_file(&file).ok();
        let out = ["--out", file.as_str()];
        self.run(&[&["roster", "propose"], wish, &out].concat())?.saying("written to")?;
        Ok(file)
    }
}

/// A path as a word of a command line.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("`{}` is no text", path.display()))
}
