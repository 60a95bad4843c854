//! Load from many threads, and a diary of what was intended and what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_model::{Env as _, SystemEnv};
use writ_tests::http::Http;
use writ_tests::site::ANN;
use writ_tests::wait::within;
use writ_tests::{Credentials, Site, until};

/// Threads that each have one operation under way.
const THREADS: usize = 56;
/// Operations that must be in flight when a process is killed.
const IN_FLIGHT_MIN: usize = 50;

/// Threads that compare what was acknowledged.
const READERS: usize = 12;
/// How long a read may be refused before what it reads counts as lost.
const READ_PATIENCE: Duration = Duration::from_secs(10);
/// How often an object's name is repeated in its body.
const BODY_REPEATS: usize = 300;

/// Lines `intend NAME` and `done NAME REQUEST [BLOB]`, fsynced before the operation and after its reply.
pub(super) struct Diary {
    path: PathBuf,
    file: Mutex<File>,
    /// Names of those whose bytes were compared already.
    compared: Mutex<BTreeSet<String>>,
}

/// What a reply acknowledged.
#[derive(Clone)]
struct Done {
    /// The reply's request id.
    request: String,
    /// The ciphertext in base64, if it was an Encrypt.
    blob: Option<String>,
}

impl Diary {
    pub(super) fn create(path: &Path) -> Arc<Diary> {
        let file = File::options().create(true).append(true).open(path).unwrap();
        let (path, file) = (path.to_owned(), Mutex::new(file));
        Arc::new(Diary { path, file, compared: Mutex::default() })
    }

    fn note(&self, line: &str) {
        // One write for the line; the fsync of several threads may cover each other's lines.
        let file = {
            let mut file = self.file.lock().unwrap();
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
            file.try_clone().unwrap()
        };
        file.sync_data().unwrap();
    }

    /// What was acknowledged, by the name of what was made.
    fn acknowledged(&self) -> BTreeMap<String, Done> {
        let text = fs::read_to_string(&self.path).unwrap();
        let done = text.lines().filter_map(|line| line.strip_prefix("done "));
        done.map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let name = words.next().unwrap();
            (name, Done { request: words.next().unwrap(), blob: words.next() })
        })
        .collect()
    }

    /// How many operations were intended, how many acknowledged.
    pub(super) fn counts(&self) -> (usize, usize) {
        let text = fs::read_to_string(&self.path).unwrap();
        let intents = text.lines().filter(|line| line.starts_with("intend ")).count();
        (intents, self.acknowledged().len())
    }

    /// Everything that was acknowledged is there, with its record; what is new since the last check also
    /// has its bytes.
    pub(super) fn check(&self, site: &Site) {
        let lost = self.lost(site);
        assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    }

    /// The same, and the bytes of all of it are compared once more.
    pub(super) fn check_all(&self, site: &Site) {
        self.compared.lock().unwrap().clear();
        self.check(site);
    }

    /// What was acknowledged and is not there, not as it was, or not recorded.
    pub(super) fn lost(&self, site: &Site) -> BTreeMap<String, &'static str> {
        let acknowledged = self.acknowledged();
        let there = existing(site);
        let requests = acknowledged.values().map(|done| done.request.clone()).collect();
        let unrecorded = site.ledger().missing(&requests);
        let mut lost = BTreeMap::new();
        for (name, done) in &acknowledged {
            let made = name.starts_with("user-") || name.starts_with("object-");
            if made && !there.contains(name) {
                lost.insert(name.clone(), "it is not there");
            } else if unrecorded.contains(&done.request) {
                lost.insert(name.clone(), "it has no record");
            }
        }
        for name in self.changed(site, &acknowledged) {
            lost.entry(name).or_insert("it has other bytes");
        }
        lost
    }

    /// Objects that do not read as they were written, and ciphertexts that do not open to what was
    /// encrypted; of those that were not compared before.
    fn changed(&self, site: &Site, acknowledged: &BTreeMap<String, Done>) -> Vec<String> {
        let compared = self.compared.lock().unwrap().clone();
        let wanted: Vec<(&String, &Done)> = acknowledged
            .iter()
            .filter(|(name, done)| name.starts_with("object-") || done.blob.is_some())
            .filter(|(name, _)| !compared.contains(*name))
            .collect();
        let reader = Reader { s3: site.http("s3"), kms: site.http("kms"), root: site.root(ANN) };
        let next = AtomicUsize::new(0);
        let changed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    while let Some((name, done)) = wanted.get(next.fetch_add(1, Ordering::SeqCst)) {
                        if reader.is_as_written(name, done) {
                            self.compared.lock().unwrap().insert((*name).clone());
                        } else {
                            changed.lock().unwrap().push((*name).clone());
                        }
                    }
                });
            }
        });
        changed.into_inner().unwrap()
    }
}

/// Reads back what was written.
struct Reader {
    s3: Http,
    kms: Http,
    root: Credentials,
}

impl Reader {
    fn is_as_written(&self, name: &str, done: &Done) -> bool {
        let read = || match &done.blob {
            Some(blob) => {
                let body = json!({"CiphertextBlob": blob});
                let reply = self.kms.json(&self.root, "TrentService.Decrypt", &body).ok()?;
                if reply.status != 200 {
                    return None;
                }
                let reply: Value = serde_json::from_slice(&reply.body).ok()?;
                STANDARD.decode(reply["Plaintext"].as_str()?).ok()
            }
            None => {
                let path = format!("/crash/{name}");
                let reply = self.s3.send(&self.root, "GET", &path, "", &[], b"").ok()?;
                (reply.status == 200).then_some(reply.body)
            }
        };
        let written = if done.blob.is_some() { name.as_bytes().to_vec() } else { body(name) };
        within(READ_PATIENCE, read).is_some_and(|read| read == written)
    }
}

