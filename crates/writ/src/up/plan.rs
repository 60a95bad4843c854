//! What each process of this installation starts with: files, user id, configuration.

use std::collections::HashMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};
use writ_keyd_client::protocol::Role;
use writ_model::{AccountId, Env as _, SystemEnv};

use super::authority::{self, Authority};
use super::config::Config;
use super::data::{DataDir, open_private};
use super::genesis::{HEAD_FILE, LINK_FOLDER, Opened, ROOT_FILE};
use crate::front::people;
use crate::role::{bastion, front, keyd, s3, trail, watch};

/// The processes in the order in which they start.
const ROLES: [Role; 6] =
    [Role::Watch, Role::Trail, Role::Keyd, Role::Front, Role::S3, Role::Bastion];

/// Where the HR feed is looked for unless `writ.toml` names a file.
pub const HR_FOLDER: &str = "hr";

/// The folder of watch's word: what the control side may read of alarms.
pub const WORD_FOLDER: &str = "word";
/// The folder of watch's word for the bastion: which hosts are watched, and nothing of alarms.
pub const HOSTS_WORD_FOLDER: &str = "word-hosts";

/// Everything that the supervisor needs to start a process again and again.
pub struct Plan {
    dir: DataDir,
    config: Config,
    genesis: Opened,
    authority: Authority,
    accounts: Vec<AccountId>,
    watch_address: String,
    uids: HashMap<Role, u32>,
    hr: Option<people::Source>,
}

impl Plan {
    /// The plan of one installation. Gives each process's folder to its user id where that works.
    pub fn new(
        dir: DataDir,
        config: Config,
        genesis: Opened,
        authority: Authority,
        accounts: Vec<AccountId>,
        watch_address: String,
    ) -> Result<Plan> {
        let uids = uids(&dir, &config);
        let hr = hr_feed(&dir, &config)?;
        for role in ROLES {
            dir.folder(role.name(), uids.get(&role).copied())?;
        }
        dir.folder(LINK_FOLDER, uids.get(&Role::Trail).copied())?;
        let writer = uids.get(&Role::Watch).copied();
        for (name, reader) in [(WORD_FOLDER, Role::Front), (HOSTS_WORD_FOLDER, Role::Bastion)] {
            dir.shown_folder(name, writer, uids.get(&reader).copied())?;
        }
        Ok(Plan { dir, config, genesis, authority, accounts, watch_address, uids, hr })
    }

    /// The processes.
    pub fn roles(&self) -> [Role; 6] {
        ROLES
    }

    /// The data directory.
    pub fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// The genesis.
    pub fn genesis(&self) -> &Opened {
        &self.genesis
    }

    /// The user id that a process runs under; `None` for the supervisor's own.
    pub fn uid(&self, role: Role) -> Option<u32> {
        self.uids.get(&role).copied()
    }

    /// What the machine refuses of "each process has its own user id", for `writ status`.
    pub fn own_uids(&self) -> String {
        if !rustix::process::geteuid().is_root() {
            return "refused: the supervisor is not root".to_owned();
        }
        match self.uids.len() {
            n if n == ROLES.len() => "on".to_owned(),
            _ => format!(
                "keyd only: another user id cannot reach `{}`; move it below folders that others may pass",
                self.dir.path().display()
            ),
        }
    }

    /// The first of the regions.
    pub fn home_region(&self) -> &str {
        self.config.regions.first().map_or("us-east-1", |region| region.as_str())
    }

    /// Named descriptors that a process gets beside its channels.
    pub fn files(&self, role: Role) -> Result<Vec<(String, OwnedFd)>> {
        let file = |folder: &str, name: &str| -> Result<OwnedFd> {
            Ok(open_private(&self.dir.join(folder).join(name))?.into())
        };
        Ok(match role {
            Role::Keyd => vec![
                // Read only: keyd could otherwise write into its own root.
                ("root".to_owned(), File::open(self.dir.join("keyd").join(ROOT_FILE))?.into()),
                ("head".to_owned(), file("keyd", HEAD_FILE)?),
            ],
            Role::Front => vec![
                ("credentials".to_owned(), self.credentials()?),
                ("tls".to_owned(), self.certificate(self.config.listen)?),
                ("console-tls".to_owned(), self.certificate(self.config.listen_console)?),
            ],
            Role::S3 => vec![("tls".to_owned(), self.certificate(self.config.listen_s3)?)],
            Role::Bastion | Role::Trail | Role::Watch | Role::Supervisor => Vec::new(),
        })
    }

