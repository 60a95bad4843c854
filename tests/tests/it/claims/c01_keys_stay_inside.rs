//! C-01: a plaintext customer key never leaves the key module's memory.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;
use writ_keyd::{BLOB_HEADER_BYTES, BLOB_MAGIC};
use writ_tests::search::{Findings, Searcher, Secret};
use writ_tests::site::{ANN, tools};
use writ_tests::{Client, Site, database, process, skipped, until};

use crate::operations::{Actor, text};

use super::user;

/// Objects that are written and read.
const OBJECTS: usize = 3;

/// Less than a living process has in its memory.
const MEMORY_MIN_BYTES: u64 = 1 << 20;

/// What the test knows and nobody else may.
struct Known {
    /// Backing keys of live KMS keys, derived from the root file: keyd alone.
    backing: Vec<Secret>,
    /// Secret access keys: `DIR/credentials` and the client.
    access: Vec<Secret>,
    /// Data keys: the client that asked for them, s3 while it uses one of them.
    data: Vec<Secret>,
}

/// Goal: no backing key in any file, log or other process; no access-key secret but in
/// `DIR/credentials`; no data key at all, neither a client's nor an object's. Method: the keys are
/// derived offline from the root file of mode dev (the objects' are unwrapped with them), planted as a
/// control, found, and then looked for everywhere else.
#[test]
fn c01_no_secret_is_anywhere_but_in_its_place() {
    let site = Site::start();
    let known = drive(&site);
    let all: Vec<Secret> =
        known.backing.iter().chain(&known.access).chain(&known.data).cloned().collect();
    let searcher = Searcher::new(&all);
    finds_what_is_planted(&site, &searcher, &known.backing[0]);

    let (keyd, root) = (site.dir().join("keyd/root"), site.dir().join("credentials"));
    let mut findings = Findings::default();
    searcher.files(site.home(), &[keyd, root.clone()], &mut findings);
    let processes = look_into_processes(&site, &searcher, &mut findings);
    println!(
        "looked for {} secrets in {} MiB of files and of {processes} processes; {} places refused",
        all.len(),
        findings.bytes >> 20,
        findings.refused.len()
    );
    findings.refused.iter().for_each(|place| println!("refused: {place}"));
    assert!(findings.hits.is_empty(), "secrets are where they must not be: {:#?}", findings.hits);

    // The one place where the roots' secrets lie, in mode dev.
    let mut there = Findings::default();
    searcher.file(&root, &mut there);
    let names: Vec<&str> = there.hits.iter().map(|hit| hit.secret.as_str()).collect();
    assert_eq!(names, ["secret of the root"]);
}

/// Looks through the memory of every process but keyd; gives how many could be read. A process that
/// could not be read is not clean: for root it is an error, for others it is reported as skipped.
fn look_into_processes(site: &Site, searcher: &Searcher, findings: &mut Findings) -> usize {
    let is_root = rustix::process::geteuid().is_root();
    let others = site.processes().into_iter().filter(|process| process.role != "keyd");
    let read: BTreeMap<String, u64> = others
        .map(|process| {
            (process.role.clone(), searcher.memory(process.pid, &process.role, findings))
        })
        .collect();
    for role in ["front", "s3", "supervisor", "trail", "watch"] {
        match read.get(role) {
            None => panic!("there is no process {role}"),
            Some(bytes) if *bytes >= MEMORY_MIN_BYTES => {}
            Some(bytes) if is_root => panic!("only {bytes} bytes of {role} were looked through"),
            Some(_) => skipped(&format!("C-01: the memory of {role} cannot be read without root")),
        }
    }
    read.values().filter(|bytes| **bytes >= MEMORY_MIN_BYTES).count()
}

/// The searcher finds a key in a file below the data directory and in another process's memory.
fn finds_what_is_planted(site: &Site, searcher: &Searcher, secret: &Secret) {
    let mut findings = Findings::default();
    let planted = site.dir().join("trail/planted");
    std::fs::write(&planted, [&[0; 999], secret.bytes.as_slice(), &[0; 77]].concat()).unwrap();
    searcher.files(site.dir(), &[], &mut findings);
    std::fs::remove_file(&planted).unwrap();
    let place = planted.display().to_string();
    assert!(findings.hits.iter().any(|hit| hit.place == place), "the planted file is not found");
    let mut holder = holder(&secret.bytes);
    let mut findings = Findings::default();
    searcher.memory(holder.id(), "holder", &mut findings);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(!findings.hits.is_empty(), "the planted process is not found");
}

/// A process that holds `secret` in its memory.
fn holder(secret: &[u8]) -> Child {
    let script = "import sys; s = sys.stdin.buffer.read(32); print('held', flush=True); \
                  sys.stdin.buffer.read()";
    let mut child = Command::new(tools().join("venv/bin/python"))
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(secret).unwrap();
    let mut word = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    child
}

