//! The attack suite: for each claim attacks that must fail and must show in the ledger. A test's name
//! begins with its claim's number.

mod c01_keys_stay_inside;
mod c02_checks;
mod c02_forward_access;
mod c02_hostile_front;
mod c02_misfitting_handles;
mod c03_ledger_first;
mod c04_bundle;
mod c04_fork;
mod c04_history;
mod c05_access;
mod c05_access_by_hr;
mod c05_attacks;
mod c05_browser;
mod c05_gate;
mod c05_hr;
mod c05_playback;
mod c05_roster;
mod c06_recording;
mod c07_one_human;
mod c08_access_ends;
mod c08_grants_end;
mod c08_leaver;
mod c08_leftovers;
mod c08_sessions_end;
mod c09_agents;
mod c09_alarms;
mod c09_host_log;
mod c09_strangers;
mod c09_unwatched;
mod c10_browser;
mod c10_lockbox;
mod c11_runbooks;
mod c12_accounts;
mod c13_deny;

use serde_json::Value;
use writ_tests::site::ANN;
use writ_tests::{Client, Credentials, Failure, Site};

use crate::operations::Actor;

/// A policy document that allows an action.
fn allow(action: &str, resource: &str) -> String {
    serde_json::json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": resource}]})
    .to_string()
}

/// A user of ann's account, with an access key and this inline policy.
pub(crate) fn user<'s>(site: &'s Site, name: &str, policy: Option<&str>) -> Actor<'s> {
    user_of(site, ANN, name, policy)
}

/// The same of any account.
pub(crate) fn user_of<'s>(
    site: &'s Site,
    account: &str,
    name: &str,
    policy: Option<&str>,
) -> Actor<'s> {
    let root = Actor::root(site, Client::Boto, account);
    root.ok("iam", "CreateUser", serde_json::json!({"UserName": name}));
    if let Some(policy) = policy {
        root.ok(
            "iam",
            "PutUserPolicy",
            serde_json::json!({
            "UserName": name, "PolicyName": "p", "PolicyDocument": policy}),
        );
    }
    let key: Value = root.ok("iam", "CreateAccessKey", serde_json::json!({"UserName": name}));
    root.with(Credentials::of_reply(account, &key["AccessKey"]))
}

/// The attack must fail with this code, and its failure must be in the log of the attacker's account.
#[track_caller]
fn refused_and_recorded(
    site: &Site,
    attacker: &Actor<'_>,
    operation: (&str, &str),
    params: Value,
    code: &str,
) -> Failure {
    let (service, name) = operation;
    let failure = attacker.refused(service, name, params, code);
    let event = site.ledger().of_request(&failure.request);
    assert_eq!(event.log, attacker.who.profile, "{service} {name}");
    assert_eq!(event.operation(), format!("{service}.{name}"));
    assert!(!event.error().is_empty(), "{service} {name} is recorded as a success");
    failure
}
