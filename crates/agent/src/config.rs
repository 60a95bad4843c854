//! `agent.toml`: what an agent reads, and how much room it takes.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use writ_model::person::is_name;
use writ_proof::hash::{Hash, sha256};
use writ_proof::hostlog::Class;

use crate::error::AgentError;
use crate::limits::{CONFIG_MAX_BYTES, SEGMENT_DEFAULT_MIB, SPOOL_DEFAULT_MIB};

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
    /// Reads the file; answers its SHA-256 too.
    ///
    /// # Errors
    /// It cannot be read, or is not sound: the text says what to do.
    pub fn load(path: &Path) -> Result<(Config, Hash), AgentError> {
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(CONFIG_MAX_BYTES).read_to_string(&mut text))
            .map_err(AgentError::io("read", path))?;
        let wrong = |why: String| AgentError::Config { path: path.to_owned(), why };
        let config: Config = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        config.check().map_err(wrong)?;
        Ok((config, sha256(text.as_bytes())))
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
    fn config_that_is_wrong_says_what_to_do() {
        let file = "watch = \"w:1\"\n[[file]]\nname = \"a\"\npath = \"/a\"\n";
        let parse = |text: &str| -> Result<Config, String> {
            let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
            config.check().map(|()| config)
        };
        assert_eq!(parse(file).unwrap().file[0].class(), Some(Class::Security));
        for (text, part) in [
            ("", "`watch` is missing"),
            ("watch = \"w:1\"\nspool-mib = 1\nsegment-mib = 1", "two segments"),
            ("watch = \"w:1\"\ncolour = 1", "unknown field"),
            (&file.replace("\"/a\"", "\"a\""), "not absolute"),
            (&file.replace("\"a\"\n", "\"audit\"\n"), "used twice"),
            (&format!("{file}class = \"x\""), "no class"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
