//! What a started installation tells its users: `ready.json` and the AWS CLI's configuration.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use writ_keyd_client::control::Fact;
use writ_keyd_client::protocol::Role;
use writ_model::AccountId;
use writ_proof::sshsig::SshPublicKey;

use super::authority;
use super::data::{silence, write_durably};
use super::plan::Plan;
use super::supervisor::Running;
use crate::role::bastion::HOST_KEY_FACT;

/// The name of the file.
pub const FILE: &str = "ready.json";
/// The folder of service models in the form of botocore's, in the data directory.
const MODELS: &str = "models";
/// The files of the Writ API's model.
const MODEL: [(&str, &str); 2] = [
    ("paginators-1.json", include_str!("../../../aws/models/writ/2026-11-01/paginators-1.json")),
    ("service-2.json", include_str!("../../../aws/models/writ/2026-11-01/service-2.json")),
];

/// The bastion's key, as OpenSSH's `known_hosts` has it.
pub const KNOWN_HOSTS_FILE: &str = "known_hosts";
/// The authority of the bastion's certificates, for `TrustedUserCAKeys` of managed hosts.
pub const SSH_CA_FILE: &str = "ssh_ca.pub";

/// `ready.json`: written when everything serves, and again when a process was restarted; removed at
/// the end.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Where IAM, STS, KMS and CloudTrail answer.
    pub endpoint: String,
    /// Where S3 answers.
    pub s3: String,
    /// Where browsers and `writ enrol` reach the console.
    pub console: String,
    /// The authority of the certificates under which both answer HTTPS, on the same ports.
    pub ca: PathBuf,
    /// Where operators' SSH clients come in; `known_hosts` beside this file has its key.
    pub bastion: String,
    /// Where watch takes trail's stream.
    pub watch: String,
    /// Where watch takes the agents of managed hosts.
    #[serde(default)]
    pub agents: String,
    /// `dev`.
    pub mode: String,
    /// SHA-256 of the genesis statement, in hexadecimal.
    pub genesis: String,
    /// Process ids by role, the supervisor's among them; without those that are being restarted.
    pub pids: BTreeMap<String, u32>,
    /// What guards each process, and what this machine refuses of it.
    pub hardening: BTreeMap<String, BTreeMap<String, String>>,
}

/// Reads that of a data directory; `instead` says what else the user may name.
///
/// # Errors
/// Nothing serves the directory, or there is none.
pub fn read(data: &Path, instead: &str) -> Result<Ready> {
    let path = data.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            bail!("{:#}{instead}", silence(data))
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    };
    serde_json::from_slice(&text).with_context(|| format!("`{}` is damaged", path.display()))
}

