//! What a started installation tells its users: `ready.json` and the AWS CLI's configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use writ_keyd_client::control::Fact;
use writ_keyd_client::protocol::Role;
use writ_model::AccountId;

use super::authority;
use super::data::write_durably;
use super::plan::Plan;
use super::supervisor::Running;

/// The name of the file.
pub const FILE: &str = "ready.json";

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
    let scheme = |address: SocketAddr| if address.ip().is_loopback() { "http" } else { "https" };
    let ready = Ready {
        endpoint: plan.endpoint(scheme(front), front),
        s3: plan.endpoint(scheme(s3), s3),
        console: plan.console(fact(Role::Front, "console").parse()?),
        ca: plan.dir().join(authority::FILE),
        watch: fact(Role::Watch, "listen"),
        agents: fact(Role::Watch, "agents"),
        mode: "dev".to_owned(),
        genesis: plan.genesis().digest.to_string(),
        pids,
        hardening,
    };
    let dir = plan.dir();
    let config = AwsConfig { accounts, plan, front, s3 };
    let text = config.text(scheme);
    write_durably(&dir.join("config"), text.as_bytes(), 0o644)?;
    let text = config.text(|_| "https");
    write_durably(&dir.join("config-tls"), text.as_bytes(), 0o644)?;
    let mut json = serde_json::to_vec_pretty(&ready)?;
    json.push(b'\n');
    write_durably(&dir.join(FILE), &json, 0o644)?;
    Ok(ready)
}

fn measures(facts: &[Fact]) -> BTreeMap<String, String> {
    let is_address = |fact: &&Fact| ["listen", "console", "agents"].contains(&fact.name.as_str());
    let measures = facts.iter().filter(|fact| !is_address(fact));
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
        let mut text = String::from("# Written by `writ up`. Use it with AWS_CONFIG_FILE.\n");
        for account in self.accounts {
            text.push_str(&format!("[profile {account}]\nregion = {region}\nservices = writ\n"));
            text.push_str(&format!("ca_bundle = {}\n\n", authority.display()));
        }
        text.push_str("[services writ]\n");
        let services = ["iam", "sts", "kms", "cloudtrail"].map(|service| (service, self.front));
        for (service, address) in services.into_iter().chain([("s3", self.s3)]) {
            let endpoint = self.plan.endpoint(scheme(address), address);
            text.push_str(&format!("{service} =\n  endpoint_url = {endpoint}\n"));
        }
        text
    }
}
