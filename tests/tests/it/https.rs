//! HTTPS: the same ports as in the clear on loopback, and nothing else beyond it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use writ_tests::site::{ANN, binary, passable_dir, tools};
use writ_tests::{Site, until};

use crate::claims::user;

/// An address of documentation (RFC 5737), given to the loopback device of a namespace of our own.
const OUTSIDE: &str = "192.0.2.1";

/// The AWS CLI with the files of `dir`, started by `program` if that is not empty.
fn aws(program: &[&str], dir: &Path, config: &str, arguments: &[&str]) -> Command {
    let cli = tools().join("venv/bin/aws");
    let mut words = program.to_vec();
    words.push(cli.to_str().unwrap());
    let mut command = Command::new(words[0]);
    // The machine may name another authority for all programs, which would win over the file's.
    command.args(&words[1..]).args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/bin");
    command.env("AWS_CONFIG_FILE", dir.join(config)).env("AWS_PROFILE", ANN);
    command.env("AWS_SHARED_CREDENTIALS_FILE", dir.join("credentials"));
    command
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The AWS CLI works over HTTPS with `config-tls` as it lies there, for every service and both ways of
/// an upload; the record says so; and whoever does not know the authority is not connected.
#[test]
fn aws_cli_works_over_https() {
    let site = Site::start();
    let run = |arguments: &[&str]| {
        let output = aws(&[], site.dir(), "config-tls", arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    let me: Value = serde_json::from_str(&run(&["sts", "get-caller-identity"])).unwrap();
    assert_eq!(me["Account"], ANN);
    run(&["kms", "create-key"]);
    run(&["s3", "mb", "s3://private"]);
    let (there, back) = (site.home().join("there"), site.home().join("back"));
    let body: Vec<u8> = (0..9_000_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&there, &body).unwrap();
    run(&["s3", "cp", there.to_str().unwrap(), "s3://private/k"]);
    run(&["s3", "cp", "s3://private/k", back.to_str().unwrap()]);
    assert!(std::fs::read(&back).unwrap() == body, "the object is another one");
    site.ledger().wait("a record with the facts of TLS", |event| {
        event.text("/eventName") == "GetCallerIdentity"
            && event.text("/tlsDetails/tlsVersion") == "TLSv1.3"
            && event.text("/tlsDetails/clientProvidedHostHeader").starts_with("127.0.0.1:")
    });
    site.ledger().wait("a record of the object with them", |event| {
        event.text("/eventName") == "UploadPart"
            && event.text("/tlsDetails/tlsVersion") == "TLSv1.3"
    });

    let other = site.home().join("other.pem");
    std::fs::copy(site.dir().join("watch/tls.crt"), &other).unwrap();
    let words = ["sts", "get-caller-identity", "--ca-bundle", other.to_str().unwrap()];
    let output = aws(&[], site.dir(), "config-tls", &words).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("CERTIFICATE_VERIFY_FAILED"));
}

/// A policy that demands TLS refuses in the clear what it allows over HTTPS.
#[test]
fn policy_can_demand_https() {
    let site = Site::start();
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*",
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]});
    let ann = user(&site, "ann", Some(&policy.to_string()));
    for (service, arguments) in [("iam", ["iam", "list-users"]), ("s3", ["s3api", "list-buckets"])]
    {
        let operation = if service == "s3" { "ListBuckets" } else { "ListUsers" };
        let refused = ann.call(service, operation, &json!({})).unwrap_err();
        assert!(refused.code.starts_with("AccessDenied"), "{refused:?}");
        let output = aws(&[], site.dir(), "config-tls", &arguments)
            .env("AWS_ACCESS_KEY_ID", &ann.who.id)
            .env("AWS_SECRET_ACCESS_KEY", &ann.who.secret)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }
}

/// TLS 1.2 is served, older versions are not; a client that neither greets nor goes takes nothing away.
#[test]
fn tls_has_a_lowest_version() {
    let site = Site::start();
    let address = site.endpoint("sts").trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let script = r#"
import socket, ssl, sys, warnings
warnings.simplefilter("ignore")
host, port = sys.argv[1].split(":")
for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=sys.argv[2])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    try:
        with context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            print(s.version(), s.recv(15).decode())
    except ssl.SSLError as error:
        print("refused", version.name)
"#;
    let output = Command::new(tools().join("venv/bin/python"))
        .args(["-c", script, &address])
        .arg(site.dir().join("ca.pem"))
        .output()
        .unwrap();
    let expected = "refused TLSv1_1\nTLSv1.2 HTTP/1.1 200 OK\nTLSv1.3 HTTP/1.1 200 OK\n";
    assert_eq!(said(&output), expected);
    drop(idle);
}

/// On an address that others can reach, HTTPS works and plain HTTP gets told so, whatever it asks.
#[test]
fn plain_http_stays_on_loopback() {
    if !rustix::process::geteuid().is_root() {
        return println!("refused: a network namespace needs root");
    }
    let home = passable_dir();
    let dir = home.path().join("data");
    std::fs::create_dir(&dir).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(&dir, mode).unwrap();
    let config = format!("listen = \"{OUTSIDE}:8440\"\nlisten-s3 = \"{OUTSIDE}:8441\"\n");
    std::fs::write(dir.join("writ.toml"), config).unwrap();
    let script = format!(
        "ip link set lo up && ip address add {OUTSIDE}/32 dev lo && exec {} up --data {} --account {ANN}",
        binary().display(),
        dir.display()
    );
    let mut site = Command::new("unshare")
        .args(["--net", "sh", "-c", &script])
        .stderr(std::fs::File::create(home.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let ready: Value = until("the site to serve", || {
        serde_json::from_slice(&std::fs::read(dir.join("ready.json")).ok()?).ok()
    });
    assert_eq!(ready["endpoint"], format!("https://{OUTSIDE}:8440"));
    let pid = site.id().to_string();
    let inside = ["nsenter", "-t", &pid, "-n"];
    let buckets = until("the first bucket", || {
        let output = aws(&inside, &dir, "config", &["s3", "mb", "s3://outside"]).output().unwrap();
        output.status.success().then_some(output)
    });
    assert!(said(&buckets).contains("outside"));
    for port in [8440, 8441] {
        let plain = format!("http://{OUTSIDE}:{port}/");
        let script = "import sys, urllib.request, urllib.error\n\
            try: print(urllib.request.urlopen(sys.argv[1]).status)\n\
            except urllib.error.HTTPError as e: print(e.code, e.read().decode())";
        let python = tools().join("venv/bin/python");
        let output = Command::new(inside[0])
            .args(&inside[1..])
            .args([python.to_str().unwrap(), "-c", script, &plain])
            .output()
            .unwrap();
        assert!(
            said(&output).starts_with("400 Plain HTTP is served on loopback"),
            "{}",
            said(&output)
        );
    }
    writ_tests::process::signal(site.id(), rustix::process::Signal::TERM);
    assert!(site.wait().unwrap().success());
}
