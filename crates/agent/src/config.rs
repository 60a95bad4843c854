//! What an agent reads, and how much room it takes: a text that counts once watch has signed it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use writ_model::person::is_name;
use writ_proof::cbor;
use writ_proof::hostlog::{Class, SignedConfig};
use writ_proof::limits::HOST_CONFIG_MAX_BYTES;

use crate::disk;
use crate::error::AgentError;
use crate::identity::{KEPT_FOLDER, host, watch_key};
use crate::limits::{SEGMENT_DEFAULT_MIB, SPOOL_DEFAULT_MIB};
use crate::readable::Readable;

/// What watch has signed, in the agent's folder of what it keeps.
pub(crate) const SIGNED_FILE: &str = "agent.signed";

/// Names of sources that the agent has itself.
const OWN: [&str; 4] = ["agent", "audit", "canary", "sessions"];

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Where watch listens for agents: `HOST:PORT`.
    pub watch: String,
    /// How much room the spool takes at most, in MiB.
    pub spool_mib: u64,
    /// A segment of the spool is closed at this many MiB.
    pub segment_mib: u64,
    /// The kernel's audit.
    pub audit: AuditConfig,
    /// Operators' sessions, which end on this host when they end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsConfig>,
    /// Log files, one line an event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file: Vec<FileConfig>,
    /// Files in the journal's export format (`journalctl -o export -f`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<FileConfig>,
}

/// How the kernel's audit is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct AuditConfig {
    /// Read it, beside auditd if there is one.
    pub read: bool,
    /// Make an exec each 30 s that must come back through it. Needs audit to be on; the agent adds the one
    /// rule that this takes.
    pub canary: bool,
}

/// How operators' sessions are ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionsConfig {
    /// The public key of the SSH authority that signs sessions, as `sshd` trusts it (`TrustedUserCAKeys`).
    pub authority: PathBuf,
    /// The file of the one `sshd` that counts; all there are if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
}

/// A followed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileConfig {
    /// Its name in frames.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What its loss would mean: `security` (never dropped; the default), `audit`, `flow` or `metric`.
    #[serde(default = "security")]
    pub class: String,
}

fn security() -> String {
    Class::Security.as_str().to_owned()
}

impl Default for Config {
    fn default() -> Config {
        Config {
            watch: String::new(),
            spool_mib: SPOOL_DEFAULT_MIB,
            segment_mib: SEGMENT_DEFAULT_MIB,
            audit: AuditConfig::default(),
            sessions: None,
            file: Vec::new(),
            journal: Vec::new(),
        }
    }
}

impl FileConfig {
    /// What its loss would mean.
    pub(crate) fn class(&self) -> Option<Class> {
        [Class::Security, Class::Audit, Class::Flow, Class::Metric]
            .into_iter()
            .find(|class| class.as_str() == self.class)
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is not sound: the text says what to do.
    pub fn parse(text: &str) -> Result<Config, String> {
        if text.len() > HOST_CONFIG_MAX_BYTES {
            return Err(format!("it has more than {HOST_CONFIG_MAX_BYTES} bytes"));
        }
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Reads what watch has signed for the agent of `dir`.
    pub(crate) fn load(dir: &Path) -> Result<(Config, SignedConfig), AgentError> {
        let path = dir.join(KEPT_FOLDER).join(SIGNED_FILE);
        let wrong = |why: String| AgentError::Config { path: path.clone(), why };
        let bytes = disk::read_if_there(&path)?
            .ok_or_else(|| wrong("it is missing: enrol this host again".to_owned()))?;
        let edited = |how: &str| {
            wrong(format!(
                "watch has not signed it for this host{how}: put the signed one back by a new token (`writ watch \
                 token`) and `writ agent enroll` into this same folder"
            ))
        };
        let signed: SignedConfig =
            cbor::from_slice(&bytes).map_err(|error| edited(&format!(" ({error})")))?;
        if !signed.is_signed(&host(dir)?, &watch_key(dir)?) {
            return Err(edited(""));
        }
        let config = Readable::load(dir)?.admit(&signed.text).map_err(wrong)?;
        Ok((config, signed))
    }

    /// The text of a file.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, AgentError> {
        toml::to_string(self)
            .map_err(|error| AgentError::Config { path: PathBuf::new(), why: error.to_string() })
    }

    fn check(&self) -> Result<(), String> {
        if self.watch.is_empty() {
            return Err("`watch` is missing: give HOST:PORT of watch's listener".to_owned());
        }
        if self.segment_mib == 0 || self.spool_mib < self.segment_mib.saturating_mul(2) {
            return Err("`spool-mib` holds less than two segments of `segment-mib`".to_owned());
        }
        let mut names: BTreeSet<&str> = OWN.into_iter().collect();
        for file in self.file.iter().chain(&self.journal) {
            if !is_name(&file.name) || !names.insert(&file.name) {
                return Err(format!("`{}` is no name of a source, or is used twice", file.name));
            }
            if !file.path.is_absolute() {
                return Err(format!("the path of `{}` is not absolute", file.name));
            }
            if file.class().is_none() {
                return Err(format!(
                    "`{}` is no class: security, audit, flow or metric",
                    file.class
                ));
            }
        }
        if names.len() > writ_proof::limits::HOST_MAX_SOURCES {
            return Err("there are too many sources".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_config_that_was_edited_to_another_length_says_what_to_do() {
        let temp = tempfile::tempdir().unwrap();
        let key = writ_proof::ed25519::SoftKey::from_seed(&[9; 32]).unwrap();
        let text = "watch = \"w:1\"".to_owned();
        let signed = SignedConfig::sign("web-1".parse().unwrap(), 1, text, &key).unwrap();
        let kept = temp.path().join(KEPT_FOLDER);
        disk::create_dir(&kept).unwrap();
        let mut bytes = cbor::to_vec(&signed);
        let at = bytes.windows(3).position(|window| window == b"w:1").unwrap();
        bytes.insert(at, b'x');
        disk::replace(&kept.join(SIGNED_FILE), &bytes, 0o600).unwrap();
        let error = Config::load(temp.path()).unwrap_err().to_string();
        assert!(error.contains("watch has not signed it for this host ("), "{error}");
        assert!(error.contains("`writ agent enroll` into this same folder"), "{error}");
    }

    #[test]
    fn config_that_is_wrong_says_what_to_do() {
        let file = "watch = \"w:1\"\n[[file]]\nname = \"a\"\npath = \"/a\"\n";
        assert_eq!(Config::parse(file).unwrap().file[0].class(), Some(Class::Security));
        for (text, part) in [
            ("", "`watch` is missing"),
            ("watch = \"w:1\"\nspool-mib = 1\nsegment-mib = 1", "two segments"),
            ("watch = \"w:1\"\ncolour = 1", "unknown field"),
            (&file.replace("\"/a\"", "\"a\""), "not absolute"),
            (&file.replace("\"a\"\n", "\"audit\"\n"), "used twice"),
            (&format!("{file}class = \"x\""), "no class"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