/// An object's bytes.
fn body(name: &str) -> Vec<u8> {
    name.repeat(BODY_REPEATS).into_bytes()
}

/// Names of all users and objects.
fn existing(site: &Site) -> BTreeSet<String> {
    let root = site.root(ANN);
    let pages = |operation| site.clients().pages(&root, operation, &json!({})).unwrap();
    let mut names = BTreeSet::new();
    for page in pages(("iam", "ListUsers")) {
        names.extend(crate::operations::texts(&page, "Users", "UserName"));
    }
    let objects = json!({"Bucket": "crash"});
    let pages = site.clients().pages(&root, ("s3", "ListObjectsV2"), &objects);
    for page in pages.unwrap_or_default() {
        if page.get("Contents").is_some() {
            names.extend(crate::operations::texts(&page, "Contents", "Key"));
        }
    }
    names
}

/// Threads that work until they are told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    in_flight: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

struct Worker {
    front: Http,
    kms: Http,
    s3: Http,
    root: Credentials,
    key: String,
    diary: Arc<Diary>,
    name: String,
}

impl Load {
    /// Starts the threads.
    pub(super) fn begin(site: &Site, diary: &Arc<Diary>, round: usize) -> Load {
        let root = site.root(ANN);
        let (front, kms, s3) = (site.http("iam"), site.http("kms"), site.http("s3"));
        let key = prepare(&kms, &s3, &root);
        let (stop, in_flight) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let worker = |thread: usize| Worker {
            front: front.clone(),
            kms: kms.clone(),
            s3: s3.clone(),
            root: root.clone(),
            key: key.clone(),
            diary: Arc::clone(diary),
            name: format!("r{round}-t{thread}"),
        };
        let start = |thread: usize| {
            let (worker, stop) = (worker(thread), Arc::clone(&stop));
            let in_flight = Arc::clone(&in_flight);
            std::thread::spawn(move || {
                let mut step = 0;
                while !stop.load(Ordering::SeqCst) {
                    worker.step(thread + step, step, &in_flight);
                    step += 1;
                }
            })
        };
        let threads = (0..THREADS).map(start).collect();
        Load { stop, in_flight, threads }
    }

    /// Waits until enough operations are in flight; gives how many there are.
    pub(super) fn wait_until_busy(&self) -> usize {
        until("operations in flight", || {
            let count = self.in_flight.load(Ordering::SeqCst);
            (count >= IN_FLIGHT_MIN).then_some(count)
        })
    }

    /// Lets it run for up to half a second.
    pub(super) fn run_for_random_time(&self) {
        let mut byte = [0];
        SystemEnv.fill(&mut byte);
        let never = || None::<()>;
        within(Duration::from_millis(2 * u64::from(byte[0])), never);
    }

    /// Stops the threads; those whose operation got no answer give up.
    pub(super) fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// A key and a bucket to work with.
fn prepare(kms: &Http, s3: &Http, root: &Credentials) -> String {
    until("the bucket", || {
        let reply = s3.send(root, "PUT", "/crash", "", &[], b"").ok()?;
        matches!(reply.status, 200 | 409).then_some(())
    });
    until("the key", || {
        let reply = kms.json(root, "TrentService.CreateKey", &json!({})).ok()?;
        let reply: Value = serde_json::from_slice(&reply.body).ok()?;
        Some(reply["KeyMetadata"]["KeyId"].as_str()?.to_owned())
    })
}

impl Worker {
    fn step(&self, kind: usize, step: usize, in_flight: &AtomicUsize) {
        let (front, kms, s3, root) = (&self.front, &self.kms, &self.s3, &self.root);
        let (what, name) = match kind % 4 {
            0 => ("user", format!("user-{}-{step}", self.name)),
            1 => ("object", format!("object-{}-{step}", self.name)),
            2 => ("encrypt", format!("encrypt-{}-{step}", self.name)),
            _ => ("read", format!("read-{}-{step}", self.name)),
        };
        self.diary.note(&format!("intend {name}"));
        in_flight.fetch_add(1, Ordering::SeqCst);
        let reply = match what {
            "user" => {
                front.query(root, &format!("Action=CreateUser&Version=2010-05-08&UserName={name}"))
            }
            "object" => s3.send(root, "PUT", &format!("/crash/{name}"), "", &[], &body(&name)),
            "encrypt" => {
                let body = json!({"KeyId": self.key, "Plaintext": STANDARD.encode(&name)});
                kms.json(root, "TrentService.Encrypt", &body)
            }
            _ => front.query(root, "Action=ListGroups&Version=2010-05-08"),
        };
        in_flight.fetch_sub(1, Ordering::SeqCst);
        let Some(reply) = reply.ok().filter(|reply| reply.status == 200) else { return };
        let request = reply.request_id().unwrap();
        let blob = (what == "encrypt").then(|| {
            let reply: Value = serde_json::from_slice(&reply.body).unwrap();
            format!(" {}", reply["CiphertextBlob"].as_str().unwrap())
        });
        self.diary.note(&format!("done {name} {request}{}", blob.unwrap_or_default()));
    }
}
