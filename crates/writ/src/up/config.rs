//! `DIR/writ.toml`: what an operator may set. Everything has a default; a first start writes the
//! file with its defaults, so that it documents itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustls_pki_types::ServerName;
use serde::{Deserialize, Serialize};
use writ_model::{AccountId, Region};
use writ_people::{Format, Gate};

/// The name of the file in the data directory.
pub const FILE: &str = "writ.toml";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Where IAM, STS, KMS and CloudTrail are served. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// Where S3 is served.
    pub listen_s3: SocketAddr,
    /// Where browsers and `writ enrol` reach the console.
    pub listen_console: SocketAddr,
    /// Where operators' SSH clients come in.
    pub listen_bastion: SocketAddr,
    /// Where watch takes trail's stream.
    pub listen_watch: SocketAddr,
    /// Where watch takes the agents of managed hosts.
    pub listen_agents: SocketAddr,
    /// DNS names and addresses under which clients reach this machine, for the certificates of the
    /// listeners; their own addresses and those of loopback are always among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Regions that are served; the first is home.
    pub regions: Vec<Region>,
    /// The first of the user ids that the processes run under, where the supervisor is root.
    pub uid_base: u32,
    /// The ledger refuses appends when its disk has less than this many MiB free.
    pub ledger_floor_mib: u64,
    /// The gateway refuses bodies when its disk has less than this many MiB free.
    pub objects_floor_mib: u64,
    /// The bastion begins no session when the disk of its recordings has less than this many MiB free.
    pub recordings_floor_mib: u64,
    /// The bastion closes sessions, the oldest first, below this many MiB.
    pub recordings_close_mib: u64,
    /// A segment of the write-ahead log is closed at this many MiB.
    pub wal_segment_mib: u64,
    /// Persons of the operating side.
    pub people: People,
    /// Witnesses besides watch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<Witness>,
}

/// Persons of the operating side (docs/hr-feed.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct People {
    /// The file of the HR feed, `.csv` or `.json`; below the data directory if it is not absolute.
    /// Without it `hr/feed.csv` or `hr/feed.json`, where the folder `hr` is there at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<PathBuf>,
    /// The gates that must be passed before access.
    pub gates: Vec<Gate>,
    /// A feed that is silent for longer than this many hours raises an alarm.
    pub silence_hours: u64,
}

impl Default for People {
    fn default() -> People {
        People { feed: None, gates: Gate::ALL.to_vec(), silence_hours: 24 }
    }
}

/// A witness that a customer or an auditor runs with `writ witness`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Its verifier key, as `writ witness` prints it: `NAME+HEX+BASE64`.
    pub key: String,
    /// Where it answers, such as `http://127.0.0.1:8450`.
    pub url: String,
}

impl Default for Config {
    fn default() -> Config {
        let any = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Config {
            listen: any(8440),
            listen_s3: any(0),
            listen_console: any(0),
            listen_bastion: any(0),
            listen_watch: any(0),
            listen_agents: any(0),
            names: Vec::new(),
            regions: "us-east-1".parse().into_iter().collect(),
            uid_base: 64_800,
            ledger_floor_mib: 64,
            objects_floor_mib: 64,
            recordings_floor_mib: 2048,
            recordings_close_mib: 512,
            wal_segment_mib: 256,
            people: People::default(),
            witness: Vec::new(),
        }
    }
}

/// What the command line sets. It wins over the file for this start; a first start writes the file
/// with it.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--region`, repeatable.
    pub regions: Vec<Region>,
    /// `--account`, repeatable: accounts that the first start creates.
    pub accounts: Vec<AccountId>,
}

impl Config {
    /// Reads `dir/writ.toml`, or the defaults when there is none, and applies `overrides`.
    pub fn load(dir: &Path, overrides: &Overrides) -> Result<Config> {
        let path = dir.join(FILE);
        let mut config = match std::fs::read_to_string(&path) {
            Ok(text) => Config::parse(&text)
                .with_context(|| format!("`{}` does not hold a configuration", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Config::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        if let Some(listen) = overrides.listen {
            config.listen = listen;
        }
        if !overrides.regions.is_empty() {
            config.regions.clone_from(&overrides.regions);
        }
        config.check()?;
        Ok(config)
    }

    /// Reads the text of a file, without overrides.
    pub fn parse(text: &str) -> Result<Config> {
        let config: Config = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// The text of the file.
    pub fn to_toml(&self) -> Result<String> {
        Ok(format!(
            "# Configuration of Writ. `writ config check` says whether it is sound.\n{}",
            toml::to_string(self)?
        ))
    }

    fn check(&self) -> Result<()> {
        if self.regions.is_empty() {
            bail!("`regions` is empty: name at least one, such as us-east-1");
        }
        for address in [self.listen, self.listen_s3, self.listen_console, self.listen_bastion] {
            if address.ip().is_unspecified() && self.names.is_empty() {
                bail!(
                    "`{address}` is every address of this machine: say in `names` by which clients \
                     reach it, such as names = [\"writ.example.com\"]"
                );
            }
        }
        if !self.listen_watch.ip().is_loopback() {
            bail!("`listen-watch` is for trail alone: give it a loopback address");
        }
        if let Some(name) =
            self.names.iter().find(|name| ServerName::try_from(name.as_str()).is_err())
        {
            bail!("`names` holds `{name}`: give DNS names (in their ASCII form) and addresses");
        }
        if self.uid_base < 1000 {
            bail!("`uid-base` is below 1000, among the system's own users: choose another");
        }
        if self.wal_segment_mib == 0 {
            bail!("`wal-segment-mib` is 0: give at least 1");
        }
        if self.recordings_close_mib > self.recordings_floor_mib {
            bail!("`recordings-close-mib` is above `recordings-floor-mib`: give it less");
        }
        if self.people.silence_hours == 0 {
            bail!("`silence-hours` is 0: give at least 1");
        }
        if let Some(feed) = &self.people.feed
            && (Format::of(feed).is_none() || feed.file_name().and_then(|n| n.to_str()).is_none())
        {
            bail!("`feed` is `{}`: name a file that ends in .csv or .json", feed.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_of_the_defaults_round_trips() {
        let config = Config::default();
        assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), config);
    }

    #[test]
    fn config_that_is_wrong_says_what_to_do() {
        for (text, part) in [
            ("listen = \"0.0.0.0:8440\"", "say in `names`"),
            ("listen-watch = \"0.0.0.0:1\"", "a loopback address"),
            ("names = [\"büro.example\"]", "ASCII"),
            ("listen-bastion = \"0.0.0.0:22\"", "say in `names`"),
            ("recordings-floor-mib = 100", "give it less"),
            ("regions = []", "at least one"),
            ("colour = 1", "unknown field"),
            ("uid-base = 0", "choose another"),
            ("[people]\nfeed = \"/srv/hr.xls\"", "ends in .csv or .json"),
            ("[people]\ngates = [\"door\"]", "unknown variant"),
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
