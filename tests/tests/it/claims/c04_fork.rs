//! C-04: whoever has every key and the disk can make another history, but not have it believed.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use writ_tests::site::{self, ANN, Options, binary};
use writ_tests::{Client, Site, until};

use crate::operations::Actor;

const NAME: &str = "example.org/witness";

/// `writ witness` of somebody outside.
struct Outsider {
    child: Child,
    key: String,
    log: PathBuf,
}

impl Outsider {
    fn start(data: &PathBuf, address: &str, origin: Option<&str>) -> Outsider {
        let log = data.with_extension("log");
        let mut command = Command::new(binary());
        command.args(["witness", "--name", NAME, "--listen", address, "--data"]).arg(data);
        command.args(origin.iter().flat_map(|key| ["--origin-key", key]));
        let sink = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(sink).spawn().unwrap();
        let mut key = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut key).unwrap();
        Outsider { child, key: key.trim().to_owned(), log }
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        println!("{}", std::fs::read_to_string(&self.log).unwrap());
    }
}

fn users(site: &Site, prefix: &str, count: u32) {
    let root = Actor::root(site, Client::Boto, ANN);
    for n in 0..count {
        root.ok("iam", "CreateUser", json!({"UserName": format!("{prefix}{n}")}));
    }
}

/// How many checkpoints' sizes the outsider's cosignature of the newest one stands for; 0 if none.
fn cosigned(site: &Site, seen: &str) -> u64 {
    let verdict = site::verify(site.dir(), site.genesis(), &site.home().join(seen));
    let is_there = verdict.code == 0 && verdict.text.contains(&format!("{NAME} cosigned"));
    let line = verdict.text.lines().find_map(|line| line.trim().strip_prefix("checkpoint"));
    let size = line.and_then(|line| line.trim().strip_prefix("size ")?.split(',').next());
    size.filter(|_| is_there).and_then(|size| size.parse().ok()).unwrap_or(0)
}

/// Goal: to replace what the customer and an outside witness saw by another history that is right in
/// itself. Method: the directory of an earlier time, with every key of keyd, of watch and of the
/// founders, is put back and goes on otherwise, to more than they saw.
#[test]
fn c04_fork_made_with_every_key_is_not_cosigned_outside() {
    let home = site::passable_dir();
    let data = home.path().join("witness");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let key = Outsider::start(&data, &address, None).key.clone();
    let config = format!("[[witness]]\nkey = \"{key}\"\nurl = \"http://{address}\"\n");
    let mut site = Site::with(Options { config: Some(config), ..Options::default() });
    let told = site::verify(site.dir(), site.genesis(), &site.home().join("first")).text;
    let origin = told.lines().find_map(|line| line.trim().strip_prefix("log key")).map(str::trim);
    let outsider = Outsider::start(&data, &address, Some(origin.expect("the log's key")));
    users(&site, "early", 2);
    let before =
        until("the outsider to cosign", || Some(cosigned(&site, "seen")).filter(|n| *n > 0));
    assert!(site.stop().success());
    let old = home.path().join("old");
    assert!(Command::new("cp").arg("-a").args([site.dir(), &old]).status().unwrap().success());

    // What really happened, seen by the customer and by the outsider.
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    users(&site, "late", 3);
    let truth = until("the outsider to cosign the later history", || {
        Some(cosigned(&site, "seen")).filter(|n| *n > before)
    });
    let genesis = site.genesis().to_owned();
    let seen = site.home().join("seen");
    assert!(site.stop().success());

    // Another history, longer than that, by the same processes with the same keys.
    let mut fork = Site::with(Options { dir: Some(old.clone()), ..Options::default() });
    // How many checkpoints the true history had after the copy depends on when they were made.
    let mut made = 0;
    until("the outsider to refuse", || {
        made += 1;
        users(&fork, &format!("forged{made}-"), 2);
        std::fs::read_to_string(&outsider.log).unwrap().contains("ALARM: Fork").then_some(())
    });
    assert!(fork.stop().success());
    let stranger = site::verify(&old, &genesis, &home.path().join("never"));
    assert_eq!(stranger.code, 12, "{}", stranger.text);
    let customer = site::verify(&old, &genesis, &seen);
    assert!(customer.text.contains("13 consistency"), "{}", customer.text);
    assert!(customer.text.contains("the history was changed"), "{}", customer.text);

    // The control: the true history goes on, and the outsider with it.
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    users(&site, "on", 1);
    until("the outsider to go on", || Some(cosigned(&site, "seen")).filter(|n| *n > truth));
}