/// Uses everything that touches a secret, then waits until nothing is under way.
fn drive(site: &Site) -> Known {
    let root = Actor::root(site, Client::Boto, ANN);
    let secret = |name: &str, bytes: &[u8]| Secret { name: name.to_owned(), bytes: bytes.to_vec() };
    let mut access = vec![secret("secret of the root", root.who.secret.as_bytes())];
    let mut data = Vec::new();
    let ann = user(site, "ann", Some(&super::allow("*", "*")));
    access.push(secret("secret of a user", ann.who.secret.as_bytes()));
    let session = ann.ok("sts", "GetSessionToken", json!({}));
    let session = text(&session, "/Credentials/SecretAccessKey");
    access.push(secret("secret of a session", session.as_bytes()));
    for _ in 0..3 {
        let key = text(&ann.ok("kms", "CreateKey", json!({})), "/KeyMetadata/KeyId");
        let made = ann.ok("kms", "GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256"}));
        data.push(secret("data key", &STANDARD.decode(text(&made, "/Plaintext")).unwrap()));
        let blob = text(&made, "/CiphertextBlob");
        ann.ok("kms", "Decrypt", json!({"CiphertextBlob": blob}));
    }
    ann.ok("s3", "CreateBucket", json!({"Bucket": "safe"}));
    for n in 0..OBJECTS {
        let key = format!("k{n}");
        ann.ok("s3", "PutObject", json!({"Bucket": "safe", "Key": key, "Body": "AAAA"}));
        ann.ok("s3", "GetObject", json!({"Bucket": "safe", "Key": key}));
    }
    // Other traffic goes through the same buffers before anybody looks: quiescence, not a snapshot.
    for _ in 0..20 {
        ann.ok("sts", "GetCallerIdentity", json!({}));
        ann.ok("iam", "ListUsers", json!({}));
    }
    until("the last call to be recorded", || {
        site.ledger().succeeded("Boto3/").contains("iam.ListUsers").then_some(())
    });
    let backing = backing_keys(site);
    data.extend(object_keys(site, &backing));
    Known { backing, access, data }
}

/// The data keys of the objects in the bucket: every wrapped key below s3's folder, opened.
fn object_keys(site: &Site, backing: &[Secret]) -> Vec<Secret> {
    // A data key of 32 bytes.
    const BLOB_BYTES: usize = BLOB_HEADER_BYTES + 32 + 16;
    let mut found: Vec<Secret> = Vec::new();
    for path in files(&site.dir().join("s3")) {
        let bytes = std::fs::read(&path).unwrap();
        let starts = bytes.windows(BLOB_BYTES).filter(|window| window.starts_with(BLOB_MAGIC));
        for (blob, n) in starts.flat_map(|blob| (0..OBJECTS).map(move |n| (blob, n))) {
            let arn = format!("arn:aws:s3:::safe/k{n}");
            let context = BTreeMap::from([("aws:s3:arn".to_owned(), arn)]);
            let opened = backing.iter().find_map(|key| {
                writ_keyd::offline::open_blob(key.bytes[..].try_into().unwrap(), &context, blob)
            });
            let name = format!("data key of object k{n}");
            if let Some(plain) = opened.filter(|_| !found.iter().any(|known| known.name == name)) {
                found.push(Secret { name, bytes: plain.to_vec() });
            }
        }
    }
    assert_eq!(found.len(), OBJECTS, "each object has a wrapped data key");
    found
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The backing keys of all keys in the state, from the root file of mode dev.
fn backing_keys(site: &Site) -> Vec<Secret> {
    let root = std::fs::read(site.dir().join("keyd/root")).unwrap();
    let mut found = Vec::new();
    for key in database::read(site.dir()).iter().filter(|stored| stored.kind == "key") {
        let tokens = key.list("tokens");
        let keys =
            writ_keyd::offline::backing_keys(&root, &key.bytes("descriptor"), &tokens).unwrap();
        assert_eq!(keys.len(), tokens.len(), "a token does not open");
        let secrets = keys.iter().map(|bytes| Secret {
            name: format!("backing key of {}", key.id),
            bytes: bytes.to_vec(),
        });
        found.extend(secrets);
    }
    assert!(found.len() >= 4, "three customer keys and aws/s3");
    found
}

/// A process of another user can neither read nor trace keyd, and a crash of it leaves no dump.
#[test]
fn c01_keyd_cannot_be_traced_nor_dumped() {
    let site = Site::start();
    let pid = site.pid("keyd");
    if rustix::process::geteuid().is_root() {
        for file in ["mem", "maps", "environ"] {
            let output = Command::new("cat")
                .arg(format!("/proc/{pid}/{file}"))
                .uid(65_534)
                .gid(65_534)
                .output()
                .unwrap();
            assert!(!output.status.success() && output.stdout.is_empty(), "{file} can be read");
        }
    } else {
        skipped("C-01: reading keyd as another user id needs root");
        assert!(std::fs::read(format!("/proc/{pid}/environ")).is_err(), "keyd is dumpable");
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    process::signal(pid, Signal::ABORT);
    until("keyd to end", || (!process::lives(pid)).then_some(()));
    site.wait_until_served();
    let dumps: Vec<PathBuf> = std::fs::read_dir(site.dir())
        .unwrap()
        .chain(std::fs::read_dir(site.dir().join("keyd")).unwrap())
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("core"))
        .collect();
    assert!(dumps.is_empty(), "{dumps:?}");
    site.ledger().wait("keyd's end", |event| {
        event.text("/eventName") == "ProcessRestarted"
            && event.text("/serviceEventDetails/process") == "keyd"
    });
}
