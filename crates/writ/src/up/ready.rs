//! What a started installation tells its users: `ready.json` and the AWS CLI's configuration.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use writ_keyd_client::control::Fact;
use writ_keyd_client::protocol::Role;
use writ_model::AccountId;

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
    /// Where watch takes trail's stream.
    pub watch: String,
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
    let ready = Ready {
        endpoint: format!("http://{}", fact(Role::Front, "listen")),
        s3: format!("http://{}", fact(Role::S3, "listen")),
        watch: fact(Role::Watch, "listen"),
        mode: "dev".to_owned(),
        genesis: plan.genesis().digest.to_string(),
        pids,
        hardening,
    };
    let dir = plan.dir();
    let config = aws_config(&ready, accounts, plan);
    write_durably(&dir.join("config"), config.as_bytes(), 0o644)?;
    let mut json = serde_json::to_vec_pretty(&ready)?;
    json.push(b'\n');
    write_durably(&dir.join(FILE), &json, 0o644)?;
    Ok(ready)
}

fn measures(facts: &[Fact]) -> BTreeMap<String, String> {
    let measures = facts.iter().filter(|fact| fact.name != "listen");
    measures.map(|fact| (fact.name.clone(), fact.value.clone())).collect()
}

/// The AWS CLI's `config`: a profile for each account, and our endpoints as a `services` section.
fn aws_config(ready: &Ready, accounts: &[AccountId], plan: &Plan) -> String {
    let region = plan.home_region();
    let mut text = String::from("# Written by `writ up`. Use it with AWS_CONFIG_FILE.\n");
    for account in accounts {
        text.push_str(&format!("[profile {account}]\nregion = {region}\nservices = writ\n\n"));
    }
    text.push_str("[services writ]\n");
    for service in ["iam", "sts", "kms", "cloudtrail"] {
        text.push_str(&format!("{service} =\n  endpoint_url = {}\n", ready.endpoint));
    }
    text.push_str(&format!("s3 =\n  endpoint_url = {}\n", ready.s3));
    text
}
