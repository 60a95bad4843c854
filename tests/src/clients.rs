//! The AWS CLI and boto3, unmodified, driven through `clients.py`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::site::tools;

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The AWS CLI.
    Cli,
    /// boto3.
    Boto,
}

impl Client {
    /// Both.
    pub const BOTH: [Client; 2] = [Client::Cli, Client::Boto];

    /// How its user agent begins.
    pub fn agent(self) -> &'static str {
        match self {
            Client::Cli => "aws-cli/",
            Client::Boto => "Boto3/",
        }
    }

    /// A short name, good as a part of names.
    pub fn name(self) -> &'static str {
        match self {
            Client::Cli => "cli",
            Client::Boto => "boto",
        }
    }
}

/// Who signs: an access key with its secret, and the profile whose endpoints are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// A profile of `DIR/config`: an account's number.
    pub profile: String,
    /// The access key id.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
}

impl Credentials {
    /// An access key of a user or of the root.
    pub fn long_term(profile: &str, id: &str, secret: &str) -> Credentials {
        Credentials {
            profile: profile.to_owned(),
            id: id.to_owned(),
            secret: secret.to_owned(),
            token: None,
        }
    }

    /// From `AccessKey` of CreateAccessKey or `Credentials` of an STS reply.
    pub fn of_reply(profile: &str, reply: &Value) -> Credentials {
        let text = |name: &str| reply[name].as_str().map(str::to_owned);
        Credentials {
            profile: profile.to_owned(),
            id: text("AccessKeyId").unwrap(),
            secret: text("SecretAccessKey").unwrap(),
            token: text("SessionToken"),
        }
    }

    /// In the form that our signer takes.
    pub fn for_signing(&self) -> writ_aws::sigv4::client::Credentials {
        let mut credentials = writ_aws::sigv4::client::Credentials::new(&self.id, &self.secret);
        credentials.session_token = self.token.clone().map(Zeroizing::new);
        credentials
    }
}

/// An error as a client shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `AccessDenied` and the like; empty if the client failed by itself.
    pub code: String,
    /// The text.
    pub message: String,
    /// The HTTP status; 0 where the client does not tell it.
    pub status: u64,
    /// The request's id; empty where the client does not tell it.
    pub request: String,
}

/// A running `clients.py`.
pub struct Clients {
    pipe: Mutex<Pipe>,
}

struct Pipe {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Clients {
    /// Starts it with the configuration files of the data directory `dir`.
    pub(crate) fn start(dir: &Path, home: &Path) -> Clients {
        let python = tools().join("venv/bin/python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clients.py");
        let config = std::fs::read_to_string(dir.join("config")).unwrap();
        let profile = config.lines().find_map(|line| line.strip_prefix("[profile ")).unwrap();
        let mut command = Command::new(&python);
        command.arg("-u").arg(script).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", home).env("LC_ALL", "C.UTF-8");
        command.env("AWS_CONFIG_FILE", dir.join("config"));
        // The CLI sets it for itself, so that it does not see the config file's `data_path`.
        command.env("AWS_DATA_PATH", dir.join("models"));
        command.env("AWS_SHARED_CREDENTIALS_FILE", dir.join("credentials"));
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_MAX_ATTEMPTS", "1");
        command.env("AWS_PAGER", "").env("AWS_DEFAULT_OUTPUT", "json");
        command.env("WRIT_TEST_PROFILE", profile.trim_end_matches(']'));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start `{}` ({error}): cargo xtask test tools", python.display())
        });
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Clients { pipe: Mutex::new(Pipe { child, input, output }) }
    }

    /// One operation, with parameters as boto3 writes them; blobs are base64, also in the reply.
    pub fn call(
        &self,
        client: Client,
        who: &Credentials,
        operation: (&str, &str),
        params: &Value,
    ) -> Result<Value, Failure> {
        let (service, operation) = operation;
        self.ask(client, who, json!({"service": service, "operation": operation, "params": params}))
    }

    /// All pages of a listing, by boto3's paginator.
    pub fn pages(
        &self,
        who: &Credentials,
        operation: (&str, &str),
        params: &Value,
    ) -> Result<Vec<Value>, Failure> {
        let (service, operation) = operation;
        let request = json!({
            "service": service, "operation": operation, "params": params, "paginate": true,
        });
        let reply = self.ask(Client::Boto, who, request)?;
        Ok(reply["pages"].as_array().unwrap().clone())
    }

    /// A presigned URL, good for `seconds`, by boto3.
    pub fn presign(
        &self,
        who: &Credentials,
        operation: (&str, &str),
        params: &Value,
        seconds: u64,
    ) -> String {
        let (service, operation) = operation;
        let request = json!({
            "service": service, "operation": operation, "params": params, "presign": seconds,
        });
        let reply = self.ask(Client::Boto, who, request).unwrap();
        reply["url"].as_str().unwrap().to_owned()
    }

    /// The AWS CLI with these arguments; gives its standard output.
    pub fn aws(&self, who: &Credentials, line: &[&str]) -> Result<String, Failure> {
        let reply = self.ask(Client::Cli, who, json!({"argv": line}))?;
        Ok(reply["stdout"].as_str().unwrap().to_owned())
    }

    fn ask(&self, client: Client, who: &Credentials, request: Value) -> Result<Value, Failure> {
        let mut request = request;
        request["client"] = client.name().into();
        request["profile"] = who.profile.as_str().into();
        request["credentials"] = json!({"id": who.id, "secret": who.secret, "token": who.token});
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipe.input, "{request}").unwrap();
        let mut line = String::new();
        pipe.output.read_line(&mut line).unwrap();
        let mut answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("clients.py ended: {line}"));
        if let Some(error) = answer.get("error") {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            return Err(Failure {
                code: text("code"),
                message: text("message"),
                status: error["status"].as_u64().unwrap_or_default(),
                request: text("request"),
            });
        }
        Ok(answer["ok"].take())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
