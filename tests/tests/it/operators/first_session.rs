//! docs/first-session.md as a new user follows it: the page's own commands, one after the other, by a shell.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use writ_tests::site::{binary, passable_dir, tools};

use super::gate::FLOORS;

const PAGE: &str = include_str!("../../../../docs/first-session.md");

/// What README says of the AWS CLI, and where the tools of a test are.
const SETUP: &str = r#"set -eu -o pipefail
trap 'kill $(jobs -p); wait' EXIT
export AWS_CONFIG_FILE=$PWD/writ-data/config AWS_SHARED_CREDENTIALS_FILE=$PWD/writ-data/credentials
export AWS_DATA_PATH=$PWD/writ-data/models AWS_PROFILE=123456789012 AWS_PAGER= USER=$(id -un)
"#;
const READY: &str = "for _ in $(seq 600); do [ -f writ-data/ready.json ] && break; sleep 0.1; done";

/// The page's commands. What a reader fills in is filled in; a line that says that it is refused must be.
fn script(port: u16) -> String {
    let mut script = String::from(SETUP);
    for block in PAGE.split("```\n").skip(1).step_by(2) {
        for line in block.lines() {
            let line = line.replace("2201", &port.to_string());
            let line = line.replace("SHA256", "$(writ status | awk '/^genesis/ {print $2}')");
            let command = line.split("   #").next().unwrap().trim_end();
            let line = match command {
                _ if line.contains("# refused") || line.contains("# refused: ") => {
                    format!("if {command}; then echo 'IT WAS DONE: {command}'; exit 1; fi")
                }
                "id=ID" | "play=ID" => {
                    let name = command.trim_end_matches("ID");
                    format!("{name}$(sed -n 's/^approvers run *writ approve //p' said | tail -1)")
                }
                "session=SESSION" => {
                    "session=$(writ sessions | grep -o '01[0-9A-Z]\\{24\\}' | head -1)".to_owned()
                }
                _ if command.starts_with("writ up") => {
                    format!("{command} --listen 127.0.0.1:0 >up.log 2>&1 &\n{READY}")
                }
                _ => line,
            };
            script.push_str(&format!("{line}\n"));
        }
    }
    script
}

#[test]
fn first_session_page_works_as_it_stands() {
    let home = passable_dir();
    let path = |name: &str| home.path().join(name);
    // A test machine's disk may be small, and its port 2201 taken.
    fs::create_dir(path("writ-data")).unwrap();
    fs::write(path("writ-data/writ.toml"), FLOORS).unwrap();
    fs::create_dir(path("bin")).unwrap();
    std::os::unix::fs::symlink(binary(), path("bin/writ")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(path("script"), script(port)).unwrap();
    let ways = [path("bin"), tools().join("venv/bin")].map(|way| way.display().to_string());
    let ways = format!("{}:{}", ways.join(":"), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.arg("-x").arg("script").current_dir(home.path()).env("PATH", ways);
    shell.env("HOME", home.path()).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
    shell.stdout(File::create(path("said")).unwrap());
    shell.stderr(File::create(path("errors")).unwrap());
    let status = shell.status().unwrap();
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let (said, errors) = (read("said"), read("errors"));
    assert!(status.success(), "{status}\n{said}\n{errors}\n{}", read("up.log"));
    for part in [
        "granted: ",
        "uid=",
        "the operator left",
        "command: id; uptime",
        "has ended: nothing rests on it",
        "VERIFIED",
        "\"ReasonType\": \"SERVICE\"",
        "STREAMLINED",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}\n{errors}");
    }
    for refused in ["no grant lets `anna` log in", "nobody approves their own request"] {
        assert!(errors.contains(refused), "`{refused}` is not in\n{errors}");
    }
}