/// Writes `ready.json`, `config` and the list of profiles.
pub fn write(plan: &Plan, running: &Running, accounts: &[AccountId]) -> Result<Ready> {
    let fact = |role: Role, name: &str| -> String {
        let facts = running.facts.get(&role).map(Vec::as_slice).unwrap_or_default();
        facts.iter().find(|fact| fact.name == name).map(|f| f.value.clone()).unwrap_or_default()
    };
    let mut hardening: BTreeMap<String, BTreeMap<String, String>> = running
        .facts
        .iter()
        .map(|(role, facts)| (role.name().to_owned(), measures(facts)))
        .collect();
    hardening
        .entry(Role::Supervisor.name().to_owned())
        .or_default()
        .insert("own-uids".to_owned(), plan.own_uids());
    let mut pids: BTreeMap<String, u32> =
        running.pids.iter().map(|(role, pid)| (role.name().to_owned(), *pid)).collect();
    pids.insert(Role::Supervisor.name().to_owned(), std::process::id());
    let address = |role| -> Result<SocketAddr> { Ok(fact(role, "listen").parse()?) };
    let (front, s3) = (address(Role::Front)?, address(Role::S3)?);
    let bastion = address(Role::Bastion)?;
    let scheme = |address: SocketAddr| if address.ip().is_loopback() { "http" } else { "https" };
    let ready = Ready {
        endpoint: plan.endpoint(scheme(front), front),
        s3: plan.endpoint(scheme(s3), s3),
        console: plan.console(fact(Role::Front, "console").parse()?),
        ca: plan.dir().join(authority::FILE),
        bastion: plan.host(bastion).to_owned() + &format!(":{}", bastion.port()),
        watch: fact(Role::Watch, "listen"),
        agents: fact(Role::Watch, "agents"),
        mode: "dev".to_owned(),
        genesis: plan.genesis().digest.to_string(),
        pids,
        hardening,
    };
    let dir = plan.dir();
    write_models(&dir.join(MODELS))?;
    let config = AwsConfig { accounts, plan, front, s3 };
    let text = config.text(scheme);
    write_durably(&dir.join("config"), text.as_bytes(), 0o644)?;
    let text = config.text(|_| "https");
    write_durably(&dir.join("config-tls"), text.as_bytes(), 0o644)?;
    write_ssh(plan, bastion, &fact(Role::Bastion, HOST_KEY_FACT))?;
    let mut json = serde_json::to_vec_pretty(&ready)?;
    json.push(b'\n');
    write_durably(&dir.join(FILE), &json, 0o644)?;
    Ok(ready)
}

/// What SSH needs: the bastion's key for operators' clients, and the authority for managed hosts.
fn write_ssh(plan: &Plan, bastion: SocketAddr, host_key: &str) -> Result<()> {
    let ca = SshPublicKey::Ed25519(plan.genesis().genesis.keyd.ssh_ca.0);
    let line = format!("[{}]:{} {host_key}\n", plan.host(bastion), bastion.port());
    write_durably(&plan.dir().join(KNOWN_HOSTS_FILE), line.as_bytes(), 0o644)?;
    let line = format!("{ca} writ {}\n", plan.genesis().genesis.site);
    write_durably(&plan.dir().join(SSH_CA_FILE), line.as_bytes(), 0o644)
}

/// The model of our own API, where the AWS CLI and SDKs find it by `data_path` of the config file.
fn write_models(models: &Path) -> Result<()> {
    let folder = models.join("writ/2026-11-01");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    for (name, text) in MODEL {
        write_durably(&folder.join(name), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

fn measures(facts: &[Fact]) -> BTreeMap<String, String> {
    let told = ["listen", "console", "agents", HOST_KEY_FACT];
    let measures = facts.iter().filter(|fact| !told.contains(&fact.name.as_str()));
    measures.map(|fact| (fact.name.clone(), fact.value.clone())).collect()
}

/// The AWS CLI's `config`: a profile for each account, and our endpoints as a `services` section.
struct AwsConfig<'a> {
    accounts: &'a [AccountId],
    plan: &'a Plan,
    front: SocketAddr,
    s3: SocketAddr,
}

impl AwsConfig<'_> {
    fn text(&self, scheme: impl Fn(SocketAddr) -> &'static str) -> String {
        let region = self.plan.home_region();
        let authority = self.plan.dir().join(authority::FILE);
        let models = self.plan.dir().join(MODELS);
        let mut text = String::from("# Written by `writ up`. Use it with AWS_CONFIG_FILE.\n");
        for account in self.accounts {
            text.push_str(&format!("[profile {account}]\nregion = {region}\nservices = writ\n"));
            text.push_str(&format!("data_path = {}\n", models.display()));
            text.push_str(&format!("ca_bundle = {}\n\n", authority.display()));
        }
        text.push_str("[services writ]\n");
        let services =
            ["iam", "sts", "kms", "cloudtrail", "writ"].map(|service| (service, self.front));
        for (service, address) in services.into_iter().chain([("s3", self.s3)]) {
            let endpoint = self.plan.endpoint(scheme(address), address);
            text.push_str(&format!("{service} =\n  endpoint_url = {endpoint}\n"));
        }
        text
    }
}