    /// The configuration of a process, as JSON.
    pub fn config(&self, role: Role) -> Result<Vec<u8>> {
        let folder = self.dir.join(role.name());
        let site = self.genesis.genesis.site.as_str().to_owned();
        let genesis = hex::encode(&self.genesis.signed);
        let mib = |n: u64| n.saturating_mul(1024 * 1024);
        let json = match role {
            Role::Front => serde_json::to_vec(&front::FrontConfig {
                folder,
                site,
                regions: self.config.regions.clone(),
                accounts: self.accounts.clone(),
                genesis,
                hr: self.hr.clone(),
                gates: self.config.people.gates.clone(),
                silence_hours: self.config.people.silence_hours,
                names: self.config.names.clone(),
                word: self.dir.join(WORD_FOLDER),
            }),
            Role::Keyd => serde_json::to_vec(&keyd::KeydConfig { site, genesis }),
            Role::S3 => serde_json::to_vec(&s3::S3Config {
                folder,
                site,
                regions: self.config.regions.clone(),
                floor_bytes: mib(self.config.objects_floor_mib),
            }),
            Role::Trail => serde_json::to_vec(&trail::TrailConfig {
                folder,
                link: self.dir.join(LINK_FOLDER),
                genesis,
                segment_bytes: mib(self.config.wal_segment_mib),
                floor_bytes: mib(self.config.ledger_floor_mib),
                watch: self.watch_address.clone(),
                witnesses: self.config.witness.clone(),
            }),
            Role::Watch => {
                let shown = self.dir.join(WORD_FOLDER);
                let shown_hosts = self.dir.join(HOSTS_WORD_FOLDER);
                serde_json::to_vec(&watch::WatchConfig { folder, genesis, shown, shown_hosts })
            }
            Role::Bastion => serde_json::to_vec(&bastion::BastionConfig {
                folder,
                site,
                region: self.config.regions.first().cloned().context("no region is configured")?,
                genesis,
                gates: self.config.people.gates.clone(),
                silence_hours: self.config.people.silence_hours,
                word: self.dir.join(HOSTS_WORD_FOLDER),
                floor_bytes: mib(self.config.recordings_floor_mib),
                close_bytes: mib(self.config.recordings_close_mib),
            }),
            Role::Supervisor => Ok(b"{}".to_vec()),
        };
        Ok(json?)
    }

    /// A fresh key and certificate of the listener on `address`.
    fn certificate(&self, address: SocketAddr) -> Result<OwnedFd> {
        let names = authority::names(address.ip(), &self.config.names);
        self.authority.issue(&names, SystemEnv.now())
    }

    /// What clients may call.
    pub fn endpoint(&self, scheme: &str, address: SocketAddr) -> String {
        let name = self.config.names.first().filter(|_| address.ip().is_unspecified());
        match name {
            Some(name) => format!("{scheme}://{name}:{}", address.port()),
            None => format!("{scheme}://{address}"),
        }
    }

    /// By what name, or else address, clients reach a listener.
    pub fn host(&self, address: SocketAddr) -> String {
        let name = self.config.names.first().filter(|_| address.ip().is_unspecified());
        name.cloned().unwrap_or_else(|| address.ip().to_string())
    }

    /// Where the console is: by name, since a browser makes no passkey for an address.
    pub fn console(&self, address: SocketAddr) -> String {
        let dns = |name: &&String| name.parse::<std::net::IpAddr>().is_err();
        match self.config.names.iter().find(dns) {
            Some(name) if !address.ip().is_loopback() => {
                format!("https://{name}:{}", address.port())
            }
            _ => format!("http://localhost:{}", address.port()),
        }
    }

    fn credentials(&self) -> Result<OwnedFd> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.dir.join("credentials"))?;
        Ok(file.into())
    }
}

/// Where the HR feed comes from. A folder that is not there at the start is not opened to front later.
///
/// # Errors
/// Its folder is one that front may not read: front reads all of it.
fn hr_feed(dir: &DataDir, config: &Config) -> Result<Option<people::Source>> {
    let Some(feed) = &config.people.feed else {
        let names = ["feed.csv", "feed.json"].map(str::to_owned).to_vec();
        let folder = dir.join(HR_FOLDER);
        return Ok(folder.is_dir().then_some(people::Source { folder, names, named: false }));
    };
    let path = dir.path().join(feed);
    let name = path.file_name().and_then(|name| name.to_str()).context("`feed` names no file")?;
    let folder = path.parent().context("`feed` names no folder")?;
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let own = dir.join(HR_FOLDER);
    if dir.path().starts_with(&folder) || folder.starts_with(dir.path()) && !folder.starts_with(own)
    {
        bail!(
            "`feed` is `{}`: front may read everything beside it, so put it into a folder of its own, \
             outside the data directory or in its folder `{HR_FOLDER}`",
            feed.display()
        );
    }
    Ok(Some(people::Source { folder, names: vec![name.to_owned()], named: true }))
}

/// A user id of its own for each process where the machine allows it. keyd needs no path, so it gets
/// one even where others could not reach their folders.
fn uids(dir: &DataDir, config: &Config) -> HashMap<Role, u32> {
    if !rustix::process::geteuid().is_root() {
        return HashMap::new();
    }
    let reachable = dir.is_reachable_by_others();
    let own = ROLES.iter().zip(config.uid_base..);
    own.filter(|(role, _)| reachable || **role == Role::Keyd)
        .map(|(role, uid)| (*role, uid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Front would have been given keyd's root file with a feed that lies beside the folders.
    #[test]
    fn feed_in_a_folder_of_others_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&temp.path().join("data")).unwrap();
        dir.folder("keyd", None).unwrap();
        dir.folder(HR_FOLDER, None).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let link = elsewhere.path().join("link");
        std::os::unix::fs::symlink(dir.join("keyd"), &link).unwrap();
        let outside = elsewhere.path().join("feed.csv").display().to_string();
        for (feed, allowed) in [
            ("hr/feed.csv", true),
            (outside.as_str(), true),
            ("feed.csv", false),
            ("keyd/feed.csv", false),
            ("hr/../keyd/feed.csv", false),
            ("../feed.csv", false),
            ("/feed.csv", false),
            (&format!("{}/feed.csv", link.display()), false),
        ] {
            let mut config = Config::default();
            config.people.feed = Some(feed.into());
            assert_eq!(hr_feed(&dir, &config).is_ok(), allowed, "{feed}");
        }
        let found = hr_feed(&dir, &Config::default()).unwrap().unwrap();
        assert_eq!(found.folder, dir.join(HR_FOLDER));
    }
}
