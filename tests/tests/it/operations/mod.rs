//! Every operation of the manifest, driven for real by the AWS CLI and by boto3.
//!
//! A scenario is written once and run by both clients. At its end the ledger must show that each
//! operation of the service succeeded with each client, or `exceptions.toml` says why not.

mod cloudtrail;
mod iam;
mod kms;
mod s3;
mod sts;
mod writ;

use serde_json::Value;
use writ_aws::Service;
use writ_tests::site::ANN;
use writ_tests::{Client, Clients, Credentials, Failure, Site, manifest, until};

/// One client with one identity.
#[derive(Clone)]
pub(crate) struct Actor<'s> {
    pub(crate) clients: &'s Clients,
    pub(crate) client: Client,
    pub(crate) who: Credentials,
}

impl<'s> Actor<'s> {
    /// The root of an account.
    pub(crate) fn root(site: &'s Site, client: Client, account: &str) -> Actor<'s> {
        Actor { clients: site.clients(), client, who: site.root(account) }
    }

    /// The same client with another identity.
    pub(crate) fn with(&self, who: Credentials) -> Actor<'s> {
        Actor { who, ..self.clone() }
    }

    /// The operation's reply or error.
    pub(crate) fn call(
        &self,
        service: &str,
        operation: &str,
        params: &Value,
    ) -> Result<Value, Failure> {
        self.clients.call(self.client, &self.who, (service, operation), params)
    }

    /// Two equal changes within a second have one signature, which works once; the second is told to
    /// sign again. AWS clients do so by themselves, but ours here are told not to retry.
    fn call_as_clients_do(
        &self,
        service: &str,
        operation: &str,
        params: &Value,
    ) -> Result<Value, Failure> {
        match self.call(service, operation, params) {
            Err(failure) if failure.code.starts_with("ServiceUnavailable") => {
                self.call(service, operation, params)
            }
            answer => answer,
        }
    }

    /// The operation must succeed.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "callers write the parameters in place")]
    pub(crate) fn ok(&self, service: &str, operation: &str, params: Value) -> Value {
        let answer = self.call_as_clients_do(service, operation, &params);
        match answer {
            Ok(reply) => reply,
            Err(failure) => {
                panic!("{}: {service} {operation} {params}: {failure:?}", self.client.name())
            }
        }
    }

    /// The operation must be refused with this code.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "callers write the parameters in place")]
    pub(crate) fn refused(
        &self,
        service: &str,
        operation: &str,
        params: Value,
        code: &str,
    ) -> Failure {
        match self.call_as_clients_do(service, operation, &params) {
            Ok(reply) => panic!("{service} {operation} {params} succeeded: {reply}"),
            Err(failure) => {
                assert_eq!(failure.code, code, "{service} {operation} {params}: {failure:?}");
                failure
            }
        }
    }

    /// A name that no other client uses.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.client.name())
    }
}

/// A text of a reply by JSON pointer.
#[track_caller]
pub(crate) fn text(reply: &Value, pointer: &str) -> String {
    match reply.pointer(pointer).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => panic!("no text at {pointer} in {reply}"),
    }
}

/// The texts of one member of a list in a reply.
#[track_caller]
pub(crate) fn texts(reply: &Value, list: &str, member: &str) -> Vec<String> {
    let items = reply[list].as_array().unwrap_or_else(|| panic!("no list {list} in {reply}"));
    items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

/// Checks that the ledger knows a success of each operation of `service` by each client.
fn covers(site: &Site, service: Service) {
    let exceptions = manifest::exceptions();
    let operations = service.info().operations;
    let mut left_out = 0;
    for client in Client::BOTH {
        let missing = || {
            let seen = site.ledger().succeeded(client.agent());
            let unseen = operations.iter().filter(|operation| {
                manifest::excepted(&exceptions, operation, "succeeds").is_none()
                    && !seen.contains(&manifest::name(operation))
            });
            unseen.map(|operation| operation.name).collect::<Vec<_>>()
        };
        let none_missing = || missing().is_empty().then_some(());
        writ_tests::wait::within(std::time::Duration::from_secs(5), none_missing);
        let missing = missing();
        assert!(missing.is_empty(), "{}: no success in the ledger of {missing:?}", client.name());
    }
    for operation in operations {
        if let Some(reason) = manifest::excepted(&exceptions, operation, "succeeds") {
            let name = manifest::name(operation);
            println!("left out: {name}: {reason}");
            let needed = |client: &Client| !site.ledger().succeeded(client.agent()).contains(&name);
            assert!(Client::BOTH.iter().any(needed), "{name}: its exception is not needed");
            left_out += 1;
        }
    }
    println!(
        "{}: {} operations succeeded with both clients, {left_out} left out",
        service.signing_name(),
        operations.len() - left_out
    );
}

/// The configuration files work as they are, without anything of the harness.
#[test]
fn aws_cli_works_with_the_files_of_the_data_directory() {
    let site = Site::start();
    let output = std::process::Command::new(writ_tests::site::tools().join("venv/bin/aws"))
        .args(["--profile", ANN, "sts", "get-caller-identity"])
        .env("AWS_CONFIG_FILE", site.dir().join("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", site.dir().join("credentials"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["Account"], ANN);
    assert_eq!(reply["Arn"], format!("arn:aws:iam::{ANN}:root"));
    until("the call to be in the ledger", || {
        site.ledger().succeeded("aws-cli/").contains("sts.GetCallerIdentity").then_some(())
    });
}
